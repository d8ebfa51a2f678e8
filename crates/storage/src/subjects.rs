//! People.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::SubjectId;
use async_trait::async_trait;

use crate::StorageResult;

/// What erasing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Whom; the id stays as a mark in what remains.
    pub subject: SubjectId,
    /// Waiting deliveries ended as `erased` at once; those in a node's memory follow within 2 s.
    pub deliveries: u32,
}

/// Erasing.
#[async_trait]
pub trait Subjects: Send + Sync {
    /// Erases the person with that reference: their key, blind indexes and identifiers go, so everything sealed under
    /// the key is unreadable from then on; waiting deliveries end as `erased`; decisions stay as salted commitments.
    /// Audited. Refused as not found when nobody has that reference.
    async fn erase(&self, by: &Caller, reference: &str, now: Timestamp) -> StorageResult<Erased>;

    /// For the engine: people erased after `cursor`, at most `limit` of them in order, and the cursor for the next look.
    async fn erased_since(&self, cursor: i64, limit: u32) -> StorageResult<(i64, Vec<SubjectId>)>;

    /// For the engine: the cursor behind which only what is erased from now on is found.
    async fn newest_erasure(&self) -> StorageResult<i64>;
}
