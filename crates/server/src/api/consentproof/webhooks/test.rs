//! `POST /v1/webhooks/{id}/test`: a signed sample event, sent once, with what its receiver answered (P25).

use std::borrow::Cow;

use abide_core::delivery::DeliveryState;
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, Endpoint, EventId};
use abide_storage::history::DeliveryView;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;

use super::events::known;
use super::find;
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ok};
use crate::body::OptionalBody;
use crate::caller::{By, WebhooksWrite};
use crate::input::{Fields, FromField, Name, Text, one_of};
use crate::router::Shared;
use crate::test_send::send_test;

const TYPE: Name = Name(&["type", "event", "event_type", "eventType"]);

#[derive(Serialize)]
struct TestObject<'a> {
    delivery_id: DeliveryId,
    event_id: EventId,
    event_type: EventKind,
    /// `success`, `failed`, or `pending` where it takes longer than the answer waits.
    status: &'static str,
    response_code: Option<u16>,
    response_body: Option<Cow<'a, str>>,
    error: Option<&'a str>,
    duration_ms: Option<u32>,
}

impl<'a> From<&'a DeliveryView> for TestObject<'a> {
    fn from(delivery: &'a DeliveryView) -> Self {
        let attempt = delivery.attempts.last();
        let answer = attempt.and_then(|attempt| attempt.answer.as_deref());
        Self {
            delivery_id: delivery.id,
            event_id: delivery.event,
            event_type: delivery.kind,
            status: match delivery.state {
                DeliveryState::Delivered => "success",
                state if state.is_final() => "failed",
                _ => "pending",
            },
            response_code: attempt.and_then(|attempt| attempt.status),
            response_body: answer.map(String::from_utf8_lossy),
            error: attempt.and_then(|attempt| attempt.error.as_deref()),
            duration_ms: attempt.and_then(|attempt| attempt.duration_millis),
        }
    }
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
    OptionalBody(body, _share): OptionalBody,
) -> Answer {
    let app = &shared.app;
    let caller = by.each_time()?;
    let mut fields =
        body.as_ref().map_or_else(|| Ok(Fields::none()), |body| Fields::parse(body))?;
    let kind: Option<Kind> = fields.optional(TYPE);
    let kind = fields.finish(Some(kind))?;
    let webhook = find(app, &by.caller, id).await?;
    let delivery = send_test(&shared, &caller, &webhook, kind.map(|Kind(kind)| kind)).await?;
    ok(TestObject::from(&delivery))
}

#[derive(Debug, PartialEq, Eq)]
struct Kind(EventKind);

impl FromField for Kind {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let Text(name) = Text::read(raw)?;
        let all = || one_of(EventKind::ALL.iter().map(|kind| kind.as_str()));
        known(&name).map(Self).ok_or_else(all)
    }
}
