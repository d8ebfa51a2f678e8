//! Why a request is turned away before or without a handler. Extractors and the router are the same for every API; each
//! API tells these reasons in its own words.

use abide_core::ids::IdProblem;
use abide_storage::StorageError;
use axum::response::{IntoResponse, Response};

use crate::api::consentproof::envelope::ApiError;
use crate::body::Unread;
use crate::caller::TurnedAway;
use crate::input::Invalid;
use crate::pages::errors::PageError;
use crate::problem::Problem;

/// Whose a path is, and so in whose words errors under it are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Abide's own API, and what is kept for APIs to come.
    Abide,
    /// ConsentProof's.
    ConsentProof,
    /// The dashboard, which has every path that no API has: its errors are pages.
    Dashboard,
}

/// Where ConsentProof's paths begin.
pub(crate) const CONSENTPROOF_PREFIXES: [&str; 2] = ["/v1", "/api/v1"];

/// Where paths begin that are Abide's own, or are kept for programs.
const FOR_PROGRAMS: [&str; 14] = [
    "/.well-known",
    "/abide",
    "/api",
    "/cpm",
    "/docs",
    "/healthz",
    "/metrics",
    "/o",
    "/oauth",
    "/openapi.json",
    "/p",
    "/public-keys",
    "/readyz",
    "/v1",
];

/// Why a request is turned away.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// Who calls may not, or is not known.
    Caller(TurnedAway),
    /// The body cannot be had.
    Body(Unread),
    /// A header cannot be taken.
    Invalid(Invalid),
    /// The id in the path is not one.
    Misnamed(IdProblem),
    /// What the path names, with its article, is not there.
    NotFound(&'static str),
    /// Nothing lives at this path.
    NoSuchPath,
    /// The path does not know the method.
    MethodNotAllowed,
    /// It could not be looked up.
    Storage(StorageError),
    /// Something broke on our side: what the log says of it.
    Broken(String),
}

impl Owner {
    /// The owner of a path as it was asked for.
    pub(crate) fn of(path: &str) -> Self {
        let is_under = |prefix: &&str| {
            path.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if CONSENTPROOF_PREFIXES.iter().any(is_under) {
            Self::ConsentProof
        } else if FOR_PROGRAMS.iter().any(is_under) {
            Self::Abide
        } else {
            Self::Dashboard
        }
    }

    /// The answer in the owner's words.
    pub(crate) fn tell(self, reason: impl Into<Rejected>) -> Response {
        let reason = reason.into();
        match self {
            Self::Abide => Problem::from(reason).into_response(),
            Self::ConsentProof => ApiError::from(reason).into_response(),
            Self::Dashboard => PageError::from(reason).into_response(),
        }
    }
}

impl From<TurnedAway> for Rejected {
    fn from(reason: TurnedAway) -> Self {
        Self::Caller(reason)
    }
}

impl From<Invalid> for Rejected {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Unread> for Rejected {
    fn from(reason: Unread) -> Self {
        Self::Body(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_path_is_told_by_its_prefix() {
        for path in ["/v1", "/v1/", "/v1/consent", "/api/v1/x"] {
            assert_eq!(Owner::of(path), Owner::ConsentProof, "{path}");
        }
        for path in ["/api", "/abide/v1/x", "/healthz", "/openapi.json", "/docs/problems", "/o/x"] {
            assert_eq!(Owner::of(path), Owner::Abide, "{path}");
        }
        for path in ["/", "/v12", "/v2/consent", "/users", "/overview", "//v1/x"] {
            assert_eq!(Owner::of(path), Owner::Dashboard, "{path}");
        }
    }
}
