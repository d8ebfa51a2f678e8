//! `POST /abide/v1/endpoints`: a new endpoint, active, with its secret shown this once.

use abide_core::access::Scope;
use abide_core::endpoint::{EventFilter, Overrides};
use abide_core::shell::draw;
use abide_dialects::{Dialect, all, by_name};
use abide_storage::endpoints::{EndpointView, NewEndpoint};
use abide_storage::sealing::Secret;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::GROUP;
use super::input::{
    self, AUTH, DEADLINE_SECONDS, DESCRIPTION, DIALECT, EVENTS, RETRY_DELAYS, SECRET, SECRET_FORM,
    URL,
};
use super::view::{self, WithSecret};
use crate::App;
use crate::api::abide::answer::{Answer, created_with_secret};
use crate::api::abide::describe::{Operation, field, optional, text_of};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, WebhooksWrite};
use crate::idempotency::Repeatable;
use crate::input::{EventNames, Fields, Text, one_of};
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    let mut fields = vec![
        field("url", text_of(1, 2048), "Where to send: an https URL."),
        optional("dialect", view::dialects(), "The wire contract; `standard_webhooks` without it."),
    ];
    fields.extend(input::described());
    fields.extend(input::described_secret());
    Operation::new("create_endpoint", GROUP, "Create an endpoint", view::schema_with_secret())
        .says(
            "It is active at once and is told what happens from then on; without `events`, of everything. The secret \
             is in this answer and nowhere else.",
        )
        .scope(Scope::WebhooksWrite)
        .takes(fields)
        .creates()
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let mut fields = Fields::parse(&body)?;
    fields.only(&[
        URL,
        DIALECT,
        EVENTS,
        DESCRIPTION,
        SECRET,
        SECRET_FORM,
        AUTH,
        RETRY_DELAYS,
        DEADLINE_SECONDS,
    ]);
    let new = endpoint(&mut fields, app);
    let (new, dialect) = fields.finish(new)?;
    let secret = Secret::from(new.secret.reveal().to_owned());
    let now = app.clock.now();
    let by = by.once::<Created>(&body);
    let endpoint = app.storage.endpoints().create(&by, new, now).await?;
    let public_key = dialect.public_key(secret.reveal());
    let shown = WithSecret::new(&endpoint, Some(secret.reveal()), public_key);
    created_with_secret(&location(&endpoint), &shown)
}

fn location(endpoint: &EndpointView) -> String {
    format!("/abide/v1/endpoints/{}", endpoint.id)
}

enum Created {}

impl Repeatable for Created {
    type Result = EndpointView;

    fn answer(endpoint: &EndpointView) -> Response {
        let shown = WithSecret::new(endpoint, None, None);
        created_with_secret(&location(endpoint), &shown).into_response()
    }
}

/// The endpoint that some fields describe, with its secret or a new one.
pub(super) fn endpoint(
    fields: &mut Fields<'_>,
    app: &App,
) -> Option<(NewEndpoint, &'static dyn Dialect)> {
    let url = fields.required(URL);
    let url = input::url(fields, app.endpoints.as_ref(), url);
    let dialect = dialect(fields);
    let events: Option<EventNames> = fields.optional(EVENTS);
    let events = events.map(|events| input::events(fields, dialect, events));
    let description = fields.optional(DESCRIPTION);
    let description = input::description(fields, description);
    let auth = input::auth(fields, app.endpoints.as_ref()).unwrap_or_default();
    let overrides = input::overrides(fields, &Overrides::default()).unwrap_or_default();
    let dialect = dialect?;
    let secret = input::secret(fields, dialect, &draw(app.chance.as_ref()));
    let new = NewEndpoint {
        dialect: dialect.name().to_owned(),
        url: url?,
        events: events.unwrap_or(EventFilter::All),
        description,
        secret: secret?,
        rules: dialect.rules(),
        auth,
        overrides,
    };
    Some((new, dialect))
}

fn dialect(fields: &mut Fields<'_>) -> Option<&'static dyn Dialect> {
    let Text(name) = fields.optional(DIALECT).unwrap_or(Text("standard_webhooks".to_owned()));
    let found = by_name(&name);
    if found.is_none() {
        fields.problem(DIALECT.0[0], one_of(all().iter().map(|dialect| dialect.name())));
    }
    found
}
