//! `/endpoints/new`: a new endpoint, in one form of four steps.

use abide_core::endpoint::{EndpointAuth, Overrides};
use abide_core::shell::draw;
use abide_dialects::{Dialect, all, by_name};
use abide_storage::StorageError;
use abide_storage::endpoints::NewEndpoint;
use abide_storage::sealing::Secret;
use askama::Template;
use axum::extract::State;
use http::StatusCode;

use super::fields::{EventsField, Scope, Typed};
use super::secret::{self, Made};
use crate::caller::WebhooksWrite;
use crate::pages::field::{Field, Problems};
use crate::pages::form::Form;
use crate::pages::layout::{Layout, Section};
use crate::pages::signed_in::Allowed;
use crate::pages::{Answer, page_with};
use crate::router::Shared;

#[derive(Template)]
#[template(path = "endpoint_new.html")]
struct NewPage {
    layout: Layout,
    url: Field,
    dialects: Vec<DialectRow>,
    dialect_problem: Option<String>,
    events: EventsField,
    note: Field,
}

struct DialectRow {
    name: &'static str,
    label: &'static str,
    meaning: &'static str,
    is_chosen: bool,
}

/// `GET /endpoints/new`.
pub(crate) async fn page(who: Allowed<WebhooksWrite>) -> Answer {
    let typed = Typed { scope: Some(Scope::All), ..Typed::default() };
    let usual = by_name("standard_webhooks");
    show(&who, StatusCode::OK, &typed, usual, &Problems::default())
}

fn show(
    who: &Allowed<WebhooksWrite>,
    status: StatusCode,
    typed: &Typed,
    chosen: Option<&'static dyn Dialect>,
    problems: &Problems,
) -> Answer {
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
        url: typed.url_field(problems),
        dialects,
        dialect_problem: problems.of("dialect").map(str::to_owned),
        events: typed.events_field(problems),
        note: typed.note_field(problems),
    };
    page_with(status, &page)
}

/// `POST /endpoints`: makes it, and shows its secret this once.
pub(crate) async fn create(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    form: Form,
) -> Answer {
    let app = &shared.app;
    let typed = Typed::read(&form);
    let dialect = by_name(form.text("dialect"));
    let mut problems = Problems::default();
    if dialect.is_none() {
        problems.add("dialect", "choose one");
    }
    let judged = typed.judge(app.endpoints.as_ref(), dialect, None, &mut problems);
    if let (Some(judged), Some(dialect)) = (judged, dialect)
        && let Some(form) = dialect.secret_forms().first()
    {
        let minted = dialect.new_secret(*form, &draw(app.chance.as_ref()));
        let new = NewEndpoint {
            dialect: dialect.name().to_owned(),
            url: judged.url,
            events: judged.events,
            description: judged.note,
            secret: Secret::from(minted.clone()),
            rules: dialect.rules(),
            auth: EndpointAuth::default(),
            overrides: Overrides::default(),
        };
        match app.storage.endpoints().create(&who.caller(), new, app.clock.now()).await {
            Ok(endpoint) => {
                let minted = Secret::from(minted);
                return secret::show(&who, &endpoint, dialect, &minted, Made::WithEndpoint);
            }
            Err(StorageError::Refused(refusal)) => problems.note(Err(refusal))?,
            Err(error) => return Err(error.into()),
        }
    }
    show(&who, StatusCode::BAD_REQUEST, &typed, dialect, &problems)
}
