//! When an endpoint has failed for so long that it is stopped (SW-18).
//!
//! What counts is the time in which it was seen to fail: from one failed attempt to the next, with no success between
//! them. A silence longer than [`LONGEST_SILENCE_MILLIS`] counts nothing, as nobody knows what an attempt would have
//! shown: there was nothing to tell, or Abide itself did not run. So an endpoint without traffic is never stopped, and an
//! outage of Abide is nobody's failure but its own.

use std::time::Duration;

use serde::Serialize;

use crate::Timestamp;

/// The longest time between two failed attempts, in milliseconds, that counts as one failure: a day, which is the longest
/// wish of a receiver that is heard, and some room for what delays an attempt.
pub const LONGEST_SILENCE_MILLIS: i64 = 26 * 3600 * 1000;
/// How long a warning stands at least before a stop, in milliseconds: a day. It matters where a failure was not seen from
/// its beginning, as after an upgrade: whoever was not warned is not stopped.
pub const NOTICE_MILLIS: i64 = 24 * 3600 * 1000;
/// How far back is looked, in milliseconds: 30 days. What was before is not held against an endpoint.
pub const LOOK_BACK_MILLIS: i64 = 30 * 24 * 3600 * 1000;

/// How long an endpoint has failed, as far as somebody must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failing {
    /// It is sent events as ever, and every attempt has failed for half the time after which it is stopped.
    Warned {
        /// When the first of those attempts was made.
        since: Timestamp,
        /// When it is stopped at the earliest, if attempts go on failing until then.
        stops_at: Timestamp,
    },
    /// It was stopped for it.
    Stopped {
        /// When the first of those attempts was made.
        since: Timestamp,
        /// When it was stopped.
        stopped_at: Timestamp,
    },
}

impl Failing {
    /// When the first of the attempts was made.
    pub fn since(self) -> Timestamp {
        match self {
            Self::Warned { since, .. } | Self::Stopped { since, .. } => since,
        }
    }
}

/// What attempts in a stretch of time came to, as far as the endpoint had a part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Showed {
    /// At least one succeeded.
    Success,
    /// None succeeded, at least one failed.
    Failure,
    /// There was none.
    Nothing,
}

