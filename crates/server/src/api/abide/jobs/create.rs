//! `POST /abide/v1/jobs`: asks for work over many deliveries, or for what it would be (SW-19).

use abide_core::Timestamp;
use abide_core::access::Scope;
use abide_core::delivery::DeliveryState;
use abide_core::event::EventKind;
use abide_core::ids::{Endpoint, EndpointId};
use abide_core::job::{JobKind, Plan, Wish};
use abide_storage::jobs::Asked;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{GROUP, JobObject, ProgressObject, progress, schema, states};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::deliveries::retry::AskedRun;
use crate::api::abide::deliveries::{ASKED_RUNS, ENDPOINT, FROM, UNTIL};
use crate::api::abide::describe::{
    self, Operation, Schema, field, flag, id, named, number, object, optional, or_null, time,
};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, WebhooksWrite};
use crate::idempotency::Repeatable;
use crate::input::{Fields, FromField, Name, Text, one_of};
use crate::problem::ProblemKind;
use crate::router::Shared;

const KIND: Name = Name(&["kind"]);
const EVENT_TYPE: Name = Name(&["event_type"]);
const STATES: Name = Name(&["states"]);
const RUN: Name = Name(&["run"]);
const RATE: Name = Name(&["rate"]);
const DRY_RUN: Name = Name(&["dry_run"]);

/// What was asked for.
#[derive(Serialize)]
struct AskedJob {
    job: Option<JobObject>,
    created: Created,
    estimate: Option<EstimateObject>,
}

/// Whether the job is a new one.
#[derive(Serialize)]
struct Created(bool);

#[derive(Serialize)]
struct EstimateObject {
    #[serde(flatten)]
    progress: ProgressObject,
    at_least: AtLeast,
}

/// Whether there may be more.
#[derive(Serialize)]
struct AtLeast(bool);

pub(crate) fn about() -> Operation {
    let kinds = describe::one_of(EventKind::ALL.map(EventKind::as_str));
    Operation::new("create_job", GROUP, "Work over many deliveries", answer())
        .says(
            "`retry_failed` sends failed deliveries again. `replay_missing` sends an endpoint the events that it wants \
             and was not sent, from before it was there or from while it was stopped, under their own ids. `discard` \
             gives up deliveries that wait for an endpoint. The filter is frozen: what is made later is not touched. \
             Deliveries of stopped and deleted endpoints are left out and counted. While a job runs, asking for the \
             same answers that job.",
        )
        .scope(Scope::WebhooksWrite)
        .takes(vec![
            field("kind", describe::one_of(JobKind::ALL.map(JobKind::as_str)), "What to do."),
            optional(
                "endpoint",
                id::<Endpoint>(),
                "Only with this endpoint's; required but for `retry_failed`.",
            ),
            optional("event_type", kinds, "Only with those of events of this type."),
            optional(
                "states",
                describe::list(states()),
                "Only with those in these states. For `retry_failed`: `failed` (usual), `cancelled`, `discarded`; for \
                 `discard`: `held`, `parked`, `pending` (all usual).",
            ),
            optional("from", time(), "Only with what was made at this time or later."),
            optional("until", time(), "Only with what was made before this time."),
            optional(
                "run",
                describe::one_of(ASKED_RUNS.map(abide_core::delivery::Run::as_str)),
                "For `retry_failed`: one attempt, or the whole schedule. Without it, what the endpoint's dialect \
                 usually does.",
            ),
            optional(
                "rate",
                number(1, Plan::HIGHEST_RATE.into()),
                "How many a second, at most; 100 without it.",
            ),
            optional("dry_run", flag(), "Only answers what would be done, and changes nothing."),
        ])
        .fails(&[ProblemKind::Conflict])
}

