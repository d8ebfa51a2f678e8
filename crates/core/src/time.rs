//! Instants: integer milliseconds since the Unix epoch, written and read as RFC 3339 in UTC.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant, in milliseconds since the Unix epoch. The only form of time that is stored or passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The last instant that Abide writes: 9999-12-30T22:00:00Z, the end of what RFC 3339 spells safely.
const LATEST: i64 = 253_402_207_200_000;

/// The text is no RFC 3339 instant with an offset, or lies outside 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 time with an offset, such as 2024-01-15T10:30:00Z")]
pub struct TimestampProblem;

impl Timestamp {
    /// The last instant there is.
    pub const MAX: Self = Self(LATEST);

    /// An instant from milliseconds since the epoch, held within what can be written as text.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, LATEST))
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn as_seconds(self) -> i64 {
        self.0 / 1000
    }

    /// Reads RFC 3339; the offset is required, digits below the millisecond are dropped.
    pub fn parse(text: &str) -> Result<Self, TimestampProblem> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampProblem)?;
        let millis = instant.as_millisecond();
        if (0..=LATEST).contains(&millis) { Ok(Self(millis)) } else { Err(TimestampProblem) }
    }

    /// Reads the date of an HTTP header (RFC 9110, section 5.6.7), in its preferred form: `Mon, 15 Jan 2024 10:30:00 GMT`.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let instant = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(Self::from_millis(instant.as_millisecond()))
    }

    /// `2024-01-15T10:30:00Z`: the form of ConsentProof (P3). Digits below the second are dropped.
    pub fn to_seconds_text(self) -> String {
        self.whole(jiff::Timestamp::from_second(self.as_seconds()))
    }

    /// `2024-01-15T10:30:00.000Z`, always with three digits.
    pub fn to_millis_text(self) -> String {
        let mut text = self.to_seconds_text();
        text.truncate(text.len() - 1);
        format!("{text}.{:03}Z", self.0.rem_euclid(1000))
    }

    fn whole(self, instant: Result<jiff::Timestamp, jiff::Error>) -> String {
        instant.map_or_else(|_| self.0.to_string(), |instant| instant.to_string())
    }

    /// This instant moved on by `millis`.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant; negative when `earlier` is later.
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_millis_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        let read = |text| Timestamp::parse_http_date(text).map(Timestamp::to_seconds_text);
        let expected = Some("2024-01-15T10:30:00Z".to_owned());
        assert_eq!(read("Mon, 15 Jan 2024 10:30:00 GMT"), expected);
        for bad in ["", "120", "Mon, 15 Jan 2024", "2024-01-15T10:30:00Z", "never"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_two_texts_of_an_instant() {
        let at = Timestamp::parse("2024-01-15T11:30:00.123456+01:00").unwrap();
        assert_eq!(at.to_seconds_text(), "2024-01-15T10:30:00Z");
        assert_eq!(at.to_millis_text(), "2024-01-15T10:30:00.123Z");
        assert_eq!(Timestamp::from_millis(0).to_millis_text(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(i64::MAX).to_seconds_text(), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for bad in
            ["", "2024-01-15", "2024-01-15T10:30:00", "now", "1969-12-31T23:59:59Z", "1705314600"]
        {
            assert_eq!(Timestamp::parse(bad), Err(TimestampProblem), "{bad}");
        }
    }
}
