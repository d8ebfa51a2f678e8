//! The leases that this node works under: heartbeat, a new lease every minute, older ones closed when nothing of
//! them is left in memory, and those of a dead predecessor worked off.
//!
//! A hot row is in no index but the key. What was written hot and never reached a queue (a commit whose outcome was
//! unknown, a dropped slot, a process that died) is found by its lease: once nothing in memory belongs to it, every
//! row still hot or claimed under it is lost, and is paged back to pending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abide_core::ids::{DeliveryId, LeaseId};
use abide_storage::StorageResult;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::hub::Hub;

/// Work in memory under a lease: one clone per slot, job, and outcome not yet recorded.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) id: LeaseId,
    /// Set once another node has taken the lease over.
    lost: AtomicBool,
}

impl Hold {
    fn new(id: LeaseId) -> Self {
        Self { id, lost: AtomicBool::new(false) }
    }

    /// Whether what is in memory under the lease is another node's to send by now.
    pub(crate) fn is_lost(&self) -> bool {
        #[cfg(feature = "faults")]
        if abide_core::fault::is_planted(abide_core::fault::Fault::SlowNodeSends) {
            return false;
        }
        self.lost.load(Ordering::Relaxed)
    }
}

/// The leases of this node.
#[derive(Debug)]
pub(crate) struct LeaseBook(Mutex<Book>);

#[derive(Debug)]
struct Book {
    current: Arc<Hold>,
    older: Vec<Arc<Hold>>,
}

impl LeaseBook {
    pub(crate) fn new(first: LeaseId) -> Self {
        Self(Mutex::new(Book { current: Arc::new(Hold::new(first)), older: Vec::new() }))
    }

    /// The lease that new work is taken under.
    pub(crate) fn current(&self) -> Arc<Hold> {
        Arc::clone(&self.0.lock().current)
    }

    /// The hold of a lease that is not closed.
    pub(crate) fn hold(&self, lease: LeaseId) -> Option<Arc<Hold>> {
        let book = self.0.lock();
        if book.current.id == lease {
            return Some(Arc::clone(&book.current));
        }
        book.older.iter().find(|hold| hold.id == lease).cloned()
    }

    fn replace(&self, new: LeaseId) {
        let mut book = self.0.lock();
        let old = std::mem::replace(&mut book.current, Arc::new(Hold::new(new)));
        book.older.push(old);
    }

    /// Older leases without work in memory. None can come back to life: a hold is only cloned from the current
    /// lease, or from another hold.
    fn spent(&self) -> Vec<LeaseId> {
        let book = self.0.lock();
        book.older.iter().filter(|hold| Arc::strong_count(hold) == 1).map(|hold| hold.id).collect()
    }

    /// Every lease that this node works under.
    fn ids(&self) -> Vec<LeaseId> {
        let book = self.0.lock();
        book.older.iter().chain([&book.current]).map(|hold| hold.id).collect()
    }

    /// Of those that were `known` before a heartbeat, notes as lost what it did not find held.
    fn keep(&self, known: &[LeaseId], held: &[LeaseId]) {
        let book = self.0.lock();
        for hold in book.older.iter().chain([&book.current]) {
            if known.contains(&hold.id) && !held.contains(&hold.id) && !hold.is_lost() {
                hold.lost.store(true, Ordering::Relaxed);
                tracing::warn!(lease = %hold.id, "another node took a lease over: this one was not heard of for too long");
            }
        }
    }

    fn forget(&self, lease: LeaseId) {
        self.0.lock().older.retain(|hold| hold.id != lease);
    }
}

/// Heartbeats, for ever.
pub(crate) async fn beat(hub: Arc<Hub>) {
    let mut tick = interval(hub.options.heartbeat_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let before = hub.pulse.now();
        let known = hub.leases.ids();
        match hub.storage.leases().heartbeat(hub.clock.now()).await {
            Ok(held) => {
                hub.leases.keep(&known, &held);
                hub.pulse.confirmed(before);
            }
            Err(why) => tracing::warn!(%why, "the heartbeat was not confirmed"),
        }
    }
}

/// Works off the leases taken over at the start, then opens new ones and closes old ones, for ever.
pub(crate) async fn renew(hub: Arc<Hub>, taken_over: Vec<LeaseId>) {
    let mut tick = interval(hub.options.lease_every.min(hub.options.take_over_every));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut taken_over = taken_over;
    #[cfg(feature = "faults")]
    if abide_core::fault::is_planted(abide_core::fault::Fault::ForgottenAtRestart) {
        taken_over.clear();
    }
    let mut opened = Instant::now();
    loop {
        tick.tick().await;
        hub.pulse.ticked(crate::pulse::Loop::Leases);
        match hub.storage.leases().take_over(hub.clock.now()).await {
            Ok(leases) => {
                for lease in leases {
                    tracing::warn!(%lease, "took over a lease of a node that is not heard of any more");
                    taken_over.push(lease);
                }
            }
            Err(why) => tracing::warn!(%why, "leases of dead nodes could not be looked for"),
        }
        let mut left = Vec::new();
        for lease in std::mem::take(&mut taken_over) {
            if let Err(why) = work_off(&hub, lease).await {
                tracing::warn!(%lease, %why, "a lease that was taken over could not be worked off yet");
                left.push(lease);
            }
        }
        taken_over = left;
        if opened.elapsed() >= hub.options.lease_every || hub.leases.current().is_lost() {
            match hub.storage.leases().open(hub.clock.now()).await {
                Ok(lease) => {
                    hub.leases.replace(lease);
                    opened = Instant::now();
                }
                Err(why) => tracing::warn!(%why, "no new lease could be opened"),
            }
        }
        close_spent(&hub).await;
    }
}

/// Closes the older leases that have no work in memory.
pub(crate) async fn close_spent(hub: &Hub) {
    for lease in hub.leases.spent() {
        match work_off(hub, lease).await {
            Ok(()) => hub.leases.forget(lease),
            Err(why) => tracing::warn!(%lease, %why, "a lease could not be closed yet"),
        }
    }
}

/// Pages what is left under a lease back to pending, and closes it.
pub(crate) async fn work_off(hub: &Hub, lease: LeaseId) -> StorageResult<()> {
    let deliveries = hub.storage.deliveries();
    let mut after = DeliveryId::from_key(0);
    while let Some(last) =
        deliveries.lose(lease, after, hub.options.lose_page, hub.clock.now()).await?
    {
        after = last;
        hub.pulse.ticked(crate::pulse::Loop::Leases);
        hub.storage.doorbell().ring();
        tokio::task::yield_now().await;
    }
    hub.storage.leases().close(lease).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I3: a lease is worked off only when nothing in memory belongs to it.
    #[test]
    fn a_lease_is_spent_when_its_last_hold_is_dropped() {
        let (one, two) = (LeaseId::from_key(1), LeaseId::from_key(2));
        let book = LeaseBook::new(one);
        let job = book.current();
        assert_eq!(book.spent(), [], "the current lease is never spent");
        book.replace(two);
        assert_eq!(book.spent(), []);
        let outcome = book.hold(one).unwrap();
        drop(job);
        assert_eq!(book.spent(), []);
        drop(outcome);
        assert_eq!(book.spent(), [one]);
        book.forget(one);
        assert!(book.hold(one).is_none());
        assert_eq!(book.current().id, two);
    }
}
