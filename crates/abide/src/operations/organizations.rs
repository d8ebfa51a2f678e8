//! Organizations: listed, deleted, restored.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::organization::OrganizationState;
use abide_storage::accounts::Organization;
use serde::{Deserialize, Serialize};

use super::Ground;

/// An organization as lists show it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OrganizationFacts {
    /// Its id.
    pub(crate) id: String,
    /// Its short name; of a deleted one the name that it had.
    pub(crate) uri: String,
    /// What people are shown.
    pub(crate) name: Option<String>,
    /// `active`, `deleting` or `deleted`.
    pub(crate) state: String,
    /// When everything of it goes, while it is being deleted.
    pub(crate) deletes_at: Option<String>,
    /// When its keys were destroyed.
    pub(crate) deleted_at: Option<String>,
    /// When it was created.
    pub(crate) created_at: String,
}

/// Every organization, oldest first, the marks of deleted ones included.
pub(super) async fn list(ground: &Ground) -> anyhow::Result<Vec<OrganizationFacts>> {
    let all = ground.storage.accounts().organizations().await?;
    Ok(all.into_iter().map(facts).collect())
}

/// Asks for an organization's deletion.
pub(super) async fn delete(
    ground: &Ground,
    by: &Caller,
    confirm: &str,
    grace_days: u32,
) -> anyhow::Result<OrganizationFacts> {
    let deletions = ground.storage.deletions();
    Ok(facts(deletions.ask(by, confirm, grace_days, ground.clock.now()).await?))
}

/// Takes an organization's deletion back.
pub(super) async fn restore(ground: &Ground, by: &Caller) -> anyhow::Result<OrganizationFacts> {
    Ok(facts(ground.storage.deletions().restore(by, ground.clock.now()).await?))
}

fn facts(organization: Organization) -> OrganizationFacts {
    let (deletes_at, deleted_at) = match organization.state {
        OrganizationState::Active => (None, None),
        OrganizationState::Deleting { deletes_at } => (Some(deletes_at), None),
        OrganizationState::Deleted { deleted_at } => (None, Some(deleted_at)),
    };
    OrganizationFacts {
        id: organization.id.to_string(),
        uri: organization.uri,
        name: organization.name,
        state: organization.state.as_str().to_owned(),
        deletes_at: deletes_at.map(Timestamp::to_seconds_text),
        deleted_at: deleted_at.map(Timestamp::to_seconds_text),
        created_at: organization.created_at.to_seconds_text(),
    }
}
