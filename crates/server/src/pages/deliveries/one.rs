//! `/deliveries/{id}`: one delivery with its attempts side by side, and the button that sends it again (P24, P26).

use abide_core::Timestamp;
use abide_core::access::Scope;
use abide_core::delivery::{DeliveryState, Next, Reason, Run, Trigger, next as next_state};
use abide_core::ids::DeliveryId;
use abide_dialects::{Dialect, by_name};
use abide_storage::StorageError;
use abide_storage::deliveries::AttemptTrigger;
use abide_storage::delivery_log::DeliveryRecord;
use abide_storage::history::AttemptView;
use askama::Template;
use axum::extract::{Path, State};
use http::StatusCode;

use super::Target;
use super::list::target;
use crate::caller::{WebhooksRead, WebhooksWrite};
use crate::pages::errors::PageError;
use crate::pages::form::Form;
use crate::pages::layout::{Layout, Section};
use crate::pages::signed_in::{Allowed, SignedIn};
use crate::pages::when::{When, took, until};
use crate::pages::words::{self, Badge, Shown};
use crate::pages::{Answer, page_with, see_other_with};
use crate::problem::sentence;
use crate::router::{Inner, Shared};

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    layout: Layout,
    id: String,
    event: String,
    kind: &'static str,
    to: Target,
    made: When,
    state: Badge,
    reason: Option<&'static str>,
    superseded_by: Option<String>,
    is_test: bool,
    /// What the last attempt showed, where that needs somebody's attention.
    trouble: Option<Shown>,
    next: Option<Due>,
    attempts: Vec<AttemptRow>,
    /// Whether it can be sent again now.
    can_retry: bool,
    may_write: bool,
    problem: Option<String>,
    /// Seconds after which the script looks again; `None` where nothing more happens by itself.
    again: Option<u32>,
}

/// When the next attempt is due.
struct Due {
    words: String,
    at: When,
}

/// An attempt as a row.
struct AttemptRow {
    number: u32,
    at: When,
    trigger: String,
    shown: Shown,
    duration: Option<String>,
    answer: Option<String>,
    late: bool,
}

/// `GET /deliveries/{id}`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<WebhooksRead>,
    Path(id): Path<String>,
) -> Answer {
    let record = find(&shared, &who, &id).await?;
    show(&shared, &who, StatusCode::OK, record, None).await
}

async fn find(shared: &Inner, who: &SignedIn, id: &str) -> Result<DeliveryRecord, PageError> {
    let id = DeliveryId::parse(id).map_err(|_| PageError::NotFound)?;
    let log = shared.app.storage.delivery_log();
    log.delivery(who.caller().organization, id).await?.ok_or(PageError::NotFound)
}

async fn show(
    shared: &Inner,
    who: &SignedIn,
    status: StatusCode,
    record: DeliveryRecord,
    problem: Option<String>,
) -> Answer {
    let delivery = record.delivery;
    let to = target(shared, who.caller().organization, delivery.endpoint).await?;
    let now = shared.app.clock.now();
    let is_test = record.runs.last().is_some_and(|run| run.run == Run::Test);
    let last = delivery.attempts.last().map(words::attempt);
    let delivered = matches!(delivery.state, DeliveryState::Delivered | DeliveryState::Skipped);
    let can_retry = !is_test
        && !to.is_deleted
        && next_state(delivery.state, Trigger::ManualRetry) == Next::To(DeliveryState::Pending);
    let page = DeliveryPage {
        layout: who.layout(Section::Deliveries),
        id: delivery.id.to_string(),
        event: delivery.event.to_string(),
        kind: delivery.kind.as_str(),
        to,
        made: When(delivery.id.drawn_at()),
        state: words::delivery_state(delivery.state),
        reason: delivery.reason.map(words::reason),
        superseded_by: delivery.superseded_by.map(|id| id.to_string()),
        is_test,
        trouble: last.filter(|last| !last.is_good && !delivered && !last.todo.is_empty()),
        next: due(delivery.state, delivery.due_at, now),
        attempts: delivery.attempts.iter().rev().map(row).collect(),
        can_retry,
        may_write: who.may(Scope::WebhooksWrite),
        problem,
        again: look_again(delivery.state, delivery.reason, delivery.due_at, now),
    };
    page_with(status, &page)
}

