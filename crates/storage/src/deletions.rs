//! Deleting an organization: asked for, taken back within its time, carried out bit by bit.
//!
//! While an organization is being deleted it can be read, and nothing can be recorded or changed in it: calls on its behalf
//! are refused, but for those that only take away (erasing a person, revoking a key, ending a session). Its endpoints are
//! sent nothing; what waits for them is held. Then its keys are destroyed first, which makes everything sealed under them
//! unreadable at once, wherever it lies; its rows follow.

use abide_core::Timestamp;
use abide_core::access::Caller;
use async_trait::async_trait;

use crate::StorageResult;
use crate::accounts::Organization;

/// What one call of [`Deletions::carry_out`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarriedOut {
    /// There was nothing to do.
    Nothing,
    /// The keys of an organization were destroyed.
    Destroyed,
    /// Rows of a deleted organization went.
    Removed,
    /// The last rows of a deleted organization are gone; its mark and the entries of its deletion in the audit log stay.
    Emptied,
}

/// Deletions of organizations.
#[async_trait]
pub trait Deletions: Send + Sync {
    /// Asks for the deletion of the caller's organization after so many days; audited. `confirm` must be its `uri`.
    /// Refused where it is being deleted already.
    async fn ask(
        &self,
        by: &Caller,
        confirm: &str,
        grace_days: u32,
        now: Timestamp,
    ) -> StorageResult<Organization>;

    /// Takes the deletion of the caller's organization back before its time; audited. What was held goes on. Nothing
    /// happens to one that is not being deleted.
    async fn restore(&self, by: &Caller, now: Timestamp) -> StorageResult<Organization>;

    /// Does the next part of the deletions whose time has come: destroys one organization's keys, or removes about `limit`
    /// rows, with what hangs on them. Called until there is nothing to do; each call goes on from what is left, whoever
    /// made the ones before.
    async fn carry_out(&self, limit: u32, now: Timestamp) -> StorageResult<CarriedOut>;
}
