//! The two global pools of permits (I8): endpoints whose last attempt failed cannot take the permits of the others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Which pool an endpoint draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Healthy or unknown.
    Healthy,
    /// Its last attempt failed.
    Suspect,
}

/// The pools. Waiters are served in order.
#[derive(Debug)]
pub(crate) struct Pools {
    healthy: Arc<Semaphore>,
    suspect: Arc<Semaphore>,
}

impl Pools {
    pub(crate) fn new(healthy: usize, suspect: usize) -> Self {
        Self {
            healthy: Arc::new(Semaphore::new(healthy)),
            suspect: Arc::new(Semaphore::new(suspect)),
        }
    }

    /// Takes a permit as soon as one is free.
    pub(crate) async fn take(&self, pool: Pool) -> OwnedSemaphorePermit {
        let permit = Arc::clone(self.of(pool)).acquire_owned().await;
        permit.expect("the pools are never closed")
    }

    /// Whether others wait, so that whoever holds a permit for long should queue again.
    pub(crate) fn is_used_up(&self, pool: Pool) -> bool {
        self.of(pool).available_permits() == 0
    }

    /// Whether no permit of either pool is free.
    pub(crate) fn are_used_up(&self) -> bool {
        self.is_used_up(Pool::Healthy) && self.is_used_up(Pool::Suspect)
    }

    fn of(&self, pool: Pool) -> &Arc<Semaphore> {
        match pool {
            Pool::Healthy => &self.healthy,
            Pool::Suspect => &self.suspect,
        }
    }
}
