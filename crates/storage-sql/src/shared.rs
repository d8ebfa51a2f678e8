//! What the writer, the readers and the store's face share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abide_core::ids::{KeyId, OrganizationId};
use abide_core::shell::{Chance, draw};
use abide_storage::accounts::ApiKey;
use abide_storage::leases::LEASE_MILLIS;
use abide_storage::sealing::{MasterKeys, OrganizationKeys};
use abide_storage::{Committed, Doorbell, IdSource, Metrics, Room, StorageResult};
use arc_swap::ArcSwapOption;
use parking_lot::RwLock;

use crate::deliveries::{PassedBy, key_list};
use crate::rows::id;
use crate::sql::Sql;
use crate::stretches::Closed;

/// The engine, as far as a store knows it.
pub type Engine = (Arc<dyn Room>, Arc<dyn Committed>);

/// Shared by all parts of one store.
pub struct Shared {
    /// Draws keys.
    pub(crate) ids: IdSource,
    /// Who holds this process's leases: drawn at each start.
    pub holder: i64,
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
    /// Whether others write, too.
    pub(crate) nodes: Nodes,
    /// As [`LEASE_MILLIS`].
    pub(crate) lease_millis: i64,
    pub(crate) doorbell: Doorbell,
    /// Rung for other nodes.
    pub others: tokio::sync::Notify,
    /// Counters.
    pub metrics: Arc<Metrics>,
    pub(crate) engine: ArcSwapOption<Engine>,
    /// Set once a key was wiped: the log that still holds it must be cut.
    pub(crate) wiped: Arc<AtomicBool>,
    pub(crate) passed_by: parking_lot::Mutex<Option<PassedBy>>,
    /// The keys that this node closed last to deliveries.
    pub(crate) closed: parking_lot::Mutex<Option<Closed>>,
}

/// How many processes work on the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// This one alone: it knows the last number of each feed, what it remembers is true, and its leases are its own.
    One,
    /// Perhaps more: feeds are numbered after the commit, what is remembered is looked at again after a while, and a lease
    /// may have been taken over.
    Several,
}

/// What a store is opened with, whatever its database.
pub struct Opening {
    /// Who holds this process's leases.
    pub holder: i64,
    /// Draws keys after every key that is there.
    pub ids: IdSource,
    /// Where keys and salts come from.
    pub chance: Arc<dyn Chance>,
    /// The master keys.
    pub masters: MasterKeys,
    /// The feeds' epoch.
    pub epoch: u64,
    /// Whether others write, too.
    pub nodes: Nodes,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

/// Who holds a process's leases: somebody new at each start.
pub fn draw_holder(chance: &dyn Chance) -> i64 {
    i64::from_be_bytes(draw(chance)) & i64::MAX
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
        let Opening { holder, ids, chance, masters, epoch, nodes } = opening;
        Self {
            ids,
            holder,
            chance,
            masters: RwLock::new(masters),
            organization_keys: RwLock::new(HashMap::new()),
            api_keys: RwLock::new(HashMap::new()),
            revocations: AtomicU64::new(0),
            epoch,
            nodes,
            lease_millis: LEASE_MILLIS,
            doorbell: Doorbell::default(),
            others: tokio::sync::Notify::new(),
            metrics: Arc::new(Metrics::default()),
            engine: ArcSwapOption::empty(),
            wiped,
            passed_by: parking_lot::Mutex::default(),
            closed: parking_lot::Mutex::default(),
        }
    }

    /// With leases that last for so many milliseconds: every node of a database must have the same.
    #[must_use]
    pub fn with_leases_of(mut self, millis: i64) -> Self {
        self.lease_millis = millis;
        self
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

    /// Wakes whoever listens, here and on other nodes. Called after a commit.
    pub(crate) fn ring(&self) {
        self.doorbell.ring();
        if self.nodes == Nodes::Several {
            self.others.notify_one();
        }
    }

    /// Wakes whoever listens here: another node has rung.
    pub fn rung_elsewhere(&self) {
        self.doorbell.ring();
    }

    /// Lets go of what other nodes have ended: API keys that were revoked, keys of organizations that were destroyed.
    pub fn forget_ended(&self, sql: &dyn Sql) -> StorageResult<()> {
        let known: Vec<KeyId> = self.api_keys.read().keys().copied().collect();
        let ended: HashSet<KeyId> = sql
            .sql(
                "SELECT api_key FROM api_keys WHERE revoked_at IS NULL \
                 AND api_key IN (SELECT CAST(value AS BIGINT) FROM json_each(?))",
            )
            .all([key_list(&known)], |row| id(row, "api_key"))
            .map(|live| {
                let live: HashSet<KeyId> = live.into_iter().collect();
                known.into_iter().filter(|key| !live.contains(key)).collect()
            })?;
        if !ended.is_empty() {
            let mut known = self.api_keys.write();
            self.revocations.fetch_add(1, Ordering::Release);
            known.retain(|key, _| !ended.contains(key));
        }
        let open: Vec<OrganizationId> = self.organization_keys.read().keys().copied().collect();
        let gone: Vec<OrganizationId> = sql
            .sql(
                "SELECT organization FROM organizations WHERE state = 'deleted' \
                 AND organization IN (SELECT CAST(value AS BIGINT) FROM json_each(?))",
            )
            .all([key_list(&open)], |row| id(row, "organization"))?;
        let is_open = |of: &OrganizationId| {
            matches!(self.organization_keys.read().get(of), Some(KnownKeys::Open(_)))
        };
        for of in gone.into_iter().filter(is_open) {
            self.organization_gone(of);
        }
        Ok(())
    }

    /// A key was wiped, durably.
    pub(crate) fn key_wiped(&self) {
        self.wiped.store(true, Ordering::Release);
    }
}
