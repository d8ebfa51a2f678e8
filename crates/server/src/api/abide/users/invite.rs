//! `POST /abide/v1/users`: invites somebody, with the link shown this once.

use abide_core::Refusal;
use abide_core::access::Scope;
use abide_core::user::{UserState, check_email};
use abide_storage::users::{NewUser, User};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::{EMAIL, GROUP, NAME, ROLE, UserObject, WithLink, new_link, roles, schema_with_link};
use crate::api::abide::answer::{Answer, created_with_secret};
use crate::api::abide::describe::{Operation, field, text_of};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{Admin, By};
use crate::idempotency::Repeatable;
use crate::input::{Fields, Text};
use crate::router::Shared;

/// Longest name, in characters.
pub(super) const NAME_LIMIT: usize = 100;

pub(crate) fn about() -> Operation {
    Operation::new("invite_user", GROUP, "Invite a user", schema_with_link())
        .says("They choose a password by the link, which is good once and for seven days; it is in this answer and nowhere else.")
        .scope(Scope::Admin)
        .takes(vec![
            field("email", text_of(3, 254), "What they sign in with."),
            field("name", text_of(1, 100), "What they are called."),
            field("role", roles(), "What they may do."),
        ])
        .creates()
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let mut fields = Fields::parse(&body)?;
    fields.only(&[EMAIL, NAME, ROLE]);
    let new = user(&mut fields);
    let new = fields.finish(new)?;
    let now = app.clock.now();
    let (secret, link) = new_link(app, UserState::Invited, now);
    let by = by.once::<Invited>(&body);
    let user = app.storage.users().invite(&by, new, link, now).await?;
    answer(&user, Some(app.dashboard.link(&secret.issue(user.id))))
}

fn answer(user: &User, link: Option<String>) -> Answer {
    let location = format!("/abide/v1/users/{}", user.id);
    created_with_secret(&location, &WithLink { user: UserObject::from(user), link })
}

enum Invited {}

impl Repeatable for Invited {
    type Result = User;

    fn answer(user: &User) -> Response {
        answer(user, None).into_response()
    }
}

fn user(fields: &mut Fields<'_>) -> Option<NewUser> {
    let email = fields.required(EMAIL);
    if let Some(Text(email)) = &email
        && let Err(Refusal::Field { field, problem }) = check_email(email)
    {
        fields.problem(&field, problem);
    }
    let name = fields.required(NAME);
    let name = fields.line(NAME, name, NAME_LIMIT);
    let role = fields.required(ROLE);
    let Text(email) = email?;
    Some(NewUser { email, name: name?, role: role? })
}
