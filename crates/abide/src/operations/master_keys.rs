//! Master keys: added, rotated to, removed.
//!
//! Each deed begins by having the store read the key file again. So whatever an earlier one left half done when its
//! process was killed, the file and the store agree before the next step, and each deed may simply be repeated.

use abide_storage::sealing::{MasterId, MasterKeys};
use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::Ground;

/// Organizations per transaction: short enough not to be felt by callers of the API.
const PAGE: u32 = 100;

/// A master key as lists show it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MasterKeyFacts {
    /// Its id.
    pub(crate) id: String,
    /// Whether new organizations' keys are wrapped under it.
    pub(crate) current: bool,
    /// Whether organizations' keys are wrapped under it now.
    pub(crate) in_use: bool,
}

/// Appends a new key to the file and makes it the store's current one.
pub(super) async fn add(ground: &Ground) -> anyhow::Result<MasterId> {
    reload(ground).await?;
    let id = MasterKeys::add(&ground.key_file, &mut |bytes| ground.chance.fill(bytes))?;
    reload(ground).await?;
    tracing::info!(%id, "a master key was added and is the current one");
    Ok(id)
}

/// Re-wraps page by page what is not yet under the current key, and says which that is and how many were re-wrapped.
pub(super) async fn rotate(ground: &Ground) -> anyhow::Result<(MasterId, u32)> {
    let current = reload(ground).await?;
    let mut organizations = 0;
    loop {
        let page = ground.storage.keys().rewrap(PAGE, ground.clock.now()).await?;
        organizations += page.organizations;
        if !page.more {
            tracing::info!(%current, organizations, "organizations' keys are wrapped under the current master key");
            return Ok((current, organizations));
        }
    }
}

/// Takes a key out of the file that nothing in the store needs.
pub(super) async fn remove(ground: &Ground, id: &str) -> anyhow::Result<()> {
    let id: MasterId = id.parse()?;
    // The file's current key becomes the store's, so that nothing is wrapped under the one to be removed meanwhile.
    reload(ground).await?;
    ensure!(
        !ground.storage.keys().in_use().await?.contains(&id.to_string()),
        "keys of organizations in this store are wrapped under {id} and could not be opened without it: run \
         `abide master-key rotate` first (after `add`, if it is the current key)"
    );
    MasterKeys::remove(&ground.key_file, id)?;
    reload(ground).await?;
    tracing::info!(%id, "a master key was removed");
    Ok(())
}

/// The keys of the file, and which of them the store needs.
pub(super) async fn list(ground: &Ground) -> anyhow::Result<Vec<MasterKeyFacts>> {
    let current = reload(ground).await?;
    let in_use = ground.storage.keys().in_use().await?;
    let keys = MasterKeys::read(&ground.key_file)?;
    let facts = keys.iter().map(|key| {
        let id = key.id().to_string();
        MasterKeyFacts { current: key.id() == current, in_use: in_use.contains(&id), id }
    });
    Ok(facts.collect())
}

async fn reload(ground: &Ground) -> anyhow::Result<MasterId> {
    let keys = MasterKeys::read(&ground.key_file)?;
    let current = keys.current().id();
    let reloaded = ground.storage.keys().reload(keys).await;
    reloaded
        .context("the key file lacks a key that the store needs; put it back from your copy")?;
    Ok(current)
}
