//! How much an endpoint is trusted with: its in-flight limit and its breaker (I8).
//!
//! The limit starts at 2, grows by one per success up to 32 and halves per failure. After [`FAILURES_TO_OPEN`]
//! failures in a row the breaker opens for a time that doubles up to a minute; then one attempt probes.

use crate::Timestamp;

/// Attempts in flight that a new endpoint is trusted with.
const FIRST_LIMIT: u16 = 2;
/// The most attempts in flight to one endpoint.
pub const LARGEST_LIMIT: u16 = 32;
/// Failures in a row that open the breaker.
pub const FAILURES_TO_OPEN: u32 = 3;
const FIRST_REST_MILLIS: i64 = 5_000;
const LONGEST_REST_MILLIS: i64 = 60_000;

/// An endpoint's record with one node. Forgotten at restart: it is learnt again within a few attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    limit: u16,
    failures: u32,
    rests_until: Option<Timestamp>,
}

/// Whether another attempt may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Yes, out of the pool of the healthy and unknown.
    Healthy,
    /// Yes, out of the small pool: the last attempt failed.
    Suspect,
    /// Not now: as many are in flight as it is trusted with.
    Full,
    /// Not before that instant: the breaker is open.
    Rests(Timestamp),
}

impl Default for Health {
    fn default() -> Self {
        Self { limit: FIRST_LIMIT, failures: 0, rests_until: None }
    }
}

impl Health {
    /// Whether an attempt may start now, with `in_flight` others under way.
    pub fn turn(&self, in_flight: u16, now: Timestamp) -> Turn {
        match self.rests_until {
            Some(until) if now < until => Turn::Rests(until),
            Some(_) if in_flight > 0 => Turn::Full,
            _ if in_flight >= self.limit => Turn::Full,
            _ if self.failures > 0 => Turn::Suspect,
            _ => Turn::Healthy,
        }
    }

    /// Whether its last attempt failed.
    pub fn is_suspect(&self) -> bool {
        self.failures > 0
    }

    /// Attempts that may be in flight at once.
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// An attempt was answered well.
    pub fn succeeded(&mut self) {
        self.limit = (self.limit + 1).min(LARGEST_LIMIT);
        self.failures = 0;
        self.rests_until = None;
    }

    /// An attempt failed at `now`. One that started before the breaker opened does not lengthen the rest: only a
    /// probe's failure does.
    pub fn failed(&mut self, now: Timestamp) {
        if self.rests_until.is_some_and(|until| now < until) {
            return;
        }
        self.limit = (self.limit / 2).max(1);
        self.failures = self.failures.saturating_add(1);
        if let Some(over) = self.failures.checked_sub(FAILURES_TO_OPEN) {
            let rest = FIRST_REST_MILLIS.saturating_mul(1 << over.min(16)).min(LONGEST_REST_MILLIS);
            self.rests_until = Some(now.plus_millis(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn i8_the_limit_grows_with_success_and_halves_on_failure() {
        let mut health = Health::default();
        assert_eq!(health.turn(1, at(0)), Turn::Healthy);
        assert_eq!(health.turn(2, at(0)), Turn::Full);
        for _ in 0..100 {
            health.succeeded();
        }
        assert_eq!(health.limit(), LARGEST_LIMIT);
        health.failed(at(1));
        assert_eq!(health.limit(), LARGEST_LIMIT / 2);
        assert_eq!(health.turn(0, at(1)), Turn::Suspect);
        health.succeeded();
        assert_eq!(health.turn(0, at(1)), Turn::Healthy);
    }

    #[test]
    fn i8_the_breaker_opens_probes_once_and_rests_longer() {
        let mut health = Health::default();
        for _ in 0..FAILURES_TO_OPEN {
            health.failed(at(10));
        }
        assert_eq!(health.turn(0, at(14)), Turn::Rests(at(15)));
        health.failed(at(12));
        assert_eq!(health.turn(0, at(14)), Turn::Rests(at(15)), "a straggler adds nothing");
        assert_eq!(health.turn(0, at(15)), Turn::Suspect, "one probe");
        assert_eq!(health.turn(1, at(15)), Turn::Full, "and no second");
        health.failed(at(15));
        assert_eq!(health.turn(0, at(24)), Turn::Rests(at(25)), "twice as long");
        for n in 0..50 {
            health.failed(at(1000 * (n + 1)));
        }
        assert_eq!(health.turn(0, at(50_059)), Turn::Rests(at(50_060)), "a minute at most");
        health.succeeded();
        assert_eq!(health.turn(0, at(50_059)), Turn::Healthy);
    }
}
