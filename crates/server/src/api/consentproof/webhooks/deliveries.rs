//! `GET /v1/webhooks/{id}/deliveries`: what was sent to a webhook, newest first (P24).
//!
//! The vendor's lists go by page number and say how many there are. A history has no end that could be counted at each
//! call, so this one goes back over the newest [`SHOWN`] deliveries; the whole of it is in Abide's own API.

use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, Run};
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, Endpoint, EndpointId, EventId, OrganizationId};
use abide_storage::delivery_log::{DeliveryFilter, DeliveryLine};
use abide_storage::{DeliveryLog, Page, PageWanted, StorageResult};
use axum::extract::State;
use http::Uri;
use serde::Serialize;

use super::find;
use super::view::maybe_seconds;
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, page};
use crate::caller::{By, WebhooksRead};
use crate::input::Params;
use crate::router::Shared;

/// Deliveries that can be reached by page number.
const SHOWN: usize = 1_000;
/// Looks that are made for one call, each over a bounded number of rows.
const LOOKS: u32 = 10;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    Named(id): Named<Endpoint>,
    uri: Uri,
) -> Answer {
    let mut params = Params::parse(&uri)?;
    let wanted = params.page();
    let wanted = params.finish(wanted)?;
    find(&shared.app, &by.caller, id).await?;
    let log = shared.app.storage.delivery_log();
    let found = newest(log, by.caller.organization, id, wanted).await?;
    page(&found, wanted, DeliveryObject::from)
}

/// One page of the newest deliveries.
async fn newest(
    log: &dyn DeliveryLog,
    organization: OrganizationId,
    endpoint: EndpointId,
    wanted: PageWanted,
) -> StorageResult<Page<DeliveryLine>> {
    let filter = DeliveryFilter { endpoint: Some(endpoint), ..DeliveryFilter::default() };
    let mut lines = Vec::new();
    let mut before: Option<DeliveryId> = None;
    for _ in 0..LOOKS {
        let left = (SHOWN - lines.len()) as u32;
        let found = log.list(organization, &filter, before, left).await?;
        lines.extend(found.items);
        before = found.next;
        if before.is_none() || lines.len() >= SHOWN {
            break;
        }
    }
    let total = lines.len() as u64;
    let skipped = usize::try_from(wanted.offset()).unwrap_or(usize::MAX);
    let items = lines.into_iter().skip(skipped).take(wanted.limit as usize).collect();
    Ok(Page { items, total })
}

/// A delivery as its webhook's history shows it.
#[derive(Serialize)]
struct DeliveryObject<'a> {
    id: DeliveryId,
    event_id: EventId,
    event_type: EventKind,
    is_test: bool,
    attempt: u32,
    status: &'static str,
    response_code: Option<u16>,
    response_body: Option<String>,
    error: Option<&'a str>,
    duration_ms: Option<u32>,
    #[serde(serialize_with = "maybe_seconds")]
    created_at: Option<Timestamp>,
    #[serde(serialize_with = "maybe_seconds")]
    attempted_at: Option<Timestamp>,
    #[serde(serialize_with = "maybe_seconds")]
    next_attempt_at: Option<Timestamp>,
}

impl<'a> From<&'a DeliveryLine> for DeliveryObject<'a> {
    fn from(line: &'a DeliveryLine) -> Self {
        let last = line.last_attempt.as_ref();
        let text = |body: &Vec<u8>| String::from_utf8_lossy(body).into_owned();
        Self {
            id: line.id,
            event_id: line.event,
            event_type: line.kind,
            is_test: line.run == Run::Test,
            attempt: line.attempts,
            status: status(line.state),
            response_code: last.and_then(|attempt| attempt.status),
            response_body: last.and_then(|attempt| attempt.answer.as_ref().map(text)),
            error: last.and_then(|attempt| attempt.error.as_deref()),
            duration_ms: last.and_then(|attempt| attempt.duration_millis),
            created_at: Some(line.id.drawn_at()),
            attempted_at: last.map(|attempt| attempt.started_at),
            next_attempt_at: line.due_at,
        }
    }
}

/// Whatever keeps a delivery from being sent at this moment, to its webhook's owner it is pending.
fn status(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Hot
        | DeliveryState::Pending
        | DeliveryState::Claimed
        | DeliveryState::Parked => DeliveryState::Pending.as_str(),
        DeliveryState::Held
        | DeliveryState::Delivered
        | DeliveryState::Skipped
        | DeliveryState::Failed
        | DeliveryState::Cancelled
        | DeliveryState::Superseded
        | DeliveryState::Erased
        | DeliveryState::Discarded => state.as_str(),
    }
}
