//! Room in memory for deliveries, in number and in bytes (I9), and the engine's face towards the store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use abide_storage::{Committed, HotDelivery, Room, Slot};
use parking_lot::Mutex;

use crate::hub::Hub;
use crate::job::{Job, SharedEvent};
use crate::outbound::{ByteBudget, Share};

/// Counts what is in memory.
#[derive(Debug)]
pub(crate) struct RoomBook {
    deliveries: AtomicUsize,
    limit: usize,
    budget: ByteBudget,
}

/// The place of one delivery whose content is not in memory.
#[derive(Debug)]
pub(crate) struct Place(Arc<RoomBook>);

/// A slot's room: the places of its deliveries and their bytes.
struct Reserved {
    book: Arc<RoomBook>,
    deliveries: usize,
    _bytes: Share,
}

impl RoomBook {
    pub(crate) fn new(limit: usize, budget: ByteBudget) -> Self {
        Self { deliveries: AtomicUsize::new(0), limit, budget }
    }

    pub(crate) fn deliveries(&self) -> usize {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// How many more deliveries there is room for.
    pub(crate) fn free(&self) -> usize {
        self.limit.saturating_sub(self.deliveries())
    }

    /// Whether endpoints must make do with short queues, so that a few slow ones do not fill the memory of all.
    pub(crate) fn is_scarce(&self) -> bool {
        self.deliveries() > self.limit / 2 || self.budget.free() < self.budget.total() / 2
    }

    /// A body and what is rendered of it take about twice its bytes.
    fn reserve(self: &Arc<Self>, deliveries: usize, bytes: usize) -> Option<Reserved> {
        let before = self.deliveries.fetch_add(deliveries, Ordering::Relaxed);
        let share = if before + deliveries <= self.limit {
            self.budget.try_take(bytes.saturating_mul(2))
        } else {
            None
        };
        match share {
            Some(share) => Some(Reserved { book: Arc::clone(self), deliveries, _bytes: share }),
            None => {
                self.deliveries.fetch_sub(deliveries, Ordering::Relaxed);
                None
            }
        }
    }
}

impl Place {
    /// Takes a place, also beyond the limit: for a delivery that is in memory already, or was just claimed within
    /// [`RoomBook::free`].
    pub(crate) fn taken(book: &Arc<RoomBook>) -> Self {
        book.deliveries.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(book))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.deliveries.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.book.deliveries.fetch_sub(self.deliveries, Ordering::Relaxed);
    }
}

/// What the store knows of the engine. It does not keep the engine alive: a store outlives a dropped engine and then
/// writes pending.
pub(crate) struct Front(pub(crate) Weak<Hub>);

impl Room for Front {
    fn reserve(&self, deliveries: usize, bytes: usize) -> Option<Slot> {
        let hub = self.0.upgrade()?;
        if hub.is_draining() {
            return None;
        }
        let reserved = hub.room.reserve(deliveries, bytes)?;
        let hold = hub.leases.current();
        let lease = hold.id;
        Some(Slot::new(lease, Box::new(move || drop((reserved, hold)))))
    }
}

impl Committed for Front {
    /// Without an engine, or under a lease it does not know, the rows stay hot and are found when the lease is
    /// worked off.
    fn take(&self, slot: Slot, deliveries: Vec<HotDelivery>) {
        let Some(hub) = self.0.upgrade() else { return };
        let Some(hold) = hub.leases.hold(slot.lease()) else { return };
        // Nobody locks it: the lock is what lets a slot be shared.
        let slot = Arc::new(Mutex::new(slot));
        let mut shared: Option<Arc<SharedEvent>> = None;
        for HotDelivery { id, endpoint, event } in deliveries {
            let event = match &shared {
                Some(known) if Arc::ptr_eq(&known.event, &event) => Arc::clone(known),
                _ => Arc::new(SharedEvent::new(event, Arc::clone(&slot))),
            };
            shared = Some(Arc::clone(&event));
            hub.enqueue(endpoint, Job::hot(id, Arc::clone(&hold), event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I9: no more deliveries and no more bytes than the bounds, and all of it comes back.
    #[test]
    fn room_is_bounded_in_number_and_in_bytes() {
        let book = Arc::new(RoomBook::new(10, ByteBudget::new(1000)));
        let first = book.reserve(6, 100).unwrap();
        assert!(book.reserve(5, 1).is_none(), "too many deliveries");
        assert!(book.reserve(1, 401).is_none(), "too many bytes");
        assert_eq!(book.free(), 4);
        let place = Place::taken(&book);
        assert!(book.is_scarce());
        drop((first, place));
        assert_eq!((book.free(), book.budget.free()), (10, 1000));
        assert!(!book.is_scarce());
    }
}
