//! `/endpoints`: where events are told. Listed, made in one form, looked at, changed, stopped, tested.
//!
//! Behind each form stands the operation that the API has; a secret is shown once, on the page that follows the
//! form which made it (I12).

mod auth_fields;
pub(crate) mod authentication;
pub(crate) mod deeds;
mod fields;
pub(crate) mod list;
pub(crate) mod new;
pub(crate) mod one;
mod read;
mod receivers;
mod schedule_fields;
pub(crate) mod secret;
mod secret_fields;
pub(crate) mod test;

use abide_core::ids::EndpointId;
use abide_dialects::{Dialect, by_name};
use abide_storage::endpoints::EndpointView;

use super::errors::PageError;
use super::signed_in::SignedIn;
use crate::router::Inner;

/// The endpoint of that id, where it is the organization's and not deleted.
async fn find(shared: &Inner, who: &SignedIn, id: &str) -> Result<EndpointView, PageError> {
    let id = EndpointId::parse(id).map_err(|_| PageError::NotFound)?;
    let found = shared.app.storage.endpoints().get(who.caller().organization, id).await?;
    found.ok_or(PageError::NotFound)
}

/// The dialect of an endpoint that is there.
fn dialect_of(endpoint: &EndpointView) -> Result<&'static dyn Dialect, PageError> {
    by_name(&endpoint.dialect)
        .ok_or_else(|| PageError::broken("an endpoint speaks a dialect that this build lacks"))
}

/// The path of an endpoint's page.
pub(crate) fn path(id: EndpointId) -> String {
    format!("/endpoints/{id}")
}

/// What stands for an endpoint in a sentence or a row: its URL without the scheme.
pub(crate) fn short(url: &str) -> String {
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    bare.trim_end_matches('/').to_owned()
}

/// Host and port in a URL, as somebody types them to confirm what they delete.
fn host(url: &str) -> &str {
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    bare.split(['/', '?', '#']).next().unwrap_or(bare)
}
