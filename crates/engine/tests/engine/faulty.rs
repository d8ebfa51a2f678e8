//! A store between which and the engine something goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::ids::{DeliveryId, EndpointId, LeaseId};
use abide_storage::deliveries::{
    Backlog, Claimed, Deliveries, DuePage, OpenAttempt, Opened, Report,
};
use abide_storage::{Committed, HotDelivery, Room, Slot, Storage, StorageResult};
use abide_storage_sqlite::SqliteStore;
use async_trait::async_trait;

/// A store that opens its first attempts late, or drops slots after their commit.
pub(crate) struct Faulty {
    store: Arc<SqliteStore>,
    by: Duration,
    late: AtomicUsize,
    loses: Arc<AtomicBool>,
}

impl Faulty {
    /// The first `late` attempts are opened so much too late.
    pub(crate) fn late(store: &Arc<SqliteStore>, late: usize, by: Duration) -> Faulty {
        Faulty { by, late: AtomicUsize::new(late), ..Faulty::losing(store, Arc::default()) }
    }

    /// While `loses` is set, what was committed is not handed to the engine.
    pub(crate) fn losing(store: &Arc<SqliteStore>, loses: Arc<AtomicBool>) -> Faulty {
        let store = Arc::clone(store);
        Faulty { store, by: Duration::ZERO, late: AtomicUsize::new(0), loses }
    }
}

struct Between {
    committed: Arc<dyn Committed>,
    loses: Arc<AtomicBool>,
}

impl Committed for Between {
    fn take(&self, slot: Slot, deliveries: Vec<HotDelivery>) {
        if !self.loses.load(Ordering::Relaxed) {
            self.committed.take(slot, deliveries);
        }
    }
}

#[async_trait]
impl Deliveries for Faulty {
    async fn open_attempt(&self, open: OpenAttempt, now: Timestamp) -> StorageResult<Opened> {
        let answer = self.store.deliveries().open_attempt(open, now).await;
        let one_less = |left: usize| left.checked_sub(1);
        if self.late.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            tokio::time::sleep(self.by).await;
        }
        answer
    }
    async fn claim_due(
        &self,
        lease: LeaseId,
        full: &[EndpointId],
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<DuePage> {
        self.store.deliveries().claim_due(lease, full, limit, now).await
    }
    async fn claim_parked(
        &self,
        lease: LeaseId,
        endpoint: EndpointId,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Vec<Claimed>> {
        self.store.deliveries().claim_parked(lease, endpoint, limit, now).await
    }
    async fn parked_endpoints(&self) -> StorageResult<Vec<EndpointId>> {
        self.store.deliveries().parked_endpoints().await
    }
    async fn release_held(&self, limit: u32, now: Timestamp) -> StorageResult<u32> {
        self.store.deliveries().release_held(limit, now).await
    }
    async fn report(&self, report: Report, now: Timestamp) -> StorageResult<()> {
        self.store.deliveries().report(report, now).await
    }
    async fn lose(
        &self,
        lease: LeaseId,
        after: DeliveryId,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Option<DeliveryId>> {
        self.store.deliveries().lose(lease, after, limit, now).await
    }
    async fn backlog(&self, at_most: u32) -> StorageResult<Backlog> {
        self.store.deliveries().backlog(at_most).await
    }
}

impl Storage for Faulty {
    abide_storage::all_but_deliveries!(store);

    fn deliveries(&self) -> &dyn Deliveries {
        self
    }

    fn attach(&self, room: Arc<dyn Room>, committed: Arc<dyn Committed>) {
        let loses = Arc::clone(&self.loses);
        self.store.attach(room, Arc::new(Between { committed, loses }));
    }
}
