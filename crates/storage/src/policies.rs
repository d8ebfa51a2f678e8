//! Policies.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::{OrganizationId, PolicyId};
use abide_core::policy::{NewPolicy, Policy, PolicyPatch, PolicyType};
use async_trait::async_trait;

use crate::{Page, PageWanted, StorageResult};

/// Which policies a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyFilter {
    /// Only this type.
    pub policy_type: Option<PolicyType>,
    /// Only active or only inactive ones.
    pub is_active: Option<bool>,
}

/// Versions of policies.
#[async_trait]
pub trait Policies: Send + Sync {
    /// Creates a version; a second one with the same type and version name is a conflict.
    async fn create(&self, by: &Caller, new: NewPolicy, now: Timestamp) -> StorageResult<Policy>;

    /// Versions that are not deleted, newest first, without their content.
    async fn list(
        &self,
        organization: OrganizationId,
        filter: PolicyFilter,
        page: PageWanted,
    ) -> StorageResult<Page<Policy>>;

    /// One version with its content; `None` when it does not exist or was deleted.
    async fn get(
        &self,
        organization: OrganizationId,
        policy: PolicyId,
    ) -> StorageResult<Option<Policy>>;

    /// Changes what may change. A patch that sets what is already so makes no event.
    async fn change(
        &self,
        by: &Caller,
        policy: PolicyId,
        patch: PolicyPatch,
        now: Timestamp,
    ) -> StorageResult<Policy>;

    /// Deletes a version: no new decision may name it and lists leave it out; consents that name it keep it, text
    /// included, as proof of what was shown. Answers the version as deleted.
    async fn delete(&self, by: &Caller, policy: PolicyId, now: Timestamp) -> StorageResult<Policy>;
}
