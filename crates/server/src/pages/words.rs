//! States, reasons and results in words for people, and how much they should worry.

use abide_core::delivery::{DeliveryState, ErrorClass, Reason};
use abide_core::endpoint::{DeliveryRules, EndpointState, EventFilter, Failing};
use abide_storage::deliveries::Ending;
use abide_storage::endpoints::EndpointView;
use abide_storage::history::AttemptView;
use askama::Template;
use askama::filters::HtmlSafe;

use super::when::When;

/// A word with a colour. Written into a template as `{{ badge }}`; the word says it, the colour only helps.
#[derive(Debug, Clone, Template)]
#[template(source = "<span class=\"badge {{ tone }}\">{{ word }}</span>", ext = "html")]
pub(crate) struct Badge {
    pub(crate) word: String,
    tone: &'static str,
}

/// It escapes what it holds by itself.
impl HtmlSafe for Badge {}

impl Badge {
    fn new(word: &str, tone: &'static str) -> Self {
        Self { word: word.to_owned(), tone }
    }

    /// A word that is neither good nor bad.
    pub(crate) fn plain(word: &str) -> Self {
        Self::new(word, "")
    }

    /// A word that is good.
    pub(crate) fn good(word: &str) -> Self {
        Self::new(word, "good")
    }

    /// A word that asks for somebody's eye.
    pub(crate) fn warn(word: &str) -> Self {
        Self::new(word, "warn")
    }

    /// A word that says that something went wrong.
    pub(crate) fn bad(word: &str) -> Self {
        Self::new(word, "bad")
    }
}

/// An endpoint's state, and whether it fails for long.
pub(crate) fn endpoint_state(endpoint: &EndpointView) -> Badge {
    match endpoint.state {
        EndpointState::Active if endpoint.failing.is_some() => Badge::bad("failing"),
        EndpointState::Active => Badge::good("active"),
        EndpointState::Paused if matches!(endpoint.failing, Some(Failing::Stopped { .. })) => {
            Badge::bad("stopped: it failed")
        }
        EndpointState::Paused => Badge::warn("paused"),
        EndpointState::Gone => Badge::bad("gone"),
        EndpointState::Deleted => Badge::plain("deleted"),
    }
}

/// How long an endpoint has failed, for a template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailingTold {
    /// Whether it was stopped for it.
    pub(crate) is_stopped: bool,
    /// When the first of the failed attempts was made.
    pub(crate) since: When,
    /// When it was stopped, or is at the earliest.
    pub(crate) ends: When,
}

impl From<Failing> for FailingTold {
    fn from(failing: Failing) -> Self {
        let since = When(failing.since());
        match failing {
            Failing::Warned { stops_at, .. } => {
                Self { is_stopped: false, since, ends: When(stops_at) }
            }
            Failing::Stopped { stopped_at, .. } => {
                Self { is_stopped: true, since, ends: When(stopped_at) }
            }
        }
    }
}

/// A delivery's state.
pub(crate) fn delivery_state(state: DeliveryState) -> Badge {
    match state {
        DeliveryState::Hot | DeliveryState::Claimed => Badge::plain("sending"),
        DeliveryState::Pending | DeliveryState::Parked => Badge::warn("waiting"),
        DeliveryState::Held => Badge::warn("held"),
        DeliveryState::Delivered => Badge::good("delivered"),
        DeliveryState::Skipped => Badge::good("skipped"),
        DeliveryState::Failed => Badge::bad("failed"),
        DeliveryState::Cancelled => Badge::plain("cancelled"),
        DeliveryState::Superseded => Badge::plain("superseded"),
        DeliveryState::Erased => Badge::plain("erased"),
        DeliveryState::Discarded => Badge::plain("discarded"),
    }
}

/// Why a delivery is held or ended as it did.
pub(crate) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::AttemptsUsedUp => "Every attempt of its schedule failed.",
        Reason::Refused => "The receiver's answer says that trying again cannot help.",
        Reason::NothingToDo => "The receiver answered that it has nothing to do.",
        Reason::EndpointPaused => {
            "Its endpoint is stopped: its owner paused it, or every attempt had failed for long."
        }
        Reason::EndpointGone => "Its receiver answered 410 Gone, so its endpoint was stopped.",
        Reason::EndpointDeleted => "Its endpoint was deleted.",
        Reason::NewerState => "A newer delivery carries the person's state.",
        Reason::SubjectErased => "The person that it is about was erased.",
        Reason::DiscardedByHand => "Somebody gave it up.",
        Reason::DiscardedAfterGone => {
            "Its receiver answered 410 Gone, and its endpoint was not resumed within a week."
        }
        Reason::OrganizationDeleting => "The organization is being deleted, and sends nothing.",
        Reason::TestCutOff => {
            "It was a test, and its attempt was cut off by a stop. Send another one."
        }
        Reason::Unreadable => "What it tells can no longer be read or rendered.",
    }
}

/// What an attempt showed.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// In a word or a number.
    pub(crate) badge: Badge,
    /// What happened, in a sentence.
    pub(crate) what: String,
    /// What to do about it, in a sentence; empty where nothing is to be done.
    pub(crate) todo: &'static str,
    /// Whether its receiver has it.
    pub(crate) is_good: bool,
}

