//! Errors on Abide's own paths: RFC 9457 problem documents.
//!
//! A document names its request, and only the layer round all routes knows that name. So an answer leaves its handler
//! without a body, and [`Unnumbered`] writes it there.

mod kind;

use std::borrow::Cow;

use abide_core::Refusal;
use abide_core::once::Kept;
use abide_storage::StorageError;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use crate::body::Unread;
use crate::caller::TurnedAway;
use crate::idempotency::replay;
use crate::input::{FieldProblem, Invalid};
use crate::observe::Failure;
use crate::rejection::Rejected;

pub(crate) use kind::ProblemKind;

/// Where the kinds are explained; a `type` is this, `#` and the kind's name.
pub(crate) const PROBLEMS_PATH: &str = "/docs/problems";

/// Why Abide's own API did not do what was asked.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: Cow<'static, str>,
    errors: Vec<FieldProblem>,
    /// Seconds after which the same may go well, where the kind does not say.
    retry_after: Option<i64>,
    /// For the log alone.
    failure: Option<String>,
    /// No error: what the same call was answered before.
    replay: Option<Box<Kept>>,
}

/// A problem whose request has not been named yet; travels in the answer's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Unnumbered(Problem);

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldProblem],
    request_id: &'a str,
}

impl Problem {
    /// A problem; `detail` is a sentence and holds nothing personal.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            failure: None,
            replay: None,
        }
    }

    /// `what`, named with its article, is not there for this caller.
    pub(crate) fn not_found(what: &str) -> Self {
        let name = what.split_once(' ').map_or(what, |(_, name)| name);
        Self::new(ProblemKind::NotFound, format!("There is no {name} with this id."))
    }

    /// Something broke; `failure` is for the log.
    pub(crate) fn internal(failure: String) -> Self {
        let detail = "Something broke on our side. `request_id` names this request in the log.";
        Self { failure: Some(failure), ..Self::new(ProblemKind::Internal, detail) }
    }
}

impl From<Rejected> for Problem {
    fn from(reason: Rejected) -> Self {
        match reason {
            Rejected::Caller(reason) => reason.into(),
            Rejected::Body(reason) => reason.into(),
            Rejected::Invalid(problem) => problem.into(),
            Rejected::Misnamed(problem) => {
                Self::new(ProblemKind::NotFound, format!("The id in the path {problem}."))
            }
            Rejected::NotFound(what) => Self::not_found(what),
            Rejected::NoSuchPath => {
                Self::new(ProblemKind::NoSuchPath, "Nothing lives at this path.")
            }
            Rejected::MethodNotAllowed => Self::new(
                ProblemKind::MethodNotAllowed,
                "The `Allow` header names the methods of this path.",
            ),
            Rejected::Storage(error) => error.into(),
            Rejected::Broken(failure) => Self::internal(failure),
        }
    }
}

impl From<TurnedAway> for Problem {
    fn from(reason: TurnedAway) -> Self {
        match reason {
            TurnedAway::Missing => Self::new(
                ProblemKind::Unauthenticated,
                "Send a token as `Authorization: Bearer`, or `X-API-Key` with `X-API-Secret`.",
            ),
            TurnedAway::Invalid => Self::new(
                ProblemKind::Unauthenticated,
                "The API key, its secret or its token is not valid.",
            ),
            TurnedAway::Lacks(scope) => Self::new(
                ProblemKind::MissingScope,
                format!("This needs a key with the scope `{}`.", scope.as_str()),
            ),
            TurnedAway::TooMany { again_in } => Self {
                retry_after: Some(again_in),
                ..Self::new(
                    ProblemKind::TooManyRequests,
                    "This key has used up its requests for this minute. Nothing was done.",
                )
            },
            TurnedAway::Storage(error) => error.into(),
        }
    }
}

