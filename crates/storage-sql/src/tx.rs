//! What a call has in hand while it runs in the writer: the transaction, the caches, and notes for after the commit.
//!
//! The caches see what earlier calls of the same batch wrote, and are thrown away whole when a batch is undone.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use abide_core::access::Caller;
use abide_core::ids::{
    AuditEntry, DecisionId, DeliveryId, EndpointId, EventId, Id, Kind, LeaseId, OrganizationId,
    PolicyId, PurposeId, SubjectId,
};
use abide_core::organization::OrganizationState;
use abide_core::original::OriginalId;
use abide_core::shell::draw;
use abide_core::{Refusal, Timestamp};
use abide_storage::sealing::{OrganizationKeys, SubjectKey};
use abide_storage::{StorageError, StorageResult};

use crate::after::{After, Counted};
use crate::counts::CountRow;
use crate::endpoints::{EndpointFacts, EndpointSet};
use crate::ledger::ConsentRow;
use crate::params;
use crate::rows::actor_text;
use crate::shared::{Nodes, Shared};
use crate::sql::{Sql, Statement};

/// People, purposes and endpoint sets that the writer remembers. Hints for speed, bounded, never the truth.
#[derive(Default)]
pub struct Caches {
    /// People by blind index of their reference.
    pub(crate) people: Recent<(OrganizationId, [u8; 16]), Arc<Person>>,
    /// Consent records as they were last written or read.
    pub(crate) records: Recent<(SubjectId, PurposeId), ConsentRow>,
    /// Who and what a look ahead did not find.
    pub(crate) absent: Absent,
    pub(crate) purposes: Recent<(OrganizationId, String), PurposeId>,
    /// What active policies were called where they were brought from.
    pub(crate) open_policies: Recent<(OrganizationId, PolicyId), Option<OriginalId>>,
    /// Policies by what they were called where they were brought from, which never changes.
    pub(crate) original_policies: Recent<(OrganizationId, OriginalId), PolicyId>,
    pub(crate) endpoint_sets: HashMap<OrganizationId, Arc<EndpointSet>>,
    pub(crate) feeds: HashMap<OrganizationId, FeedHeads>,
    /// The organizations of endpoints, which never change.
    pub(crate) endpoint_homes: Recent<EndpointId, OrganizationId>,
    /// The newest row of counts of each owner.
    pub(crate) counts: Recent<i64, CountRow>,
    pub(crate) organizations: HashMap<OrganizationId, Arc<OrganizationKeys>>,
    /// Where organizations stand.
    pub(crate) standings: HashMap<OrganizationId, OrganizationState>,
    /// Leases that were looked at: whether this node holds them.
    pub(crate) leases: HashMap<LeaseId, bool>,
    /// Which organizations refuse decisions for unknown purposes.
    pub(crate) strict_purposes: HashMap<OrganizationId, bool>,
}

/// What is known not to be there, until it is written.
#[derive(Default)]
pub(crate) struct Absent {
    pub(crate) people: HashSet<(OrganizationId, [u8; 16])>,
    pub(crate) records: HashSet<(SubjectId, PurposeId)>,
}

/// The last numbers given in an organization's feeds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedHeads {
    pub(crate) decisions: i64,
    pub(crate) events: i64,
}

/// A person whose key is open.
pub(crate) struct Person {
    pub(crate) id: SubjectId,
    pub(crate) key: SubjectKey,
    /// Blind index of the e-mail address last seen with this person; it needs no second look.
    pub(crate) email: parking_lot::Mutex<Option<[u8; 16]>>,
}

/// A map that forgets: two halves, of which the older one is dropped when the younger is full.
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

/// Entries per half.
const HALF: usize = 16_384;

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caches").finish_non_exhaustive()
    }
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

/// A running call.
pub struct Tx<'a> {
    sql: &'a dyn Sql,
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) caches: &'a mut Caches,
    after: &'a mut Vec<After>,
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

impl<'a> Tx<'a> {
    /// A call that runs in an open transaction.
    pub fn new(
        sql: &'a dyn Sql,
        shared: &'a Arc<Shared>,
        caches: &'a mut Caches,
        after: &'a mut Vec<After>,
    ) -> Self {
        Self { sql, shared, caches, after }
    }

    /// A statement, to be given its values.
    pub(crate) fn sql(&self, statement: &'static str) -> Statement<'a, 'a> {
        self.sql.sql(statement)
    }

