//! What the writer, the readers and the store's face share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use abide_core::ids::{KeyId, OrganizationId};
use abide_core::shell::Chance;
use abide_storage::accounts::ApiKey;
use abide_storage::sealing::{MasterKeys, OrganizationKeys};
use abide_storage::{Committed, Doorbell, IdSource, Metrics, Room};
use arc_swap::ArcSwapOption;
use parking_lot::RwLock;

use crate::deliveries::PassedBy;

/// The engine, as far as a store knows it.
pub(crate) type Engine = (Arc<dyn Room>, Arc<dyn Committed>);

/// Shared by all parts of one store.
pub(crate) struct Shared {
    pub(crate) ids: IdSource,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) masters: RwLock<MasterKeys>,
    /// Opened organization keys. They never change while the process lives: re-wrapping leaves them as they are, and one
    /// that is destroyed is never used again.
    pub(crate) organization_keys: RwLock<HashMap<OrganizationId, KnownKeys>>,
    /// Keys by id, for authentication from memory. Bounded by the number of keys that exist.
    pub(crate) api_keys: RwLock<HashMap<KeyId, Arc<ApiKey>>>,
    /// Counts revocations: what was read before one is not remembered after it.
    pub(crate) revocations: AtomicU64,
    /// The feeds' epoch: drawn with the database.
    pub(crate) epoch: u64,
    pub(crate) doorbell: Doorbell,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) engine: ArcSwapOption<Engine>,
    /// Set once a key was wiped: the log that still holds it must be cut.
    pub(crate) wiped: Arc<AtomicBool>,
    pub(crate) commit_delay: Option<Duration>,
    pub(crate) passed_by: parking_lot::Mutex<Option<PassedBy>>,
}

/// What is known of an organization's keys.
pub(crate) enum KnownKeys {
    /// They are open.
    Open(Arc<OrganizationKeys>),
    /// They were destroyed: whoever read them before keeps them no longer than their call takes.
    Destroyed,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// An organization's keys were destroyed, durably: nothing here opens anything of it any more.
    pub(crate) fn organization_gone(&self, organization: OrganizationId) {
        self.organization_keys.write().insert(organization, KnownKeys::Destroyed);
        let mut known = self.api_keys.write();
        self.revocations.fetch_add(1, Ordering::Release);
        known.retain(|_, key| key.organization != organization);
        drop(known);
        self.key_wiped();
    }

    /// A key was wiped, durably.
    pub(crate) fn key_wiped(&self) {
        self.wiped.store(true, Ordering::Release);
    }
}
