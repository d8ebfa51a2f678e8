//! `POST /abide/v1/organization/restore`: takes the deletion of the caller's organization back.

use abide_core::access::Scope;
use axum::extract::State;

use super::{GROUP, OrganizationObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{Admin, By};
use crate::problem::ProblemKind;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("restore_organization", GROUP, "Take its deletion back", schema())
        .says(
            "From the answer on everything goes on, deliveries that were held included. Nothing happens to an \
             organization that is not being deleted.",
        )
        .scope(Scope::Admin)
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<Admin>) -> Answer {
    let app = &shared.app;
    let restored = app.storage.deletions().restore(&by.caller, app.clock.now()).await?;
    ok(&OrganizationObject::from(restored))
}
