//! Fields of forms, read by the same functions as a call of the API: what a form says is put as the API's body would say
//! it, and what is wrong with that goes to the form's fields, which have the same names.

use std::fmt::Write as _;

use crate::input::{Fields, Invalid};
use crate::pages::field::Problems;

/// Reads a body; `None` where something was wrong with it.
pub(super) fn read<T>(
    body: &str,
    problems: &mut Problems,
    reader: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Option<T> {
    let judged = Fields::parse(body.as_bytes()).and_then(|mut fields| {
        let made = reader(&mut fields);
        fields.finish(made)
    });
    match judged {
        Ok(made) => return Some(made),
        Err(Invalid::Fields(found)) => {
            for one in found {
                let (field, place) = at_field(&one.field);
                problems.add(field, &format!("{place}{}", one.problem));
            }
        }
        // The object is written here; what could be wrong with it is how much it holds.
        Err(Invalid::Body(problem)) => problems.add("form", &problem),
    }
    None
}

/// The form's field for a place in the body, and what the problem's sentence begins with.
fn at_field(place: &str) -> (&str, String) {
    if let Some(name) = place.strip_prefix("auth.headers.") {
        return ("auth.headers", format!("`{name}` "));
    }
    let inside = |(list, rest): (&'static str, &str)| {
        let number: usize = rest.trim_end_matches(']').parse().ok()?;
        Some((list, format!("number {} ", number + 1)))
    };
    let list = place.strip_prefix("retry_delays[").map(|rest| ("retry_delays", rest));
    list.and_then(inside).unwrap_or((place, String::new()))
}

/// A JSON object, written field by field. Names may come twice, as in a form.
#[derive(Default)]
pub(super) struct Object(String);

impl Object {
    /// A text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &quoted(value));
    }

    /// A text, unless there is none.
    pub(super) fn text_if_any(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    /// Any JSON.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(self.0, "{comma}{}:{json}", quoted(name));
    }

    pub(super) fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stands_at_the_forms_field() {
        for (place, field, begins) in [
            ("auth.basic.username", "auth.basic.username", ""),
            ("auth.headers", "auth.headers", ""),
            ("auth.headers.x-a", "auth.headers", "`x-a` "),
            ("retry_delays", "retry_delays", ""),
            ("retry_delays[1]", "retry_delays", "number 2 "),
            ("secret_form", "secret_form", ""),
        ] {
            assert_eq!(at_field(place), (field, begins.to_owned()));
        }
    }

    #[test]
    fn an_object_holds_what_was_typed() {
        let mut object = Object::default();
        object.text("a", "\"\n\u{7}</script>");
        object.text_if_any("b", "");
        object.raw("a", "[1]");
        assert_eq!(object.finish(), "{\"a\":\"\\\"\\n\\u0007</script>\",\"a\":[1]}");
        assert_eq!(Object::default().finish(), "{}");
    }
}
