//! `GET /abide/v1/keys`: keys, oldest first, revoked ones included.

use abide_core::access::Scope;
use axum::extract::State;
use http::Uri;

use super::{GROUP, KeyObject, schema};
use crate::api::abide::answer::{Answer, page};
use crate::api::abide::cursor::{CURSOR, LIMIT, List, Window};
use crate::api::abide::describe::{Operation, page_of};
use crate::caller::{Admin, By};
use crate::input::Params;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("list_keys", GROUP, "List keys", page_of(schema()))
        .says("Oldest first, revoked ones included.")
        .scope(Scope::Admin)
        .pages()
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<Admin>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[LIMIT, CURSOR]);
    let window = Window::read(List::Keys, &mut params)?;
    let window = params.finish(window)?;
    let accounts = shared.app.storage.accounts();
    let keys =
        accounts.keys_after(by.caller.organization, window.after_id(), window.wanted()).await?;
    page(&window, keys, |key| key.id.key(), |key| KeyObject::from(&key))
}