/// What an attempt showed.
pub(crate) fn attempt(attempt: &AttemptView) -> Shown {
    if let Some(status) = attempt.status {
        return answered(status, attempt.error.as_deref());
    }
    if let Some(class) = attempt.error.as_deref() {
        let known = ErrorClass::parse(class);
        let what = known.map_or_else(
            || format!("The attempt ended with the error `{class}`."),
            |class| class.what_happened().to_owned(),
        );
        let todo = known.map_or("", ErrorClass::what_to_do);
        return Shown { badge: Badge::bad(&class.replace('_', " ")), what, todo, is_good: false };
    }
    let (badge, what) = match attempt.ending {
        None => (Badge::plain("open"), "It is being sent, or was cut off."),
        Some(Ending::Answered) => (Badge::good("answered"), "The receiver answered."),
        Some(Ending::NotSent) => (Badge::bad("not sent"), "Nothing was sent."),
        Some(Ending::Unknown) => {
            (Badge::bad("unknown"), "It was cut off: the receiver may have it, or not.")
        }
    };
    Shown { badge, what: what.to_owned(), todo: "", is_good: false }
}

fn answered(status: u16, error: Option<&str>) -> Shown {
    let badge = |tone: fn(&str) -> Badge| tone(&status.to_string());
    if let Some(class) = error.and_then(ErrorClass::parse) {
        let what = format!("The receiver answered {status}. {}", class.what_happened());
        return Shown { badge: badge(Badge::bad), what, todo: class.what_to_do(), is_good: false };
    }
    let (meaning, todo) = match status {
        200..=299 => {
            let what = format!("The receiver took it: it answered {status}.");
            return Shown { badge: badge(Badge::good), what, todo: "", is_good: true };
        }
        300..=399 => {
            ("a redirect, which is not followed", "Set the endpoint's URL to where it leads.")
        }
        401 | 403 => (
            "it does not accept this sender",
            "Check that the receiver verifies with this endpoint's secret, and that its clock is right.",
        ),
        404 | 405 => (
            "nothing takes webhooks at this URL",
            "Check the path of the endpoint's URL, and that the receiver takes POST there.",
        ),
        410 => {
            ("it wants no more", "If that is a mistake, mend the receiver and resume the endpoint.")
        }
        408 | 429 => (
            "it asks for time",
            "Nothing, unless it goes on: then let the receiver take webhooks faster.",
        ),
        500..=599 => ("it broke, or is not ready", "Look into the receiver's own log, then retry."),
        _ => ("it refused", "Look into the receiver's own log, then retry."),
    };
    let what = format!("The receiver answered {status}: {meaning}.");
    Shown { badge: badge(Badge::bad), what, todo, is_good: false }
}

/// Which events an endpoint wants, on a line.
pub(crate) fn events(filter: &EventFilter) -> String {
    match filter {
        EventFilter::All => "all events".to_owned(),
        EventFilter::Only(kinds) => {
            kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
        }
    }
}

/// What pausing an endpoint means under its rules.
pub(crate) fn pausing(rules: DeliveryRules) -> &'static str {
    match (rules.queue_while_stopped, rules.hold_waiting) {
        (true, true) => {
            "New events are held until you resume, and so is what waits. Nothing is missed."
        }
        (true, false) => "New events are held until you resume; what waits is cancelled.",
        (false, true) => "New events are skipped; what waits is held until you resume.",
        (false, false) => "New events are skipped, and what waits is cancelled.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: Option<u16>, error: Option<&str>) -> AttemptView {
        AttemptView {
            number: 1,
            run: 1,
            trigger: abide_storage::deliveries::AttemptTrigger::Schedule,
            started_at: abide_core::Timestamp::from_millis(0),
            duration_millis: Some(1),
            signed_at: None,
            ending: None,
            status,
            error: error.map(str::to_owned),
            body_sha256: None,
            body_length: None,
            endpoint_version: None,
            object_version: 0,
            late: false,
            answer: None,
        }
    }

    #[test]
    fn every_error_has_words() {
        for class in ErrorClass::ALL {
            let shown = attempt(&ended(None, Some(class.as_str())));
            assert_eq!(
                (shown.what.as_str(), shown.todo),
                (class.what_happened(), class.what_to_do())
            );
        }
        for status in [199, 302, 401, 404, 410, 418, 429, 503] {
            let shown = attempt(&ended(Some(status), None));
            assert!(!shown.is_good && shown.what.contains(&status.to_string()), "{status}");
            assert!(shown.todo.ends_with('.'), "{status}");
        }
        assert!(attempt(&ended(Some(204), None)).is_good);
        assert!(attempt(&ended(None, Some("from later"))).what.contains("`from later`"));
        assert!(!attempt(&ended(None, None)).is_good);
    }

    #[test]
    fn a_badge_escapes_its_word() {
        assert_eq!(Badge::bad("<b>").to_string(), "<span class=\"badge bad\">&#60;b&#62;</span>");
    }
}
