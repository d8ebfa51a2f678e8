//! How every answer of this API looks, and the one type that becomes its errors (P28, P29).

use std::borrow::Cow;

use abide_core::ids::IdProblem;
use abide_core::once::Kept;
use abide_core::{Refusal, Timestamp};
use abide_storage::{Page, PageWanted, StorageError};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::body::Unread;
use crate::caller::TurnedAway;
use crate::idempotency::replay;
use crate::input::{FieldProblem, Invalid};
use crate::observe::Failure;
use crate::problem::sentence;
use crate::rejection::Rejected;

/// What a handler answers.
pub(crate) type Answer = Result<Response, ApiError>;

/// Why the API did not do what was asked.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    details: Vec<FieldProblem>,
    /// Seconds after which the same may go well.
    retry_after: Option<i64>,
    /// For the log alone.
    failure: Option<String>,
    /// No error: what the same call was answered before.
    replay: Option<Box<Kept>>,
}

#[derive(Serialize)]
struct Given<'a, T> {
    success: bool,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Meta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<Pagination>,
}

#[derive(Serialize)]
struct Meta<'a> {
    message: &'a str,
    timestamp: String,
}

#[derive(Serialize)]
struct Pagination {
    page: u32,
    limit: u32,
    total: u64,
    pages: u64,
}

#[derive(Serialize)]
struct Done<'a> {
    message: &'a str,
}

#[derive(Serialize)]
struct Failed<'a> {
    success: bool,
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [FieldProblem],
}

/// 200 with an object.
pub(crate) fn ok<T: Serialize>(data: T) -> Answer {
    success(StatusCode::OK, &Given { success: true, data, meta: None, pagination: None })
}

/// 201 with an object.
pub(crate) fn created<T: Serialize>(data: T) -> Answer {
    success(StatusCode::CREATED, &Given { success: true, data, meta: None, pagination: None })
}

/// 201 with an object that holds a secret: with a word about it, and kept by no cache.
pub(crate) fn created_with_secret<T: Serialize>(data: T, message: &str, now: Timestamp) -> Answer {
    let meta = Some(Meta { message, timestamp: now.to_seconds_text() });
    let mut response =
        success(StatusCode::CREATED, &Given { success: true, data, meta, pagination: None })?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// 200 after something was deleted.
pub(crate) fn deleted(message: &str) -> Answer {
    ok(Done { message })
}

/// 200 with one page of a list (P32).
pub(crate) fn page<'a, T, V: Serialize>(
    page: &'a Page<T>,
    wanted: PageWanted,
    view: impl Fn(&'a T) -> V,
) -> Answer {
    paged(page, wanted, view, None)
}

/// [`page`] with a word about what it leaves open, if it does.
pub(crate) fn page_with_note<'a, T, V: Serialize>(
    page: &'a Page<T>,
    wanted: PageWanted,
    view: impl Fn(&'a T) -> V,
    note: Option<&str>,
    now: Timestamp,
) -> Answer {
    let meta = note.map(|message| Meta { message, timestamp: now.to_seconds_text() });
    paged(page, wanted, view, meta)
}

fn paged<'a, T, V: Serialize>(
    page: &'a Page<T>,
    wanted: PageWanted,
    view: impl Fn(&'a T) -> V,
    meta: Option<Meta<'_>>,
) -> Answer {
    let pagination = Some(Pagination {
        page: wanted.page,
        limit: wanted.limit,
        total: page.total,
        pages: page.total.div_ceil(u64::from(wanted.limit)),
    });
    let data: Vec<V> = page.items.iter().map(view).collect();
    success(StatusCode::OK, &Given { success: true, data, meta, pagination })
}

fn success<T: Serialize>(status: StatusCode, body: &Given<'_, T>) -> Answer {
    let bytes = serialised(body)
        .map_err(|error| ApiError::internal(format!("the answer does not serialise: {error}")))?;
    Ok(json(status, bytes))
}

fn serialised<T: Serialize>(body: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(640);
    serde_json::to_writer(&mut bytes, body)?;
    Ok(bytes)
}

fn json(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Vec::new(),
            retry_after: None,
            failure: None,
            replay: None,
        }
    }

    fn validation(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, "VALIDATION_ERROR", message)
    }

    /// `what`, named with its article, is not there for this caller.
    pub(crate) fn not_found(what: &str) -> Self {
        let name = what.split_once(' ').map_or(what, |(_, name)| name);
        let message = format!("There is no {name} with this id.");
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// The id in the path is not one.
    fn misnamed(problem: &IdProblem) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("The id in the path {problem}."))
    }

    fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "Nothing lives at this path.")
    }

    fn method_not_allowed() -> Self {
        let message = "The `Allow` header names the methods of this path.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
    }

    fn internal(failure: String) -> Self {
        let message = "Something broke on our side. The `X-Request-Id` header names this request.";
        Self {
            failure: Some(failure),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
        }
    }

    /// Nothing was done, and a moment later it may be.
    fn unavailable(message: &'static str) -> Self {
        Self { retry_after: Some(1), ..Self::unknown(message) }
    }

    /// It is not known what was done. No `Retry-After` goes with it: clients that repeat by themselves should not.
    fn unknown(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message)
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        let details = match invalid {
            Invalid::Body(text) => return Self::validation(StatusCode::BAD_REQUEST, text),
            Invalid::Fields(details) => details,
        };
        let message = match details.as_slice() {
            [only] => format!("`{}` {}.", only.field, only.problem),
            several => format!("{} problems; `details` names each.", several.len()),
        };
        Self { details, ..Self::validation(StatusCode::BAD_REQUEST, message) }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Field { field, problem } => {
                Invalid::Fields(vec![FieldProblem { field, problem: problem.into() }]).into()
            }
            Refusal::NotFound(what) => Self::not_found(what),
            Refusal::Conflict(text) => Self::new(StatusCode::CONFLICT, "CONFLICT", sentence(&text)),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let failure = error.to_string();
        match error {
            StorageError::Refused(refusal) => refusal.into(),
            StorageError::Replayed(kept) => Self { replay: Some(kept), ..Self::internal(failure) },
            StorageError::Busy => Self::unavailable(BUSY),
            StorageError::Unavailable(_) => {
                Self { failure: Some(failure), ..Self::unavailable(BUSY) }
            }
            StorageError::Unknown(_) => Self { failure: Some(failure), ..Self::unknown(UNKNOWN) },
            StorageError::Damaged(_) => Self::internal(failure),
        }
    }
}

