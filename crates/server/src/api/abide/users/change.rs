//! `PATCH /abide/v1/users/{id}`: another name or role.

use abide_core::access::Scope;
use abide_core::ids::User;
use abide_storage::users::UserPatch;
use axum::extract::State;

use super::invite::NAME_LIMIT;
use super::{EMAIL, GROUP, NAME, ROLE, UserObject, find, roles, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::{Operation, optional, text_of};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{Admin, By};
use crate::input::{Fields, Named};
use crate::problem::ProblemKind;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("change_user", GROUP, "Change a user", schema())
        .says("Another role ends their sessions. The last active owner stays one.")
        .scope(Scope::Admin)
        .takes(vec![
            optional("name", text_of(1, 100), "What they are called."),
            optional("role", roles(), "What they may do."),
        ])
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    Named(id): Named<User>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    find(app, &by.caller, id).await?;
    let mut fields = Fields::parse(&body)?;
    fields.fixed(EMAIL, "cannot be changed; disable this user and invite another");
    fields.only(&[NAME, ROLE]);
    let name = fields.changed(NAME);
    let name = fields.line(NAME, name, NAME_LIMIT);
    let patch = UserPatch { name, role: fields.changed(ROLE) };
    if patch == UserPatch::default() && fields.are_sound() {
        fields.problem("body", "must set at least one of `name`, `role`");
    }
    let patch = fields.finish(Some(patch))?;
    ok(&UserObject::from(
        &app.storage.users().change(&by.caller, id, patch, app.clock.now()).await?,
    ))
}
