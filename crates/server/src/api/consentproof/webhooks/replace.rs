//! `PUT /v1/webhooks/{id}`: URL, events and description as given, what is left out removed. Whether it is active stays
//! unless said.

use abide_core::ids::Endpoint;
use abide_storage::endpoints::EndpointPatch;
use axum::extract::State;

use super::change::NEW_SECRET;
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

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let mut fields = Fields::parse(&body)?;
    let replacement = replacement(&mut fields, app.endpoints.as_ref());
    let replacement = fields.finish(replacement)?;
    find(app, &by.caller, id).await?;
    let endpoints = app.storage.endpoints();
    let endpoint = endpoints.change(&by.caller, id, replacement, app.clock.now()).await?;
    ok(WebhookObject::from(&endpoint))
}

fn replacement(fields: &mut Fields<'_>, policy: &dyn EndpointPolicy) -> Option<EndpointPatch> {
    fields.fixed(SECRET, NEW_SECRET);
    let url = fields.required(URL);
    let url = sound_url(fields, policy, url);
    let events: Option<Events> = fields.required(EVENTS);
    let description = fields.optional(DESCRIPTION);
    let description = sound_description(fields, description);
    let is_active = fields.changed(IS_ACTIVE);
    let Events(events) = events?;
    Some(EndpointPatch {
        url: Some(url?),
        events: Some(events),
        description: Some(description),
        is_active,
        ..EndpointPatch::default()
    })
}
