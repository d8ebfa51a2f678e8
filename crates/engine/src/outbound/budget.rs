//! One budget of bytes for everything whose size others choose: bodies to send and answers being read (I9).

use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes that may be held at one time; clones share it.
///
/// A semaphore with one permit per byte: waiters are served in order, so that a large body is not starved by small
/// ones.
#[derive(Clone)]
pub struct ByteBudget {
    free: Arc<Semaphore>,
    total: u32,
}

/// Bytes taken from a [`ByteBudget`], given back when dropped.
#[derive(Debug)]
pub struct Share(OwnedSemaphorePermit);

/// More was asked for than the whole budget has: waiting would never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBudget;

impl ByteBudget {
    /// A budget of `total` bytes, at most 4 GiB.
    pub fn new(total: u32) -> ByteBudget {
        ByteBudget { free: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Takes `n` bytes if they are free now and nobody waits before.
    pub fn try_take(&self, n: usize) -> Option<Share> {
        let n = u32::try_from(n).ok()?;
        Arc::clone(&self.free).try_acquire_many_owned(n).ok().map(Share)
    }

    /// Takes `n` bytes as soon as they are free.
    pub async fn take(&self, n: usize) -> Result<Share, OverBudget> {
        let n = u32::try_from(n).ok().filter(|n| *n <= self.total).ok_or(OverBudget)?;
        // The semaphore is never closed, so this only ever waits.
        Arc::clone(&self.free).acquire_many_owned(n).await.map(Share).map_err(|_| OverBudget)
    }

    /// All bytes, held or not.
    pub fn total(&self) -> usize {
        self.total as usize
    }

    /// Bytes nobody holds.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }
}

impl Share {
    /// How many bytes this share stands for.
    pub fn len(&self) -> usize {
        self.0.num_permits()
    }

    /// Does it stand for nothing?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Joins another share of the same budget to this one.
    pub(super) fn absorb(&mut self, other: Share) {
        self.0.merge(other.0);
    }
}

impl fmt::Debug for ByteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByteBudget({} of {} free)", self.free(), self.total)
    }
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more bytes than the whole budget")
    }
}

impl std::error::Error for OverBudget {}

#[cfg(test)]
mod tests {
    use super::*;

    /// I9: what is held never exceeds the budget, and comes back when dropped.
    #[test]
    fn a_share_frees_its_bytes_when_dropped() {
        let budget = ByteBudget::new(100);
        let mut first = budget.try_take(60).unwrap();
        assert!(budget.try_take(41).is_none());
        first.absorb(budget.try_take(40).unwrap());
        assert_eq!((first.len(), budget.free()), (100, 0));
        drop(first);
        assert_eq!(budget.free(), 100);
    }

    /// I9: a taker waits for room instead of going over.
    #[tokio::test]
    async fn take_waits_for_room_and_refuses_the_impossible() {
        let budget = ByteBudget::new(100);
        let held = budget.take(80).await.unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(50).await.map(|share| share.len()) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        assert_eq!(waiting.await.unwrap(), Ok(50));
        assert_eq!(budget.take(101).await.unwrap_err(), OverBudget);
    }
}
