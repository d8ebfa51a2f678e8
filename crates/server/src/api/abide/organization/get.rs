//! `GET /abide/v1/organization`: the caller's own organization.

use abide_core::ids::{Kind as _, Organization};
use axum::extract::State;

use super::{GROUP, OrganizationObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{AnyScope, By};
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_organization", GROUP, "Read your organization", schema())
        .says("The one that the key belongs to.")
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<AnyScope>) -> Answer {
    let found = shared.app.storage.accounts().organization_of(by.caller.organization).await?;
    let organization = found.ok_or_else(|| Problem::not_found(Organization::NAME))?;
    ok(&OrganizationObject::from(organization))
}
