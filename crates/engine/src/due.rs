//! Due work: claimed in pages as it falls due, never more than there is room for in memory (I9).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::ids::EndpointId;
use abide_storage::deliveries::DuePage;
use abide_storage::{Listener, StorageResult};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::hub::Hub;
use crate::pulse::Loop;

/// What wakes the due loop, and which endpoints it leaves out.
#[derive(Debug)]
pub(crate) struct DueBell {
    /// The earliest due time this node knows of, in milliseconds.
    next: AtomicI64,
    bell: Notify,
    crowded: Mutex<HashSet<EndpointId>>,
}

impl Default for DueBell {
    fn default() -> Self {
        Self { next: AtomicI64::new(i64::MAX), bell: Notify::new(), crowded: Mutex::default() }
    }
}

/// How soon to look again when memory is full.
const NO_ROOM_WAIT: i64 = 100;

impl DueBell {
    /// A delivery falls due at that time.
    pub(crate) fn falls_due(&self, at: Timestamp) {
        if self.next.fetch_min(at.as_millis(), Ordering::Relaxed) > at.as_millis() {
            self.bell.notify_one();
        }
    }

    /// An endpoint begins or ceases to be without room.
    pub(crate) fn crowded(&self, endpoint: EndpointId, crowded: bool) {
        let mut all = self.crowded.lock();
        if crowded {
            all.insert(endpoint);
        } else {
            all.remove(&endpoint);
        }
    }

    /// In the order of their ids, so that the same run does the same.
    fn full(&self) -> Vec<EndpointId> {
        let mut full: Vec<_> = self.crowded.lock().iter().copied().collect();
        full.sort_unstable();
        full
    }
}

/// Claims due work, for ever.
pub(crate) async fn claim(hub: Arc<Hub>) {
    let mut rings = hub.storage.doorbell().listen();
    loop {
        hub.pulse.ticked(Loop::Due);
        hub.due.next.store(i64::MAX, Ordering::Relaxed);
        rings.mark_unchanged();
        let next = match claim_all(&hub).await {
            Ok(next) => next,
            Err(why) => {
                tracing::warn!(%why, "due work could not be claimed");
                None
            }
        };
        if let Some(at) = next {
            hub.due.next.fetch_min(at.as_millis(), Ordering::Relaxed);
        }
        sleep(hub.options.due_pause).await;
        wait(&hub, &mut rings).await;
    }
}

/// Waits for the doorbell, for the earliest known due time, and for no longer than a poll.
async fn wait(hub: &Hub, rings: &mut Listener) {
    let poll = sleep(hub.options.due_every);
    tokio::pin!(poll);
    loop {
        let next = hub.due.next.load(Ordering::Relaxed);
        let left = next.saturating_sub(hub.clock.now().as_millis());
        if left <= 0 {
            return;
        }
        tokio::select! {
            biased;
            () = rings.changed() => return,
            () = &mut poll => return,
            () = sleep(Duration::from_millis(left as u64)) => return,
            () = hub.due.bell.notified() => {}
        }
    }
}

/// Claims page after page; answers when the next row falls due, as far as known.
async fn claim_all(hub: &Arc<Hub>) -> StorageResult<Option<Timestamp>> {
    loop {
        let now = hub.clock.now();
        if hub.is_draining() {
            return Ok(None);
        }
        let places = hub.room.places(hub.options.page as usize);
        if places.left() == 0 {
            return Ok(Some(now.plus_millis(NO_ROOM_WAIT)));
        }
        let hold = hub.leases.current();
        let full = hub.due.full();
        let deliveries = hub.storage.deliveries();
        let page = deliveries.claim_due(hold.id, &full, places.left() as u32, now).await?;
        let DuePage { claimed, parked, stopped, more, next_due_at } = page;
        let moved = claimed.len() + parked as usize + stopped as usize;
        hub.enqueue_claimed(claimed, &hold, places);
        if parked > 0 {
            for endpoint in full {
                hub.registry.find_or_add(endpoint).note_parked(hub);
            }
        }
        if !more || moved == 0 {
            return Ok(next_due_at);
        }
        hub.pulse.ticked(Loop::Due);
        tokio::task::yield_now().await;
    }
}
