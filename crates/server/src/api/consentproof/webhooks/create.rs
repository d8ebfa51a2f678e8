//! `POST /v1/webhooks`: a new webhook, active, with its secret shown this once.

use abide_core::endpoint::{EndpointAuth, Overrides};
use abide_core::shell::{Chance, draw};
use abide_dialects::consentproof::ConsentProof;
use abide_dialects::{Dialect as _, SecretForm};
use abide_storage::endpoints::{EndpointView, NewEndpoint};
use abide_storage::sealing::Secret;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::{
    DESCRIPTION, EVENTS, Events, IS_ACTIVE, SECRET, URL, WebhookObject, sound_description,
    sound_url,
};
use crate::EndpointPolicy;
use crate::api::consentproof::envelope::{Answer, created, created_with_secret};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, WebhooksWrite};
use crate::idempotency::Repeatable;
use crate::input::{Fields, Text};
use crate::router::Shared;

const SAVE_IT: &str = "Save the webhook secret now - it will not be shown again.";

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let mut fields = Fields::parse(&body)?;
    let new = webhook(&mut fields, app.endpoints.as_ref(), app.chance.as_ref());
    let new = fields.finish(new)?;
    let secret = Secret::from(new.secret.reveal().to_owned());
    let now = app.clock.now();
    let by = by.once::<Created>(&body);
    let endpoint = app.storage.endpoints().create(&by, new, now).await?;
    created_with_secret(WebhookObject::new(&endpoint, secret.reveal()), SAVE_IT, now)
}

enum Created {}

impl Repeatable for Created {
    type Result = EndpointView;

    /// Without the secret, which was shown once (P5).
    fn answer(endpoint: &EndpointView) -> Response {
        created(WebhookObject::from(endpoint)).into_response()
    }
}

fn webhook(
    fields: &mut Fields<'_>,
    policy: &dyn EndpointPolicy,
    chance: &dyn Chance,
) -> Option<NewEndpoint> {
    let url = fields.required(URL);
    let url = sound_url(fields, policy, url);
    let events: Option<Events> = fields.required(EVENTS);
    let description = fields.optional(DESCRIPTION);
    let description = sound_description(fields, description);
    let secret = match fields.optional(SECRET) {
        None => Secret::from(ConsentProof.new_secret(SecretForm::Shared, &draw(chance))),
        Some(Text(secret)) => {
            if let Err(problem) = ConsentProof.check_secret(&secret) {
                fields.problem(SECRET.0[0], problem);
            }
            Secret::from(secret)
        }
    };
    if fields.optional(IS_ACTIVE) == Some(false) {
        fields
            .problem(IS_ACTIVE.0[0], "cannot be false at first; change it once the webhook exists");
    }
    let Events(events) = events?;
    Some(NewEndpoint {
        dialect: ConsentProof.name().to_owned(),
        url: url?,
        events,
        description,
        secret,
        rules: ConsentProof.rules(),
        auth: EndpointAuth::default(),
        overrides: Overrides::default(),
    })
}
