//! Purposes: what consent is about.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::{OrganizationId, PurposeId};
use async_trait::async_trait;

use crate::StorageResult;

/// A purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// Its id.
    pub id: PurposeId,
    /// Its name, as decisions name it.
    pub name: String,
    /// When it was created, by a call or by the first decision that named it.
    pub created_at: Timestamp,
}

/// Purposes.
#[async_trait]
pub trait Purposes: Send + Sync {
    /// Creates a purpose; a second one of the same name is a conflict.
    async fn create(&self, by: &Caller, name: &str, now: Timestamp) -> StorageResult<Purpose>;

    /// A purpose of an organization by its id.
    async fn get(
        &self,
        organization: OrganizationId,
        purpose: PurposeId,
    ) -> StorageResult<Option<Purpose>>;

    /// Purposes of an organization behind `after`, oldest first, at most `limit`.
    async fn list_after(
        &self,
        organization: OrganizationId,
        after: Option<PurposeId>,
        limit: u32,
    ) -> StorageResult<Vec<Purpose>>;
}
