//! The kinds of problem: what each is called, and what a caller can do about it. `GET /docs/problems` shows this list.

use http::StatusCode;

/// What went wrong, as programs tell it apart. Names never change once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProblemKind {
    /// A field of the body, or a parameter of the query, cannot be taken.
    InvalidField,
    /// The body as a whole, or the query as a whole, cannot be read.
    InvalidBody,
    /// The cursor is none of this list.
    InvalidCursor,
    /// No valid key was sent.
    Unauthenticated,
    /// The key may not do this.
    MissingScope,
    /// What was named does not exist for this caller.
    NotFound,
    /// Nothing lives at this path.
    NoSuchPath,
    /// The path does not know the method.
    MethodNotAllowed,
    /// The body took too long.
    BodyTimeout,
    /// The call does not fit the present state.
    Conflict,
    /// The cursor is of a feed that was begun anew since.
    CursorGone,
    /// What follows the cursor was removed by the organization's own rule.
    CursorTooOld,
    /// The body is too large.
    BodyTooLarge,
    /// The body is no JSON.
    NotJson,
    /// The key has used up its limit.
    TooManyRequests,
    /// Something broke on our side.
    Internal,
    /// There is no room or no store for this now; nothing was changed.
    Unavailable,
    /// Nobody knows whether the change was stored.
    OutcomeUnknown,
}

/// What is said of a kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// The last part of the `type`, after `/docs/problems#`.
    pub(crate) name: &'static str,
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The `title`: the same for every problem of this kind.
    pub(crate) title: &'static str,
    /// When it happens and what to do.
    pub(crate) meaning: &'static str,
}

impl ProblemKind {
    /// Every kind, by status.
    pub(crate) const ALL: [Self; 18] = [
        Self::InvalidField,
        Self::InvalidBody,
        Self::InvalidCursor,
        Self::Unauthenticated,
        Self::MissingScope,
        Self::NotFound,
        Self::NoSuchPath,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::Conflict,
        Self::CursorGone,
        Self::CursorTooOld,
        Self::BodyTooLarge,
        Self::NotJson,
        Self::TooManyRequests,
        Self::Internal,
        Self::Unavailable,
        Self::OutcomeUnknown,
    ];

    /// What is said of it.
    pub(crate) fn about(self) -> About {
        let (name, status, title, meaning) = match self {
            Self::InvalidField => (
                "invalid-field",
                StatusCode::BAD_REQUEST,
                "A field cannot be taken",
                "`errors` names each field of the body or parameter of the query that was wrong, and says what is \
                 allowed. Nothing was changed. Fields that the request does not have are refused too, so that a \
                 mistyped name is not silently left out.",
            ),
            Self::InvalidBody => (
                "invalid-body",
                StatusCode::BAD_REQUEST,
                "The request cannot be read",
                "The body is no JSON object, holds no line or too many where it is lines, did not arrive whole, or the query cannot be read as parameters.",
            ),
            Self::InvalidCursor => (
                "invalid-cursor",
                StatusCode::BAD_REQUEST,
                "The cursor is not one of this list",
                "A cursor is taken as it was answered, by the list that answered it. Begin again without one.",
            ),
            Self::Unauthenticated => (
                "unauthenticated",
                StatusCode::UNAUTHORIZED,
                "No valid key",
                "Send a key: its `bearer_token` as `Authorization: Bearer`, or its `api_key` and `api_secret` as \
                 `X-API-Key` and `X-API-Secret`. Revoked and expired keys open nothing.",
            ),
            Self::MissingScope => (
                "missing-scope",
                StatusCode::FORBIDDEN,
                "The key may not do this",
                "The key is valid and lacks the scope that `detail` names. Use another key, or create one with it.",
            ),
            Self::NotFound => (
                "not-found",
                StatusCode::NOT_FOUND,
                "Not found",
                "What the call named does not exist in the organization of the key.",
            ),
            Self::NoSuchPath => (
                "no-such-path",
                StatusCode::NOT_FOUND,
                "No such path",
                "Nothing lives at this path. The reference lists all that there are.",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "The path exists and does not know the method; the `Allow` header names those it knows.",
            ),
            Self::BodyTimeout => (
                "body-timeout",
                StatusCode::REQUEST_TIMEOUT,
                "The body took too long",
                "The body did not arrive whole in 30 seconds. Nothing was changed; send it again.",
            ),
            Self::Conflict => (
                "conflict",
                StatusCode::CONFLICT,
                "Does not fit the present state",
                "`detail` says what stands against it. Nothing was changed.",
            ),
            Self::CursorGone => (
                "cursor-gone",
                StatusCode::GONE,
                "The feed was begun anew",
                "The data was restored from a backup since the cursor was answered, so what came after it may differ \
                 from what you read. Read the feed again from its beginning; what you know already has the same ids.",
            ),
            Self::CursorTooOld => (
                "cursor-too-old",
                StatusCode::GONE,
                "What follows the cursor was removed",
                "The organization keeps its events for a time only, and some that follow the cursor have gone by that rule. \
                 Read on without a cursor: the feed begins behind what was removed. Decisions are never removed so.",
            ),
            Self::BodyTooLarge => (
                "body-too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
                "`detail` says how much is allowed.",
            ),
            Self::NotJson => (
                "not-json",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is not JSON",
                "Send JSON, with `Content-Type: application/json`; or JSON Lines where lines are taken, with \
                 `Content-Type: application/x-ndjson`.",
            ),
            Self::TooManyRequests => (
                "too-many-requests",
                StatusCode::TOO_MANY_REQUESTS,
                "The key has used up its requests",
                "A key may make so many requests in a minute of the clock. `X-RateLimit-Limit`, `-Remaining` and `-Reset` \
                 say how it stands, and `Retry-After` when it may ask again. Nothing was done.",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something broke on our side",
                "Whoever runs this server finds the reason in its log, under the `request_id`.",
            ),
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Not now",
                "Nothing was changed. Send it again after the seconds that `Retry-After` says.",
            ),
            Self::OutcomeUnknown => (
                "outcome-unknown",
                StatusCode::SERVICE_UNAVAILABLE,
                "Nobody knows whether it was stored",
                "The disk failed while the change was written. Read back what you wanted to change before you send it \
                 again; a creation that is sent again may happen twice.",
            ),
        };
        About { name, status, title, meaning }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_with_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            ProblemKind::ALL.iter().map(|kind| kind.about().name).collect();
        assert_eq!(names.len(), ProblemKind::ALL.len());
        let last = ProblemKind::ALL.iter().max().unwrap();
        assert_eq!(*last as usize + 1, ProblemKind::ALL.len(), "one is not listed");
        for kind in ProblemKind::ALL {
            let About { name, status, .. } = kind.about();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert!(status.is_client_error() || status.is_server_error(), "{name}");
        }
    }
}
