//! `PATCH /abide/v1/organization/retention`: changes what the caller's organization keeps for how long.

use abide_core::access::Scope;
use abide_core::retention::{LONGEST_DAYS, RetentionPatch, SHORTEST_DAYS};
use axum::extract::State;
use serde_json::value::RawValue;

use super::{
    AUDIT_DAYS, DELIVERIES_DAYS, EVENTS_DAYS, GROUP, OF_AUDIT, OF_DELIVERIES, OF_EVENTS,
    RetentionObject, days, schema,
};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::{Operation, optional};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{Admin, By};
use crate::input::{Fields, FromField, Invalid};
use crate::problem::ProblemKind;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("change_retention", GROUP, "Change what is kept for how long", schema())
        .says(
            "What is left out stays as it is. What is older than its rule is removed within hours, a little at a time, and \
             nothing brings it back. Decisions are never removed so. A cursor of the feed of events that points before what \
             was removed is answered with 410 from then on; the feed begins behind it.",
        )
        .scope(Scope::Admin)
        .takes(vec![
            optional("deliveries_days", days(), OF_DELIVERIES),
            optional("events_days", days(), OF_EVENTS),
            optional("audit_days", days(), OF_AUDIT),
        ])
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let patch = patch(&body)?;
    let retentions = app.storage.retentions();
    let changed = retentions.change_retention(&by.caller, patch, app.clock.now()).await?;
    ok(&RetentionObject::from(changed))
}

fn patch(body: &[u8]) -> Result<RetentionPatch, Invalid> {
    let mut fields = Fields::parse(body)?;
    fields.only(&[DELIVERIES_DAYS, EVENTS_DAYS, AUDIT_DAYS]);
    let mut days = |name| fields.removable::<Days>(name).map(|days| days.map(|Days(days)| days));
    let patch = RetentionPatch {
        deliveries_days: days(DELIVERIES_DAYS),
        events_days: days(EVENTS_DAYS),
        audit_days: days(AUDIT_DAYS),
    };
    if fields.are_sound() && patch == RetentionPatch::default() {
        let problem = "must set at least one of `deliveries_days`, `events_days`, `audit_days`";
        fields.problem("body", problem);
    }
    fields.finish(Some(patch))
}

#[derive(Debug, PartialEq, Eq)]
struct Days(u32);

impl FromField for Days {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let wanted =
            format!("must be a whole number from {SHORTEST_DAYS} to {LONGEST_DAYS}, or null");
        let days = raw.get().parse().ok();
        days.filter(|days| (SHORTEST_DAYS..=LONGEST_DAYS).contains(days)).map(Self).ok_or(wanted)
    }
}
