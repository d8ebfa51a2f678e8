//! People: erasing them.

use abide_core::access::Caller;
use abide_storage::subjects::Erased;
use anyhow::ensure;

use super::Ground;

/// Erases the person known under that reference.
pub(super) async fn erase(ground: &Ground, by: &Caller, reference: &str) -> anyhow::Result<Erased> {
    ensure!(!reference.is_empty(), "whom to erase? The reference is empty");
    Ok(ground.storage.subjects().erase(by, reference, ground.clock.now()).await?)
}
