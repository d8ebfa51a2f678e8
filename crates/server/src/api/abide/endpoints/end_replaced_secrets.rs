//! `POST /abide/v1/endpoints/{id}/end-replaced-secrets`: the newest secret alone signs.

use abide_core::access::Scope;
use abide_core::ids::Endpoint;
use axum::extract::State;

use super::GROUP;
use super::view::{self, EndpointObject};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{By, WebhooksWrite};
use crate::input::Named;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    let summary = "End an endpoint's replaced secrets";
    Operation::new("end_replaced_endpoint_secrets", GROUP, summary, view::schema())
        .says("The newest secret alone signs from the answer on. Where it does already, nothing changes.")
        .scope(Scope::WebhooksWrite)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
) -> Answer {
    let app = &shared.app;
    let endpoints = app.storage.endpoints();
    let endpoint = endpoints.end_replaced_secrets(&by.caller, id, app.clock.now()).await?;
    ok(&EndpointObject::from(&endpoint))
}
