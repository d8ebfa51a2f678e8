//! `POST /abide/v1/endpoints/{id}/resume`.

use abide_core::access::Scope;
use abide_core::ids::Endpoint;
use abide_storage::endpoints::EndpointPatch;
use axum::extract::State;

use super::{GROUP, set_active, view};
use crate::api::abide::answer::Answer;
use crate::api::abide::describe::Operation;
use crate::caller::{By, WebhooksWrite};
use crate::input::Named;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("resume_endpoint", GROUP, "Resume an endpoint", view::schema())
        .says(SAYS)
        .scope(Scope::WebhooksWrite)
}

const SAYS: &str = "What was held goes on at once. An endpoint whose receiver answered 410 is resumed the same way. Resuming \
    twice is no mistake.";

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
) -> Answer {
    let patch = EndpointPatch { is_active: Some(true), ..EndpointPatch::default() };
    set_active(&shared.app, &by.caller, id, patch).await
}
