//! A store whose writer is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::ids::{DeliveryId, EndpointId, LeaseId};
use abide_storage::deliveries::{
    Backlog, Claimed, Deliveries, DuePage, OpenAttempt, Opened, Report,
};
use abide_storage::{
    Accounts, Committed, Consents, Doorbell, Endpoints, History, Keys, Leases, Metrics, Policies,
    Room, Storage, StorageResult, Subjects,
};
use abide_storage_sqlite::SqliteStore;
use async_trait::async_trait;

/// A store that takes its time to open the first attempts.
pub(crate) struct Slow {
    store: Arc<SqliteStore>,
    by: Duration,
    late: AtomicUsize,
}

impl Slow {
    /// The first `late` attempts are opened so much too late.
    pub(crate) fn new(store: &Arc<SqliteStore>, late: usize, by: Duration) -> Slow {
        Slow { store: Arc::clone(store), by, late: AtomicUsize::new(late) }
    }
}

#[async_trait]
impl Deliveries for Slow {
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

impl Storage for Slow {
    fn accounts(&self) -> &dyn Accounts {
        self.store.accounts()
    }
    fn consents(&self) -> &dyn Consents {
        self.store.consents()
    }
    fn deliveries(&self) -> &dyn Deliveries {
        self
    }
    fn endpoints(&self) -> &dyn Endpoints {
        self.store.endpoints()
    }
    fn history(&self) -> &dyn History {
        self.store.history()
    }
    fn keys(&self) -> &dyn Keys {
        Storage::keys(&*self.store)
    }
    fn leases(&self) -> &dyn Leases {
        self.store.leases()
    }
    fn policies(&self) -> &dyn Policies {
        self.store.policies()
    }
    fn subjects(&self) -> &dyn Subjects {
        self.store.subjects()
    }
    fn doorbell(&self) -> &Doorbell {
        self.store.doorbell()
    }
    fn metrics(&self) -> &Arc<Metrics> {
        self.store.metrics()
    }
    fn attach(&self, room: Arc<dyn Room>, committed: Arc<dyn Committed>) {
        self.store.attach(room, committed);
    }
    fn broken(&self) -> Option<String> {
        self.store.broken()
    }
    fn close(&self) {
        Storage::close(&*self.store);
    }
}
