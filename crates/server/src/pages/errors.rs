//! What a page says when it cannot do what was asked.

use abide_core::Refusal;
use abide_core::access::Scope;
use abide_core::user::Role;
use abide_storage::StorageError;
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use super::{guarded, see_other};
use crate::body::Unread;
use crate::observe::Failure;
use crate::passwords::Overloaded;
use crate::problem::sentence;
use crate::rejection::Rejected;

/// Why a page is not shown or a form not carried out.
#[derive(Debug)]
pub(crate) enum PageError {
    /// Nobody is signed in: to the sign-in page, and from there back to this path.
    ToSignIn(String),
    /// The role does not allow it.
    Forbidden(Scope),
    /// Nothing is at this path, or nothing that this organization may see.
    NotFound,
    /// The path is for another method.
    MethodNotAllowed,
    /// The form is not one that this session was given, or comes from another site.
    NotOurs,
    /// The form could not be read.
    Unread(Unread),
    /// More is asked at once than there are turns for.
    Overloaded,
    /// The store did not do it.
    Storage(StorageError),
    /// Something of ours broke; the text is for the log.
    Broken(String),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    status: u16,
    heading: &'static str,
    text: String,
}

impl PageError {
    pub(crate) fn broken(why: &str) -> Self {
        Self::Broken(why.to_owned())
    }

    fn told(&self) -> (StatusCode, &'static str, String) {
        let (status, heading, text): (_, _, &str) = match self {
            Self::ToSignIn(_) => (StatusCode::SEE_OTHER, "Sign in", ""),
            Self::Forbidden(scope) => return forbidden(*scope),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is nothing here. It may have been deleted, or the address is mistyped.",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Not possible",
                "This address does not take that kind of request.",
            ),
            Self::NotOurs => (
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was opened before you signed in or out, or sent from another site. Nothing was changed. Go back, \
                 reload the page and send it again.",
            ),
            Self::Unread(Unread::TooLarge(_)) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Too much",
                "The form holds more than can be taken.",
            ),
            Self::Unread(Unread::TooSlow) => {
                (StatusCode::REQUEST_TIMEOUT, "Too slow", "The form took too long to arrive.")
            }
            Self::Unread(Unread::NotJson | Unread::NotLines) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Not a form",
                "Send the form as a browser does.",
            ),
            Self::Unread(Unread::Broken) => {
                (StatusCode::BAD_REQUEST, "Cut off", "The form did not arrive whole.")
            }
            Self::Unread(Unread::NoRoom) | Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Busy",
                "Nothing was changed. Try again in a moment.",
            ),
            Self::Storage(error) => return storage(error),
            Self::Broken(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something broke",
                "It broke on our side, and is in the server's log.",
            ),
        };
        (status, heading, text.to_owned())
    }

    fn failure(&self) -> Option<String> {
        match self {
            Self::Broken(why) => Some(why.clone()),
            Self::Storage(StorageError::Refused(_) | StorageError::Busy) => None,
            Self::Storage(error) => Some(error.to_string()),
            _ => None,
        }
    }
}

fn forbidden(scope: Scope) -> (StatusCode, &'static str, String) {
    let roles: Vec<_> =
        Role::ALL.into_iter().filter(|role| role.covers(scope)).map(Role::label).collect();
    let text = format!(
        "Your role does not allow this. It takes: {}. An owner can change your role.",
        roles.join(", ")
    );
    (StatusCode::FORBIDDEN, "Not allowed", text)
}

fn storage(error: &StorageError) -> (StatusCode, &'static str, String) {
    match error {
        StorageError::Refused(Refusal::NotFound(_)) => PageError::NotFound.told(),
        StorageError::Refused(Refusal::Conflict(text)) => {
            (StatusCode::CONFLICT, "Not possible now", sentence(text))
        }
        StorageError::Refused(refusal @ Refusal::Field { .. }) => {
            (StatusCode::BAD_REQUEST, "Not possible", sentence(&refusal.to_string()))
        }
        StorageError::Busy | StorageError::Unavailable(_) => PageError::Overloaded.told(),
        StorageError::Unknown(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Perhaps done",
            "It is not known whether this change was stored. Look before you send it again."
                .to_owned(),
        ),
        // Pages send no `Idempotency-Key`, so nothing of theirs is replayed.
        StorageError::Damaged(_) | StorageError::Replayed(_) => {
            PageError::Broken(String::new()).told()
        }
    }
}

impl From<StorageError> for PageError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<Unread> for PageError {
    fn from(reason: Unread) -> Self {
        Self::Unread(reason)
    }
}

impl From<Rejected> for PageError {
    fn from(reason: Rejected) -> Self {
        match reason {
            // Nobody shows a page a key; signing in is what opens it.
            Rejected::Caller(_) => Self::ToSignIn("/".to_owned()),
            Rejected::Body(reason) => Self::Unread(reason),
            Rejected::Invalid(_)
            | Rejected::Misnamed(_)
            | Rejected::NotFound(_)
            | Rejected::NoSuchPath => Self::NotFound,
            Rejected::MethodNotAllowed => Self::MethodNotAllowed,
            Rejected::Storage(error) => Self::Storage(error),
            Rejected::Broken(why) => Self::Broken(why),
        }
    }
}

impl From<Overloaded> for PageError {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        if let Self::ToSignIn(path) = &self {
            return guarded(see_other(&super::sign_in::path_with_return(path)));
        }
        let (status, heading, text) = self.told();
        let page = ErrorPage { status: status.as_u16(), heading, text };
        // The template holds nothing that can fail; an empty page still carries the status.
        let mut response = (status, Html(page.render().unwrap_or_default())).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(failure) = self.failure() {
            response.extensions_mut().insert(Failure(failure));
        }
        guarded(response)
    }
}
