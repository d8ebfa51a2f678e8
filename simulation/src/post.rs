//! The way from an engine to its store, seen as a post: a report that a process sends is a letter, and one that a dead
//! process sent may still get there, after its lease was taken over. That is what a node does to the others that was only
//! slow; an embedded store alone would never see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abide_core::Timestamp;
use abide_core::ids::{DeliveryId, EndpointId, LeaseId};
use abide_storage::deliveries::{
    Backlog, Claimed, Deliveries, DuePage, OpenAttempt, Opened, Report,
};
use abide_storage::{Committed, Room, Storage, StorageResult};
use async_trait::async_trait;

use crate::plan::Point;
use crate::stage::{Life, Stage};

/// A store, and what was sent to it.
pub(crate) struct Post {
    store: Arc<dyn Storage>,
    stage: Arc<Stage>,
    life: Arc<Life>,
    sent: AtomicU64,
}

impl Post {
    pub(crate) fn new(store: Arc<dyn Storage>, stage: Arc<Stage>, life: Arc<Life>) -> Self {
        Self { store, stage, life, sent: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Deliveries for Post {
    async fn open_attempt(&self, open: OpenAttempt, now: Timestamp) -> StorageResult<Opened> {
        self.store.deliveries().open_attempt(open, now).await
    }
    async fn report(&self, report: Report, now: Timestamp) -> StorageResult<()> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.stage.letters.lock().push((number, report.clone()));
        self.life.passes(&self.stage, Point::Reporting).await;
        let answer = self.store.deliveries().report(report, now).await;
        self.life.lives().await;
        self.stage.letters.lock().retain(|(of, _)| *of != number);
        self.stage.note(format!("report {number} is answered"));
        answer
    }
    async fn claim_due(
        &self,
        lease: LeaseId,
        full: &[EndpointId],
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<DuePage> {
        let page = self.store.deliveries().claim_due(lease, full, limit, now).await?;
        let (claimed, parked, stopped) = (page.claimed.len(), page.parked, page.stopped);
        if claimed + parked as usize + stopped as usize > 0 {
            self.stage.note(format!("due: {claimed} claimed, {parked} parked, {stopped} stopped"));
        }
        Ok(page)
    }
    async fn claim_parked(
        &self,
        lease: LeaseId,
        endpoint: EndpointId,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Vec<Claimed>> {
        let claimed = self.store.deliveries().claim_parked(lease, endpoint, limit, now).await?;
        self.stage.note(format!("parked: {} of {limit} claimed", claimed.len()));
        Ok(claimed)
    }
    async fn parked_endpoints(&self) -> StorageResult<Vec<EndpointId>> {
        self.store.deliveries().parked_endpoints().await
    }
    async fn release_held(&self, limit: u32, now: Timestamp) -> StorageResult<u32> {
        let released = self.store.deliveries().release_held(limit, now).await?;
        if released > 0 {
            self.stage.note(format!("held: {released} released or stopped"));
        }
        Ok(released)
    }
    async fn lose(
        &self,
        lease: LeaseId,
        after: DeliveryId,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Option<DeliveryId>> {
        let last = self.store.deliveries().lose(lease, after, limit, now).await?;
        if last.is_some() {
            self.stage.note("some of a lost lease is due again");
        }
        Ok(last)
    }
    async fn backlog(&self, at_most: u32) -> StorageResult<Backlog> {
        self.store.deliveries().backlog(at_most).await
    }
}

impl Storage for Post {
    abide_storage::all_but_deliveries!(store);

    fn deliveries(&self) -> &dyn Deliveries {
        self
    }

    fn attach(&self, room: Arc<dyn Room>, committed: Arc<dyn Committed>) {
        self.store.attach(room, committed);
    }
}
