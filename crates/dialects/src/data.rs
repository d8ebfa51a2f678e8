//! What happened, in Abide's own words: the `data` of a Standard Webhooks message and of an event in Abide's own API.
//! One definition for both, so that a receiver and a reader of the feed share their code.
//!
//! This is a public contract: fields are added, never renamed or removed, and an event keeps its rendering for ever.
//!
//! - What is absent is null and never left out, so that a receiver can tell "none" from "an older sender".
//! - Instants are RFC 3339 in UTC with three digits below the second.
//! - `state` says what the person decided, not whether data may be used: only `GRANTED` allows on the basis of
//!   consent, and null means that no decision is in force any more.
//! - What was brought along from elsewhere is called by the id that it had there, which its receivers know.
//! - The person's network address is not told: whoever needs it attaches it as metadata, where its giver sees it leave.

use abide_core::Timestamp;
use abide_core::consent::{ConsentView, LawfulBasis, PermissionState};
use abide_core::event::{BatchView, Event, EventBody};
use abide_core::ids::{BatchId, Consent, Policy as PolicyKind, SubjectId};
use abide_core::json::JsonObject;
use abide_core::original::{PublicId, Shown};
use abide_core::policy::{Policy, PolicyType};
use serde::{Serialize, Serializer};

/// The `data` of an event.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum EventData<'a> {
    /// Of `consent.created`, `consent.updated` and `consent.withdrawn`.
    Consent(ConsentData<'a>),
    /// Of `consent.batch_created`.
    Batch(BatchData<'a>),
    /// Of `policy.created`, `policy.updated` and `policy.deleted`.
    Policy(PolicyData<'a>),
}

impl<'a> From<&'a Event> for EventData<'a> {
    fn from(event: &'a Event) -> Self {
        match &event.body {
            EventBody::Consent(consent) => Self::Consent(consent.into()),
            EventBody::Batch(batch) => Self::Batch(batch.into()),
            EventBody::Policy(policy) => Self::Policy(PolicyData::told(policy)),
        }
    }
}

/// A consent record: the decision in force, or the last one when none is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ConsentData<'a> {
    id: Shown<'a, Consent>,
    /// How many decisions the record has: a receiver that keeps the highest is not misled by a late delivery.
    version: u32,
    subject: SubjectData<'a>,
    email: Option<&'a str>,
    purpose: &'a str,
    lawful_basis: LawfulBasis,
    state: Option<PermissionState>,
    policy: Option<Shown<'a, PolicyKind>>,
    obtained_at: Millis,
    recorded_at: Millis,
    valid_from: Option<Millis>,
    valid_until: Option<Millis>,
    withdrawn_at: Option<Millis>,
    metadata: Option<&'a JsonObject>,
    consent_hash: &'a str,
}

/// Whom a decision is about.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SubjectData<'a> {
    id: SubjectId,
    /// The organization's own reference.
    reference: &'a str,
}

impl<'a> From<&'a ConsentView> for ConsentData<'a> {
    fn from(consent: &'a ConsentView) -> Self {
        Self {
            id: consent.id.shown(),
            version: consent.version,
            subject: SubjectData { id: consent.subject, reference: &consent.reference },
            email: consent.email.as_deref(),
            purpose: &consent.purpose,
            lawful_basis: consent.basis,
            state: consent.state,
            policy: consent.policy.as_ref().map(PublicId::shown),
            obtained_at: Millis(consent.obtained_at),
            recorded_at: Millis(consent.recorded_at),
            valid_from: consent.validity.from.map(Millis),
            valid_until: consent.validity.until.map(Millis),
            withdrawn_at: consent.withdrawn_at.map(Millis),
            metadata: consent.metadata.as_ref(),
            consent_hash: &consent.consent_hash,
        }
    }
}

/// One event's share of a batch: a large batch makes several events with the same `batch_id`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BatchData<'a> {
    batch_id: BatchId,
    consents: Consents<'a>,
}

impl<'a> From<&'a BatchView> for BatchData<'a> {
    fn from(batch: &'a BatchView) -> Self {
        Self { batch_id: batch.id, consents: Consents(&batch.consents) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Consents<'a>(&'a [ConsentView]);

impl Serialize for Consents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ConsentData::from))
    }
}

/// A policy version: [`PolicyData::told`] in events, [`PolicyData::read`] where the text is asked for.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PolicyData<'a> {
    id: Shown<'a, PolicyKind>,
    policy_type: PolicyType,
    version: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    content_hash: &'a str,
    effective_date: Millis,
    is_active: bool,
    created_at: Millis,
    updated_at: Millis,
    deleted_at: Option<Millis>,
}

impl<'a> PolicyData<'a> {
    /// For an event: never the text, which may be larger than receivers take.
    pub fn told(policy: &'a Policy) -> Self {
        Self { content: None, ..Self::read(policy) }
    }

    /// With the text, where it was loaded.
    pub fn read(policy: &'a Policy) -> Self {
        Self {
            id: policy.id.shown(),
            policy_type: policy.policy_type,
            version: &policy.version,
            title: &policy.title,
            content: policy.content.as_deref(),
            content_hash: &policy.content_hash,
            effective_date: Millis(policy.effective_date),
            is_active: policy.is_active,
            created_at: Millis(policy.created_at),
            updated_at: Millis(policy.updated_at),
            deleted_at: policy.deleted_at.map(Millis),
        }
    }
}

/// An instant as Abide's own contracts spell it: RFC 3339 in UTC, always with three digits below the second.
#[derive(Debug, Clone, Copy)]
pub struct Millis(pub Timestamp);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_millis_text())
    }
}
