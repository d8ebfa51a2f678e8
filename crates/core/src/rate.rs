//! How many requests a key may make in a minute (P33).
//!
//! Minutes are those of the clock, so that every key's limit starts anew at the same instant and nothing is kept but one
//! minute's number and count. A key may so make twice its limit within a minute that lies across two of the clock's; it is
//! a bound on load and no price.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Requests a key may make in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct RateLimit(NonZeroU32);

/// What a key has used of its limit: a minute, and the requests in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Whole minutes since the epoch.
    minute: u32,
    count: u32,
}

/// How a limit stands, as a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests allowed in a minute.
    pub limit: u32,
    /// Requests left in this one.
    pub remaining: u32,
    /// When the next one begins, in Unix seconds.
    pub resets_at: i64,
    /// Seconds until then, rounded up; at least 1.
    pub resets_in: i64,
}

const MINUTE: i64 = 60;

impl RateLimit {
    /// A million: no key meets it unawares.
    pub const DEFAULT: Self = Self(NonZeroU32::new(1_000_000).expect("a million is not zero"));
    /// The highest that can be set.
    pub const MOST: u32 = 1_000_000_000;

    /// A limit of 1 to [`RateLimit::MOST`] requests.
    pub fn new(per_minute: u32) -> Option<Self> {
        NonZeroU32::new(per_minute).filter(|limit| limit.get() <= Self::MOST).map(Self)
    }

    /// Requests in a minute.
    pub fn per_minute(self) -> u32 {
        self.0.get()
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The number is none that a limit can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number of requests per minute from 1 to {}", RateLimit::MOST)]
pub struct RateLimitProblem;

impl TryFrom<u32> for RateLimit {
    type Error = RateLimitProblem;

    fn try_from(per_minute: u32) -> Result<Self, RateLimitProblem> {
        Self::new(per_minute).ok_or(RateLimitProblem)
    }
}

impl From<RateLimit> for u32 {
    fn from(limit: RateLimit) -> Self {
        limit.per_minute()
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RateLimit {
    type Err = RateLimitProblem;

    fn from_str(text: &str) -> Result<Self, RateLimitProblem> {
        text.parse().ok().and_then(Self::new).ok_or(RateLimitProblem)
    }
}

impl Used {
    /// As one number, for an atomic.
    pub fn pack(self) -> u64 {
        u64::from(self.minute) << 32 | u64::from(self.count)
    }

    /// Out of [`Used::pack`]'s number.
    pub fn unpack(packed: u64) -> Self {
        Self { minute: (packed >> 32) as u32, count: packed as u32 }
    }

    /// Counts one request more at `now`. `Err` where the limit is used up: then it is not counted.
    pub fn take(self, limit: RateLimit, now: Timestamp) -> Result<(Self, Quota), Quota> {
        let begun = self.at(now);
        if begun.count >= limit.per_minute() {
            return Err(begun.quota(limit, now));
        }
        let taken = Self { count: begun.count + 1, ..begun };
        Ok((taken, taken.quota(limit, now)))
    }

    /// How a limit stands of which nothing is used at `now`.
    pub fn nothing(limit: RateLimit, now: Timestamp) -> Quota {
        Self::default().at(now).quota(limit, now)
    }

    /// What counts at `now`. A clock that is set back into the minute before, or was read just before the minute began,
    /// leaves what is counted: the next minute's count goes on. One set back further begins anew, since to wait for the
    /// counted minute to end could take hours.
    fn at(self, now: Timestamp) -> Self {
        // Instants end in the year 9999, whose minutes fit.
        let minute = (now.as_seconds() / MINUTE) as u32;
        let goes_on = self.minute == minute || self.minute == minute + 1;
        if goes_on { self } else { Self { minute, count: 0 } }
    }

    fn quota(self, limit: RateLimit, now: Timestamp) -> Quota {
        let resets_at = (i64::from(self.minute) + 1) * MINUTE;
        Quota {
            limit: limit.per_minute(),
            remaining: limit.per_minute().saturating_sub(self.count),
            resets_at,
            resets_in: (resets_at - now.as_seconds()).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn limit(per_minute: u32) -> RateLimit {
        RateLimit::new(per_minute).unwrap()
    }

    /// P33: so many in a minute of the clock, and as many again in the next.
    #[test]
    fn p33_a_limit_counts_by_the_minute() {
        let (once, quota) = Used::default().take(limit(2), at(6_010)).unwrap();
        assert_eq!(quota, Quota { limit: 2, remaining: 1, resets_at: 6_060, resets_in: 50 });
        let (twice, quota) = once.take(limit(2), at(6_059)).unwrap();
        assert_eq!((quota.remaining, quota.resets_in), (0, 1));
        let refused = twice.take(limit(2), at(6_059)).unwrap_err();
        assert_eq!((refused.remaining, refused.resets_at), (0, 6_060));
        let (_, quota) = twice.take(limit(2), at(6_060)).unwrap();
        assert_eq!((quota.remaining, quota.resets_at), (1, 6_120));
        assert_eq!(Used::nothing(limit(2), at(6_060)).remaining, 2);
        for bad in ["0", "1000000001", "-1", "ten", "99999999999", ""] {
            assert_eq!(bad.parse::<RateLimit>(), Err(RateLimitProblem), "{bad}");
        }
        assert_eq!(RateLimit::default().per_minute(), 1_000_000);
    }

    /// P33: a clock set back a little gives nothing twice; one set back far locks nobody out.
    #[test]
    fn p33_a_clock_set_back() {
        let (used, _) = Used::default().take(limit(1), at(6_000)).unwrap();
        let refused = used.take(limit(1), at(5_999)).unwrap_err();
        assert_eq!((refused.resets_at, refused.resets_in), (6_060, 61));
        let (anew, quota) = used.take(limit(1), at(3_000)).unwrap();
        assert_eq!((quota.remaining, quota.resets_at), (0, 3_060));
        assert!(anew.take(limit(1), at(6_000)).is_ok(), "and forth again");
    }

    proptest! {
        /// P33: whatever the clock does, what is told is within the limit and soon over.
        #[test]
        fn p33_what_is_told_is_sound(
            times in prop::collection::vec(0_i64..400, 1..80), per_minute in 1_u32..5
        ) {
            let mut used = Used::default();
            for seconds in times {
                let quota = match used.take(limit(per_minute), at(seconds)) {
                    Ok((next, quota)) => { used = Used::unpack(next.pack()); prop_assert_eq!(used, next); quota }
                    Err(quota) => { prop_assert_eq!(quota.remaining, 0); quota }
                };
                prop_assert!(quota.remaining <= per_minute && quota.limit == per_minute);
                prop_assert!((1..=120).contains(&quota.resets_in) && quota.resets_at > seconds);
            }
        }
    }
}
