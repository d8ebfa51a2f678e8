//! Organizations and API keys.

use abide_core::Timestamp;
use abide_core::access::{Caller, Scope};
use abide_core::ids::{KeyId, OrganizationId};
use abide_core::organization::OrganizationState;
use abide_core::rate::RateLimit;
use async_trait::async_trait;
use std::sync::Arc;

use crate::StorageResult;
use crate::rate::RateMeter;
use crate::sealing::SecretHash;

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its short name in addresses and on the command line: lower-case letters, digits and `-`, 1 to 63 characters. Of a
    /// deleted one, the name it had: by then it is free for another.
    pub uri: String,
    /// What people are shown, where somebody set it.
    pub name: Option<String>,
    /// Whether a decision for a purpose that nobody created is refused; else it creates the purpose.
    pub strict_purposes: bool,
    /// Where it stands.
    pub state: OrganizationState,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What may change about an organization; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrganizationPatch {
    /// What people are shown, 1 to 100 characters; `Some(None)` removes it.
    pub name: Option<Option<String>>,
    /// Whether a decision for a purpose that nobody created is refused.
    pub strict_purposes: Option<bool>,
}

/// An organization to be founded, with its first key.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    /// Its short name.
    pub uri: String,
    /// What people are shown.
    pub name: Option<String>,
    /// Its first key.
    pub key: NewKey,
}

/// A key to be stored.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What its holder is called, 1 to 100 characters.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The hash of its secret (I12).
    pub secret: SecretHash,
    /// How many requests it may make (P33).
    pub rate_limit: RateLimit,
    /// From when it opens nothing; later than now.
    pub expires_at: Option<Timestamp>,
}

/// A key as stored.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What its holder is called.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The hash of its secret.
    pub secret: SecretHash,
    /// How many requests it may make (P33).
    pub rate_limit: RateLimit,
    /// What it has used of that in this process.
    pub meter: RateMeter,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// From when it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, as far as that was noted: to the minute. What authentication gets from memory may lag.
    pub last_used_at: Option<Timestamp>,
}

/// Organizations and keys.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Creates an organization with its keys; a second one with the same `uri` is a conflict.
    async fn create_organization(&self, uri: &str, now: Timestamp) -> StorageResult<Organization>;

    /// Founds an organization with its first key, on behalf of whoever runs the installation; a second one with the same
    /// `uri` is a conflict, and has no key then. Both or neither: of several nodes that do it at once one has done both.
    async fn begin_organization(
        &self,
        new: NewOrganization,
        now: Timestamp,
    ) -> StorageResult<(Organization, ApiKey)>;

    /// The organization of that short name; none where it was deleted.
    async fn organization(&self, uri: &str) -> StorageResult<Option<Organization>>;

    /// Every organization, oldest first, the marks of deleted ones included. For the command line.
    async fn organizations(&self) -> StorageResult<Vec<Organization>>;

    /// Organizations behind `after`, oldest first, at most `limit`, the marks of deleted ones included. For whoever runs
    /// the installation.
    async fn organizations_after(
        &self,
        after: Option<OrganizationId>,
        limit: u32,
    ) -> StorageResult<Vec<Organization>>;

    /// Founds an organization with its first key, on behalf of somebody of another one; audited in both.
    async fn found_organization(
        &self,
        by: &Caller,
        new: NewOrganization,
        now: Timestamp,
    ) -> StorageResult<(Organization, ApiKey)>;

    /// The organization of that id.
    async fn organization_of(
        &self,
        organization: OrganizationId,
    ) -> StorageResult<Option<Organization>>;

    /// Changes the caller's organization; holds for every decision recorded after the answer. A change that changes
    /// nothing leaves no trace.
    async fn change_organization(
        &self,
        by: &Caller,
        patch: OrganizationPatch,
        now: Timestamp,
    ) -> StorageResult<Organization>;

    /// Notes that a key was used. For authentication, which calls it once a minute for each key at most.
    async fn note_key_use(&self, key: KeyId, now: Timestamp) -> StorageResult<()>;

    /// Stores a key.
    async fn create_key(&self, by: &Caller, new: NewKey, now: Timestamp) -> StorageResult<ApiKey>;

    /// An organization's keys, oldest first, revoked ones included.
    async fn keys(&self, organization: OrganizationId) -> StorageResult<Vec<ApiKey>>;

    /// An organization's keys behind `after`, oldest first, revoked ones included, at most `limit`.
    async fn keys_after(
        &self,
        organization: OrganizationId,
        after: Option<KeyId>,
        limit: u32,
    ) -> StorageResult<Vec<ApiKey>>;

    /// One key of an organization, as stored.
    async fn key_of(
        &self,
        organization: OrganizationId,
        key: KeyId,
    ) -> StorageResult<Option<ApiKey>>;

    /// Revokes a key; from the answer on it opens nothing. Revoking twice is no mistake.
    async fn revoke_key(&self, by: &Caller, key: KeyId, now: Timestamp) -> StorageResult<ApiKey>;

    /// For authentication: a key by its id, of any organization, from memory where it is known.
    async fn key(&self, key: KeyId) -> StorageResult<Option<Arc<ApiKey>>>;
}
