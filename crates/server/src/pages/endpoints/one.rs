//! `/endpoints/{id}`: one endpoint, with everything that is done with it.

use abide_core::access::Scope;
use abide_core::endpoint::EndpointState;
use abide_dialects::{Dialect, SecretForm, SignedBy};
use abide_storage::StorageError;
use abide_storage::counts::Waiting;
use abide_storage::delivery_log::DeliveryFilter;
use abide_storage::endpoints::{EndpointPatch, EndpointView};
use askama::Template;
use axum::extract::{Path, State};
use http::{StatusCode, Uri};

use super::fields::{EventsField, Typed};
use super::receivers::Receivers;
use super::schedule_fields::{ScheduleFields, TypedSchedule};
use super::secret_fields::SecretFields;
use super::test::{self, Answered, TestPart};
use super::{dialect_of, find, host, path, short};
use crate::caller::{WebhooksRead, WebhooksWrite};
use crate::pages::cursor::asked;
use crate::pages::deliveries::Row;
use crate::pages::errors::PageError;
use crate::pages::field::{Field, Problems};
use crate::pages::form::Form;
use crate::pages::layout::{Layout, Section};
use crate::pages::signed_in::{Allowed, SignedIn};
use crate::pages::when::{When, stretch};
use crate::pages::words::{self, Badge, FailingTold};
use crate::pages::{Answer, page_with, see_other_with};
use crate::problem::sentence;
use crate::public_keys::PublicKeys;
use crate::router::{Inner, Shared};

/// Deliveries shown on an endpoint's own page.
const LATEST: u32 = 10;
/// How many waiting deliveries of a kind are counted.
const COUNTED: u32 = 1_000;

#[derive(Template)]
#[template(path = "endpoint.html")]
struct EndpointPage {
    layout: Layout,
    id: String,
    original: Option<String>,
    url: String,
    short: String,
    host: String,
    note: Option<String>,
    state: Badge,
    is_active: bool,
    is_gone: bool,
    failing: Option<FailingTold>,
    dialect: &'static str,
    events: String,
    created: When,
    delivered: u64,
    failed: u64,
    last: Option<When>,
    waiting: String,
    schedule: String,
    auth: String,
    pausing: &'static str,
    /// What becomes of what waited when it is resumed.
    resuming: &'static str,
    /// Whether replaced secrets can go on signing for a while.
    overlaps: bool,
    replaced_until: Option<When>,
    public_keys: Option<PublicKeys>,
    secret_fields: SecretFields,
    schedule_fields: ScheduleFields,
    may_write: bool,
    problem: Option<String>,
    url_field: Field,
    events_field: EventsField,
    note_field: Field,
    confirm: Field,
    test: TestPart,
    receivers: Receivers,
    deliveries: Vec<Row>,
    /// Whether there can be older ones than were looked at.
    goes_on: bool,
}

/// What a page shows beside the endpoint as it stands.
#[derive(Default)]
pub(super) struct Beside<'a> {
    /// What was typed into the form, where it came back.
    pub(super) typed: Option<Typed>,
    /// The retries as typed, where the form came back.
    pub(super) schedule: Option<TypedSchedule>,
    /// The form chosen for another secret, where that came back.
    pub(super) secret_form: Option<String>,
    /// What was wrong.
    pub(super) problems: Problems,
    /// What was refused.
    pub(super) problem: Option<String>,
    /// The delivery of a test.
    pub(super) test: Option<&'a str>,
}

/// `GET /endpoints/{id}`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<WebhooksRead>,
    Path(id): Path<String>,
    uri: Uri,
) -> Answer {
    let endpoint = find(&shared, &who, &id).await?;
    let test = asked(&uri, "test");
    let beside = Beside { test: test.as_deref(), ..Beside::default() };
    show(&shared, &who, StatusCode::OK, &endpoint, beside).await
}

