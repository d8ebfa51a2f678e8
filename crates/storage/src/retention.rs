//! What an organization keeps for a time only: its rules, and what goes by them.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::OrganizationId;
use abide_core::retention::{Retention, RetentionPatch};
use async_trait::async_trait;

use crate::StorageResult;

/// How far a walk through what is old has come. What its parts mean is the store's own matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldPlace {
    /// In which organization.
    pub organization: OrganizationId,
    /// In which kind of rows.
    pub kind: u8,
    /// Behind which row.
    pub key: i64,
    /// Whether anything was left on the way, as it is not over yet.
    pub left: bool,
}

/// Rules, and what goes by them.
#[async_trait]
pub trait Retentions: Send + Sync {
    /// What an organization keeps for how long; for ever where it said nothing.
    async fn retention(&self, organization: OrganizationId) -> StorageResult<Retention>;

    /// Changes what is given of it; audited. Refused as [`Retention::changed`] says.
    async fn change_retention(
        &self,
        by: &Caller,
        patch: RetentionPatch,
        now: Timestamp,
    ) -> StorageResult<Retention>;

    /// The highest number of an event that went by its rule; 0 where none did. The feed of events goes on behind it.
    async fn events_removed_through(&self, organization: OrganizationId) -> StorageResult<u64>;

    /// Looks at about `limit` rows behind a place and removes those whose time is over, in one short transaction; answers
    /// from where to go on, and `None` at the end of everything. What is not over stays, whatever its age: a delivery that
    /// has not ended, and its event. Decisions always stay.
    async fn remove_old(
        &self,
        after: Option<OldPlace>,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Option<OldPlace>>;
}
