//! `PATCH /v1/webhooks/{id}`: URL, events, description, whether it is active.

use abide_core::ids::Endpoint;
use abide_storage::endpoints::EndpointPatch;
use axum::extract::State;

use super::{
    DESCRIPTION, EVENTS, Events, IS_ACTIVE, SECRET, URL, WebhookObject, find, sound_description,
    sound_url,
};
use crate::EndpointPolicy;
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ok};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, WebhooksWrite};
use crate::input::Fields;
use crate::router::Shared;

pub(super) const NEW_SECRET: &str = "cannot be changed; create a webhook with the new secret";

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let mut fields = Fields::parse(&body)?;
    let patch = patch(&mut fields, app.endpoints.as_ref());
    let patch = fields.finish(Some(patch))?;
    find(app, &by.caller, id).await?;
    let endpoints = app.storage.endpoints();
    let endpoint = endpoints.change(&by.caller, id, patch, app.clock.now()).await?;
    ok(WebhookObject::from(&endpoint))
}

fn patch(fields: &mut Fields<'_>, policy: &dyn EndpointPolicy) -> EndpointPatch {
    fields.fixed(SECRET, NEW_SECRET);
    let url = fields.changed(URL);
    let url = sound_url(fields, policy, url);
    let description =
        fields.removable(DESCRIPTION).map(|description| sound_description(fields, description));
    let patch = EndpointPatch {
        url,
        events: fields.changed(EVENTS).map(|Events(events)| events),
        description,
        is_active: fields.changed(IS_ACTIVE),
        ..EndpointPatch::default()
    };
    if patch == EndpointPatch::default() && fields.are_sound() {
        fields.problem(
            "body",
            "must set at least one of `url`, `events`, `description`, `is_active`",
        );
    }
    patch
}
