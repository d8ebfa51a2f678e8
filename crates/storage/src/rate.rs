//! What a key has used of its limit, counted in the memory of this process (P33).
//!
//! It lies beside the cached key: one number that requests change without waiting for each other. Only keys that exist
//! and open are cached, so nothing grows with keys that were made up or revoked. Several nodes count apart, and a start
//! counts anew.

use std::sync::atomic::{AtomicU64, Ordering};

use abide_core::Timestamp;
use abide_core::rate::{Quota, RateLimit, Used};

/// Counts one key's requests.
#[derive(Debug, Default)]
pub struct RateMeter(AtomicU64);

impl RateMeter {
    /// Counts a request at `now`. `Err` where the limit is used up: the request is refused and not counted.
    pub fn take(&self, limit: RateLimit, now: Timestamp) -> Result<Quota, Quota> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let (next, quota) = Used::unpack(seen).take(limit, now)?;
            let swapped = self.0.compare_exchange_weak(
                seen,
                next.pack(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return Ok(quota),
                Err(other) => seen = other,
            }
        }
    }
}

impl Clone for RateMeter {
    /// Counts on from where the other stands, apart from it.
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P33: threads that take at once take no more than there is.
    #[test]
    fn p33_nothing_is_given_twice() {
        let meter = RateMeter::default();
        let limit = RateLimit::new(1_000).expect("a limit");
        let now = Timestamp::from_millis(0);
        let take = || (0..400).filter(|_| meter.take(limit, now).is_ok()).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a count")).sum()
        });
        assert_eq!(taken, 1_000);
        assert!(meter.clone().take(limit, now).is_err());
    }
}