fn answer() -> Schema {
    let Schema(mut estimate) = progress();
    if let Some(estimate) = estimate.as_object_mut() {
        estimate.remove(describe::NAME);
        let at_least = Schema(serde_json::json!({
            "type": "boolean",
            "description": "The look ended at its bound: there may be more.",
        }));
        if let Some(properties) = estimate["properties"].as_object_mut() {
            properties.insert("at_least".to_owned(), at_least.0);
        }
        if let Some(required) = estimate["required"].as_array_mut() {
            required.push("at_least".into());
        }
    }
    let fields = vec![
        field("job", or_null(schema()), "The job; null for a dry run."),
        field("created", flag(), "Whether it is new; false where it runs already."),
        field(
            "estimate",
            or_null(named("JobEstimate", Schema(estimate))),
            "What a dry run found; null where a job was asked for.",
        ),
    ];
    named("AskedJob", object(fields))
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let mut fields = Fields::parse(&body)?;
    fields.only(&[KIND, ENDPOINT, EVENT_TYPE, STATES, FROM, UNTIL, RUN, RATE, DRY_RUN]);
    let wish = wish(&mut fields);
    let is_dry = fields.optional::<bool>(DRY_RUN).unwrap_or(false);
    let plan = Plan::of(fields.finish(wish)?).map_err(abide_storage::StorageError::from)?;
    let (jobs, now) = (app.storage.jobs(), app.clock.now());
    if is_dry {
        let estimate = jobs.estimate(by.caller.organization, &plan, now).await?;
        let at_least = AtLeast(estimate.at_least);
        let estimate = EstimateObject { progress: estimate.progress.into(), at_least };
        return ok(&AskedJob { job: None, created: Created(false), estimate: Some(estimate) });
    }
    told(jobs.create(&by.once::<Begun>(&body), &plan, now).await?)
}

fn told(asked: Asked) -> Answer {
    let created = Created(matches!(asked, Asked::Created(_)));
    ok(&AskedJob { job: Some(asked.into_job().into()), created, estimate: None })
}

enum Begun {}

impl Repeatable for Begun {
    type Result = Asked;

    fn answer(asked: &Asked) -> Response {
        told(asked.clone()).into_response()
    }
}

fn wish(fields: &mut Fields<'_>) -> Option<Wish> {
    let kind = fields.required::<AskedKind>(KIND);
    let endpoint = fields.optional::<EndpointId>(ENDPOINT);
    let event_kind = fields.optional::<EventKind>(EVENT_TYPE);
    let states = fields.optional::<States>(STATES);
    let from = fields.optional::<Timestamp>(FROM);
    let until = fields.optional::<Timestamp>(UNTIL);
    let run = fields.optional::<AskedRun>(RUN);
    let rate = fields.optional::<Rate>(RATE);
    Some(Wish {
        kind: kind?.0,
        endpoint,
        event_kind,
        states: states.map_or_else(Vec::new, |States(states)| states),
        from,
        until,
        run: run.map(|AskedRun(run)| run),
        rate: rate.map(|Rate(rate)| rate),
    })
}

#[derive(Debug, PartialEq, Eq)]
struct AskedKind(JobKind);

impl FromField for AskedKind {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let Text(text) = Text::read(raw)?;
        let kind = JobKind::parse(&text).map(Self);
        kind.ok_or_else(|| one_of(JobKind::ALL.iter().map(|kind| kind.as_str())))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct States(Vec<DeliveryState>);

impl FromField for States {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let elements = crate::input::elements(raw.get().as_bytes(), DeliveryState::ALL.len())?;
        let mut states = Vec::with_capacity(elements.len());
        for (place, raw) in elements.into_iter().enumerate() {
            let state = Text::read(raw).ok().and_then(|Text(text)| DeliveryState::parse(&text));
            let allowed = || one_of(DeliveryState::ALL.iter().map(|state| state.as_str()));
            states.push(state.ok_or_else(|| format!("[{place}] {}", allowed()))?);
        }
        Ok(Self(states))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Rate(u32);

impl FromField for Rate {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let rate = raw.get().parse().ok().filter(|rate| (1..=Plan::HIGHEST_RATE).contains(rate));
        let allowed = || format!("must be a whole number from 1 to {}", Plan::HIGHEST_RATE);
        rate.map(Self).ok_or_else(allowed)
    }
}
