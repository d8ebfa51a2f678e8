//! `GET /abide/v1/users`: users, oldest first, disabled ones included.

use abide_core::access::Scope;
use abide_core::ids::UserId;
use axum::extract::State;
use http::Uri;

use super::{GROUP, UserObject, schema};
use crate::api::abide::answer::{Answer, page};
use crate::api::abide::cursor::{CURSOR, LIMIT, List, Window};
use crate::api::abide::describe::{Operation, page_of};
use crate::caller::{Admin, By};
use crate::input::Params;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("list_users", GROUP, "List users", page_of(schema()))
        .says("Oldest first, disabled ones included.")
        .scope(Scope::Admin)
        .pages()
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<Admin>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[LIMIT, CURSOR]);
    let window = Window::read(List::Users, &mut params)?;
    let window = params.finish(window)?;
    let after = window.after.map(UserId::from_key);
    let users = shared.app.storage.users();
    let found = users.after(by.caller.organization, after, window.wanted()).await?;
    page(&window, found, |user| user.id.key(), |user| UserObject::from(&user))
}
