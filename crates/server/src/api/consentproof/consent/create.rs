//! `POST /v1/consent`: record a decision.

use abide_core::Timestamp;
use abide_core::consent::{
    ConsentView, LawfulBasis, NewDecision, PermissionState, SubjectInput, Validity,
};
use abide_core::ids::SubjectId;
use abide_dialects::consentproof::ConsentObject;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::{
    CONSENT_TYPE, GRANTED, IP_ADDRESS, METADATA, OBTAINED_AT, POLICY_ID, SUBJECT_EMAIL, SUBJECT_ID,
    USER_AGENT, VALID_FROM, VALID_UNTIL, circumstances, refuse_ledger_fields,
};
use crate::api::consentproof::envelope::{Answer, created};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, ConsentWrite};
use crate::idempotency::Repeatable;
use crate::input::{Fields, Metadata, Text};
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentWrite>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let mut fields = Fields::parse(&body)?;
    let new = decision(&mut fields);
    let new = fields.finish(new)?;
    let app = &shared.app;
    let by = by.once::<Recorded>(&body);
    let consent = app.storage.consents().record(&by, new, app.clock.now()).await?;
    answer(&consent)
}

fn answer(consent: &ConsentView) -> Answer {
    created(ConsentObject::from(consent))
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

/// The decision that some fields describe; `None` when one that is needed is not there. This API knows no basis but
/// consent.
pub(super) fn decision(fields: &mut Fields<'_>) -> Option<NewDecision> {
    let new = decision_as(fields, |fields| {
        Some((LawfulBasis::Consent, state(fields.required(GRANTED)?)))
    });
    refuse_ledger_fields(fields);
    new
}

/// The decision that some fields describe, where `stance` reads what was decided on which basis.
pub(super) fn decision_as<'a>(
    fields: &mut Fields<'a>,
    stance: impl FnOnce(&mut Fields<'a>) -> Option<(LawfulBasis, PermissionState)>,
) -> Option<NewDecision> {
    let reference = fields.required(SUBJECT_ID);
    let email = fields.optional(SUBJECT_EMAIL);
    let policy = fields.optional(POLICY_ID);
    let purpose = fields.required(CONSENT_TYPE);
    let stance = stance(fields);
    let metadata: Option<Metadata> = fields.optional(METADATA);
    let ip_address = fields.optional(IP_ADDRESS);
    let user_agent = fields.optional(USER_AGENT);
    let obtained_at: Option<Timestamp> = fields.optional(OBTAINED_AT);
    let from = fields.optional(VALID_FROM);
    let until = fields.optional(VALID_UNTIL);

    let told = circumstances(fields, metadata, ip_address, user_agent);
    let (Text(reference), Text(purpose)) = (reference?, purpose?);
    let (basis, state) = stance?;
    Some(NewDecision {
        subject: SubjectInput { reference, email: email.map(|Text(email)| email) },
        purpose,
        basis,
        state,
        policy,
        metadata: told.metadata,
        ip_address: told.ip_address,
        obtained_at,
        validity: Validity { from, until },
    })
}

pub(super) fn state(granted: bool) -> PermissionState {
    if granted { PermissionState::Granted } else { PermissionState::Denied }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> NewDecision {
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        let new = decision(&mut fields);
        fields.finish(new).unwrap()
    }

    /// P34: both vocabularies describe the same decision.
    #[test]
    fn p34_both_vocabularies() {
        let policy = abide_core::ids::PolicyId::from_key(7);
        let ours = read(&format!(
            r#"{{"subject_id":"user_123","subject_email":"a@example.com","policy_id":"{policy}","consent_type":"marketing",
            "granted":true,"metadata":{{"source":"form"}},"ip_address":"::1","user_agent":"Lynx","obtained_at":"2024-01-15T10:30:00Z"}}"#
        ));
        let vendors = read(&format!(
            r#"{{"userReference":"user_123","userEmail":"a@example.com","policyVersionId":"{policy}","consentType":"marketing",
            "consentGiven":true,"metadata":{{"source":"form"}},"ipAddress":"::1","userAgent":"Lynx","obtainedAt":"2024-01-15T10:30:00Z"}}"#
        ));
        assert_eq!(ours, vendors);
        assert_eq!(
            ours.metadata.unwrap().as_str(),
            r#"{"source":"form","ip_address":"::1","user_agent":"Lynx"}"#
        );
    }

    #[test]
    fn address_and_browser_come_from_where_they_stand() {
        let base = r#""subject_id":"u","consent_type":"m","granted":false"#;
        let only_browser = read(&format!(r#"{{{base},"user_agent":"a\"b"}}"#));
        assert_eq!(only_browser.metadata.unwrap().as_str(), r#"{"user_agent":"a\"b"}"#);
        assert_eq!(only_browser.state, PermissionState::Denied);
        let inside = read(&format!(r#"{{{base},"metadata":{{"ip_address":"10.0.0.1"}}}}"#));
        assert_eq!(inside.ip_address.as_deref(), Some("10.0.0.1"));
        let both =
            read(&format!(r#"{{{base},"metadata":{{"ip_address":"0:0::1"}},"ip_address":"::1"}}"#));
        assert_eq!(both.ip_address.as_deref(), Some("0:0::1"), "the one that is shown");
        let kept = read(&format!(
            r#"{{{base},"metadata":{{ "user_agent":7 }},"userAgent":"Lynx","ipAddress":"::1"}}"#
        ));
        assert_eq!(kept.metadata.unwrap().as_str(), r#"{ "user_agent":7 ,"ip_address":"::1"}"#);
        for other in [r#""10.0.0.2""#, "null", "7", r#""unknown""#] {
            let body = format!(
                r#"{{{base},"metadata":{{"ip_address":{other}}},"ip_address":"10.0.0.1"}}"#
            );
            let mut fields = Fields::parse(body.as_bytes()).unwrap();
            let new = decision(&mut fields);
            assert!(fields.finish(new).is_err(), "{other}");
        }
    }
}