const BUSY: &str = "Nothing was changed. Try again in a moment.";
const UNKNOWN: &str = "It is not known whether this change was stored. Read it back before you send it again; a \
                       creation that is sent again may be recorded twice.";

impl From<Rejected> for ApiError {
    fn from(reason: Rejected) -> Self {
        match reason {
            Rejected::Caller(reason) => reason.into(),
            Rejected::Body(reason) => reason.into(),
            Rejected::Invalid(problem) => problem.into(),
            Rejected::Misnamed(problem) => Self::misnamed(&problem),
            Rejected::NotFound(what) => Self::not_found(what),
            Rejected::NoSuchPath => Self::no_such_path(),
            Rejected::MethodNotAllowed => Self::method_not_allowed(),
            Rejected::Storage(error) => error.into(),
            Rejected::Broken(failure) => Self::internal(failure),
        }
    }
}

impl From<TurnedAway> for ApiError {
    fn from(reason: TurnedAway) -> Self {
        match reason {
            TurnedAway::Missing => Self::new(
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "Send `X-API-Key` with `X-API-Secret`, or a token as `Authorization: Bearer`.",
            ),
            TurnedAway::Invalid => Self::new(
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "The API key, its secret or its token is not valid.",
            ),
            TurnedAway::Lacks(scope) => Self::new(
                StatusCode::FORBIDDEN,
                "FORBIDDEN",
                format!("This needs a key with the scope `{}`.", scope.as_str()),
            ),
            TurnedAway::TooMany { again_in } => Self {
                retry_after: Some(again_in),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "RATE_LIMIT_EXCEEDED",
                    "This key has used up its requests for this minute. Nothing was done; the `X-RateLimit-Reset` header \
                     says when it may ask again.",
                )
            },
            TurnedAway::Storage(error) => error.into(),
        }
    }
}

impl From<Unread> for ApiError {
    fn from(reason: Unread) -> Self {
        match reason {
            Unread::NotJson => Self::validation(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send JSON, with `Content-Type: application/json`.",
            ),
            Unread::NotLines => Self::validation(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send JSON Lines, with `Content-Type: application/x-ndjson`.",
            ),
            Unread::TooLarge(limit) => Self::validation(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The body may have at most {} MiB.", limit / (1024 * 1024)),
            ),
            Unread::TooSlow => {
                Self::validation(StatusCode::REQUEST_TIMEOUT, "The body took too long to arrive.")
            }
            Unread::NoRoom => Self::unavailable(
                "More is being sent at once than there is room for. Try again in a moment.",
            ),
            Unread::Broken => {
                Self::validation(StatusCode::BAD_REQUEST, "The body did not arrive whole.")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(kept) = self.replay {
            return replay(*kept);
        }
        let error = Told { code: self.code, message: &self.message, details: &self.details };
        // Strings alone: this cannot fail, and an empty body still carries the status.
        let bytes = serialised(&Failed { success: false, error }).unwrap_or_default();
        let mut response = json(self.status, bytes);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(failure) = self.failure {
            response.extensions_mut().insert(Failure(failure));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: StorageError) -> (u16, bool, bool) {
        let response = ApiError::from(error).into_response();
        let retry = response.headers().contains_key(RETRY_AFTER);
        (response.status().as_u16(), retry, response.extensions().get::<Failure>().is_some())
    }

    /// P29: each way a store fails has one status; only what is ours to mend is logged.
    #[test]
    fn p29_how_a_store_fails() {
        let text = || "disk".to_owned();
        assert_eq!(told(Refusal::field("granted", "is odd").into()), (400, false, false));
        assert_eq!(told(Refusal::NotFound("a consent").into()), (404, false, false));
        assert_eq!(told(Refusal::Conflict("It is taken.".into()).into()), (409, false, false));
        assert_eq!(told(StorageError::Busy), (503, true, false));
        assert_eq!(told(StorageError::Unavailable(text())), (503, true, true));
        assert_eq!(told(StorageError::Unknown(text())), (503, false, true));
        assert_eq!(told(StorageError::Damaged(text())), (500, false, true));
    }

    #[test]
    fn refusals_are_sentences() {
        for what in ["a consent", "the consent"] {
            assert_eq!(ApiError::not_found(what).message, "There is no consent with this id.");
        }
        assert_eq!(sentence("it is taken"), "It is taken.");
        assert_eq!(sentence("It is taken."), "It is taken.");
    }
}