pub(super) async fn show(
    shared: &Inner,
    who: &SignedIn,
    status: StatusCode,
    endpoint: &EndpointView,
    beside: Beside<'_>,
) -> Answer {
    let Beside { typed, schedule: planned, secret_form, problems, problem, test } = beside;
    let (storage, organization) = (&shared.app.storage, who.caller().organization);
    let dialect = dialect_of(endpoint)?;
    let totals = storage.counts().totals(organization, &[endpoint.id]).await?;
    let totals = totals.first().copied().unwrap_or_default();
    let waiting = storage.counts().waiting(organization, endpoint.id, COUNTED).await?;
    let filter = DeliveryFilter { endpoint: Some(endpoint.id), ..DeliveryFilter::default() };
    let latest = storage.delivery_log().list(organization, &filter, None, LATEST).await?;
    let test = match test {
        Some(id) => test::named(shared, who, endpoint, id).await?,
        None => None,
    };
    let note = endpoint.description.as_deref();
    let typed = typed.unwrap_or_else(|| Typed::of(&endpoint.url, note, &endpoint.events));
    let now = shared.app.clock.now();
    let public_keys = PublicKeys::of(&shared.app, endpoint, dialect).await?;
    let usual_form =
        if public_keys.is_none() { SecretForm::Shared } else { SecretForm::KeyPair }.as_str();
    let planned = planned.unwrap_or_else(|| TypedSchedule::of(&endpoint.overrides));
    let page = EndpointPage {
        layout: who.layout(Section::Endpoints),
        id: endpoint.id.to_string(),
        original: endpoint.original.as_ref().map(|original| original.as_str().to_owned()),
        url: endpoint.url.clone(),
        short: short(&endpoint.url),
        host: host(&endpoint.url).to_owned(),
        note: endpoint.description.clone(),
        state: words::endpoint_state(endpoint),
        is_active: endpoint.state == EndpointState::Active,
        is_gone: endpoint.state == EndpointState::Gone,
        failing: endpoint.failing.map(FailingTold::from),
        dialect: dialect.label(),
        events: words::events(&endpoint.events),
        created: When(endpoint.created_at),
        delivered: totals.successful,
        failed: totals.failed,
        last: totals.last_attempt_at.map(When),
        waiting: waiting_words(waiting),
        schedule: schedule(endpoint, dialect),
        auth: auth(endpoint).join(", "),
        pausing: words::pausing(dialect.rules()),
        resuming: if dialect.rules().hold_waiting { "What is held then goes on." } else { "" },
        overlaps: dialect.signed_by() == SignedBy::EveryLive,
        replaced_until: endpoint.replaced_secret_until.filter(|until| *until > now).map(When),
        secret_fields: SecretFields::new(
            dialect.secret_forms(),
            secret_form.as_deref().unwrap_or(usual_form),
            &problems,
        ),
        public_keys,
        schedule_fields: planned.fields(&problems),
        may_write: who.may(Scope::WebhooksWrite),
        problem,
        url_field: typed.url_field(&problems),
        events_field: typed.events_field(&problems),
        note_field: typed.note_field(&problems),
        confirm: Field::text("confirm", "Type the endpoint's host to confirm", "")
            .judged(&problems),
        test: TestPart::new(who, endpoint, dialect, Answered::Here, test),
        receivers: Receivers::of(dialect.name(), &endpoint.url, None),
        goes_on: latest.next.is_some(),
        deliveries: latest.items.iter().map(|line| Row::of(line, None, now)).collect(),
    };
    page_with(status, &page)
}

fn waiting_words(waiting: Waiting) -> String {
    let Waiting { pending, parked, held, at_least, .. } = waiting;
    let prefix = if at_least { "at least " } else { "" };
    let due = pending + parked;
    match (due, held) {
        (0, 0) => "nothing".to_owned(),
        (due, 0) => format!("{prefix}{due}"),
        (0, held) => format!("{prefix}{held} held"),
        (due, held) => format!("{prefix}{due}, and {held} held"),
    }
}

