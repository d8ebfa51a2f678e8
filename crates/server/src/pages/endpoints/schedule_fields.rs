//! The fields about when an endpoint is tried again, and how long one attempt may take.

use abide_core::endpoint::Overrides;
use askama::Template;
use askama::filters::HtmlSafe;

use super::read::{Object, quoted, read};
use crate::api::abide::endpoints::input;
use crate::pages::field::{Field, Problems};
use crate::pages::form::Form;

/// What is typed for a single attempt.
const NONE: &str = "none";

/// Own delays and an own deadline, as typed.
#[derive(Debug, Default)]
pub(super) struct TypedSchedule {
    delays: String,
    deadline: String,
}

/// The fields. Written into a template as `{{ schedule }}`.
#[derive(Debug, Template)]
#[template(path = "endpoint_schedule_fields.html")]
pub(super) struct ScheduleFields {
    delays: Field,
    deadline: Field,
    is_usual: bool,
}

/// It escapes what it holds by itself.
impl HtmlSafe for ScheduleFields {}

impl TypedSchedule {
    pub(super) fn read(form: &Form) -> Self {
        Self {
            delays: form.text("retry_delays").trim().to_owned(),
            deadline: form.text("deadline_seconds").trim().to_owned(),
        }
    }

    /// What stands.
    pub(super) fn of(overrides: &Overrides) -> Self {
        let delays = match overrides.retry_delays.as_deref() {
            None => String::new(),
            Some([]) => NONE.to_owned(),
            Some(delays) => {
                let texts: Vec<_> = delays.iter().map(ToString::to_string).collect();
                texts.join(", ")
            }
        };
        let deadline = overrides.deadline_seconds.map(|seconds| seconds.to_string());
        Self { delays, deadline: deadline.unwrap_or_default() }
    }

    /// Judged as the API judges it. Empty is the dialect's own.
    pub(super) fn judge(&self, problems: &mut Problems) -> Option<Overrides> {
        let mut body = Object::default();
        let delays = match self.delays.as_str() {
            "" => "null".to_owned(),
            text if text.eq_ignore_ascii_case(NONE) => "[]".to_owned(),
            text => {
                let numbers: Vec<_> = text.split(',').map(|one| number(one.trim())).collect();
                format!("[{}]", numbers.join(","))
            }
        };
        body.raw("retry_delays", &delays);
        let deadline = match self.deadline.as_str() {
            "" => "null".to_owned(),
            text => number(text),
        };
        body.raw("deadline_seconds", &deadline);
        read(&body.finish(), problems, |fields| input::overrides(fields, &Overrides::default()))
    }

    pub(super) fn fields(&self, problems: &Problems) -> ScheduleFields {
        let is_usual = [&self.delays, &self.deadline].iter().all(|text| text.is_empty());
        ScheduleFields {
            delays: Field::text("retry_delays", "Retries", &self.delays)
                .hinted(
                    "Seconds to wait before each further attempt, with commas: 5, 300, 1800. Write none for a single attempt. \
                     Empty: as the dialect has it.",
                )
                .judged(problems),
            deadline: Field::text("deadline_seconds", "Deadline", &self.deadline)
                .hinted("Seconds that one attempt may take. Empty: as the dialect has it.")
                .judged(problems),
            is_usual,
        }
    }
}

impl ScheduleFields {
    /// Whether it is as it is for those who do not care.
    pub(super) fn is_usual(&self) -> bool {
        self.is_usual
    }
}

/// A whole number as JSON has it; anything else as a text, which no reader of numbers takes.
fn number(text: &str) -> String {
    text.parse::<u64>().map_or_else(|_| quoted(text), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(delays: &str, deadline: &str) -> Result<Overrides, String> {
        let mut problems = Problems::default();
        let typed = TypedSchedule { delays: delays.to_owned(), deadline: deadline.to_owned() };
        typed.judge(&mut problems).ok_or_else(|| {
            let told = ["retry_delays", "deadline_seconds"].map(|field| problems.of(field));
            told.into_iter().flatten().collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn a_schedule_is_read_as_the_api_reads_it() {
        let of = |delays: Option<&[u32]>, deadline_seconds| Overrides {
            retry_delays: delays.map(<[u32]>::to_vec),
            deadline_seconds,
        };
        for (delays, deadline, expected) in [
            ("", "", of(None, None)),
            ("None", "", of(Some(&[]), None)),
            ("5, 300,1800", "07", of(Some(&[5, 300, 1800]), Some(7))),
        ] {
            assert_eq!(judged(delays, deadline), Ok(expected.clone()), "{delays}");
            let again = TypedSchedule::of(&expected);
            assert_eq!(again.judge(&mut Problems::default()), Some(expected));
        }
        for (delays, deadline, told) in [
            ("5, soon", "", "Number 2 must be a whole number."),
            ("5,,7", "", "Number 2 must be a whole number."),
            ("", "-1", "Must be a whole number."),
            ("", "99999999999", "Must be a whole number."),
        ] {
            assert_eq!(judged(delays, deadline), Err(told.to_owned()), "{delays} {deadline}");
        }
        assert!(judged("0", "").is_err() && judged("", "0").is_err());
        assert!(judged(&vec!["1"; 51].join(","), "").is_err());
    }
}
