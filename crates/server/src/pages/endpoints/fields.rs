//! The fields that making and changing an endpoint have in common.

use abide_core::endpoint::EventFilter;
use abide_core::event::EventKind;
use abide_dialects::{Dialect, catalogue};
use askama::Template;
use askama::filters::HtmlSafe;

use crate::EndpointPolicy;
use crate::input::endpoint;
use crate::pages::field::{Field, Problems};
use crate::pages::form::Form;

/// What was typed, whether it is good or not.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub(super) url: String,
    pub(super) note: String,
    /// Whether the choice is "every event"; `None` where nothing is chosen.
    pub(super) scope: Option<Scope>,
    pub(super) kinds: Vec<EventKind>,
}

/// Which events in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Some,
}

/// What was typed, judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) url: String,
    pub(super) note: Option<String>,
    pub(super) events: EventFilter,
}

impl Typed {
    /// Reads a form.
    pub(super) fn read(form: &Form) -> Self {
        let scope = match form.text("scope") {
            "all" => Some(Scope::All),
            "some" => Some(Scope::Some),
            _ => None,
        };
        let mut kinds: Vec<_> = form.all("event").filter_map(EventKind::parse).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Self {
            url: form.text("url").trim().to_owned(),
            note: form.text("note").trim().to_owned(),
            scope,
            kinds,
        }
    }

    /// What stands.
    pub(super) fn of(url: &str, note: Option<&str>, events: &EventFilter) -> Self {
        let (scope, kinds) = match events {
            EventFilter::All => (Scope::All, Vec::new()),
            EventFilter::Only(kinds) => (Scope::Some, kinds.clone()),
        };
        let note = note.unwrap_or_default().to_owned();
        Self { url: url.to_owned(), note, scope: Some(scope), kinds }
    }

    /// Judges it; what is wrong goes to `problems`. `standing` is the URL that the endpoint has, which is not judged anew.
    pub(super) fn judge(
        &self,
        policy: &dyn EndpointPolicy,
        dialect: Option<&dyn Dialect>,
        standing: Option<&str>,
        problems: &mut Problems,
    ) -> Option<Judged> {
        if self.url.is_empty() {
            problems.add("url", "is needed");
        } else if standing != Some(&self.url)
            && let Err(problem) = endpoint::check_url(policy, &self.url)
        {
            problems.add("url", &problem);
        }
        let note = (!self.note.is_empty()).then(|| self.note.clone());
        if let Some(Err(problem)) = note.as_deref().map(endpoint::check_description) {
            problems.add("note", &problem);
        }
        let events = match self.scope {
            Some(Scope::All) => EventFilter::All,
            Some(Scope::Some) => EventFilter::Only(self.kinds.clone()),
            None => {
                problems.add("events", "choose one");
                EventFilter::All
            }
        };
        if events == EventFilter::Only(Vec::new()) {
            problems.add("events", "choose one event at least, or all of them");
        }
        if let Some(Err(problem)) = dialect.map(|dialect| endpoint::check_events(dialect, &events))
        {
            problems.add("events", &problem);
        }
        problems.is_empty().then(|| Judged { url: self.url.clone(), note, events })
    }

    pub(super) fn url_field(&self, problems: &Problems) -> Field {
        Field::url("url", "URL", &self.url)
            .hinted("Where Abide sends each event, as a POST. https; plain http only on this machine in development.")
            .judged(problems)
    }

    pub(super) fn note_field(&self, problems: &Problems) -> Field {
        Field::text("note", "Note", &self.note)
            .hinted("For you: what this receiver is. Optional.")
            .judged(problems)
    }

    pub(super) fn events_field(&self, problems: &Problems) -> EventsField {
        let kinds = catalogue().into_iter().map(|entry| KindRow {
            name: entry.name(),
            meaning: entry.description,
            is_chosen: self.kinds.contains(&entry.kind),
        });
        EventsField {
            all: self.scope == Some(Scope::All),
            some: self.scope == Some(Scope::Some),
            kinds: kinds.collect(),
            problem: problems.of("events").map(str::to_owned),
        }
    }
}

/// Which events, to choose. Written into a template as `{{ events }}`.
#[derive(Debug, Template)]
#[template(path = "endpoint_events.html")]
pub(super) struct EventsField {
    all: bool,
    some: bool,
    kinds: Vec<KindRow>,
    problem: Option<String>,
}

/// It escapes what it holds by itself.
impl HtmlSafe for EventsField {}

#[derive(Debug)]
struct KindRow {
    name: &'static str,
    meaning: &'static str,
    is_chosen: bool,
}
