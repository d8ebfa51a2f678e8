//! Deliveries: events on their way to endpoints, and what became of them.

pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod retry;

mod schema;

use abide_core::consent::hash::hex;
use abide_core::delivery::{DeliveryState, Reason, Run};
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, EndpointId, EventId, JobId};
use abide_storage::delivery_log::{Asked, DeliveryLine, DeliveryRecord, RunView};
use abide_storage::history::AttemptView;
use serde::Serialize;

use super::answer::Time;
use crate::input::Name;

const GROUP: &str = "Deliveries";

pub(crate) const ENDPOINT: Name = Name(&["endpoint"]);
pub(crate) const FROM: Name = Name(&["from"]);
pub(crate) const UNTIL: Name = Name(&["until"]);
const RUN: Name = Name(&["run"]);

/// A delivery in a list.
#[derive(Serialize)]
struct DeliveryObject {
    #[serde(flatten)]
    head: Head,
    last_attempt: Option<AttemptObject>,
}

/// A delivery with all that happened to it.
#[derive(Serialize)]
struct WholeDelivery {
    #[serde(flatten)]
    head: Head,
    runs: Vec<RunObject>,
    attempts: Vec<AttemptObject>,
    discarded: Option<AskedObject>,
}

/// What both say.
#[derive(Serialize)]
struct Head {
    id: DeliveryId,
    event_id: EventId,
    event_type: EventKind,
    endpoint_id: EndpointId,
    state: &'static str,
    reason: Option<&'static str>,
    superseded_by: Option<DeliveryId>,
    created_at: Time,
    next_attempt_at: Option<Time>,
    attempt_count: u32,
}

#[derive(Serialize)]
struct RunObject {
    number: u32,
    kind: &'static str,
    asked: Option<AskedObject>,
}

#[derive(Serialize)]
struct AskedObject {
    at: Time,
    by: String,
    job_id: Option<JobId>,
}

#[derive(Serialize)]
struct AttemptObject {
    number: u32,
    run: u32,
    trigger: &'static str,
    started_at: Time,
    duration_ms: Option<u32>,
    signed_at: Option<Time>,
    ending: Option<&'static str>,
    response_code: Option<u16>,
    response_body: Option<String>,
    error: Option<String>,
    body_sha256: Option<String>,
    body_length: Option<u32>,
    endpoint_version: Option<u32>,
    late: Late,
}

/// Whether an attempt's end was recorded after its delivery had moved on.
#[derive(Serialize)]
struct Late(bool);

impl From<DeliveryLine> for DeliveryObject {
    fn from(line: DeliveryLine) -> Self {
        Self {
            head: Head {
                id: line.id,
                event_id: line.event,
                event_type: line.kind,
                endpoint_id: line.endpoint,
                state: line.state.as_str(),
                reason: line.reason.map(Reason::as_str),
                superseded_by: line.superseded_by,
                created_at: Time(line.id.drawn_at()),
                next_attempt_at: line.due_at.map(Time),
                attempt_count: line.attempts,
            },
            last_attempt: line.last_attempt.map(Into::into),
        }
    }
}

impl From<DeliveryRecord> for WholeDelivery {
    fn from(record: DeliveryRecord) -> Self {
        let DeliveryRecord { delivery, runs, discarded } = record;
        let newest = delivery.attempts.iter().map(|attempt| attempt.number).max();
        Self {
            head: Head {
                id: delivery.id,
                event_id: delivery.event,
                event_type: delivery.kind,
                endpoint_id: delivery.endpoint,
                state: delivery.state.as_str(),
                reason: delivery.reason.map(Reason::as_str),
                superseded_by: delivery.superseded_by,
                created_at: Time(delivery.id.drawn_at()),
                next_attempt_at: delivery.due_at.map(Time),
                attempt_count: newest.unwrap_or(0),
            },
            runs: runs.into_iter().map(Into::into).collect(),
            attempts: delivery.attempts.into_iter().map(Into::into).collect(),
            discarded: discarded.map(Into::into),
        }
    }
}

impl From<RunView> for RunObject {
    fn from(run: RunView) -> Self {
        Self { number: run.number, kind: run.run.as_str(), asked: run.asked.map(Into::into) }
    }
}

impl From<Asked> for AskedObject {
    fn from(asked: Asked) -> Self {
        Self { at: Time(asked.at), by: asked.by, job_id: asked.job }
    }
}

impl From<AttemptView> for AttemptObject {
    fn from(attempt: AttemptView) -> Self {
        Self {
            number: attempt.number,
            run: attempt.run,
            trigger: attempt.trigger.as_str(),
            started_at: Time(attempt.started_at),
            duration_ms: attempt.duration_millis,
            signed_at: attempt.signed_at.map(Time),
            ending: attempt.ending.map(abide_storage::deliveries::Ending::as_str),
            response_code: attempt.status,
            response_body: attempt.answer.map(|body| String::from_utf8_lossy(&body).into_owned()),
            error: attempt.error,
            body_sha256: attempt.body_sha256.map(|hash| hex(&hash)),
            body_length: attempt.body_length,
            endpoint_version: attempt.endpoint_version,
            late: Late(attempt.late),
        }
    }
}

/// The states by their public names.
fn state_names() -> [&'static str; DeliveryState::ALL.len()] {
    DeliveryState::ALL.map(DeliveryState::as_str)
}

/// Runs that somebody can ask for.
pub(crate) const ASKED_RUNS: [Run; 2] = [Run::Single, Run::Series];
