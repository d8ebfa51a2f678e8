//! A field of a form with its label, what was typed, and what was wrong with it.

use std::collections::BTreeMap;

use abide_core::Refusal;
use abide_storage::StorageError;
use askama::Template;

use super::errors::PageError;
use crate::problem::sentence;

/// What was wrong with a form, by field.
#[derive(Debug, Default)]
pub(crate) struct Problems(BTreeMap<String, String>);

impl Problems {
    /// Notes what is wrong with a field, unless something is already: "must be ...", as refusals say it.
    pub(crate) fn add(&mut self, field: &str, problem: &str) {
        self.0.entry(field.to_owned()).or_insert_with(|| sentence(problem));
    }

    /// Notes a refused field. Anything else that was refused is no matter of a field and comes back.
    pub(crate) fn note(&mut self, judged: Result<(), Refusal>) -> Result<(), PageError> {
        match judged {
            Err(Refusal::Field { field, problem }) => self.add(&field, &problem),
            Err(other) => return Err(StorageError::Refused(other).into()),
            Ok(()) => {}
        }
        Ok(())
    }

    pub(crate) fn of(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The kind of a field with several lines.
const AREA: &str = "area";

/// A field with text. Written into a template as `{{ field }}`.
#[derive(Debug, Template)]
#[template(path = "field.html")]
pub(crate) struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    value: String,
    hint: &'static str,
    autocomplete: &'static str,
    problem: Option<String>,
}

/// It escapes what it holds by itself.
impl askama::filters::HtmlSafe for Field {}

impl Field {
    /// A field for text. `value` is what was typed before.
    pub(crate) fn text(name: &'static str, label: &'static str, value: &str) -> Self {
        Self {
            name,
            label,
            kind: "text",
            value: value.to_owned(),
            hint: "",
            autocomplete: "off",
            problem: None,
        }
    }

    /// A field for an e-mail address. Forms are not judged by browsers (`novalidate`), so it only picks a keyboard.
    pub(crate) fn email(label: &'static str, value: &str) -> Self {
        Self { kind: "email", ..Self::text("email", label, value) }
    }

    /// A field for a URL.
    pub(crate) fn url(name: &'static str, label: &'static str, value: &str) -> Self {
        Self { kind: "url", ..Self::text(name, label, value) }
    }

    /// A field for an instant, in UTC.
    pub(crate) fn instant(name: &'static str, label: &'static str, value: &str) -> Self {
        Self { kind: "datetime-local", ..Self::text(name, label, value) }
    }

    /// A field for a password: what was typed never comes back.
    pub(crate) fn password(name: &'static str, label: &'static str) -> Self {
        Self { kind: "password", ..Self::text(name, label, "") }
    }

    /// A field for several lines of text.
    pub(crate) fn area(name: &'static str, label: &'static str, value: &str) -> Self {
        Self { kind: AREA, ..Self::text(name, label, value) }
    }

    /// What browsers may fill in, in the words of HTML's `autocomplete`.
    pub(crate) fn filled_with(self, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..self }
    }

    /// A sentence below the label.
    pub(crate) fn hinted(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// What was wrong with it, if something was.
    pub(crate) fn judged(self, problems: &Problems) -> Self {
        let problem = problems.of(self.name).map(str::to_owned);
        Self { problem, ..self }
    }

    fn is_area(&self) -> bool {
        self.kind == AREA
    }

    fn described_by(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let problem = self.problem.is_some().then(|| format!("{}-problem", self.name));
        hint.into_iter().chain(problem).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_comes_back_escaped_and_its_problem_is_bound_to_it() {
        let mut problems = Problems::default();
        problems.add("email", "must be an e-mail address");
        problems.add("email", "is the second problem");
        let shown = Field::email("E-mail", "\"><b>").hinted("H").judged(&problems).to_string();
        assert!(!shown.contains("<b>") && shown.contains("&#34;&#62;&#60;b&#62;"), "{shown}");
        assert!(shown.contains("aria-describedby=\"email-hint email-problem\""), "{shown}");
        assert!(
            shown.contains("id=\"email-problem\"") && shown.contains("aria-invalid"),
            "{shown}"
        );
        assert!(shown.contains("Must be an e-mail address."), "{shown}");
        let sound = Field::password("password", "Password").judged(&problems).to_string();
        assert!(!sound.contains("aria-invalid") && !sound.contains("aria-describedby"), "{sound}");
    }
}
