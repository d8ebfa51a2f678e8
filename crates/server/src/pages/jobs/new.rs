//! `/jobs/new`: work over many deliveries, begun with the delivery log's filter: what it would come to, and the question
//! whether it is to be done.

use abide_core::Refusal;
use abide_core::ids::EndpointId;
use abide_core::job::{JobKind, Plan, Wish};
use abide_storage::StorageError;
use abide_storage::jobs::{Asked as AskedJob, Estimate};
use askama::Template;
use axum::extract::State;
use http::{StatusCode, Uri};

use super::{about, left_out, what};
use crate::caller::WebhooksWrite;
use crate::pages::cursor::{asked, link};
use crate::pages::deliveries::list::{Asked, Choice, offered};
use crate::pages::errors::PageError;
use crate::pages::field::Problems;
use crate::pages::form::{Fields, Form};
use crate::pages::layout::{Layout, Section};
use crate::pages::signed_in::Allowed;
use crate::pages::{Answer, page_with, see_other_with};
use crate::problem::sentence;
use crate::router::{Inner, Shared};

#[derive(Template)]
#[template(path = "job_new.html")]
struct NewPage {
    layout: Layout,
    what: &'static str,
    kind: &'static str,
    is_discard: bool,
    is_replay: bool,
    about: Vec<(&'static str, String)>,
    /// The filter, without the endpoint where that is still to be chosen.
    hidden: Vec<(&'static str, String)>,
    /// The endpoints to choose from, where one has to be chosen first.
    endpoints: Option<Vec<Choice>>,
    back: String,
    problem: Option<String>,
    confirm_problem: Option<String>,
    estimate: Option<Estimate>,
    /// What it would do, as far as was looked.
    count: u64,
    left_out: Vec<(&'static str, u64)>,
}

/// What somebody wants to begin.
struct Wanted {
    kind: JobKind,
    filter: Asked,
}

impl Wanted {
    /// Without a kind, retries.
    fn read(part: impl Fn(&str) -> Option<String>) -> Result<Self, PageError> {
        let kind = part("kind").filter(|kind| !kind.is_empty());
        let kind = kind.map_or(Some(JobKind::RetryFailed), |kind| JobKind::parse(&kind));
        let kind = kind.ok_or(PageError::NotFound)?;
        Ok(Self { kind, filter: Asked::read(part) })
    }

    fn of_form(form: &Fields) -> Result<Self, PageError> {
        Self::read(|name| Some(form.text(name).to_owned()))
    }

    /// Whether an endpoint is to be chosen first.
    fn needs_endpoint(&self) -> bool {
        self.kind != JobKind::RetryFailed && EndpointId::parse(&self.filter.endpoint).is_err()
    }

    fn plan(&self) -> Result<Plan, String> {
        let mut problems = Problems::default();
        let filter = self.filter.filter(&mut problems);
        if let Some(problem) = problems.of("from").or(problems.of("until")) {
            return Err(problem.to_owned());
        }
        let wish = Wish {
            kind: self.kind,
            endpoint: filter.endpoint,
            event_kind: filter.kind,
            states: self.filter.states_of(self.kind),
            from: filter.from,
            until: filter.until,
            run: None,
            rate: None,
        };
        Plan::of(wish).map_err(|refusal| sentence(&refusal.to_string()))
    }
}

/// `GET /jobs/new`: what it would come to.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    uri: Uri,
) -> Answer {
    let wanted = Wanted::read(|name| asked(&uri, name))?;
    show(&shared, &who, StatusCode::OK, &wanted, None, None).await
}

async fn show(
    shared: &Inner,
    who: &Allowed<WebhooksWrite>,
    status: StatusCode,
    wanted: &Wanted,
    problem: Option<String>,
    confirm_problem: Option<String>,
) -> Answer {
    let (kind, organization) = (wanted.kind, who.caller().organization);
    let chosen_later = wanted.needs_endpoint();
    let kept = |(name, value): &(&'static str, &str)| {
        let is_chosen_later = chosen_later && *name == "endpoint";
        !value.is_empty() && !is_chosen_later
    };
    let hidden = wanted.filter.pairs().into_iter().filter(kept);
    let mut page = NewPage {
        layout: who.layout(Section::Deliveries),
        what: what(kind),
        kind: kind.as_str(),
        is_discard: kind == JobKind::Discard,
        is_replay: kind == JobKind::ReplayMissing,
        about: Vec::new(),
        hidden: hidden.map(|(name, value)| (name, value.to_owned())).collect(),
        endpoints: None,
        back: link("/deliveries", &wanted.filter.pairs(), None),
        problem,
        confirm_problem,
        estimate: None,
        count: 0,
        left_out: Vec::new(),
    };
    if chosen_later {
        page.endpoints = Some(offered(shared, organization, "").await?);
        return page_with(status, &page);
    }
    match wanted.plan() {
        Ok(plan) => {
            let (jobs, now) = (shared.app.storage.jobs(), shared.app.clock.now());
            page.about = about(shared, who, &plan).await?;
            let estimate = jobs.estimate(organization, &plan, now).await?;
            page.left_out = left_out(&estimate.progress);
            page.count = estimate.progress.done;
            page.estimate = Some(estimate);
        }
        Err(problem) => page.problem = Some(problem),
    }
    page_with(status, &page)
}

/// `POST /jobs`.
pub(crate) async fn create(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    form: Form,
) -> Answer {
    let app = &shared.app;
    let wanted = Wanted::of_form(&form)?;
    let again = |status, problem, confirm| show(&shared, &who, status, &wanted, problem, confirm);
    if wanted.needs_endpoint() {
        return again(StatusCode::BAD_REQUEST, Some("Choose an endpoint.".to_owned()), None).await;
    }
    let plan = match wanted.plan() {
        Ok(plan) => plan,
        Err(problem) => return again(StatusCode::BAD_REQUEST, Some(problem), None).await,
    };
    // What cannot be undone is not begun by one click.
    if plan.kind == JobKind::Discard && form.text("confirm") != "yes" {
        let problem = "Tick this first: it cannot be undone.".to_owned();
        return again(StatusCode::BAD_REQUEST, None, Some(problem)).await;
    }
    match app.storage.jobs().create(&who.caller(), &plan, app.clock.now()).await {
        Ok(asked) => {
            let notice = match &asked {
                AskedJob::Created(_) => "The work has begun.",
                AskedJob::Running(_) => "Just this is under way already; nothing was begun twice.",
            };
            let path = format!("/jobs/{}", asked.into_job().id);
            Ok(see_other_with(&path, notice, app.dashboard.cookies))
        }
        Err(StorageError::Refused(refusal @ Refusal::Field { .. })) => {
            let problem = Some(sentence(&refusal.to_string()));
            again(StatusCode::BAD_REQUEST, problem, None).await
        }
        Err(StorageError::Refused(Refusal::Conflict(text))) => {
            again(StatusCode::CONFLICT, Some(sentence(&text)), None).await
        }
        Err(error) => Err(error.into()),
    }
}
