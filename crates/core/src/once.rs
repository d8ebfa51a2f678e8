//! Calls that must be carried out once, however often they are sent: `Idempotency-Key`.
//!
//! The store notes such a call with its answer in the transaction of its change, so there is no moment at which the
//! change is there and the answer is not. It gets the answer from [`Once::answer`], a function of the change's result.

use std::any::Any;
use std::fmt;

use crate::ids::SubjectId;

/// How long a call is remembered, in milliseconds: 24 hours.
pub const REMEMBERED_MILLIS: i64 = 24 * 3600 * 1000;

/// A call that is carried out once.
#[derive(Clone, Copy)]
pub struct Once {
    /// SHA-256 over the route and the caller's key: what tells one call from another within an organization.
    pub key: [u8; 32],
    /// SHA-256 over the path with its query and the body: the same key with another request is a mistake.
    pub request: [u8; 32],
    /// Makes the answer that is kept of the result of the storage method; `None` for a result of another type.
    pub answer: fn(&dyn Any) -> Option<Kept>,
}

/// An answer that is kept. It is about people, and is kept sealed; it never holds a secret that was minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its HTTP status.
    pub status: u16,
    /// Its `Location`, if it has one.
    pub location: Option<String>,
    /// Its body, JSON.
    pub body: Vec<u8>,
    /// Whom it is about: erasing one of them erases it.
    pub about: Vec<SubjectId>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once(..)")
    }
}
