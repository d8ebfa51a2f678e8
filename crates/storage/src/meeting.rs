//! Where server, store and engine meet without seeing each other: doorbell, room, committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abide_core::delivery::Run;
use abide_core::event::Event;
use abide_core::ids::{DeliveryId, EndpointId, LeaseId};
use tokio::sync::Notify;

/// A wake-up without content: whoever hears it looks at the truth in the database, and also polls.
///
/// Listeners wake in the order in which they began to wait. A channel of tokio's would wake them in an order that it
/// draws by itself, and no run of a simulation could be repeated.
#[derive(Debug, Clone, Default)]
pub struct Doorbell(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    rings: AtomicU64,
    waiting: Notify,
}

/// Somebody who hears a [`Doorbell`].
#[derive(Debug)]
pub struct Listener {
    bell: Arc<Bell>,
    heard: u64,
}

impl Doorbell {
    /// Rings. Called after a commit, never before.
    pub fn ring(&self) {
        self.0.rings.fetch_add(1, Ordering::Release);
        self.0.waiting.notify_waiters();
    }

    /// A listener, who hears what rings from now on.
    pub fn listen(&self) -> Listener {
        Listener { bell: Arc::clone(&self.0), heard: self.0.rings.load(Ordering::Acquire) }
    }
}

impl Listener {
    /// Resolves once per ring or several of them.
    pub async fn changed(&mut self) {
        loop {
            // It hears every ring from here on, also before it is first polled.
            let waiting = self.bell.waiting.notified();
            let rings = self.bell.rings.load(Ordering::Acquire);
            if rings != self.heard {
                self.heard = rings;
                return;
            }
            waiting.await;
        }
    }

    /// Whether it rang since this was last asked for by [`Listener::changed`] or passed over.
    pub fn has_changed(&self) -> bool {
        self.bell.rings.load(Ordering::Acquire) != self.heard
    }

    /// Passes over what rang before.
    pub fn mark_unchanged(&mut self) {
        self.heard = self.bell.rings.load(Ordering::Acquire);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_hears_every_ring_since_it_last_heard_one() {
        let doorbell = Doorbell::default();
        doorbell.ring();
        let mut listener = doorbell.listen();
        assert!(!listener.has_changed(), "it rang before");
        doorbell.ring();
        doorbell.ring();
        assert!(listener.has_changed());
        listener.changed().await;
        assert!(!listener.has_changed(), "several rings are heard as one");
        doorbell.ring();
        listener.mark_unchanged();
        let mut waiting = std::pin::pin!(listener.changed());
        assert!(still_waits(waiting.as_mut()).await);
        doorbell.ring();
        waiting.await;
    }

    async fn still_waits(waiting: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        tokio::select! { biased; () = waiting => false, () = std::future::ready(()) => true }
    }
}
