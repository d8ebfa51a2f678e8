//! `DELETE /abide/v1/endpoints/{id}`: nothing more is sent there.

use abide_core::access::Scope;
use abide_core::ids::{Endpoint, EndpointId};
use axum::extract::State;
use serde::Serialize;

use super::{GROUP, find};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::{Operation, field, flag, id, object};
use crate::caller::{By, WebhooksWrite};
use crate::input::Named;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    let answer = object(vec![
        field("id", id::<Endpoint>(), "What was deleted."),
        field("deleted", flag(), "True."),
    ]);
    Operation::new("delete_endpoint", GROUP, "Delete an endpoint", answer)
        .says("Nothing more is sent, what waits is cancelled, and the history of its deliveries stays.")
        .scope(Scope::WebhooksWrite)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
) -> Answer {
    let app = &shared.app;
    find(app, &by.caller, id).await?;
    app.storage.endpoints().delete(&by.caller, id, app.clock.now()).await?;
    ok(&Deleted { id, deleted: true })
}

#[derive(Serialize)]
struct Deleted {
    id: EndpointId,
    deleted: bool,
}
