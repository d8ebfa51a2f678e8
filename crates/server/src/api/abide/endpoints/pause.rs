//! `POST /abide/v1/endpoints/{id}/pause`.

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
    Operation::new("pause_endpoint", GROUP, "Pause an endpoint", view::schema())
        .says(SAYS)
        .scope(Scope::WebhooksWrite)
}

const SAYS: &str = "From the answer on no event is queued against the endpoint as it was, and no attempt starts more than two \
    seconds later. What happens to events that come meanwhile, and to what waits, is the dialect's: `consentproof` leaves \
    them out and cancels what waits; the others hold all of it until the endpoint is resumed. Pausing twice is no mistake.";

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
) -> Answer {
    let patch = EndpointPatch { is_active: Some(false), ..EndpointPatch::default() };
    set_active(&shared.app, &by.caller, id, patch).await
}
