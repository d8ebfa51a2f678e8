//! `GET /v1/policies/{id}`: one version with its text.

use abide_core::ids::{Kind as _, Policy};
use abide_dialects::consentproof::PolicyObject;
use axum::extract::State;

use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ApiError, ok};
use crate::caller::{By, ConsentRead};
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentRead>,
    Named(id): Named<Policy>,
) -> Answer {
    let found = shared.app.storage.policies().get(by.caller.organization, id).await?;
    let policy = found.ok_or_else(|| ApiError::not_found(Policy::NAME))?;
    ok(PolicyObject::read(&policy))
}
