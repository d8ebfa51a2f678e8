//! `DELETE /v1/webhooks/{id}`: nothing more is sent there.

use abide_core::ids::Endpoint;
use axum::extract::State;

use super::find;
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, deleted};
use crate::caller::{By, WebhooksWrite};
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
) -> Answer {
    let app = &shared.app;
    find(app, &by.caller, id).await?;
    app.storage.endpoints().delete(&by.caller, id, app.clock.now()).await?;
    deleted("The webhook was deleted.")
}
