//! The simulated clock: the runtime's paused time, moved by what the schedule says. Timers wait by the former alone, as
//! they wait by monotonic time in a real process; what stands in rows is written by the latter.

use std::sync::atomic::{AtomicI64, Ordering};

use abide_core::Timestamp;
use abide_core::shell::Clock;
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600_000;

/// The clock on the wall of the one machine there is.
#[derive(Debug)]
pub(crate) struct SimulatedClock {
    began: Instant,
    begin: i64,
    moved: AtomicI64,
}

impl SimulatedClock {
    pub(crate) fn new() -> Self {
        Self::from(Timestamp::from_millis(BEGIN))
    }

    /// One that shows that time now.
    pub(crate) fn from(now: Timestamp) -> Self {
        Self { began: Instant::now(), begin: now.as_millis(), moved: AtomicI64::new(0) }
    }

    /// Sets the clock forward or back.
    pub(crate) fn jump(&self, millis: i64) {
        self.moved.fetch_add(millis, Ordering::Relaxed);
    }

    /// How long it has been going, whatever it shows.
    pub(crate) fn elapsed_millis(&self) -> i64 {
        self.began.elapsed().as_millis() as i64
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let moved = self.moved.load(Ordering::Relaxed);
        Timestamp::from_millis(self.begin + moved + self.elapsed_millis())
    }
}
