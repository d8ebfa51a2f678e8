//! `POST /abide/v1/deliveries/{id}/retry`: sends a delivery again, under the same event id (P26, SW-19).

use abide_core::access::Scope;
use abide_core::delivery::Run;
use abide_core::ids::{Delivery, Kind as _};
use abide_dialects::by_name;
use axum::extract::State;
use serde_json::value::RawValue;

use super::schema::whole_schema;
use super::{ASKED_RUNS, GROUP, RUN, WholeDelivery};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::{self, Operation, optional};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, WebhooksWrite};
use crate::input::{Fields, FromField, Named, Text, one_of};
use crate::problem::{Problem, ProblemKind};
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("retry_delivery", GROUP, "Send a delivery again", whole_schema())
        .says(
            "Opens a new run, due now, whatever became of the delivery; one that is being sent at this moment stays as \
             it is. The event's id is the same, the signature is new.",
        )
        .scope(Scope::WebhooksWrite)
        .takes(vec![optional(
            "run",
            describe::one_of(ASKED_RUNS.map(Run::as_str)),
            "`single`: one attempt. `series`: the whole schedule. Without it, what the endpoint's dialect usually does.",
        )])
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Delivery>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let caller = by.each_time()?;
    let mut fields = Fields::parse(&body)?;
    fields.only(&[RUN]);
    let run = fields.optional::<AskedRun>(RUN);
    let run = fields.finish(Some(run))?;
    let organization = by.caller.organization;
    let log = app.storage.delivery_log();
    let missing = || Problem::not_found(Delivery::NAME);
    let run = match run {
        Some(AskedRun(run)) => run,
        None => {
            let found = log.delivery(organization, id).await?.ok_or_else(missing)?;
            let endpoint =
                app.storage.endpoints().get(organization, found.delivery.endpoint).await?;
            // Where the endpoint is deleted the store says so.
            endpoint
                .and_then(|found| by_name(&found.dialect))
                .map_or(Run::Single, abide_dialects::Dialect::by_hand)
        }
    };
    app.storage.history().retry(&caller, id, run, app.clock.now()).await?;
    let found = log.delivery(organization, id).await?.ok_or_else(missing)?;
    ok(&WholeDelivery::from(found))
}

/// A run that can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AskedRun(pub(crate) Run);

impl FromField for AskedRun {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let Text(text) = Text::read(raw)?;
        let run = ASKED_RUNS.into_iter().find(|run| run.as_str() == text);
        run.map(Self).ok_or_else(|| one_of(ASKED_RUNS.iter().map(|run| run.as_str())))
    }
}
