//! `POST /v1/consent/{id}/withdraw`: record that the person no longer agrees. Twice is no mistake.

use abide_core::consent::ConsentView;
use abide_core::ids::{Consent, SubjectId};
use abide_dialects::consentproof::ConsentObject;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::{IP_ADDRESS, METADATA, USER_AGENT, circumstances, refuse_ledger_fields};
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ok};
use crate::body::OptionalBody;
use crate::caller::{By, ConsentWrite};
use crate::idempotency::Repeatable;
use crate::input::{Fields, Metadata};
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentWrite>,
    Named(id): Named<Consent>,
    OptionalBody(body, _share): OptionalBody,
) -> Answer {
    let mut fields =
        body.as_ref().map_or_else(|| Ok(Fields::none()), |body| Fields::parse(body))?;
    let metadata: Option<Metadata> = fields.optional(METADATA);
    let address = fields.optional(IP_ADDRESS);
    let browser = fields.optional(USER_AGENT);
    refuse_ledger_fields(&mut fields);
    let told = circumstances(&mut fields, metadata, address, browser);
    let metadata = fields.finish(Some(told.metadata))?;
    let app = &shared.app;
    let by = by.once::<Recorded>(body.as_deref().unwrap_or_default());
    let consent = app.storage.consents().withdraw(&by, id, metadata, app.clock.now()).await?;
    answer(&consent)
}

fn answer(consent: &ConsentView) -> Answer {
    ok(ConsentObject::from(consent))
}

enum Recorded {}

impl Repeatable for Recorded {
    type Result = ConsentView;

    fn answer(consent: &ConsentView) -> Response {
        answer(consent).into_response()
    }

    fn about(consent: &ConsentView) -> Vec<SubjectId> {
        vec![consent.subject]
    }
}
