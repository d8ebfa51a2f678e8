//! `GET /abide/v1/endpoints/{id}/stats`: how an endpoint's deliveries stand, and what waits for it (P10).

use abide_core::access::Scope;
use abide_core::ids::{Endpoint, Kind as _};
use axum::extract::State;
use serde::Serialize;

use super::GROUP;
use crate::api::abide::answer::{Answer, Time, ok};
use crate::api::abide::describe::{
    Operation, Schema, count, field, flag, named, object, or_null, time,
};
use crate::caller::{By, WebhooksRead};
use crate::input::Named;
use crate::problem::Problem;
use crate::router::Shared;

/// Up to how many waiting deliveries of each state are counted.
const COUNTED: u32 = 10_000;

#[derive(Serialize)]
struct Stats {
    total: u64,
    successful: u64,
    failed: u64,
    last_attempt_at: Option<Time>,
    waiting: WaitingObject,
}

#[derive(Serialize)]
struct WaitingObject {
    pending: u32,
    parked: u32,
    held: u32,
    at_least: bool,
    oldest_since: Option<Time>,
}

pub(crate) fn about() -> Operation {
    Operation::new("get_endpoint_stats", GROUP, "Read an endpoint's figures", schema())
        .says(
            "Each delivery counts once, as its last end was; what is on its way is in `waiting` alone. Cancelled, \
             superseded, erased and discarded deliveries count nowhere.",
        )
        .scope(Scope::WebhooksRead)
}

fn schema() -> Schema {
    let waiting = object(vec![
        field("pending", count(), "Due at a time."),
        field("parked", count(), "Due, while the endpoint has no room."),
        field("held", count(), "Waiting for somebody."),
        field("at_least", flag(), "Counting ended at its bound: there may be more."),
        field(
            "oldest_since",
            or_null(time()),
            "When the oldest of those counted was made or asked for.",
        ),
    ]);
    let fields = vec![
        field("total", count(), "Deliveries that have ended."),
        field("successful", count(), "Those whose last end was a success."),
        field("failed", count(), "Those whose last end was a failure."),
        field("last_attempt_at", or_null(time()), "When the newest attempt began."),
        field("waiting", named("Waiting", waiting), "What waits now."),
    ];
    named("EndpointStats", object(fields))
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    Named(id): Named<Endpoint>,
) -> Answer {
    let (storage, organization) = (&shared.app.storage, by.caller.organization);
    if storage.endpoints().get(organization, id).await?.is_none() {
        return Err(Problem::not_found(Endpoint::NAME));
    }
    let totals = storage.counts().totals(organization, &[id]).await?;
    let totals = totals.first().copied().unwrap_or_default();
    let waiting = storage.counts().waiting(organization, id, COUNTED).await?;
    ok(&Stats {
        total: totals.total(),
        successful: totals.successful,
        failed: totals.failed,
        last_attempt_at: totals.last_attempt_at.map(Time),
        waiting: WaitingObject {
            pending: waiting.pending,
            parked: waiting.parked,
            held: waiting.held,
            at_least: waiting.at_least,
            oldest_since: waiting.oldest_since.map(Time),
        },
    })
}
