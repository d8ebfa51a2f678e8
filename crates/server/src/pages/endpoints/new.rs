//! `/endpoints/new`: a new endpoint, in one form of four steps, with more for those who need it.

use abide_core::shell::draw;
use abide_dialects::{Dialect, SecretForm, all, by_name};
use abide_storage::StorageError;
use abide_storage::endpoints::NewEndpoint;
use abide_storage::sealing::Secret;
use askama::Template;
use axum::extract::State;
use http::StatusCode;

use super::auth_fields::{self, AuthFields, TypedAuth};
use super::fields::{EventsField, Scope, Typed};
use super::schedule_fields::{ScheduleFields, TypedSchedule};
use super::secret::hand_on;
use super::secret_fields::{self, SecretFields};
use crate::App;
use crate::caller::WebhooksWrite;
use crate::pages::field::{Field, Problems};
use crate::pages::form::Form;
use crate::pages::layout::{Layout, Section};
use crate::pages::shown_once::Shown;
use crate::pages::signed_in::Allowed;
use crate::pages::{Answer, page_with};
use crate::router::Shared;

#[derive(Template)]
#[template(path = "endpoint_new.html")]
struct NewPage {
    layout: Layout,
    /// Whether it came back, and what was wrong where no field shows it.
    came_back: bool,
    problem: Option<String>,
    url: Field,
    dialects: Vec<DialectRow>,
    dialect_problem: Option<String>,
    events: EventsField,
    note: Field,
    secret: SecretFields,
    auth: AuthFields,
    schedule: ScheduleFields,
}

struct DialectRow {
    name: &'static str,
    label: &'static str,
    meaning: &'static str,
    is_chosen: bool,
}

/// The whole form, as typed.
struct Wizard {
    typed: Typed,
    dialect: Option<&'static dyn Dialect>,
    secret_form: String,
    auth: TypedAuth,
    schedule: TypedSchedule,
}

/// `GET /endpoints/new`.
pub(crate) async fn page(who: Allowed<WebhooksWrite>) -> Answer {
    let wizard = Wizard {
        typed: Typed { scope: Some(Scope::All), ..Typed::default() },
        dialect: by_name("standard_webhooks"),
        secret_form: String::new(),
        auth: TypedAuth::default(),
        schedule: TypedSchedule::default(),
    };
    show(&who, StatusCode::OK, &wizard, &Problems::default())
}

fn show(
    who: &Allowed<WebhooksWrite>,
    status: StatusCode,
    wizard: &Wizard,
    problems: &Problems,
) -> Answer {
    let Wizard { typed, dialect: chosen, secret_form, auth, schedule } = wizard;
    let chosen = chosen.map(Dialect::name);
    let mut dialects: Vec<_> = all()
        .iter()
        .map(|dialect| DialectRow {
            name: dialect.name(),
            label: dialect.label(),
            meaning: dialect.meaning(),
            is_chosen: chosen == Some(dialect.name()),
        })
        .collect();
    // The open one first: whoever has a reason for another knows its name.
    dialects.sort_by_key(|row| row.name != "standard_webhooks");
    let page = NewPage {
        layout: who.layout(Section::Endpoints),
        came_back: !problems.is_empty(),
        problem: problems.of("form").map(str::to_owned),
        url: typed.url_field(problems),
        dialects,
        dialect_problem: problems.of("dialect").map(str::to_owned),
        events: typed.events_field(problems),
        note: typed.note_field(problems),
        secret: SecretFields::new(&SecretForm::ALL, secret_form, problems),
        auth: auth.fields(problems),
        schedule: schedule.fields(problems),
    };
    page_with(status, &page)
}

/// `POST /endpoints`: makes it; the next page shows its secret once.
pub(crate) async fn create(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    form: Form,
) -> Answer {
    let app = &shared.app;
    let wizard = Wizard {
        typed: Typed::read(&form),
        dialect: by_name(form.text("dialect")),
        secret_form: form.text("secret_form").to_owned(),
        auth: TypedAuth::read(&form),
        schedule: TypedSchedule::read(&form),
    };
    let mut problems = Problems::default();
    if let Some(new) = wizard.judge(app, &form, &mut problems) {
        let secret = Secret::from(new.secret.reveal().to_owned());
        match app.storage.endpoints().create(&who.caller(), new, app.clock.now()).await {
            Ok(endpoint) => {
                return Ok(hand_on(&shared, &who, endpoint.id, Shown::EndpointSecret, &secret));
            }
            Err(StorageError::Refused(refusal)) => problems.note(Err(refusal))?,
            Err(error) => return Err(error.into()),
        }
    }
    show(&who, StatusCode::BAD_REQUEST, &wizard, &problems)
}

impl Wizard {
    /// What is to be made, unless something is wrong: each part is judged, so that all of it is told at once.
    fn judge(&self, app: &App, form: &Form, problems: &mut Problems) -> Option<NewEndpoint> {
        let policy = app.endpoints.as_ref();
        if self.dialect.is_none() {
            problems.add("dialect", "choose one");
        }
        let judged = self.typed.judge(policy, self.dialect, None, problems);
        let random = draw(app.chance.as_ref());
        let secret =
            self.dialect.and_then(|dialect| secret_fields::judge(form, dialect, &random, problems));
        let auth = auth_fields::judge(form, policy, problems);
        let overrides = self.schedule.judge(problems);
        let (judged, dialect) = (judged?, self.dialect?);
        let new = NewEndpoint {
            dialect: dialect.name().to_owned(),
            url: judged.url,
            events: judged.events,
            description: judged.note,
            secret: secret?,
            rules: dialect.rules(),
            auth: auth?,
            overrides: overrides?,
        };
        problems.is_empty().then_some(new)
    }
}
