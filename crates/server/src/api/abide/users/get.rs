//! `GET /abide/v1/users/{id}`: one user.

use abide_core::access::Scope;
use abide_core::ids::User;
use axum::extract::State;

use super::{GROUP, UserObject, find, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{Admin, By};
use crate::input::Named;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_user", GROUP, "Read a user", schema()).scope(Scope::Admin)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    Named(id): Named<User>,
) -> Answer {
    ok(&UserObject::from(&find(&shared.app, &by.caller, id).await?))
}
