//! Reading a request's body: JSON only, bounded in size and in time.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::api::consentproof::envelope::ApiError;
use crate::router::Shared;

/// Largest body of a call about one object.
pub(crate) const SINGLE: usize = 1024 * 1024;
/// Largest body of a batch.
pub(crate) const BATCH: usize = 4 * 1024 * 1024;
/// How long a caller may take to send a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no body to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The content type is not JSON.
    NotJson,
    /// More bytes than this.
    TooLarge(usize),
    /// It did not come whole in time.
    TooSlow,
    /// The connection broke, or the framing is wrong.
    Broken,
}

/// A JSON body of at most `LIMIT` bytes; not yet parsed.
#[derive(Debug)]
pub(crate) struct JsonBody<const LIMIT: usize>(pub(crate) Bytes);

/// A JSON body, or none at all.
#[derive(Debug)]
pub(crate) struct OptionalBody(pub(crate) Option<Bytes>);

impl<const LIMIT: usize> FromRequest<Shared> for JsonBody<LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(Unread::NotJson.into());
        }
        Ok(Self(read(request, LIMIT).await?))
    }
}

impl FromRequest<Shared> for OptionalBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, ApiError> {
        let json = is_json(request.headers());
        let body = read(request, SINGLE).await?;
        match (body.is_empty(), json) {
            (true, _) => Ok(Self(None)),
            (false, true) => Ok(Self(Some(body))),
            (false, false) => Err(Unread::NotJson.into()),
        }
    }
}

/// `application/json`, whatever its parameters, or a type built on it.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(http::HeaderValue::to_str) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or(value).trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence
            .to_ascii_lowercase()
            .strip_prefix("application/")
            .is_some_and(|kind| kind.ends_with("+json"))
}

async fn read(request: Request, limit: usize) -> Result<Bytes, Unread> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|size| size > limit as u64) {
        return Err(Unread::TooLarge(limit));
    }
    let whole = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(PATIENCE, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge(limit)),
        Ok(Err(_)) => Err(Unread::Broken),
        Err(_) => Err(Unread::TooSlow),
    }
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
    }
}
