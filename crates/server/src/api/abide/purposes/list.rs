//! `GET /abide/v1/purposes`: purposes, oldest first.

use abide_core::access::Scope;
use axum::extract::State;
use http::Uri;

use super::{GROUP, PurposeObject, schema};
use crate::api::abide::answer::{Answer, page};
use crate::api::abide::cursor::{CURSOR, LIMIT, List, Window};
use crate::api::abide::describe::{Operation, page_of};
use crate::caller::{By, ConsentRead};
use crate::input::Params;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("list_purposes", GROUP, "List purposes", page_of(schema()))
        .says("Oldest first. A decision for an unknown purpose creates it, unless `strict_purposes` is set.")
        .scope(Scope::ConsentRead)
        .pages()
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<ConsentRead>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[LIMIT, CURSOR]);
    let window = Window::read(List::Purposes, &mut params)?;
    let window = params.finish(window)?;
    let purposes = shared.app.storage.purposes();
    let found =
        purposes.list_after(by.caller.organization, window.after_id(), window.wanted()).await?;
    page(&window, found, |purpose| purpose.id.key(), PurposeObject::from)
}
