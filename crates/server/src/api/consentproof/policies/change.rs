//! `PATCH /v1/policies/{id}`: title, effective date, whether new consents may name it. A new text is a new version.

use abide_core::ids::Policy;
use abide_core::policy::PolicyPatch;
use abide_dialects::consentproof::PolicyObject;
use axum::extract::State;

use super::{CONTENT, EFFECTIVE_DATE, IS_ACTIVE, POLICY_TYPE, TITLE, VERSION};
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ok};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, PoliciesWrite};
use crate::input::{EffectiveDate, Fields, Text};
use crate::router::Shared;

const NEW_VERSION: &str = "cannot be changed; create a new version";

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<PoliciesWrite>,
    Named(id): Named<Policy>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let mut fields = Fields::parse(&body)?;
    for name in [POLICY_TYPE, VERSION, CONTENT] {
        fields.fixed(name, NEW_VERSION);
    }
    let patch = PolicyPatch {
        title: fields.changed(TITLE).map(|Text(title)| title),
        effective_date: fields.changed(EFFECTIVE_DATE).map(|EffectiveDate(at)| at),
        is_active: fields.changed(IS_ACTIVE),
    };
    let patch = fields.finish(Some(patch))?;
    let app = &shared.app;
    let policy = app.storage.policies().change(&by.caller, id, patch, app.clock.now()).await?;
    ok(PolicyObject::read(&policy))
}
