//! `DELETE /v1/policies/{id}`: no new consent may name it; those that do keep it.

use abide_core::ids::Policy;
use axum::extract::State;

use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, deleted};
use crate::caller::{By, PoliciesWrite};
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<PoliciesWrite>,
    Named(id): Named<Policy>,
) -> Answer {
    let app = &shared.app;
    app.storage.policies().delete(&by.caller, id, app.clock.now()).await?;
    deleted("The policy version was deleted. Consents that name it go on naming it.")
}
