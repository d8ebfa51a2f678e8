//! Requests and answers as values: comparable, printable, without a client.

use bytes::Bytes;

/// A POST as a dialect wants it on the wire. The sender adds `Host`, `Content-Length` and `User-Agent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireRequest {
    /// Header names (lower case) and values, in order.
    pub headers: Vec<(&'static str, String)>,
    /// The body's bytes.
    pub body: Bytes,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header in seconds from now, whether given as a number or as a date.
    pub retry_after: Option<u32>,
    /// The body, cut at 64 KiB.
    pub body: Bytes,
}

/// A request as a receiver has it before it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Header names in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Bytes,
}

impl Received {
    /// The value of the first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a receiver may believe, without personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The event's id, for telling duplicates.
    pub event_id: String,
    /// The event's type in the dialect's own words.
    pub event_type: String,
}

/// Why a receiver refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A header that the contract requires is not there.
    #[error("the header `{0}` is missing")]
    MissingHeader(&'static str),
    /// The signature is not that of this body under this secret.
    #[error("the signature does not match: another secret, or the body was changed on the way")]
    WrongSignature,
    /// Signed, but not what the contract says.
    #[error("signed, but {0}")]
    Malformed(&'static str),
    /// Signed too long ago, or in the future.
    #[error("the signature's time is too far from now")]
    Stale,
}
