//! `GET /abide/v1/stats`: what happened over time, at an endpoint or in the whole organization.

use abide_core::access::Scope;
use abide_core::ids::Endpoint;
use abide_storage::counts::{Point, Step};
use axum::extract::State;
use http::Uri;
use serde::Serialize;

use super::GROUP;
use crate::api::abide::answer::{Answer, Time, ok};
use crate::api::abide::deliveries::list::{read_id, read_time};
use crate::api::abide::deliveries::{ENDPOINT, FROM, UNTIL};
use crate::api::abide::describe::{
    self, Operation, Schema, count, field, id, list, named, object, optional, time,
};
use crate::caller::{By, WebhooksRead};
use crate::input::{Invalid, Name, Params, one_of};
use crate::router::Shared;

const STEP: Name = Name(&["step"]);
/// Points in an answer, at most.
const MOST: u32 = 2_016;
/// Points that an answer has where nobody says since when.
const USUAL: i64 = 288;

#[derive(Serialize)]
struct Series {
    step: &'static str,
    from: Time,
    until: Time,
    points: Vec<PointObject>,
}

#[derive(Serialize)]
struct PointObject {
    start: Time,
    attempts_successful: u64,
    attempts_failed: u64,
    successful: u64,
    failed: u64,
}

impl From<Point> for PointObject {
    fn from(point: Point) -> Self {
        Self {
            start: Time(point.start),
            attempts_successful: point.happened.attempts_successful,
            attempts_failed: point.happened.attempts_failed,
            successful: point.happened.successful,
            failed: point.happened.failed,
        }
    }
}

pub(crate) fn about() -> Operation {
    let steps = describe::one_of(Step::ALL.map(Step::as_str));
    Operation::new("get_stats", GROUP, "Read figures over time", schema())
        .says(
            "Oldest first; stretches in which nothing happened are left out. What is older than 35 days has one point \
             per day. A delivery that ended twice, because it was sent again, counts twice here.",
        )
        .scope(Scope::WebhooksRead)
        .filters(vec![
            optional("endpoint", id::<Endpoint>(), "Only at this endpoint."),
            optional("step", steps, "How finely; `5m` without it."),
            optional("from", time(), "Since when; without it, 288 steps before `until`."),
            optional("until", time(), "Until before when; now without it. At most 2016 steps after `from`."),
        ])
}

fn schema() -> Schema {
    let point = object(vec![
        field(
            "start",
            time(),
            "Where the stretch begins; a multiple of the step since 1970, in UTC.",
        ),
        field("attempts_successful", count(), "Attempts that the receiver took."),
        field("attempts_failed", count(), "All other attempts."),
        field("successful", count(), "Times that a delivery ended well."),
        field("failed", count(), "Times that a delivery ended as failed."),
    ]);
    let fields = vec![
        field("step", describe::one_of(Step::ALL.map(Step::as_str)), "The step."),
        field("from", time(), "The first instant."),
        field("until", time(), "The first instant that is not in it any more."),
        field("points", list(named("StatsPoint", point)), "What happened."),
    ];
    named("Stats", object(fields))
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    uri: Uri,
) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[ENDPOINT, STEP, FROM, UNTIL]);
    let endpoint = params.take(ENDPOINT, read_id);
    let step = params.take(STEP, |text| {
        Step::parse(text).ok_or_else(|| one_of(Step::ALL.iter().map(|step| step.as_str())))
    });
    let (from, until) = (params.take(FROM, read_time), params.take(UNTIL, read_time));
    let (endpoint, step, from, until) = params.finish((endpoint, step, from, until))?;
    let step = step.unwrap_or(Step::Bucket);
    let until = until.unwrap_or_else(|| shared.app.clock.now());
    let from = from.unwrap_or_else(|| until.plus_millis(-USUAL * step.millis()));
    let millis = until.millis_since(from);
    if millis <= 0 || millis > i64::from(MOST) * step.millis() {
        let problem = format!("must be before `until`, by at most {MOST} steps");
        return Err(Invalid::field(FROM, problem).into());
    }
    let counts = shared.app.storage.counts();
    let limit = MOST + 1;
    let points =
        counts.series(by.caller.organization, endpoint, step, (from, until), limit).await?;
    ok(&Series {
        step: step.as_str(),
        from: Time(from),
        until: Time(until),
        points: points.into_iter().map(Into::into).collect(),
    })
}
