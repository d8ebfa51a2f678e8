//! `GET /v1/consent/{id}`: one consent as it stands.

use abide_core::ids::{Consent, Kind as _};
use abide_dialects::consentproof::ConsentObject;
use axum::extract::State;

use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ApiError, ok};
use crate::caller::{By, ConsentRead};
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentRead>,
    Named(id): Named<Consent>,
) -> Answer {
    let found = shared.app.storage.consents().get(by.caller.organization, id).await?;
    let consent = found.ok_or_else(|| ApiError::not_found(Consent::NAME))?;
    ok(ConsentObject::from(&consent))
}
