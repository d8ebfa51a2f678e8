//! `GET /abide/v1/endpoints`: endpoints, newest first.

use abide_core::access::Scope;
use abide_core::ids::EndpointId;
use abide_dialects::{Dialect, all, by_name};
use axum::extract::State;
use http::Uri;

use super::view::{self, EndpointObject};
use super::{GROUP, input::DIALECT};
use crate::api::abide::answer::{Answer, page};
use crate::api::abide::cursor::{CURSOR, LIMIT, List, Window};
use crate::api::abide::describe::{Operation, optional, page_of};
use crate::caller::{By, WebhooksRead};
use crate::input::{Params, one_of};
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("list_endpoints", GROUP, "List endpoints", page_of(view::schema()))
        .says("Newest first; deleted ones are not there.")
        .scope(Scope::WebhooksRead)
        .filters(vec![optional("dialect", view::dialects(), "Only endpoints of this dialect.")])
        .pages()
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksRead>,
    uri: Uri,
) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[LIMIT, CURSOR, DIALECT]);
    let dialect = params.take(DIALECT, |name| {
        by_name(name)
            .map(Dialect::name)
            .ok_or_else(|| one_of(all().iter().map(|dialect| dialect.name())))
    });
    let window = Window::read(List::Endpoints, &mut params)?;
    let window = params.finish(window)?;
    let before = window.after.map(EndpointId::from_key);
    let endpoints = shared.app.storage.endpoints();
    let found = endpoints.before(by.caller.organization, dialect, before, window.wanted()).await?;
    page(
        &window,
        found,
        |one| one.id.key(),
        |one| serde_json::to_value(EndpointObject::from(&one)).unwrap_or_default(),
    )
}