    /// The open transaction.
    pub fn connection(&self) -> &'a dyn Sql {
        self.sql
    }

    /// What all calls share.
    pub fn shared(&self) -> &'a Shared {
        self.shared
    }

    /// Notes what to do once this is committed.
    pub(crate) fn after(&mut self, step: After) {
        self.after.push(step);
    }

    /// How much is noted for after the commit.
    pub fn noted(&self) -> usize {
        self.after.len()
    }

    /// Notes no more than that.
    pub fn forget_noted(&mut self, beyond: usize) {
        self.after.truncate(beyond);
    }

    /// Counts something, once this is committed.
    pub(crate) fn count(&mut self, counted: Counted) {
        self.after.push(After::Count(counted));
    }

    /// Runs a part of a call that may be undone without the rest: what it wrote, what it noted for after the commit, and
    /// every cache with it. For rare calls alone; SQLite copies each page that the part first touches.
    pub(crate) fn undoable<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> StorageResult<T>,
        stands: impl FnOnce(&T) -> bool,
    ) -> StorageResult<T> {
        let noted = self.after.len();
        self.sql("SAVEPOINT part").execute(())?;
        let done = work(self);
        let Ok(done) = done else {
            // Its call fails with it, and undoes what was written; so it matters not whether the part can be closed.
            let _ = self.sql("RELEASE part").execute(());
            return done;
        };
        if !stands(&done) {
            self.sql("ROLLBACK TO part").execute(())?;
            self.after.truncate(noted);
            *self.caches = Caches::default();
        }
        self.sql("RELEASE part").execute(())?;
        Ok(done)
    }

    /// A new id.
    pub(crate) fn id<K: Kind>(&self, now: Timestamp) -> Id<K> {
        self.shared.ids.next(now)
    }

    /// A new id that comes after one that another node may have drawn, whose clock may be ahead.
    pub(crate) fn id_after<K: Kind>(&self, now: Timestamp, after: Option<Id<K>>) -> Id<K> {
        self.shared.ids.pass(after.map_or(0, Id::key));
        self.id(now)
    }

    /// The key of what is made for an endpoint, or asked for there, by the transaction that read its facts.
    pub(crate) fn delivery_id(&self, of: &EndpointFacts, now: Timestamp) -> DeliveryId {
        self.id_after(now, Some(of.made_behind))
    }

    /// `N` random bytes.
    pub(crate) fn draw<const N: usize>(&self) -> [u8; N] {
        draw(&*self.shared.chance)
    }

    /// An organization's opened keys.
    pub(crate) fn keys(&mut self, of: OrganizationId) -> StorageResult<Arc<OrganizationKeys>> {
        if let Some(keys) = self.caches.organizations.get(&of) {
            return Ok(Arc::clone(keys));
        }
        let keys = crate::keys::organization_keys(self.connection(), self.shared, of)?;
        self.caches.organizations.insert(of, Arc::clone(&keys));
        Ok(keys)
    }

    /// Refuses what may not be done in an organization that is being deleted. Looked up once for each.
    pub(crate) fn must_be_active(&mut self, of: OrganizationId) -> StorageResult<()> {
        let standing = match self.caches.standings.get(&of) {
            Some(standing) => *standing,
            None => {
                let found = crate::organizations::by_id(self.connection(), of)?;
                let found = found.ok_or(Refusal::NotFound("the organization"))?;
                self.caches.standings.insert(of, found.state);
                found.state
            }
        };
        Ok(standing.must_be_active()?)
    }

    /// The next number in the organization's decision feed, for that decision; 0 where it is given later.
    pub(crate) fn number_decision(
        &mut self,
        of: OrganizationId,
        decision: DecisionId,
    ) -> StorageResult<i64> {
        if self.shared.nodes == Nodes::Several {
            self.sql("INSERT INTO unnumbered_decisions (organization, decision) VALUES (?, ?)")
                .later(decision.key(), [of.key(), decision.key()])?;
            return Ok(0);
        }
        let heads = self.feed_heads(of)?;
        heads.decisions += 1;
        Ok(heads.decisions)
    }

    /// The next number in the organization's event feed, for that event; 0 where it is given later.
    pub(crate) fn number_event(
        &mut self,
        of: OrganizationId,
        event: EventId,
    ) -> StorageResult<i64> {
        #[cfg(feature = "faults")]
        if abide_core::fault::is_planted(abide_core::fault::Fault::FeedNumberedEarly) {
            self.sql("CREATE SEQUENCE IF NOT EXISTS drawn_early").execute(())?;
            self.sql("INSERT INTO event_feed (organization, log_index, event) VALUES (?, nextval('drawn_early'), ?)")
                .execute([of.key(), event.key()])?;
            return Ok(0);
        }
        if self.shared.nodes == Nodes::Several {
            self.sql("INSERT INTO unnumbered_events (organization, event) VALUES (?, ?)")
                .later(event.key(), [of.key(), event.key()])?;
            return Ok(0);
        }
        let heads = self.feed_heads(of)?;
        heads.events += 1;
        Ok(heads.events)
    }

    fn feed_heads(&mut self, of: OrganizationId) -> StorageResult<&mut FeedHeads> {
        if !self.caches.feeds.contains_key(&of) {
            let head = |statement: &'static str| -> StorageResult<i64> {
                // Tests have no number: where there are no other events yet, the newest one has none.
                let last: Option<Option<i64>> =
                    self.sql(statement).maybe([of.key()], |row| row.get(0))?;
                Ok(last.flatten().unwrap_or(0))
            };
            let heads = FeedHeads {
                decisions: head(
                    "SELECT log_index FROM decisions WHERE organization = ? ORDER BY log_index DESC LIMIT 1",
                )?,
                events: head(
                    "SELECT log_index FROM events WHERE organization = ? ORDER BY log_index DESC LIMIT 1",
                )?,
            };
            // By its rule even the newest event may have gone; its number is not given again.
            let removed = crate::retention::removed_through(self.connection(), of);
            let heads = FeedHeads { events: heads.events.max(removed?), ..heads };
            self.caches.feeds.insert(of, heads);
        }
        self.caches
            .feeds
            .get_mut(&of)
            .ok_or_else(|| StorageError::Unavailable("a feed's head was lost".to_owned()))
    }

    /// Writes an audit entry in the same transaction (I1).
    pub(crate) fn audit(
        &mut self,
        by: &Caller,
        action: &str,
        object: &str,
        now: Timestamp,
    ) -> StorageResult<()> {
        let entry: Id<AuditEntry> = self.id(now);
        self.sql("INSERT INTO audit (organization, entry, at, actor, action, object) VALUES (?, ?, ?, ?, ?, ?)")
            .later(entry.key(), params![
                by.organization.key(),
                entry.key(),
                now.as_millis(),
                actor_text(by.actor),
                action,
                object
            ])
    }
}
