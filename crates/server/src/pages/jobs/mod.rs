//! `/jobs`: work over many deliveries at once (SW-19): what was asked for, and how far it has come. How one begins is in
//! [`new`].

pub(crate) mod new;

use abide_core::access::Scope;
use abide_core::ids::JobId;
use abide_core::job::{JobKind, JobState, Plan, Progress};
use abide_storage::StorageError;
use abide_storage::jobs::JobView;
use askama::Template;
use axum::extract::{Path, State};
use http::{StatusCode, Uri};

use super::cursor::{Older, asked};
use super::deliveries::target_name;
use super::errors::PageError;
use super::form::Form;
use super::layout::{Layout, Section};
use super::signed_in::{Allowed, SignedIn};
use super::when::When;
use super::words::Badge;
use super::{Answer, page as answer, page_with, see_other_with};
use crate::caller::{WebhooksRead, WebhooksWrite};
use crate::problem::sentence;
use crate::router::{Inner, Shared};

/// Jobs per page.
const PER_PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "jobs.html")]
struct ListPage {
    layout: Layout,
    rows: Vec<Row>,
    older: Older,
}

/// A job in a list.
struct Row {
    id: JobId,
    what: &'static str,
    state: Badge,
    made: When,
    done: u64,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    layout: Layout,
    id: String,
    what: &'static str,
    state: Badge,
    is_running: bool,
    about: Vec<(&'static str, String)>,
    progress: Progress,
    skipped: Vec<(&'static str, u64)>,
    made: When,
    by: String,
    ended: Option<When>,
    may_write: bool,
    problem: Option<String>,
}

fn what(kind: JobKind) -> &'static str {
    match kind {
        JobKind::RetryFailed => "Retry failed deliveries",
        JobKind::ReplayMissing => "Send missed events",
        JobKind::Discard => "Give up waiting deliveries",
    }
}

fn state(state: JobState) -> Badge {
    match state {
        JobState::Running => Badge::warn("running"),
        JobState::Done => Badge::good("done"),
        JobState::Cancelled => Badge::plain("cancelled"),
    }
}

/// `GET /jobs`.
pub(crate) async fn list(
    State(shared): State<Shared>,
    who: Allowed<WebhooksRead>,
    uri: Uri,
) -> Answer {
    let place = asked(&uri, "before");
    let before = place.as_deref().and_then(|id| JobId::parse(id).ok());
    let jobs = shared.app.storage.jobs();
    let mut found = jobs.list(who.caller().organization, before, PER_PAGE + 1).await?;
    let more = found.len() > PER_PAGE as usize;
    found.truncate(PER_PAGE as usize);
    let last = found.last().filter(|_| more).map(|job| job.id.to_string());
    let row = |job: &JobView| Row {
        id: job.id,
        what: what(job.plan.kind),
        state: state(job.state),
        made: When(job.created_at),
        done: job.progress.done,
    };
    answer(&ListPage {
        layout: who.layout(Section::Deliveries),
        rows: found.iter().map(row).collect(),
        older: Older::new("/jobs", &[], place.as_deref(), last),
    })
}

/// What a plan is about, in pairs for a list.
async fn about(
    shared: &Inner,
    who: &SignedIn,
    plan: &Plan,
) -> Result<Vec<(&'static str, String)>, PageError> {
    let mut pairs = Vec::new();
    let endpoint = match plan.endpoint {
        Some(id) => target_name(shared, who.caller().organization, id).await?,
        None => "all".to_owned(),
    };
    pairs.push(("Endpoint", endpoint));
    let states: Vec<_> = plan.states.iter().map(|state| state.as_str()).collect();
    if !states.is_empty() {
        pairs.push(("State", states.join(", ")));
    }
    pairs.push(("Event", plan.event_kind.map_or("all", |kind| kind.as_str()).to_owned()));
    pairs.extend(plan.from.map(|from| ("From", utc(from))));
    pairs.extend(plan.until.map(|until| ("Until", utc(until))));
    Ok(pairs)
}

fn utc(at: abide_core::Timestamp) -> String {
    format!("{} UTC", at.to_seconds_text().trim_end_matches('Z').replace('T', " "))
}

/// What is left out, and why.
fn left_out(progress: &Progress) -> Vec<(&'static str, u64)> {
    let skipped = [
        ("Their endpoint is stopped", progress.endpoint_stopped),
        ("Their endpoint is deleted", progress.endpoint_deleted),
        ("They have moved on meanwhile", progress.moved_on),
        ("Their person was erased", progress.erased),
        ("A newer state was told", progress.told_newer),
    ];
    skipped.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// `GET /jobs/{id}`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<WebhooksRead>,
    Path(id): Path<String>,
) -> Answer {
    let job = find(&shared, &who, &id).await?;
    show(&shared, &who, StatusCode::OK, job, None).await
}

async fn find(shared: &Inner, who: &SignedIn, id: &str) -> Result<JobView, PageError> {
    let id = JobId::parse(id).map_err(|_| PageError::NotFound)?;
    let found = shared.app.storage.jobs().get(who.caller().organization, id).await?;
    found.ok_or(PageError::NotFound)
}

async fn show(
    shared: &Inner,
    who: &SignedIn,
    status: StatusCode,
    job: JobView,
    problem: Option<String>,
) -> Answer {
    let progress = job.progress;
    let page = JobPage {
        layout: who.layout(Section::Deliveries),
        id: job.id.to_string(),
        what: what(job.plan.kind),
        state: state(job.state),
        is_running: job.state == JobState::Running,
        about: about(shared, who, &job.plan).await?,
        progress,
        skipped: left_out(&progress),
        made: When(job.created_at),
        by: super::audit::name_of(shared, who, &job.created_by).await?,
        ended: job.ended_at.map(When),
        may_write: who.may(Scope::WebhooksWrite),
        problem,
    };
    page_with(status, &page)
}

/// `POST /jobs/{id}/cancel`.
pub(crate) async fn cancel(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let app = &shared.app;
    let job = find(&shared, &who, &id).await?;
    match app.storage.jobs().cancel(&who.caller(), job.id, app.clock.now()).await {
        Ok(job) => {
            let notice = "The work is stopped. What is done stays done.";
            Ok(see_other_with(&format!("/jobs/{}", job.id), notice, app.dashboard.cookies))
        }
        Err(StorageError::Refused(abide_core::Refusal::Conflict(text))) => {
            let job = find(&shared, &who, &id).await?;
            show(&shared, &who, StatusCode::CONFLICT, job, Some(sentence(&text))).await
        }
        Err(error) => Err(error.into()),
    }
}