/// When an endpoint is tried again, in a sentence.
fn schedule(endpoint: &EndpointView, dialect: &dyn Dialect) -> String {
    use abide_core::delivery::Afterwards;
    let usual = dialect.schedule();
    let delays = endpoint.overrides.retry_delays.as_deref().unwrap_or(&usual.delays);
    let waits: Vec<_> = delays.iter().map(|delay| stretch(i64::from(*delay))).collect();
    let then = match usual.afterwards {
        Afterwards::Fail => "then it has failed".to_owned(),
        Afterwards::EverySeconds(seconds) => format!("then every {}", stretch(i64::from(seconds))),
    };
    match waits.split_first() {
        None => format!("At once, {then}."),
        Some(_) => format!("At once, after {}, {then}.", waits.join(", ")),
    }
}

/// What proves Abide to an endpoint beside the signature.
pub(super) fn auth(endpoint: &EndpointView) -> Vec<String> {
    let auth = &endpoint.auth;
    let headers = auth.headers.iter().map(|name| format!("header {name}"));
    let kind = auth.authorization.as_ref().map(|kind| format!("{kind} authorization"));
    let certificate = auth.client_certificate.then(|| "a client certificate".to_owned());
    let roots = auth.trusted_roots.then(|| "own authorities".to_owned());
    headers.chain(kind).chain(certificate).chain(roots).collect()
}

/// `POST /endpoints/{id}`: URL, events, note, retries and deadline.
pub(crate) async fn change(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    form: Form,
) -> Answer {
    let app = &shared.app;
    let endpoint = find(&shared, &who, &id).await?;
    let dialect = dialect_of(&endpoint)?;
    let typed = Typed::read(&form);
    let mut problems = Problems::default();
    let standing = Some(endpoint.url.as_str());
    let judged = typed.judge(app.endpoints.as_ref(), Some(dialect), standing, &mut problems);
    let schedule = TypedSchedule::read(&form);
    let overrides = schedule.judge(&mut problems);
    let (Some(judged), Some(overrides)) = (judged, overrides) else {
        let (typed, schedule) = (Some(typed), Some(schedule));
        let beside = Beside { typed, schedule, problems, ..Beside::default() };
        return show(&shared, &who, StatusCode::BAD_REQUEST, &endpoint, beside).await;
    };
    let patch = EndpointPatch {
        url: Some(judged.url).filter(|url| *url != endpoint.url),
        events: Some(judged.events).filter(|events| *events != endpoint.events),
        description: Some(judged.note).filter(|note| *note != endpoint.description),
        overrides: Some(overrides).filter(|overrides| *overrides != endpoint.overrides),
        ..EndpointPatch::default()
    };
    if patch == EndpointPatch::default() {
        return Ok(changed(&shared, &endpoint, "Nothing was to change."));
    }
    match app.storage.endpoints().change(&who.caller(), endpoint.id, patch, app.clock.now()).await {
        Ok(_) => Ok(changed(&shared, &endpoint, "The endpoint was changed.")),
        Err(error) => refused_here(&shared, &who, &endpoint, error).await,
    }
}

/// Back to the endpoint's page, with a notice.
pub(super) fn changed(
    shared: &Inner,
    endpoint: &EndpointView,
    notice: &'static str,
) -> axum::response::Response {
    see_other_with(&path(endpoint.id), notice, shared.app.dashboard.cookies)
}

/// A change that does not fit the present state is told on the endpoint's own page.
pub(super) async fn refused_here(
    shared: &Inner,
    who: &SignedIn,
    endpoint: &EndpointView,
    error: StorageError,
) -> Answer {
    match error {
        StorageError::Refused(abide_core::Refusal::Conflict(text)) => {
            let beside = Beside { problem: Some(sentence(&text)), ..Beside::default() };
            show(shared, who, StatusCode::CONFLICT, endpoint, beside).await
        }
        other => Err(PageError::from(other)),
    }
}
