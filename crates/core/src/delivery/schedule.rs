//! When to try again: a list of delays, and what comes after it.

use std::borrow::Cow;

use crate::Timestamp;
#[cfg(feature = "faults")]
use crate::fault::{Fault, is_planted as planted};

/// What follows when the listed delays are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// The delivery has failed.
    Fail,
    /// It is tried for ever, that many seconds apart.
    EverySeconds(u32),
}

/// A dialect's retry schedule. Each delay counts from the end of the attempt before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Seconds before the second attempt, the third, and so on.
    pub delays: Cow<'static, [u32]>,
    /// What follows the last delay.
    pub afterwards: Afterwards,
    /// Share of a delay by which chance may lengthen it, in percent.
    pub jitter_percent: u32,
}

/// Longest wish of a receiver that is heard, in seconds.
const LONGEST_RETRY_AFTER: u32 = 24 * 3600;

impl Schedule {
    /// When to try again after `attempts` failed ones, the last of which ended at `ended`; `None`: not again.
    /// A receiver's `retry_after` (seconds) lengthens the delay, never shortens it. `draw` is uniform in 0..=u16::MAX.
    pub fn next(
        &self,
        attempts: u32,
        ended: Timestamp,
        retry_after: Option<u32>,
        draw: u16,
    ) -> Option<Timestamp> {
        #[cfg(feature = "faults")]
        let attempts = attempts + u32::from(planted(Fault::GivenUpEarly));
        let listed = usize::try_from(attempts).ok()?.checked_sub(1)?;
        let seconds = match (self.delays.get(listed), self.afterwards) {
            (Some(seconds), _) => *seconds,
            (None, Afterwards::EverySeconds(seconds)) => seconds,
            (None, Afterwards::Fail) => return None,
        };
        let millis = i64::from(seconds) * 1000;
        let jitter =
            millis * i64::from(self.jitter_percent) / 100 * i64::from(draw) / i64::from(u16::MAX);
        let wished = i64::from(retry_after.unwrap_or(0).min(LONGEST_RETRY_AFTER)) * 1000;
        Some(ended.plus_millis((millis + jitter).max(wished)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FINITE: Schedule = Schedule {
        delays: Cow::Borrowed(&[60, 300]),
        afterwards: Afterwards::Fail,
        jitter_percent: 0,
    };
    const ENDLESS: Schedule = Schedule {
        delays: Cow::Borrowed(&[1, 5, 25]),
        afterwards: Afterwards::EverySeconds(3600),
        jitter_percent: 20,
    };

    #[test]
    fn delays_count_from_the_end_of_the_attempt_before() {
        let ended = Timestamp::from_millis(1_000_000);
        let due = |attempts, wish| FINITE.next(attempts, ended, wish, 0).map(Timestamp::as_millis);
        assert_eq!(due(1, None), Some(1_060_000));
        assert_eq!(due(2, None), Some(1_300_000));
        assert_eq!(due(3, None), None);
        assert_eq!(due(1, Some(30)), Some(1_060_000), "a wish does not shorten");
        assert_eq!(due(1, Some(90)), Some(1_090_000));
        assert_eq!(due(1, Some(u32::MAX)), Some(1_000_000 + 24 * 3_600_000), "a wish is bounded");
        assert_eq!(due(3, Some(90)), None, "a wish adds no attempt");
        assert_eq!(due(0, None), None, "nothing failed yet");
    }

    proptest! {
        #[test]
        fn the_next_try_is_never_in_the_past_and_the_endless_never_ends(
            attempts in 1u32..10_000, draw: u16, ended in 0i64..2_000_000_000_000,
        ) {
            let ended = Timestamp::from_millis(ended);
            let next = ENDLESS.next(attempts, ended, None, draw).unwrap();
            let step = i64::from(ENDLESS.delays.get(attempts as usize - 1).copied().unwrap_or(3600));
            let waited = next.millis_since(ended);
            prop_assert!(waited >= step * 1000 && waited <= step * 1200);
        }
    }
}
