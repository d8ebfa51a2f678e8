//! People erased a short while ago: nothing of them leaves this node any more (design part 7).
//!
//! The sweep through the queues comes first; this list catches what was on its way into them meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use abide_core::ids::SubjectId;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::job::{About, SharedEvent};

/// Who was erased lately.
#[derive(Debug, Default)]
pub(crate) struct Erased {
    people: Mutex<HashMap<SubjectId, Instant>>,
    count: AtomicUsize,
}

/// Long after the sweep, and after every commit that could still hand over an event of theirs.
const REMEMBERED: Duration = Duration::from_mins(5);

impl Erased {
    /// These were erased.
    pub(crate) fn add(&self, people: &[SubjectId], now: Instant) {
        let mut all = self.people.lock();
        all.retain(|_, since| now.saturating_duration_since(*since) < REMEMBERED);
        all.extend(people.iter().map(|one| (*one, now)));
        self.count.store(all.len(), Ordering::Relaxed);
    }

    /// Whether an event says something of one of them.
    pub(crate) fn judge(&self, event: &SharedEvent) -> About {
        if self.count.load(Ordering::Relaxed) == 0 {
            return About::Others;
        }
        let people = self.people.lock();
        event.is_about(&|one| people.contains_key(&one))
    }
}
