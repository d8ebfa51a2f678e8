//! The machine's clock: whether it runs evenly, and not behind the data.

use std::time::Instant;

use abide_core::Timestamp;
use abide_core::shell::Clock as _;

use super::Check;
use crate::clock::SystemClock;

/// Before this no version of Abide existed: the clock was never set.
const FIRST_RELEASE: i64 = 1_767_225_600_000;
/// How far apart wall and steady clock may drift while the doctor looks, in milliseconds.
const JUMP: i64 = 50;
/// How far the data may be ahead of the wall, in milliseconds: clocks of machines differ a little.
const AHEAD: i64 = 2_000;

/// Both clocks at the beginning.
pub(super) struct Clock {
    wall: Timestamp,
    steady: Instant,
}

impl Clock {
    pub(super) fn begin() -> Self {
        Self { wall: SystemClock.now(), steady: Instant::now() }
    }

    /// Judges both against each other and against the newest row.
    pub(super) fn end(self, newest: Option<Timestamp>) -> Check {
        let now = SystemClock.now();
        let passed = self.steady.elapsed().as_millis() as i64;
        judge(now, now.millis_since(self.wall) - passed, newest)
    }
}

/// `drift` is how far the wall moved beyond the steady clock, in milliseconds.
fn judge(now: Timestamp, drift: i64, newest: Option<Timestamp>) -> Check {
    let name = "clock";
    let shown = now.to_seconds_text();
    let todo = "set it, and keep it by NTP: signatures and deadlines go by it";
    if now.as_millis() < FIRST_RELEASE {
        return Check::problem(name, format!("it says {shown}, which is long past"), todo);
    }
    if let Some(newest) = newest.filter(|newest| newest.millis_since(now) > AHEAD) {
        let found =
            format!("it says {shown}, and the newest row is of {}", newest.to_seconds_text());
        return Check::problem(name, found, "one of them is wrong: compare with another clock");
    }
    if drift.abs() > JUMP {
        let found = format!("it jumped by {drift} ms while this ran");
        return Check::warning(name, found, "let NTP slew it instead of stepping it");
    }
    Check::ok(name, format!("{shown}, even, and not behind the data"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_is_judged_by_itself_and_by_the_data() {
        let now = Timestamp::parse("2026-06-01T12:00:00Z").unwrap();
        let cases = [
            (now, 0, None, Verdict::Ok),
            (now, 49, Some(now), Verdict::Ok),
            (now, -51, Some(now), Verdict::Warning),
            (now, 0, Some(now.plus_millis(1_999)), Verdict::Ok),
            (now, 0, Some(now.plus_millis(60_000)), Verdict::Problem),
            (Timestamp::from_millis(86_400_000), 0, None, Verdict::Problem),
        ];
        for (now, drift, newest, expected) in cases {
            assert_eq!(judge(now, drift, newest).verdict, expected, "{now:?} {drift} {newest:?}");
        }
    }
}
