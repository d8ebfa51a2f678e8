//! Where server, store and engine meet without seeing each other: doorbell, room, committed.

use std::sync::Arc;

use abide_core::delivery::Run;
use abide_core::event::Event;
use abide_core::ids::{DeliveryId, EndpointId, LeaseId};
use tokio::sync::watch;

/// A wake-up without content: whoever hears it looks at the truth in the database, and also polls.
#[derive(Debug, Clone)]
pub struct Doorbell {
    rings: watch::Sender<u64>,
}

impl Default for Doorbell {
    fn default() -> Self {
        Self { rings: watch::Sender::new(0) }
    }
}

impl Doorbell {
    /// Rings. Called after a commit, never before.
    pub fn ring(&self) {
        self.rings.send_modify(|count| *count += 1);
    }

    /// A listener; `changed()` resolves once per ring or several of them.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.rings.subscribe()
    }
}

/// Room in the engine's memory for hot deliveries. Asked before a write, never after.
pub trait Room: Send + Sync {
    /// Reserves room for `deliveries` of one event whose body takes `bytes`. `None`: write them pending.
    fn reserve(&self, deliveries: usize, bytes: usize) -> Option<Slot>;
}

/// Takes what was committed.
pub trait Committed: Send + Sync {
    /// Called by the store once the commit is durable, in the store's own task; returns at once. Takes every
    /// delivery that was written hot under the slot's lease.
    fn take(&self, slot: Slot, deliveries: Vec<HotDelivery>);
}

/// Reserved room. Frees itself when dropped without a commit.
pub struct Slot {
    lease: LeaseId,
    release: Option<Box<dyn FnOnce() + Send>>,
}

impl Slot {
    /// Room under `lease`; `release` gives it back.
    pub fn new(lease: LeaseId, release: Box<dyn FnOnce() + Send>) -> Self {
        Self { lease, release: Some(release) }
    }

    /// The lease that hot rows name.
    pub fn lease(&self) -> LeaseId {
        self.lease
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// A delivery written hot, with its event: nothing is read back on the fast path.
#[derive(Debug, Clone)]
pub struct HotDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// What it tells, shared by all deliveries of the event.
    pub event: Arc<Event>,
    /// The first run, or a test: that is sent at once, past the endpoint's line and whatever its state.
    pub run: Run,
}