fn due(state: DeliveryState, due_at: Option<Timestamp>, now: Timestamp) -> Option<Due> {
    let at = due_at.filter(|_| matches!(state, DeliveryState::Pending | DeliveryState::Parked))?;
    let parked = state == DeliveryState::Parked;
    let words = if parked { super::PARKED.to_owned() } else { until(now, at) };
    Some(Due { words, at: When(at) })
}

/// Often while something is about to happen, seldom while it waits, never once it has ended.
fn look_again(
    state: DeliveryState,
    reason: Option<Reason>,
    due_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<u32> {
    let is_soon = due_at.is_none_or(|due| due.millis_since(now) < 30_000);
    match state {
        _ if state.is_final() || reason.is_some() => None,
        DeliveryState::Hot | DeliveryState::Claimed => Some(1),
        _ if is_soon => Some(1),
        _ => Some(15),
    }
}

fn row(attempt: &AttemptView) -> AttemptRow {
    let asked = match attempt.trigger {
        AttemptTrigger::Schedule => "schedule",
        AttemptTrigger::Manual => "by hand",
    };
    let answer = attempt.answer.as_deref().map(String::from_utf8_lossy);
    AttemptRow {
        number: attempt.number,
        at: When(attempt.started_at),
        trigger: asked.to_owned(),
        shown: words::attempt(attempt),
        duration: attempt.duration_millis.map(took),
        answer: answer.filter(|text| !text.trim().is_empty()).map(|text| readable(&text)),
        late: attempt.late,
    }
}

/// What a receiver answered, without what would disturb a page: control characters and what turns text about.
fn readable(text: &str) -> String {
    let disturbs = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if disturbs(c) { '\u{fffd}' } else { c }).collect()
}

/// `POST /deliveries/{id}/retry`: one more run, as the endpoint's dialect usually does by hand.
pub(crate) async fn retry(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let (app, by) = (&shared.app, who.caller());
    let record = find(&shared, &who, &id).await?;
    let (delivery, endpoint) = (record.delivery.id, record.delivery.endpoint);
    let endpoint = app.storage.endpoints().get(by.organization, endpoint).await?;
    // Where the endpoint is deleted the store says so.
    let dialect = endpoint.and_then(|endpoint| by_name(&endpoint.dialect));
    let run = dialect.map_or(Run::Single, Dialect::by_hand);
    match app.storage.history().retry(&by, delivery, run, app.clock.now()).await {
        Ok(()) => {
            let notice = "It is sent again, under the same event id.";
            Ok(see_other_with(&format!("/deliveries/{delivery}"), notice, app.dashboard.cookies))
        }
        Err(StorageError::Refused(abide_core::Refusal::Conflict(text))) => {
            let record = find(&shared, &who, &id).await?;
            show(&shared, &who, StatusCode::CONFLICT, record, Some(sentence(&text))).await
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cannot_disturb_the_page() {
        assert_eq!(readable("a\u{202e}b\u{1b}[2J\nc\t<b>"), "a\u{fffd}b\u{fffd}[2J\nc\t<b>");
    }

    #[test]
    fn a_page_looks_again_while_something_can_happen() {
        let now = Timestamp::from_millis(0);
        let due = |seconds: i64| Some(now.plus_millis(seconds * 1_000));
        let again = |state, due_at| look_again(state, None, due_at, now);
        assert_eq!(again(DeliveryState::Delivered, None), None);
        assert_eq!(again(DeliveryState::Hot, None), Some(1));
        assert_eq!(again(DeliveryState::Pending, due(5)), Some(1));
        assert_eq!(again(DeliveryState::Pending, due(300)), Some(15));
        assert_eq!(look_again(DeliveryState::Held, Some(Reason::EndpointPaused), None, now), None);
    }
}
