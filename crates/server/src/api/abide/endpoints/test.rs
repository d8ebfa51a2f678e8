//! `POST /abide/v1/endpoints/{id}/test`: a sample event, sent once, with what its receiver answered.

use abide_core::access::Scope;
use abide_core::delivery::DeliveryState;
use abide_core::event::EventKind;
use abide_core::ids::{Delivery, DeliveryId, Endpoint, Event, EventId};
use abide_storage::history::DeliveryView;
use axum::extract::State;
use serde::Serialize;

use super::{GROUP, dialect_of, find};
use crate::api::abide::answer::{Answer, Time, ok};
use crate::api::abide::describe::{
    Operation, Schema, count, field, id, named, object, one_of as one_of_names, optional, or_null,
    text, time,
};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, WebhooksWrite};
use crate::input::{Fields, Name, Named};
use crate::router::Shared;
use crate::test_send::send_test;

const TYPE: Name = Name(&["type"]);

pub(crate) fn about() -> Operation {
    let kinds = one_of_names(EventKind::ALL.iter().map(|kind| kind.as_str()));
    Operation::new("test_endpoint", GROUP, "Send a test to an endpoint", schema())
        .says(
            "A signed event with made-up content goes to this endpoint at once and once, whatever the endpoint's state; the \
             answer waits for its receiver's. It is recorded as a delivery whose run is `test`, stands in no feed, and says \
             nothing for or against the endpoint.",
        )
        .scope(Scope::WebhooksWrite)
        .takes(vec![optional(
            "type",
            kinds,
            "What to send a sample of; without it the first kind that the endpoint is told.",
        )])
}

fn schema() -> Schema {
    let states = one_of_names(DeliveryState::ALL.map(DeliveryState::as_str));
    named(
        "Test",
        object(vec![
            field("delivery_id", id::<Delivery>(), "Its delivery."),
            field("event_id", id::<Event>(), "The event that was sent."),
            field("type", text(), "The kind of event."),
            field(
                "state",
                states,
                "`delivered` or `failed`; another where it takes longer than the answer waits.",
            ),
            field("sent_at", or_null(time()), "When the send began."),
            field("status", or_null(count()), "The HTTP status that was answered."),
            field("error", or_null(text()), "The class of error, where there was no answer."),
            field("duration_ms", or_null(count()), "How long it took, in milliseconds."),
            field(
                "answer",
                or_null(text()),
                "The beginning of the answer's body, where it was not delivered.",
            ),
        ]),
    )
}

#[derive(Serialize)]
struct TestObject<'a> {
    delivery_id: DeliveryId,
    event_id: EventId,
    r#type: EventKind,
    state: &'static str,
    sent_at: Option<Time>,
    status: Option<u16>,
    error: Option<&'a str>,
    duration_ms: Option<u32>,
    answer: Option<std::borrow::Cow<'a, str>>,
}

impl<'a> From<&'a DeliveryView> for TestObject<'a> {
    fn from(delivery: &'a DeliveryView) -> Self {
        let attempt = delivery.attempts.last();
        Self {
            delivery_id: delivery.id,
            event_id: delivery.event,
            r#type: delivery.kind,
            state: delivery.state.as_str(),
            sent_at: attempt.map(|attempt| Time(attempt.started_at)),
            status: attempt.and_then(|attempt| attempt.status),
            error: attempt.and_then(|attempt| attempt.error.as_deref()),
            duration_ms: attempt.and_then(|attempt| attempt.duration_millis),
            answer: attempt
                .and_then(|attempt| attempt.answer.as_deref())
                .map(String::from_utf8_lossy),
        }
    }
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let caller = by.each_time()?;
    let endpoint = find(app, &by.caller, id).await?;
    let mut fields = Fields::parse(&body)?;
    fields.only(&[TYPE]);
    let kind: Option<EventKind> = fields.optional(TYPE);
    let dialect = dialect_of(&endpoint)?;
    if kind.is_some_and(|kind| !dialect.applies(kind)) {
        fields.problem(TYPE.0[0], "is not told in this endpoint's dialect");
    }
    let kind = fields.finish(Some(kind))?;
    let delivery = send_test(&shared, &caller, &endpoint, kind).await?;
    ok(&TestObject::from(&delivery))
}
