//! `PATCH /abide/v1/endpoints/{id}`: what is given changes, the rest stays.

use abide_core::access::Scope;
use abide_core::ids::Endpoint;
use abide_storage::endpoints::{EndpointPatch, EndpointView};
use axum::extract::State;

use super::input::{self, AUTH, DEADLINE_SECONDS, DESCRIPTION, EVENTS, RETRY_DELAYS, SECRET, URL};
use super::view::{self, EndpointObject};
use super::{GROUP, dialect_of, find};
use crate::App;
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::{Operation, optional, text_of};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, WebhooksWrite};
use crate::input::{EventNames, Fields, Name, Named};
use crate::router::Shared;

const DIALECT: Name = Name(&["dialect"]);
const STATE: Name = Name(&["state"]);

pub(crate) fn about() -> Operation {
    let mut fields = vec![optional("url", text_of(1, 2048), "Where to send: an https URL.")];
    fields.extend(input::described());
    Operation::new("change_endpoint", GROUP, "Change an endpoint", view::schema())
        .says("What is left out stays. A secret is replaced by `rotate-secret`; a dialect never changes.")
        .scope(Scope::WebhooksWrite)
        .takes(fields)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let before = find(app, &by.caller, id).await?;
    let mut fields = Fields::parse(&body)?;
    fields.fixed(SECRET, "is replaced by `POST .../rotate-secret`");
    fields.fixed(DIALECT, "cannot be changed; create another endpoint");
    fields.fixed(STATE, "is changed by `POST .../pause` and `POST .../resume`");
    fields.only(&[URL, EVENTS, DESCRIPTION, AUTH, RETRY_DELAYS, DEADLINE_SECONDS]);
    let dialect = dialect_of(&before)?;
    let patch = patch(&mut fields, app, &before, dialect);
    let patch = fields.finish(Some(patch))?;
    let endpoints = app.storage.endpoints();
    let endpoint = endpoints.change(&by.caller, id, patch, app.clock.now()).await?;
    ok(&EndpointObject::from(&endpoint))
}

fn patch(
    fields: &mut Fields<'_>,
    app: &App,
    before: &EndpointView,
    dialect: &dyn abide_dialects::Dialect,
) -> EndpointPatch {
    let url = fields.changed(URL);
    let url = input::url(fields, app.endpoints.as_ref(), url);
    let events: Option<EventNames> = fields.changed(EVENTS);
    let events = events.map(|events| input::events(fields, Some(dialect), events));
    let description = fields.removable(DESCRIPTION).map(|given| input::description(fields, given));
    let patch = EndpointPatch {
        url,
        events,
        description,
        is_active: None,
        auth: input::auth(fields, app.endpoints.as_ref()),
        overrides: input::overrides(fields, &before.overrides),
    };
    if patch == EndpointPatch::default() && fields.are_sound() {
        fields.problem("body", "must set at least one field");
    }
    patch
}
