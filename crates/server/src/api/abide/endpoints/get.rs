//! `GET /abide/v1/endpoints/{id}`: one endpoint.

use abide_core::access::Scope;
use abide_core::ids::Endpoint;
use axum::extract::State;

use super::view::{self, WithPublicKeys};
use super::{GROUP, dialect_of, find};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{By, WebhooksRead};
use crate::input::Named;
use crate::public_keys::PublicKeys;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_endpoint", GROUP, "Read an endpoint", view::schema_with_public_keys())
        .scope(Scope::WebhooksRead)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    Named(id): Named<Endpoint>,
) -> Answer {
    let endpoint = find(&shared.app, &by.caller, id).await?;
    let public_keys = PublicKeys::of(&shared.app, &endpoint, dialect_of(&endpoint)?).await?;
    ok(&WithPublicKeys::new(&endpoint, public_keys))
}
