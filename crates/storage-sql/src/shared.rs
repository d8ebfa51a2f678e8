//! What the writer, the readers and the store's face share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abide_core::ids::{KeyId, OrganizationId};
use abide_core::shell::Chance;
use abide_storage::accounts::ApiKey;
use abide_storage::sealing::{MasterKeys, OrganizationKeys};
use abide_storage::{Committed, Doorbell, IdSource, Metrics, Room};
use arc_swap::ArcSwapOption;
use parking_lot::RwLock;

use crate::deliveries::PassedBy;

/// The engine, as far as a store knows it.
pub type Engine = (Arc<dyn Room>, Arc<dyn Committed>);

/// Shared by all parts of one store.
pub struct Shared {
    /// Draws keys.
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
    /// When the feeds' numbers are given.
    pub(crate) numbering: Numbering,
    pub(crate) doorbell: Doorbell,
    /// Counters.
    pub metrics: Arc<Metrics>,
    pub(crate) engine: ArcSwapOption<Engine>,
    /// Set once a key was wiped: the log that still holds it must be cut.
    pub(crate) wiped: Arc<AtomicBool>,
    pub(crate) passed_by: parking_lot::Mutex<Option<PassedBy>>,
}

/// When rows get their numbers in the organization's feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// With the row: there is one writer, who knows the last.
    AtOnce,
    /// After the commit, by whoever reads the feed next or looks after it.
    Later,
}

/// What a store is opened with, whatever its database.
pub struct Opening {
    /// Draws keys after every key that is there.
    pub ids: IdSource,
    /// Where keys and salts come from.
    pub chance: Arc<dyn Chance>,
    /// The master keys.
    pub masters: MasterKeys,
    /// The feeds' epoch.
    pub epoch: u64,
    /// When feeds are numbered.
    pub numbering: Numbering,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

/// What is known of an organization's keys.
pub enum KnownKeys {
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
    /// Of a store that has just been opened.
    pub fn new(opening: Opening, wiped: Arc<AtomicBool>) -> Self {
        let Opening { ids, chance, masters, epoch, numbering } = opening;
        Self {
            ids,
            chance,
            masters: RwLock::new(masters),
            organization_keys: RwLock::new(HashMap::new()),
            api_keys: RwLock::new(HashMap::new()),
            revocations: AtomicU64::new(0),
            epoch,
            numbering,
            doorbell: Doorbell::default(),
            metrics: Arc::new(Metrics::default()),
            engine: ArcSwapOption::empty(),
            wiped,
            passed_by: parking_lot::Mutex::default(),
        }
    }

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
