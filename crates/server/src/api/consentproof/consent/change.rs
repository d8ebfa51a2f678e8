//! `PATCH /v1/consent/{id}`: record a decision that takes over what it does not say. `null` removes: e-mail address,
//! policy and metadata, with the address and browser in it. The decisions before keep what they say.

use abide_core::consent::ConsentPatch;
use abide_core::ids::Consent;
use abide_dialects::consentproof::ConsentObject;
use axum::extract::State;

use super::{
    CONSENT_TYPE, GRANTED, IP_ADDRESS, METADATA, OBTAINED_AT, POLICY_ID, SUBJECT_EMAIL, SUBJECT_ID,
    USER_AGENT, VALID_FROM, VALID_UNTIL, circumstances, refuse_ledger_fields,
};
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ok};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, ConsentWrite};
use crate::input::{Fields, Metadata, Text};
use crate::router::Shared;

const WHOSE: &str = "cannot be changed: another person or purpose has a consent of its own";
const WHEN: &str = "cannot be changed: record the decision anew with `POST /v1/consent`";

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentWrite>,
    Named(id): Named<Consent>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let mut fields = Fields::parse(&body)?;
    let patch = patch(&mut fields);
    let patch = fields.finish(Some(patch))?;
    let app = &shared.app;
    let consent = app.storage.consents().change(&by.caller, id, patch, app.clock.now()).await?;
    ok(ConsentObject::from(&consent))
}

fn patch(fields: &mut Fields<'_>) -> ConsentPatch {
    fields.fixed(SUBJECT_ID, WHOSE);
    fields.fixed(CONSENT_TYPE, WHOSE);
    for name in [OBTAINED_AT, VALID_FROM, VALID_UNTIL] {
        fields.fixed(name, WHEN);
    }
    refuse_ledger_fields(fields);
    let metadata: Option<Option<Metadata>> = fields.removable(METADATA);
    let address = fields.changed(IP_ADDRESS);
    let browser = fields.changed(USER_AGENT);
    let is_removed = metadata == Some(None);
    // Without metadata they make one of their own: that of the earlier decision stays with its version.
    let told = circumstances(fields, metadata.flatten(), address, browser);
    ConsentPatch {
        granted: fields.changed(GRANTED),
        email: fields.removable(SUBJECT_EMAIL).map(|email| email.map(|Text(email)| email)),
        policy: fields.removable(POLICY_ID),
        metadata: told.metadata.map(Some).or(is_removed.then_some(None)),
        ip_address: told.ip_address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Invalid;

    #[test]
    fn what_a_change_cannot_do_is_said() {
        let body = br#"{"subject_id":"other","consentType":"m","userEmail":null,"granted":null}"#;
        let mut fields = Fields::parse(body).unwrap();
        let read = patch(&mut fields);
        assert_eq!((read.granted, &read.email), (None, &Some(None)));
        let Err(Invalid::Fields(problems)) = fields.finish(Some(read)) else { panic!() };
        let named: Vec<_> = problems.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(named, ["subject_id", "consent_type", "granted"]);
    }
}
