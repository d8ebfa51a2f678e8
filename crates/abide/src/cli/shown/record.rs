//! One thing, field by field: whatever fields the server answers.

use std::fmt::Write as _;

use serde_json::Value;

use super::plain;

/// A line per field; what has fields of its own is indented below its name.
pub(in crate::cli) fn record(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(_) => fields(value, 0, &mut text),
        other => text.push_str(&plain(other)),
    }
    text.trim_end().to_owned()
}

fn fields(value: &Value, depth: usize, text: &mut String) {
    let Value::Object(object) = value else { return };
    let indent = depth * 2;
    let width = object.keys().map(String::len).max().unwrap_or(0);
    // Names and times first: what a reader looks for.
    let (first, rest): (Vec<_>, Vec<_>) = object.iter().partition(|(name, _)| is_first(name));
    for (name, value) in first.into_iter().chain(rest) {
        let nested = match value {
            Value::Object(_) => vec![value],
            Value::Array(items) if items.iter().any(Value::is_object) => items.iter().collect(),
            _ => {
                // Into a String, which cannot fail.
                let _ = writeln!(text, "{:indent$}{name:<width$}  {}", "", plain(value));
                continue;
            }
        };
        let _ = writeln!(text, "{:indent$}{name}", "");
        let several = nested.len() > 1;
        for (at, item) in nested.into_iter().enumerate() {
            if several {
                let _ = writeln!(text, "{:indent$}  {}.", "", at + 1);
            }
            fields(item, depth + 1 + usize::from(several), text);
        }
    }
}

fn is_first(name: &str) -> bool {
    matches!(name, "id" | "type" | "name" | "kind" | "state" | "url")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_shown_with_those_a_reader_looks_for_first() {
        let value = serde_json::json!({
            "attempts": [{"number": 1, "status": 500}, {"number": 2}],
            "id": "dlv_1", "filter": {"type": null}, "events": ["a", "b"],
        });
        let expected = "id        dlv_1\nattempts\n  1.\n    number  1\n    status  500\n  2.\n    number  2\n\
                        events    a, b\nfilter\n  type  -";
        assert_eq!(record(&value), expected);
    }
}
