//! One made-up event of each kind: the examples of the documentation, and what a test send carries.
//!
//! Everything in it is fixed and says that it is a sample, so that a receiver that takes a test for the truth records
//! nothing about anybody. Whoever sends one gives it an id, an organization and a time of its own.

use super::{BatchView, Event, EventBody, EventKind, RENDER_VERSION};
use crate::Timestamp;
use crate::consent::hash::{HashedFields, consent_hash};
use crate::consent::{ConsentView, LawfulBasis, PermissionState, Validity};
use crate::ids::{Id, Kind, PolicyId, SEQUENCE_BITS};
use crate::json::JsonObject;
use crate::policy::{Policy, PolicyType, content_hash};

/// 2026-01-15T09:30:00.250Z: when the sample records began.
const BEGAN: i64 = 1_768_469_400_250;
const DAY: i64 = 24 * 3_600_000;

/// The sample event of that kind.
pub fn sample(kind: EventKind) -> Event {
    let (created_at, body) = match kind {
        EventKind::ConsentCreated => of_consent(decided(1, PermissionState::Granted)),
        EventKind::ConsentUpdated => {
            let mut consent = decided(2, PermissionState::Granted);
            consent.validity.until = Some(consent.recorded_at.plus_millis(365 * DAY));
            of_consent(consent)
        }
        EventKind::ConsentWithdrawn => {
            let mut consent = decided(3, PermissionState::Denied);
            consent.withdrawn_at = Some(consent.recorded_at);
            of_consent(consent)
        }
        EventKind::ConsentBatchCreated => {
            let consents = vec![decided(1, PermissionState::Granted), of_another()];
            (instant(0), EventBody::Batch(BatchView { id: id(0, 4), consents }))
        }
        EventKind::PolicyCreated => of_policy(policy(0)),
        EventKind::PolicyUpdated => {
            let title = "Sample policy, not in use (corrected title)".to_owned();
            of_policy(Policy { title, ..policy(1) })
        }
        EventKind::PolicyDeleted => {
            let last = policy(2);
            of_policy(Policy { is_active: false, deleted_at: Some(last.updated_at), ..last })
        }
    };
    let subject = match &body {
        EventBody::Consent(consent) => Some(consent.subject),
        EventBody::Batch(_) | EventBody::Policy(_) => None,
    };
    Event {
        id: Id::from_key(created_at.as_millis() << SEQUENCE_BITS | kind as i64),
        organization: id(0, 0),
        kind,
        created_at,
        subject,
        render_version: RENDER_VERSION,
        body,
    }
}

/// The instant so many days after the beginning.
fn instant(days: i64) -> Timestamp {
    Timestamp::from_millis(BEGAN + days * DAY)
}

/// An id drawn so many days after the beginning.
fn id<K: Kind>(days: i64, number: i64) -> Id<K> {
    Id::from_key(instant(days).as_millis() << SEQUENCE_BITS | number)
}

fn of_consent(consent: ConsentView) -> (Timestamp, EventBody) {
    (consent.recorded_at, EventBody::Consent(consent))
}

fn of_policy(policy: Policy) -> (Timestamp, EventBody) {
    (policy.updated_at, EventBody::Policy(policy))
}

/// The sample record after so many decisions, one a day.
fn decided(version: u32, state: PermissionState) -> ConsentView {
    let (first, at) = (instant(0), instant(i64::from(version) - 1));
    let (reference, email) = ("sample-person-1", "sample-person-1@example.com");
    let policy_id: PolicyId = id(0, 5);
    ConsentView {
        id: id(0, 1).into(),
        version,
        decision: id(i64::from(version) - 1, 2),
        subject: id(0, 3),
        reference: reference.to_owned(),
        email: Some(email.to_owned()),
        purpose: "sample-newsletter".to_owned(),
        policy: Some(policy_id.into()),
        basis: LawfulBasis::Consent,
        state: Some(state),
        consent_hash: consent_hash(&HashedFields {
            reference,
            email: Some(email),
            policy: Some(&policy_id.to_string()),
            granted: state == PermissionState::Granted,
            recorded_at: at,
            ip_address: None,
        }),
        metadata: JsonObject::parse(r#"{"sample":true,"source":"signup_form"}"#),
        ip_address: None,
        obtained_at: at.plus_millis(-2_250),
        recorded_at: at,
        validity: Validity::default(),
        created_at: first,
        withdrawn_at: None,
    }
}

/// Somebody else's record, of whom less is known.
fn of_another() -> ConsentView {
    let reference = "sample-person-2";
    let one = decided(1, PermissionState::Denied);
    ConsentView {
        id: id(0, 6).into(),
        decision: id(0, 7),
        subject: id(0, 8),
        reference: reference.to_owned(),
        email: None,
        policy: None,
        metadata: None,
        consent_hash: consent_hash(&HashedFields {
            reference,
            email: None,
            policy: None,
            granted: false,
            recorded_at: one.recorded_at,
            ip_address: None,
        }),
        ..one
    }
}

/// The sample policy version, last changed so many days after the beginning.
fn policy(days: i64) -> Policy {
    Policy {
        id: id(0, 5).into(),
        policy_type: PolicyType::MarketingConsent,
        version: "sample-1".to_owned(),
        title: "Sample policy, not in use".to_owned(),
        content: None,
        content_hash: content_hash("This is a sample. It was shown to nobody."),
        effective_date: instant(0),
        is_active: true,
        created_at: instant(0),
        updated_at: instant(days),
        deleted_at: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_a_sample_that_says_so() {
        let mut ids = HashSet::new();
        for kind in EventKind::ALL {
            let event = sample(kind);
            assert_eq!(event.kind, kind);
            assert!(ids.insert(event.id), "{} has another's id", kind.as_str());
            assert_eq!(event, sample(kind), "a sample is fixed");
            let marked = match &event.body {
                EventBody::Consent(consent) => consent.reference.starts_with("sample-"),
                EventBody::Batch(batch) => {
                    batch.consents.iter().all(|consent| consent.reference.starts_with("sample-"))
                }
                EventBody::Policy(policy) => policy.title.starts_with("Sample"),
            };
            assert!(marked, "{}", kind.as_str());
        }
    }
}
