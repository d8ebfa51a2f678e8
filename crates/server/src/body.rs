//! Reading a request's body: JSON, or a form of the dashboard. Bounded in size and in time, and all of them together in
//! memory (I9).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::rejection::Owner;
use crate::router::Shared;

/// Largest body of a call about one object.
pub(crate) const SINGLE: usize = 1024 * 1024;
/// Largest body of a batch.
pub(crate) const BATCH: usize = 4 * 1024 * 1024;
/// How long a caller may take to send a body.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of bodies in memory at once, those that are still arriving too.
const TOGETHER: usize = 64 * 1024 * 1024;
/// How long a body waits for room in there.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// Why there is no body to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The content type is not JSON, or not a form where one is read.
    NotJson,
    /// The content type is not JSON Lines.
    NotLines,
    /// More bytes than this.
    TooLarge(usize),
    /// It did not come whole in time.
    TooSlow,
    /// The connection broke, or the framing is wrong.
    Broken,
    /// Other bodies take all the memory there is for them.
    NoRoom,
}

/// Room for the bodies of all requests together.
#[derive(Debug, Clone)]
pub(crate) struct BodyRoom(Arc<Semaphore>);

impl Default for BodyRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TOGETHER)))
    }
}

/// A body's share of the room, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct BodyShare(Option<OwnedSemaphorePermit>);

impl BodyShare {
    /// Grows as the body does, so that one that only announces itself takes nothing.
    async fn grow(&mut self, room: &BodyRoom, bytes: usize) -> Result<(), Unread> {
        let bytes = u32::try_from(bytes).map_err(|_| Unread::NoRoom)?;
        let more = match Arc::clone(&room.0).try_acquire_many_owned(bytes) {
            Ok(more) => more,
            Err(_) => {
                let more = timeout(ROOM_WAIT, Arc::clone(&room.0).acquire_many_owned(bytes)).await;
                more.ok().and_then(Result::ok).ok_or(Unread::NoRoom)?
            }
        };
        match &mut self.0 {
            Some(share) => share.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// A JSON body of at most `LIMIT` bytes, not yet parsed, and its share of the room.
#[derive(Debug)]
pub(crate) struct JsonBody<const LIMIT: usize>(pub(crate) Bytes, pub(crate) BodyShare);

/// JSON Lines of at most `LIMIT` bytes, not yet parsed, and their share of the room.
#[derive(Debug)]
pub(crate) struct LinesBody<const LIMIT: usize>(pub(crate) Bytes, pub(crate) BodyShare);

/// A JSON body, or none at all, and its share of the room.
#[derive(Debug)]
pub(crate) struct OptionalBody(pub(crate) Option<Bytes>, pub(crate) BodyShare);

impl<const LIMIT: usize> FromRequest<Shared> for JsonBody<LIMIT> {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let owner = Owner::of(request.uri().path());
        if !is_json(request.headers()) {
            return Err(owner.tell(Unread::NotJson));
        }
        match read(request, LIMIT, &shared.body_room).await {
            Ok((bytes, share)) => Ok(Self(bytes, share)),
            Err(reason) => Err(owner.tell(reason)),
        }
    }
}

impl<const LIMIT: usize> FromRequest<Shared> for LinesBody<LIMIT> {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let owner = Owner::of(request.uri().path());
        if !are_lines(request.headers()) {
            return Err(owner.tell(Unread::NotLines));
        }
        match read(request, LIMIT, &shared.body_room).await {
            Ok((bytes, share)) => Ok(Self(bytes, share)),
            Err(reason) => Err(owner.tell(reason)),
        }
    }
}

impl FromRequest<Shared> for OptionalBody {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let owner = Owner::of(request.uri().path());
        let json = is_json(request.headers());
        match read(request, SINGLE, &shared.body_room).await {
            Ok((body, share)) if body.is_empty() => Ok(Self(None, share)),
            Ok((body, share)) if json => Ok(Self(Some(body), share)),
            Ok(_) => Err(owner.tell(Unread::NotJson)),
            Err(reason) => Err(owner.tell(reason)),
        }
    }
}

/// `application/json`, whatever its parameters, or a type built on it.
fn is_json(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|essence| {
        essence.eq_ignore_ascii_case("application/json")
            || essence
                .to_ascii_lowercase()
                .strip_prefix("application/")
                .is_some_and(|kind| kind.ends_with("+json"))
    })
}

/// The names that JSON Lines go under.
fn are_lines(headers: &HeaderMap) -> bool {
    const NAMES: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
    essence(headers)
        .is_some_and(|essence| NAMES.iter().any(|name| essence.eq_ignore_ascii_case(name)))
}

/// The content type without its parameters.
fn essence(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

pub(crate) async fn read(
    request: Request,
    limit: usize,
    room: &BodyRoom,
) -> Result<(Bytes, BodyShare), Unread> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|size| size > limit as u64) {
        return Err(Unread::TooLarge(limit));
    }
    timeout(PATIENCE, gather(request.into_body(), limit, room))
        .await
        .unwrap_or(Err(Unread::TooSlow))
}

async fn gather(
    mut body: Body,
    limit: usize,
    room: &BodyRoom,
) -> Result<(Bytes, BodyShare), Unread> {
    // Most bodies come in one piece, which is kept as it is.
    let (mut first, mut rest, mut share) = (Bytes::new(), BytesMut::new(), BodyShare::default());
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        if first.len() + rest.len() + piece.len() > limit {
            return Err(Unread::TooLarge(limit));
        }
        share.grow(room, piece.len()).await?;
        if first.is_empty() && rest.is_empty() {
            first = piece;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&piece);
        }
    }
    Ok((if rest.is_empty() { first } else { rest.freeze() }, share))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_by_its_essence() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("application/x-www-form-urlencoded", false),
            ("text/json", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_json(&headers), json, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
        for (value, lines) in
            [("application/x-ndjson; charset=utf-8", true), ("application/json", false)]
        {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(are_lines(&headers), lines, "{value}");
        }
    }

    /// I9: a body takes room as it arrives and gives it back; one that finds none is told to come again.
    #[tokio::test]
    async fn i9_bodies_share_one_room() {
        let room = BodyRoom(Arc::new(Semaphore::new(10)));
        let read = |text: &'static str| gather(Body::from(text), 8, &room);
        let (six, share) = read("123456").await.unwrap();
        assert_eq!((&six[..], room.0.available_permits()), (&b"123456"[..], 4));
        assert_eq!(read("12345").await.unwrap_err(), Unread::NoRoom);
        assert_eq!(read("123456789").await.unwrap_err(), Unread::TooLarge(8));
        drop(share);
        let pieces = futures_util::stream::iter(["12", "34", "567"].map(Ok::<_, std::io::Error>));
        let (seven, _share) = gather(Body::from_stream(pieces), 8, &room).await.unwrap();
        assert_eq!((&seven[..], room.0.available_permits()), (&b"1234567"[..], 3));
    }
}
