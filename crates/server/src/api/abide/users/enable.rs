//! `POST /abide/v1/users/{id}/enable`.

use abide_core::access::Scope;
use abide_core::ids::User;
use axum::extract::State;

use super::{GROUP, UserObject, find, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{Admin, By};
use crate::input::Named;
use crate::problem::ProblemKind;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("enable_user", GROUP, "Let a user in again", schema())
        .says("With the password they had, or by a new link where they had none. Twice is no mistake.")
        .scope(Scope::Admin)
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    Named(id): Named<User>,
) -> Answer {
    let app = &shared.app;
    find(app, &by.caller, id).await?;
    ok(&UserObject::from(&app.storage.users().enable(&by.caller, id, app.clock.now()).await?))
}
