//! Room in memory for deliveries, in number and in bytes (I9), and the engine's face towards the store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use abide_core::delivery::Run;
use abide_storage::{Committed, HotDelivery, Room, Slot};
use parking_lot::Mutex;

use crate::hub::Hub;
use crate::job::{Job, SharedEvent};
use crate::outbound::{ByteBudget, Share};
use crate::testing;

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

/// Places taken before it is known how many deliveries will come for them: of those that are claimed from the store.
#[derive(Debug)]
pub(crate) struct Places {
    book: Arc<RoomBook>,
    left: usize,
}

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

    /// Takes as many places as are free, at most so many. Counting what is free and taking it after the store has
    /// answered would go beyond the limit: others take places meanwhile.
    pub(crate) fn places(self: &Arc<Self>, wanted: usize) -> Places {
        let mut left = 0;
        self.change(|held| {
            left = wanted.min(self.limit.saturating_sub(held));
            Some(held + left)
        });
        Places { book: Arc::clone(self), left }
    }

    /// Answers whether `change` found a new number.
    fn change(&self, change: impl FnMut(usize) -> Option<usize>) -> bool {
        self.deliveries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }

    /// Whether endpoints must make do with short queues once so many more deliveries are in memory, so that a few slow
    /// ones do not fill the memory of all.
    pub(crate) fn is_scarce_with(&self, more: usize) -> bool {
        self.deliveries() + more > self.limit / 2 || self.budget.free() < self.budget.total() / 2
    }

    /// A body and what is rendered of it take about twice its bytes.
    fn reserve(self: &Arc<Self>, deliveries: usize, bytes: usize) -> Option<Reserved> {
        let fits = |held: usize| Some(held + deliveries).filter(|all| *all <= self.limit);
        if !self.change(fits) {
            return None;
        }
        let Some(share) = self.budget.try_take(bytes.saturating_mul(2)) else {
            self.deliveries.fetch_sub(deliveries, Ordering::Relaxed);
            return None;
        };
        Some(Reserved { book: Arc::clone(self), deliveries, _bytes: share })
    }
}

impl Places {
    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// One of them.
    pub(crate) fn next(&mut self) -> Option<Place> {
        self.left = self.left.checked_sub(1)?;
        Some(Place(Arc::clone(&self.book)))
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.book.deliveries.fetch_sub(self.left, Ordering::Relaxed);
    }
}

impl Place {
    /// Takes a place, also beyond the limit: for a delivery that is in memory already.
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
        for HotDelivery { id, endpoint, event, run } in deliveries {
            let event = match &shared {
                Some(known) if Arc::ptr_eq(&known.event, &event) => Arc::clone(known),
                _ => Arc::new(SharedEvent::new(event, Arc::clone(&slot))),
            };
            shared = Some(Arc::clone(&event));
            let hold = Arc::clone(&hold);
            match run {
                Run::Test => testing::start(&hub, endpoint, Job::test(id, hold, event)),
                Run::First | Run::Single | Run::Series => {
                    hub.enqueue(endpoint, Job::hot(id, hold, event));
                }
            }
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
        assert_eq!(book.deliveries(), 6);
        let place = Place::taken(&book);
        assert!(book.is_scarce_with(0));
        drop((first, place));
        assert_eq!((book.deliveries(), book.budget.free()), (0, 1000));
        assert!(!book.is_scarce_with(0) && book.is_scarce_with(6));
    }

    /// I9: places are taken before anything comes for them, so whoever comes meanwhile finds none; what is not needed
    /// comes back.
    #[test]
    fn places_are_taken_before_they_are_filled() {
        let book = Arc::new(RoomBook::new(10, ByteBudget::new(1000)));
        let slot = book.reserve(7, 1).unwrap();
        let mut places = book.places(5);
        assert_eq!((places.left(), book.deliveries()), (3, 10));
        assert!(book.reserve(1, 1).is_none());
        assert_eq!(book.places(5).left(), 0);
        let filled = places.next().unwrap();
        drop(places);
        assert_eq!(book.deliveries(), 8);
        drop((slot, filled));
        assert_eq!(book.deliveries(), 0);
        let mut two = book.places(2);
        assert!(
            (two.next().is_some(), two.next().is_some()) == (true, true) && two.next().is_none()
        );
    }
}
