//! Whether the database's clock runs on as a steady one does. It is the one that all nodes go by, but not whatever it says: it
//! may be set wrong for a while, or another server may have taken over whose clock is another one (I15).

use std::time::{Duration, Instant};

/// A clock that was set is believed once it has run evenly for so long. A slip that is put right within that moves nobody's
/// time.
pub(crate) const SETTLED: Duration = Duration::from_secs(5);

/// What was seen of a clock that is not where it should be.
#[derive(Debug, Default)]
pub(crate) struct Jumps {
    doubt: Option<Doubt>,
}

#[derive(Debug, Clone, Copy)]
struct Doubt {
    since: Instant,
    off: i64,
}

impl Jumps {
    /// Judges a measurement made at `at` that is so many milliseconds `off` from where the one before leads; it may be off by
    /// `leeway`. Whether it is the time from now on.
    pub(crate) fn believes(&mut self, at: Instant, off: i64, leeway: Duration) -> bool {
        let leeway = leeway.as_millis() as u64;
        if off.unsigned_abs() <= leeway {
            self.doubt = None;
            return true;
        }
        let doubt = match self.doubt {
            Some(known) if known.off.abs_diff(off) <= leeway => known,
            Some(_) | None => {
                tracing::warn!(off_millis = off, "the database's clock was set");
                Doubt { since: at, off }
            }
        };
        let is_settled = at.saturating_duration_since(doubt.since) >= SETTLED;
        self.doubt = (!is_settled).then_some(doubt);
        is_settled
    }

    /// By how many milliseconds the database's clock is off, while that is not believed.
    pub(crate) fn in_doubt(&self) -> Option<i64> {
        self.doubt.map(|doubt| doubt.off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const LEEWAY: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_that_was_set_is_believed_once_it_runs_evenly() {
        let begin = Instant::now();
        let at = |second| begin + Duration::from_secs(second);
        let mut jumps = Jumps::default();
        assert!(jumps.believes(at(0), 900, LEEWAY), "a small correction");
        for (second, off) in [(1, HOUR), (2, HOUR + 5), (5, HOUR)] {
            assert!(!jumps.believes(at(second), off, LEEWAY));
            assert!(jumps.in_doubt().is_some());
        }
        // Set once more: what came before says nothing of this.
        assert!(!jumps.believes(at(6), -HOUR, LEEWAY));
        assert!(!jumps.believes(at(10), -HOUR, LEEWAY));
        assert!(jumps.believes(at(11), -HOUR, LEEWAY));
        assert_eq!(jumps.in_doubt(), None);
    }

    #[test]
    fn a_slip_that_is_put_right_is_forgotten() {
        let begin = Instant::now();
        let at = |second| begin + Duration::from_secs(second);
        let mut jumps = Jumps::default();
        assert!(!jumps.believes(at(0), HOUR, LEEWAY));
        assert!(jumps.believes(at(2), 0, LEEWAY));
        assert_eq!(jumps.in_doubt(), None);
        assert!(!jumps.believes(at(7), HOUR, LEEWAY), "its time is counted anew");
    }
}
