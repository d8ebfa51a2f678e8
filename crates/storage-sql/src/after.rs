//! What calls want done once they are committed.

use abide_core::Refusal;
use abide_storage::{HotDelivery, Slot, StorageError, StorageResult};

use crate::shared::Shared;

/// What a call wants done once it is committed.
pub enum After {
    /// Give hot deliveries to the engine.
    Take(Slot, Vec<HotDelivery>),
    /// Wake whoever listens.
    Ring,
    /// Count something that happened.
    Count(Counted),
    /// Run this; for caches outside the transaction.
    Do(Box<dyn FnOnce(&Shared) + Send>),
}

impl std::fmt::Debug for After {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Take(..) => "Take",
            Self::Ring => "Ring",
            Self::Count(_) => "Count",
            Self::Do(_) => "Do",
        })
    }
}

/// What the store counts, once it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// An event.
    Accepted,
    /// A delivery that was delivered.
    Delivered,
    /// A delivery that failed for good.
    Failed,
    /// An attempt that will be followed by another one.
    Retried,
}

/// Does it all, in order, ringing once at the end; whoever waits for an answer hears it after this.
pub fn follow(shared: &Shared, steps: Vec<After>) {
    let mut ring = false;
    for step in steps {
        match step {
            After::Take(slot, deliveries) => {
                if let Some(engine) = &*shared.engine.load() {
                    engine.1.take(slot, deliveries);
                }
            }
            After::Ring => ring = true,
            After::Count(counted) => count(shared, counted),
            After::Do(step) => step(shared),
        }
    }
    if ring {
        shared.ring();
    }
}

fn count(shared: &Shared, counted: Counted) {
    let metrics = &shared.metrics;
    match counted {
        Counted::Accepted => metrics.accepted.inc(),
        Counted::Delivered => metrics.delivered.inc(),
        Counted::Failed => metrics.failed.inc(),
        Counted::Retried => metrics.retries.inc(),
    };
}

/// A refusal as a storage error.
pub(crate) fn refused<T>(refusal: Refusal) -> StorageResult<T> {
    Err(StorageError::Refused(refusal))
}
