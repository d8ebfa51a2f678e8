//! `POST /abide/v1/users/{id}/link`: another one-time link, shown this once; the one before is void.

use abide_core::access::Scope;
use abide_core::ids::User as UserKind;
use abide_storage::users::User;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::{GROUP, UserObject, WithLink, find, new_link, schema_with_link};
use crate::api::abide::answer::{Answer, ok_with_secret};
use crate::api::abide::describe::Operation;
use crate::caller::{Admin, By};
use crate::idempotency::Repeatable;
use crate::input::Named;
use crate::problem::ProblemKind;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("issue_user_link", GROUP, "Issue a one-time link", schema_with_link())
        .says("For somebody who lost their password or their invitation. The link before is void; a disabled user gets none.")
        .scope(Scope::Admin)
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    Named(id): Named<UserKind>,
) -> Answer {
    let app = &shared.app;
    let before = find(app, &by.caller, id).await?;
    let now = app.clock.now();
    let (secret, link) = new_link(app, before.state, now);
    let by = by.once::<Issued>(&[]);
    let user = app.storage.users().issue_link(&by, id, link, now).await?;
    answer(&user, Some(app.dashboard.link(&secret.issue(user.id))))
}

fn answer(user: &User, link: Option<String>) -> Answer {
    ok_with_secret(&WithLink { user: UserObject::from(user), link })
}

enum Issued {}

impl Repeatable for Issued {
    type Result = User;

    fn answer(user: &User) -> Response {
        answer(user, None).into_response()
    }
}
