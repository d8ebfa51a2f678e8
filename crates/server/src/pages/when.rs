//! Instants and stretches of time, as pages show them.
//!
//! Pages name UTC; the script puts the reader's own time in its place, with its offset, and keeps UTC as the title.

use std::fmt;

use abide_core::Timestamp;
use askama::filters::HtmlSafe;

/// An instant. Written into a template as `{{ when }}`, it is a `<time>` element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When(pub(crate) Timestamp);

/// Nothing in it needs escaping.
impl HtmlSafe for When {}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_seconds_text();
        let shown = text.trim_end_matches('Z').replace('T', " ");
        write!(f, "<time datetime=\"{text}\">{shown} UTC</time>")
    }
}

/// How long something took.
pub(crate) fn took(millis: u32) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} s", millis / 1_000),
    }
}

/// How long until `then`, in words that fit behind "next attempt": "in 4 min", "now".
pub(crate) fn until(now: Timestamp, then: Timestamp) -> String {
    let seconds = then.millis_since(now) / 1_000;
    if seconds <= 0 { "now".to_owned() } else { format!("in {}", stretch(seconds)) }
}

/// A stretch of seconds in its largest unit, or two of them: "2 h 30 min".
pub(crate) fn stretch(seconds: i64) -> String {
    let (days, hours) = (seconds / 86_400, seconds % 86_400 / 3_600);
    let (minutes, rest) = (seconds % 3_600 / 60, seconds % 60);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => two(minutes, "min", rest, "s"),
        (0, _, _) => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

/// What a field for an instant holds, as browsers send it or in full: UTC where it names no offset.
pub(crate) fn read(text: &str) -> Result<Timestamp, String> {
    let problem = || "must be a time such as 2026-03-01T13:45 (UTC)".to_owned();
    if let Ok(found) = Timestamp::parse(text) {
        return Ok(found);
    }
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => return Err(problem()),
    };
    Timestamp::parse(&whole).map_err(|_| problem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_told_in_two_units_at_most() {
        for (seconds, told) in [
            (5, "5 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (7_200, "2 h"),
            (9_000, "2 h 30 min"),
            (86_400, "1 d"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(stretch(seconds), told);
        }
        assert_eq!((took(12), took(1_250), took(29_999)).0, "12 ms");
        assert_eq!((took(1_250), took(29_999)), ("1.2 s".to_owned(), "29 s".to_owned()));
    }

    #[test]
    fn a_field_may_leave_out_seconds_and_offset() {
        let wanted = Timestamp::parse("2026-03-01T13:45:00Z").unwrap();
        for text in ["2026-03-01T13:45", "2026-03-01T13:45:00", "2026-03-01T14:45:00+01:00"] {
            assert_eq!(read(text), Ok(wanted), "{text}");
        }
        assert!(read("2026-03-01").is_ok());
        assert!(read("yesterday").is_err() && read("2026-13-01T13:45").is_err());
    }
}
