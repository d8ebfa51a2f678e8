//! Why a request is turned away before or without a handler. Extractors and the router are the same for every API; each
//! API tells these reasons in its own words.

use abide_core::ids::IdProblem;
use axum::response::{IntoResponse, Response};

use crate::api::consentproof::envelope::ApiError;
use crate::body::Unread;
use crate::caller::TurnedAway;
use crate::input::Invalid;
use crate::problem::Problem;

/// Whose a path is, and so in whose words errors under it are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Abide's own paths, and every path that nobody has.
    Abide,
    /// ConsentProof's.
    ConsentProof,
}

/// Where ConsentProof's paths begin.
pub(crate) const CONSENTPROOF_PREFIXES: [&str; 2] = ["/v1", "/api/v1"];

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
    /// Something broke on our side: what the log says of it.
    Broken(String),
}

impl Owner {
    /// The owner of a path as it was asked for.
    pub(crate) fn of(path: &str) -> Self {
        let is_theirs = CONSENTPROOF_PREFIXES.iter().any(|prefix| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if is_theirs { Self::ConsentProof } else { Self::Abide }
    }

    /// The answer in the owner's words.
    pub(crate) fn tell(self, reason: impl Into<Rejected>) -> Response {
        let reason = reason.into();
        match self {
            Self::Abide => Problem::from(reason).into_response(),
            Self::ConsentProof => ApiError::from(reason).into_response(),
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
        for path in ["/", "/v12", "/api", "/abide/v1/x", "/healthz", "//v1/x"] {
            assert_eq!(Owner::of(path), Owner::Abide, "{path}");
        }
    }
}
