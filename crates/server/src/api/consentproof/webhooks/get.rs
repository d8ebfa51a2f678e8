//! `GET /v1/webhooks/{id}`: one webhook.

use abide_core::ids::Endpoint;
use axum::extract::State;

use super::{WebhookObject, find};
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ok};
use crate::caller::{By, WebhooksRead};
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    Named(id): Named<Endpoint>,
) -> Answer {
    let endpoint = find(&shared.app, &by.caller, id).await?;
    ok(WebhookObject::from(&endpoint))
}
