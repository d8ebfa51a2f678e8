//! `GET /abide/v1/organizations`: every organization of the installation, oldest first.

use abide_core::access::Scope;
use axum::extract::State;
use http::Uri;

use crate::api::abide::answer::{Answer, page};
use crate::api::abide::cursor::{CURSOR, LIMIT, List, Window};
use crate::api::abide::describe::{Operation, page_of};
use crate::api::abide::organization::{GROUP, OrganizationObject, schema};
use crate::caller::{By, OrganizationsWrite};
use crate::input::Params;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("list_organizations", GROUP, "List all organizations", page_of(schema()))
        .says("Oldest first: every organization of the installation, for whoever runs it.")
        .scope(Scope::OrganizationsWrite)
        .pages()
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    _by: By<OrganizationsWrite>,
    uri: Uri,
) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[LIMIT, CURSOR]);
    let window = Window::read(List::Organizations, &mut params)?;
    let window = params.finish(window)?;
    let accounts = shared.app.storage.accounts();
    let found = accounts.organizations_after(window.after_id(), window.wanted()).await?;
    page(&window, found, |organization| organization.id.key(), OrganizationObject::from)
}