impl From<Unread> for Problem {
    fn from(reason: Unread) -> Self {
        match reason {
            Unread::NotJson => {
                Self::new(ProblemKind::NotJson, "Send JSON, with `Content-Type: application/json`.")
            }
            Unread::NotLines => Self::new(
                ProblemKind::NotJson,
                "Send JSON Lines, with `Content-Type: application/x-ndjson`.",
            ),
            Unread::TooLarge(limit) => Self::new(
                ProblemKind::BodyTooLarge,
                format!("The body may have at most {} MiB.", limit / (1024 * 1024)),
            ),
            Unread::TooSlow => {
                Self::new(ProblemKind::BodyTimeout, "The body took too long to arrive.")
            }
            Unread::NoRoom => Self::new(
                ProblemKind::Unavailable,
                "More is being sent at once than there is room for. Try again in a moment.",
            ),
            Unread::Broken => Self::new(ProblemKind::InvalidBody, "The body did not arrive whole."),
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let errors = match invalid {
            Invalid::Body(text) => return Self::new(ProblemKind::InvalidBody, text),
            Invalid::Fields(errors) => errors,
        };
        let detail = match errors.as_slice() {
            [only] => format!("`{}` {}.", only.field, only.problem),
            several => format!("{} problems; `errors` names each.", several.len()),
        };
        Self { errors, ..Self::new(ProblemKind::InvalidField, detail) }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Field { field, problem } => {
                Invalid::Fields(vec![FieldProblem { field, problem: problem.into() }]).into()
            }
            Refusal::NotFound(what) => Self::not_found(what),
            Refusal::Conflict(text) => Self::new(ProblemKind::Conflict, sentence(&text)),
        }
    }
}

/// A refusal's words as a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    format!("{}{}.", first.to_uppercase(), rest.trim_end_matches('.'))
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        const BUSY: &str = "Nothing was changed. Try again in a moment.";
        const UNKNOWN: &str = "It is not known whether this change was stored. Read it back before you send it again.";
        let failure = error.to_string();
        match error {
            StorageError::Refused(refusal) => refusal.into(),
            StorageError::Replayed(kept) => Self { replay: Some(kept), ..Self::internal(failure) },
            StorageError::Busy => Self::new(ProblemKind::Unavailable, BUSY),
            StorageError::Unavailable(_) => {
                Self { failure: Some(failure), ..Self::new(ProblemKind::Unavailable, BUSY) }
            }
            StorageError::Unknown(_) => {
                Self { failure: Some(failure), ..Self::new(ProblemKind::OutcomeUnknown, UNKNOWN) }
            }
            StorageError::Damaged(_) => Self::internal(failure),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Some(kept) = self.replay {
            return replay(*kept);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind.about().status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.kind {
            ProblemKind::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ProblemKind::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // No `Retry-After` where the outcome is unknown: clients that repeat by themselves should not.
            _ => {}
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(failure) = &self.failure {
            response.extensions_mut().insert(Failure(failure.clone()));
        }
        response.extensions_mut().insert(Unnumbered(self));
        response
    }
}

impl Unnumbered {
    /// Writes the document as the answer's body.
    pub(crate) fn write(self, response: &mut Response, request_id: &str) {
        let Problem { kind, detail, errors, .. } = &self.0;
        let about = kind.about();
        let document = Document {
            r#type: format!("{PROBLEMS_PATH}#{}", about.name),
            title: about.title,
            status: about.status.as_u16(),
            detail,
            errors,
            request_id,
        };
        // Strings alone: this cannot fail, and an empty body still carries the status.
        let bytes = serde_json::to_vec(&document).unwrap_or_default();
        // The router counted the empty body.
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: StorageError) -> (u16, bool, bool) {
        let response = Problem::from(error).into_response();
        let retry = response.headers().contains_key(RETRY_AFTER);
        (response.status().as_u16(), retry, response.extensions().get::<Failure>().is_some())
    }

    /// Each way a store fails has one status; only what is ours to mend is logged.
    #[test]
    fn how_a_store_fails() {
        let text = || "disk".to_owned();
        assert_eq!(told(Refusal::field("granted", "is odd").into()), (400, false, false));
        assert_eq!(told(Refusal::NotFound("a consent").into()), (404, false, false));
        assert_eq!(told(Refusal::Conflict("It is taken.".into()).into()), (409, false, false));
        assert_eq!(told(StorageError::Busy), (503, true, false));
        assert_eq!(told(StorageError::Unavailable(text())), (503, true, true));
        assert_eq!(told(StorageError::Unknown(text())), (503, false, true));
        assert_eq!(told(StorageError::Damaged(text())), (500, false, true));
    }
}
