//! How answers of the API are shown to people: tables for lists, records for one thing. Ids are never cut, times are in
//! the zone of this machine, and nothing from outside can move the cursor.

mod record;
mod table;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

pub(super) use record::record;
pub(super) use table::{Row, Table};

/// The text of a field, under the first of these names that is there; empty where none is.
pub(super) fn field(object: &Value, names: &[&str]) -> String {
    let found = names.iter().find_map(|name| object.get(name).filter(|value| !value.is_null()));
    found.map(plain).unwrap_or_default()
}

/// A value on one line: texts without quotation marks, times in the local zone, lists with commas.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::String(text) => local_time(text).unwrap_or_else(|| printable(text)),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => printable(&value.to_string()),
    }
}

/// `2026-01-15 11:35:00+01:00`, where the text is a time.
pub(super) fn local_time(text: &str) -> Option<String> {
    in_zone(text, TimeZone::system())
}

fn in_zone(text: &str, zone: TimeZone) -> Option<String> {
    // Only what the API spells as a time: a version called 2026-01 is none.
    if text.len() < 20 || text.as_bytes()[10] != b'T' {
        return None;
    }
    let time: Timestamp = text.parse().ok()?;
    Some(time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%:z").to_string())
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_other_texts_and_keep_their_offset() {
        let zone = TimeZone::fixed(jiff::tz::offset(5));
        let shown = |text| in_zone(text, zone.clone());
        let expected = Some("2024-01-15 15:30:00+05:00".to_owned());
        assert_eq!(shown("2024-01-15T10:30:00.123Z"), expected);
        for other in ["2024-01", "evt_01hm6b0p4ve00802b8yz9cj8ac", "2024-01-15Tx10:30:00.123Z"] {
            assert_eq!(shown(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        let object = serde_json::json!({"a": "x\u{1b}[2J\ny", "b": null, "c": ["p", "q"]});
        assert_eq!(field(&object, &["b", "a"]), "x\u{fffd}[2J\u{fffd}y");
        assert_eq!(field(&object, &["c"]), "p, q");
        assert_eq!(field(&object, &["d"]), "");
    }
}
