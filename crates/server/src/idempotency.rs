//! `Idempotency-Key`: a creation that is sent twice happens once and is answered twice alike.
//!
//! A key belongs to an organization and a route, and to one request: path with query, and body. What a handler answers to the result
//! of its change is a [`Repeatable`], because the store writes that answer with the change itself (see
//! [`abide_core::once`]). Changes that are the same when done twice (`PATCH`, `PUT`, `DELETE`, pausing) need no key, and
//! one that is sent with them means nothing.

use std::any::Any;

use abide_core::access::Caller;
use abide_core::consent::hash::sha256;
use abide_core::ids::SubjectId;
use abide_core::once::{Kept, Once};
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;

use crate::input::{FieldProblem, Invalid};

/// The request header.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On answers that are given again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in characters.
const KEY_LIMIT: usize = 255;

/// An answer that can be given again.
pub(crate) trait Repeatable {
    /// What the storage method answers.
    type Result: 'static;

    /// The answer to it, without any secret that was minted.
    fn answer(result: &Self::Result) -> Response;

    /// Whom the answer is about.
    fn about(_result: &Self::Result) -> Vec<SubjectId> {
        Vec::new()
    }
}

/// The key that a request was sent with, and what it was sent to.
#[derive(Debug, Clone)]
pub(crate) struct SentKey {
    key: [u8; 32],
    /// With its query, which can say what is to be done.
    path: String,
}

impl SentKey {
    /// The key of a request that creates; `None` where it has none.
    pub(crate) fn of(parts: &Parts) -> Result<Option<Self>, Invalid> {
        if parts.method != Method::POST {
            return Ok(None);
        }
        let mut given = parts.headers.get_all(KEY).iter();
        let Some(first) = given.next() else { return Ok(None) };
        let text = first.to_str().ok().filter(|text| {
            (1..=KEY_LIMIT).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        let (Some(text), None) = (text, given.next()) else {
            let problem =
                format!("must be given once, as 1 to {KEY_LIMIT} visible ASCII characters");
            let field = "Idempotency-Key".to_owned();
            return Err(Invalid::Fields(vec![FieldProblem { field, problem: problem.into() }]));
        };
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let key = sha256(format!("{route}\n{text}").as_bytes());
        let path = parts.uri.path_and_query().map_or(parts.uri.path(), PathAndQuery::as_str);
        Ok(Some(Self { key, path: path.to_owned() }))
    }

    /// The caller, whose change is made once for this key.
    pub(crate) fn once<R: Repeatable>(&self, caller: Caller, body: &[u8]) -> Caller {
        let mut request = Vec::with_capacity(self.path.len() + 1 + body.len());
        request.extend_from_slice(self.path.as_bytes());
        request.push(b'\n');
        request.extend_from_slice(body);
        let once = Once { key: self.key, request: sha256(&request), answer: kept::<R> };
        Caller { once: Some(once), ..caller }
    }
}

fn kept<R: Repeatable>(result: &dyn Any) -> Option<Kept> {
    let result = result.downcast_ref::<R::Result>()?;
    let (parts, body) = R::answer(result).into_parts();
    let body = body.collect().now_or_never()?.ok()?.to_bytes().to_vec();
    let location = parts.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    Some(Kept {
        status: parts.status.as_u16(),
        location: location.map(str::to_owned),
        body,
        about: R::about(result),
    })
}

/// An answer given again.
pub(crate) fn replay(kept: Kept) -> Response {
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = kept.location.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(LOCATION, location);
    }
    response
}
