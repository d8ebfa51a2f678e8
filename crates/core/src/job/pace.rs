//! How fast a job goes: a rate, with at most a second's worth of it saved up.

use crate::Timestamp;

/// What may be saved up, in milliseconds.
const SAVED: i64 = 1_000;

/// How many a job of `rate` per second may do now; what it has done so far is used up until `paced_at`.
pub fn allowed(rate: u32, paced_at: Timestamp, now: Timestamp) -> u32 {
    let since = now.millis_since(paced_at);
    // A clock set back does not hold a job up.
    let millis = if since < 0 { SAVED } else { since.min(SAVED) };
    (i64::from(rate) * millis / 1_000) as u32
}

/// Until when a job has used up its time once it has done `count` more.
pub fn paced(rate: u32, paced_at: Timestamp, now: Timestamp, count: u32) -> Timestamp {
    let used = i64::from(count) * 1_000 / i64::from(rate.max(1));
    paced_at.max(now.plus_millis(-SAVED)).min(now).plus_millis(used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_allows_what_the_rate_says() {
        let at = Timestamp::from_millis;
        assert_eq!(allowed(100, at(0), at(0)), 0);
        assert_eq!(allowed(100, at(0), at(10)), 1);
        assert_eq!(allowed(100, at(0), at(1_000)), 100);
        assert_eq!(allowed(100, at(0), at(60_000)), 100, "nothing is saved up for longer");
        assert_eq!(allowed(100, at(60_000), at(0)), 100, "the clock was set back");
        assert_eq!(paced(100, at(0), at(1_000), 100), at(1_000));
        assert_eq!(paced(100, at(0), at(60_000), 50), at(59_500));
        assert_eq!(paced(100, at(90_000), at(60_000), 0), at(60_000));
    }

    proptest! {
        /// However the pages fall, no second sees more than twice the rate, and ten see no more than eleven times it.
        #[test]
        fn the_rate_is_kept(rate in 1u32..=1_000, waits in prop::collection::vec(0i64..500, 1..200)) {
            let mut now = Timestamp::from_millis(1_000_000);
            let mut paced_at = now;
            let began = now;
            let mut done = 0i64;
            for wait in waits {
                now = now.plus_millis(wait);
                let count = allowed(rate, paced_at, now);
                paced_at = paced(rate, paced_at, now, count);
                done += i64::from(count);
            }
            let seconds = now.millis_since(began) / 1_000 + 1;
            prop_assert!(done <= i64::from(rate) * (seconds + 1) + 200, "{done} in {seconds} s");
        }
    }
}