/// Judges an endpoint that is sent to. `stretches` are when stretches of time began and what they showed, newest first;
/// those that began before `from`, or more than [`LOOK_BACK_MILLIS`] ago, count nothing. It is stopped after `patience` of
/// failing, and never before the time of which its owner was told: `noted` is what was found before.
pub fn judge(
    patience: Duration,
    noted: Option<Failing>,
    from: Timestamp,
    now: Timestamp,
    stretches: impl IntoIterator<Item = (Timestamp, Showed)>,
) -> Option<Failing> {
    let from = from.max(now.plus_millis(-LOOK_BACK_MILLIS));
    let patience = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
    let mut newest: Option<Timestamp> = None;
    let mut since = now;
    let mut failing = 0;
    for (start, showed) in stretches {
        if start < from || showed == Showed::Success {
            break;
        }
        if showed == Showed::Failure {
            if newest.is_some() {
                let silence = since.millis_since(start).max(0);
                failing += if silence <= LONGEST_SILENCE_MILLIS { silence } else { 0 };
            }
            newest.get_or_insert(start);
            since = start;
        }
    }
    let newest = newest?;
    if failing >= patience {
        let told = match noted {
            Some(Failing::Warned { stops_at, .. }) => stops_at,
            Some(Failing::Stopped { .. }) | None => now.plus_millis(NOTICE_MILLIS),
        };
        if told <= now {
            Some(Failing::Stopped { since, stopped_at: now })
        } else {
            Some(Failing::Warned { since, stops_at: told })
        }
    } else if failing >= patience / 2 {
        Some(Failing::Warned { since, stops_at: newest.plus_millis(patience - failing) })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600 * 1000;
    const DAY: i64 = 24 * HOUR;
    const PATIENCE: Duration = Duration::from_hours(5 * 24);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    /// Failures at these hours, newest last.
    fn failures(hours: impl IntoIterator<Item = i64>) -> Vec<(Timestamp, Showed)> {
        let mut stretches: Vec<_> =
            hours.into_iter().map(|hour| (at(hour * HOUR), Showed::Failure)).collect();
        stretches.reverse();
        stretches
    }

    fn with(
        mut stretches: Vec<(Timestamp, Showed)>,
        hour: i64,
        showed: Showed,
    ) -> Vec<(Timestamp, Showed)> {
        stretches.push((at(hour * HOUR), showed));
        stretches.sort_by_key(|(start, _)| std::cmp::Reverse(*start));
        stretches
    }

    /// Judges one that was warned, and is to be stopped by now if it fails for long enough.
    fn judge_warned(
        from: Timestamp,
        now: Timestamp,
        stretches: Vec<(Timestamp, Showed)>,
    ) -> Option<Failing> {
        judge(PATIENCE, Some(Failing::Warned { since: from, stops_at: now }), from, now, stretches)
    }

    /// SW-18: what is stopped, what is warned of, and what is left alone.
    #[test]
    fn sw_18_only_what_was_seen_to_fail_for_long_is_stopped() {
        let now = at(200 * HOUR);
        let warned = |since: i64, stops_at: i64| {
            Some(Failing::Warned { since: at(since * HOUR), stops_at: at(stops_at * HOUR) })
        };
        let stopped =
            |since: i64| Some(Failing::Stopped { since: at(since * HOUR), stopped_at: now });
        let hourly = |last| failures(0..=last);
        let cases = [
            ("no traffic", failures([]), 0, None),
            ("one failure, long ago", failures([0]), 0, None),
            ("two at once, long ago", failures([0, 1]), 0, None),
            ("less than half the time", hourly(59), 0, None),
            ("half the time", hourly(60), 0, warned(0, 120)),
            ("just not long enough", hourly(119), 0, warned(0, 120)),
            ("long enough", hourly(120), 0, stopped(0)),
            ("a day apart", failures([0, 24, 48, 72, 96, 120]), 0, stopped(0)),
            (
                "two days apart, which tells nothing of the days between",
                failures([0, 48, 96, 144, 192]),
                0,
                None,
            ),
            ("a success in the middle", with(hourly(120), 100, Showed::Success), 0, None),
            (
                "a success before the first failure",
                with(hourly(120), -1, Showed::Success),
                -9,
                stopped(0),
            ),
            ("nothing in the middle", with(hourly(120), 100, Showed::Nothing), 0, stopped(0)),
            ("more than a month ago", failures(-720..=-600), -9999, None),
            ("judged only from a time on", hourly(120), 1, warned(1, 121)),
            (
                "an outage of four days, and the rest",
                failures((0..=60).chain(156..=180)),
                0,
                warned(0, 216),
            ),
            (
                "an outage, and long enough without it",
                failures((0..=60).chain(126..=186)),
                0,
                stopped(0),
            ),
        ];
        for (case, stretches, from, expected) in cases {
            assert_eq!(judge_warned(at(from * HOUR), now, stretches), expected, "{case}");
        }
    }

    /// SW-18: an endpoint whose failure is noticed late, as after an upgrade, has a day in which its owner can mend it.
    #[test]
    fn sw_18_nobody_is_stopped_unwarned() {
        let judged = |noted, hour: i64| {
            let failed = failures(0..=hour);
            judge(PATIENCE, noted, at(0), at(hour * HOUR), failed)
        };
        let warned = Some(Failing::Warned { since: at(0), stops_at: at(224 * HOUR) });
        assert_eq!(judged(None, 200), warned);
        assert_eq!(judged(warned, 201), warned, "what was told stands");
        assert_eq!(judged(warned, 223), warned);
        let stopped = Some(Failing::Stopped { since: at(0), stopped_at: at(224 * HOUR) });
        assert_eq!(judged(warned, 224), stopped);
        let mended = with(failures(0..=210), 211, Showed::Success);
        assert_eq!(judge(PATIENCE, warned, at(0), at(224 * HOUR), mended), None);
    }

    fn stretches() -> impl Strategy<Value = Vec<(Timestamp, Showed)>> {
        let showed = prop_oneof![
            8 => Just(Showed::Failure),
            1 => Just(Showed::Success),
            1 => Just(Showed::Nothing)
        ];
        let gap = prop_oneof![4 => 1..6 * HOUR, 1 => 1..3 * DAY];
        prop::collection::vec((gap, showed), 0..120).prop_map(|steps| {
            let mut time = 0;
            let step = |(gap, showed)| {
                time += gap;
                (at(time), showed)
            };
            let mut all: Vec<_> = steps.into_iter().map(step).collect();
            all.reverse();
            all
        })
    }

    fn is_stopped(judged: Option<Failing>) -> bool {
        matches!(judged, Some(Failing::Stopped { .. }))
    }

    proptest! {
        /// SW-18: whoever is stopped failed at least as long, with no success since, and after the time it is judged from.
        #[test]
        fn sw_18_nobody_is_stopped_too_soon(all in stretches(), from in 0..60 * DAY) {
            let now = all.first().map_or(at(0), |(start, _)| *start);
            let judged = judge_warned(at(from), now, all.clone());
            if let Some(failing) = judged {
                let since = failing.since();
                prop_assert!(since >= at(from));
                let held: Vec<_> = all.iter().take_while(|(start, _)| *start >= since).collect();
                prop_assert!(held.iter().all(|(_, showed)| *showed != Showed::Success));
                let least = PATIENCE.as_millis() as i64 / if is_stopped(judged) { 1 } else { 2 };
                prop_assert!(held[0].0.millis_since(since) >= least);
            }
        }

        /// SW-18: a success ends it at once, and a start of the time that is judged does too.
        #[test]
        fn sw_18_a_success_or_a_new_start_gives_the_full_time(all in stretches()) {
            let now = all.first().map_or(at(0), |(start, _)| *start);
            let mut mended = all.clone();
            mended.insert(0, (now, Showed::Success));
            prop_assert_eq!(judge_warned(at(0), now, mended), None);
            prop_assert_eq!(judge_warned(now, now, all), None);
        }

        /// SW-18: time that passes without attempts stops nobody.
        #[test]
        fn sw_18_silence_stops_nobody(all in stretches(), silence in LONGEST_SILENCE_MILLIS + 1..90 * DAY) {
            let newest = all.first().map_or(at(0), |(start, _)| *start);
            let before = judge_warned(at(0), newest, all.clone());
            let later = newest.plus_millis(silence);
            let mut more = all.clone();
            more.insert(0, (later, Showed::Failure));
            for judged in [all, more].map(|all| judge_warned(at(0), later, all)) {
                prop_assert!(is_stopped(before) || !is_stopped(judged));
            }
        }
    }
}
