//! Jobs: work over many deliveries.

pub(crate) mod cancel;
pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod list;

use abide_core::delivery::{DeliveryState, Run};
use abide_core::event::EventKind;
use abide_core::ids::{Endpoint, EndpointId, Job, JobId};
use abide_core::job::{JobKind, JobState, Plan, Progress};
use abide_storage::jobs::JobView;
use serde::Serialize;

use super::answer::Time;
use super::deliveries::ASKED_RUNS;
use super::describe::{
    self, Schema, count, field, id, named, number, object, one_of, or_null, text, time,
};

const GROUP: &str = "Jobs";

/// A job as this API shows it.
#[derive(Serialize)]
struct JobObject {
    id: JobId,
    kind: &'static str,
    endpoint: Option<EndpointId>,
    event_type: Option<EventKind>,
    states: Vec<&'static str>,
    from: Option<Time>,
    until: Option<Time>,
    run: Option<&'static str>,
    rate: u32,
    state: &'static str,
    progress: ProgressObject,
    created_at: Time,
    created_by: String,
    ended_at: Option<Time>,
}

/// How far a job has come, or would come.
#[derive(Serialize)]
struct ProgressObject {
    looked: u64,
    done: u64,
    skipped: Skipped,
}

#[derive(Serialize)]
struct Skipped {
    endpoint_stopped: u64,
    endpoint_deleted: u64,
    moved_on: u64,
    erased: u64,
    told_newer: u64,
}

impl From<JobView> for JobObject {
    fn from(job: JobView) -> Self {
        let Plan { kind, endpoint, event_kind, states, from, until, run, rate } = job.plan;
        Self {
            id: job.id,
            kind: kind.as_str(),
            endpoint,
            event_type: event_kind,
            states: states.into_iter().map(DeliveryState::as_str).collect(),
            from: from.map(Time),
            until: until.map(Time),
            run: run.map(Run::as_str),
            rate,
            state: job.state.as_str(),
            progress: job.progress.into(),
            created_at: Time(job.created_at),
            created_by: job.created_by,
            ended_at: job.ended_at.map(Time),
        }
    }
}

impl From<Progress> for ProgressObject {
    fn from(progress: Progress) -> Self {
        let Progress {
            looked,
            done,
            endpoint_stopped,
            endpoint_deleted,
            moved_on,
            erased,
            told_newer,
        } = progress;
        let skipped = Skipped { endpoint_stopped, endpoint_deleted, moved_on, erased, told_newer };
        Self { looked, done, skipped }
    }
}

/// A job.
fn schema() -> Schema {
    let kinds = one_of(EventKind::ALL.map(EventKind::as_str));
    let fields = vec![
        field("id", id::<Job>(), "Its id."),
        field("kind", one_of(JobKind::ALL.map(JobKind::as_str)), "What it does."),
        field("endpoint", or_null(id::<Endpoint>()), "The endpoint it is about; null: all."),
        field("event_type", or_null(kinds), "The type of event it is about; null: all."),
        field("states", describe::list(states()), "The states of deliveries it is about."),
        field("from", or_null(time()), "What was made then or later."),
        field("until", or_null(time()), "What was made before then."),
        field(
            "run",
            or_null(one_of(ASKED_RUNS.map(Run::as_str))),
            "What run a retry opens; null: what each endpoint's dialect usually does.",
        ),
        field("rate", number(1, Plan::HIGHEST_RATE.into()), "How many a second, at most."),
        field("state", one_of(JobState::ALL.map(JobState::as_str)), "Where it stands."),
        field("progress", progress(), "How far it has come."),
        field("created_at", time(), "When it was asked for."),
        field("created_by", text(), "Who asked: a key's id or `operator`."),
        field("ended_at", or_null(time()), "When it ended."),
    ];
    named("Job", object(fields))
}

fn states() -> Schema {
    one_of(DeliveryState::ALL.map(DeliveryState::as_str))
}

fn progress() -> Schema {
    let skipped = object(vec![
        field("endpoint_stopped", count(), "Their endpoint is stopped."),
        field("endpoint_deleted", count(), "Their endpoint is deleted."),
        field("moved_on", count(), "They have moved on since the job was created."),
        field("erased", count(), "Their person was erased."),
        field("told_newer", count(), "The endpoint was told a newer state of the person."),
    ]);
    let fields = vec![
        field("looked", count(), "Deliveries or events that were looked at."),
        field("done", count(), "Deliveries that were sent again, made or given up."),
        field("skipped", named("JobSkipped", skipped), "What was left out, and why."),
    ];
    named("JobProgress", object(fields))
}
