//! `PATCH /v1/consent/{id}`: record a decision that takes over what it does not say.

use abide_core::consent::ConsentPatch;
use abide_core::ids::Consent;
use abide_dialects::consentproof::ConsentObject;
use axum::extract::State;

use super::{CONSENT_TYPE, GRANTED, IP_ADDRESS, METADATA, POLICY_ID, SUBJECT_EMAIL, SUBJECT_ID};
use crate::api::consentproof::Named;
use crate::api::consentproof::envelope::{Answer, ok};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, ConsentWrite};
use crate::input::{Fields, Metadata, Text};
use crate::router::Shared;

const WHOSE: &str = "cannot be changed: another person or purpose has a consent of its own";

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentWrite>,
    Named(id): Named<Consent>,
    JsonBody(body): JsonBody<SINGLE>,
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
    let metadata: Option<Metadata> = fields.changed(METADATA);
    let given_address = fields.changed(IP_ADDRESS).map(|Text(address)| address);
    let (metadata, found_address) =
        metadata.map_or((None, None), |metadata| (Some(metadata.object), metadata.ip_address));
    ConsentPatch {
        granted: fields.changed(GRANTED),
        email: fields.changed(SUBJECT_EMAIL).map(|Text(email)| email),
        policy: fields.changed(POLICY_ID),
        metadata,
        ip_address: given_address.or(found_address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Invalid;

    #[test]
    fn what_a_change_cannot_do_is_said() {
        let body = br#"{"subject_id":"other","consentType":"m","userEmail":null,"granted":true}"#;
        let mut fields = Fields::parse(body).unwrap();
        let read = patch(&mut fields);
        assert_eq!(read.granted, Some(true));
        let Err(Invalid::Fields(problems)) = fields.finish(Some(read)) else { panic!() };
        let named: Vec<_> = problems.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(named, ["subject_id", "consent_type", "subject_email"]);
    }
}
