//! Endpoints of any dialect: created, read, changed, stopped, tested. A secret is shown in the answer that made it and
//! never again (I12).

mod brought;
pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod end_replaced_secrets;
pub(crate) mod get;
pub(crate) mod input;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod resume;
pub(crate) mod rotate_secret;
pub(crate) mod test;
pub(crate) mod view;

use abide_core::access::Caller;
use abide_core::ids::{Endpoint, EndpointId, Kind as _};
use abide_dialects::{Dialect, by_name};
use abide_storage::endpoints::{EndpointPatch, EndpointView};

use super::answer::{Answer, ok};
use crate::App;
use crate::problem::Problem;
use view::EndpointObject;

pub(super) use brought::brought;
pub(super) use input::described;

const GROUP: &str = "Endpoints";

/// An endpoint of the caller's organization, of whatever dialect.
async fn find(app: &App, by: &Caller, id: EndpointId) -> Result<EndpointView, Problem> {
    let found = app.storage.endpoints().get(by.organization, id).await?;
    found.ok_or_else(|| Problem::not_found(Endpoint::NAME))
}

/// The dialect of an endpoint that is there. One made by another build may speak what this one does not know.
fn dialect_of(endpoint: &EndpointView) -> Result<&'static dyn Dialect, Problem> {
    by_name(&endpoint.dialect).ok_or_else(|| {
        let failure = format!("no dialect {} in this build", endpoint.dialect);
        Problem::internal(failure)
    })
}

/// Stops or starts an endpoint; one that stands so already is answered as it is.
async fn set_active(app: &App, by: &Caller, id: EndpointId, patch: EndpointPatch) -> Answer {
    let endpoint = app.storage.endpoints().change(by, id, patch, app.clock.now()).await?;
    ok(&EndpointObject::from(&endpoint))
}
