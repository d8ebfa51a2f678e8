//! ConsentProof: one JSON event per delivery, signed by HMAC-SHA256 over the body alone.
//!
//! A delivery as its receivers get it (the golden `created`); the body is one line, wrapped here:
//!
//! ```text
//! POST /webhooks/consentproof HTTP/1.1
//! content-type: application/json
//! x-signature: b35ee36ad2e0ab4f65dedab61739ee3cfd8e22b2d7a7df934b6699ef388abf50
//! x-timestamp: 1705314901
//! x-webhook-id: whk_01hm6aqh20e0081yv76g00x9wf
//!
//! {"id":"evt_01hm6b0p4ve00802b8yz9cj8ac","type":"consent.created","created_at":"2024-01-15T10:35:00Z","data":{
//! "id":"con_01hm6b0p4ve0080ecse45pdprm","subject_id":"user_123","subject_email":"user@example.com",
//! "policy_id":"pol_01hm3rkz4ve0080f6j4ncct8yn","consent_type":"marketing","granted":true,
//! "consent_hash":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
//! "metadata":{"ip_address":"192.168.1.1","source":"signup_form"},"recorded_at":"2024-01-15T10:35:00Z"}}
//! ```
//!
//! Not obvious, and decided:
//!
//! - The body is a snapshot and the time is not signed, so body and signature are the same on every attempt; only
//!   `x-timestamp` moves (P19, P21). Receivers tell duplicates by the event's id.
//! - Receivers compare with `timingSafeEqual`, which throws on any other length and tells upper case from lower
//!   (P18): the signature is bare lower-case hex.
//! - Nothing in an answer but a 2xx status means anything here. Neither `Retry-After` nor 410 is part of the contract,
//!   and a 3xx is a failure: redirects are not followed (P22, P23, P27).
//! - [`ConsentObject`] and [`PolicyObject`] are also what the API answers with: one definition for both.

use std::borrow::Cow;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::consent::ConsentView;
use abide_core::consent::hash::hex;
use abide_core::delivery::{Afterwards, Outcome, Schedule};
use abide_core::endpoint::{DeliveryRules, Source};
use abide_core::event::{BatchView, Event, EventBody, EventKind};
use abide_core::ids::{BatchId, Consent, EventId, Policy as PolicyKind};
use abide_core::json::JsonObject;
use abide_core::original::{PublicId, Shown};
use abide_core::policy::{Policy, PolicyType};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::wire::{Answer, Received, Rejection, Verified, WireRequest};
use crate::{Content, Dialect, Rendered, SecretForm, SignedBy, Signing};

/// The contract of ConsentProof's webhooks.
#[derive(Debug, Clone, Copy)]
pub struct ConsentProof;

impl Dialect for ConsentProof {
    fn name(&self) -> &'static str {
        "consentproof"
    }

    fn label(&self) -> &'static str {
        "ConsentProof"
    }

    fn meaning(&self) -> &'static str {
        "For receivers written for ConsentProof: its messages, headers and retries, unchanged."
    }

    /// An inactive webhook gets nothing, neither later nor from before (P11).
    fn rules(&self) -> DeliveryRules {
        DeliveryRules { source: Source::Snapshot, queue_while_stopped: false, hold_waiting: false }
    }

    fn schedule(&self) -> Schedule {
        Schedule {
            delays: Cow::Borrowed(&[60, 5 * 60, 30 * 60, 2 * 3600]),
            afterwards: Afterwards::Fail,
            jitter_percent: 0,
        }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn applies(&self, _kind: EventKind) -> bool {
        true
    }

    fn secret_forms(&self) -> &'static [SecretForm] {
        &[SecretForm::Shared]
    }

    fn new_secret(&self, _form: SecretForm, random: &[u8; 32]) -> String {
        format!("whsec_{}", hex(random))
    }

    /// Taken as given, no prefix forced (P4). Spaces are refused because they get lost where secrets are copied.
    fn check_secret(&self, secret: &str) -> Result<(), &'static str> {
        let sound = (16..=256).contains(&secret.len())
            && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if sound { Ok(()) } else { Err("must be 16 to 256 printable ASCII characters, no spaces") }
    }

    fn public_key(&self, _secret: &str) -> Option<String> {
        None
    }

    fn signed_by(&self) -> SignedBy {
        SignedBy::Newest
    }

    fn render(&self, content: &Content<'_>) -> Rendered {
        let event = match content {
            Content::Event(event) | Content::Latest { event, .. } => event,
            Content::Subject(_) => unreachable!("rules() says snapshot: there is always an event"),
        };
        let mut body = Vec::with_capacity(body_size(event));
        serde_json::to_writer(&mut body, &Body::from(*event))
            .expect("texts, numbers and checked JSON always serialise, and memory takes them");
        Rendered { body: Bytes::from(body) }
    }

    fn sign(&self, rendered: &Rendered, signing: &Signing<'_>) -> WireRequest {
        let newest = signing.secrets.first().map_or("", |secret| secret.as_str());
        WireRequest {
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-signature", signature(&rendered.body, newest)),
                ("x-timestamp", signing.at.as_seconds().to_string()),
                (
                    "x-webhook-id",
                    signing
                        .original
                        .map_or_else(|| signing.endpoint.to_string(), ToString::to_string),
                ),
            ],
            body: rendered.body.clone(),
        }
    }

    fn classify(&self, answer: &Answer) -> Outcome {
        match answer.status {
            200..=299 => Outcome::Delivered,
            _ => Outcome::Retry { retry_after: None },
        }
    }

    /// As ConsentProof's own example verifies; the time is not signed and so not judged.
    fn verify(
        &self,
        request: &Received,
        secret: &str,
        _now: Timestamp,
    ) -> Result<Verified, Rejection> {
        let claimed =
            request.header("x-signature").ok_or(Rejection::MissingHeader("x-signature"))?;
        let expected = signature(&request.body, secret);
        verify_slices_are_equal(claimed.as_bytes(), expected.as_bytes())
            .map_err(|_| Rejection::WrongSignature)?;
        let envelope: Envelope<'_> = serde_json::from_slice(&request.body)
            .map_err(|_| Rejection::Malformed("the body is no JSON event with `id` and `type`"))?;
        Ok(Verified {
            event_id: envelope.id.into_owned(),
            event_type: envelope.event_type.into_owned(),
        })
    }
}

/// A consent as ConsentProof shows it, in events and in answers of the API. The order of the fields is the contract's
/// (P14); `withdrawn_at` is there as long as a withdrawal stands (P15).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ConsentObject<'a> {
    id: Shown<'a, Consent>,
    subject_id: &'a str,
    subject_email: Option<&'a str>,
    policy_id: Option<Shown<'a, PolicyKind>>,
    consent_type: &'a str,
    granted: bool,
    consent_hash: &'a str,
    metadata: Metadata<'a>,
    recorded_at: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_at: Option<Seconds>,
}

impl<'a> From<&'a ConsentView> for ConsentObject<'a> {
    fn from(consent: &'a ConsentView) -> Self {
        Self {
            id: consent.id.shown(),
            subject_id: &consent.reference,
            subject_email: consent.email.as_deref(),
            policy_id: consent.policy.as_ref().map(PublicId::shown),
            consent_type: &consent.purpose,
            granted: consent.granted(),
            consent_hash: &consent.consent_hash,
            metadata: Metadata(consent.metadata.as_ref()),
            recorded_at: Seconds(consent.recorded_at),
            withdrawn_at: consent.withdrawn_at.map(Seconds),
        }
    }
}

/// A policy version as ConsentProof shows it (P15): [`PolicyObject::told`] in events, [`PolicyObject::read`] in
/// answers of the API.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PolicyObject<'a> {
    id: Shown<'a, PolicyKind>,
    policy_type: PolicyType,
    version: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    content_hash: &'a str,
    effective_date: Seconds,
    is_active: bool,
    created_at: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Seconds>,
}

impl<'a> PolicyObject<'a> {
    /// For an event: never the text, which may be larger than receivers take.
    pub fn told(policy: &'a Policy) -> Self {
        Self { content: None, updated_at: None, ..Self::read(policy) }
    }

    /// For an answer of the API: with the text, where it was loaded, and the time of the last change.
    pub fn read(policy: &'a Policy) -> Self {
        Self {
            id: policy.id.shown(),
            policy_type: policy.policy_type,
            version: &policy.version,
            title: &policy.title,
            content: policy.content.as_deref(),
            content_hash: &policy.content_hash,
            effective_date: Seconds(policy.effective_date),
            is_active: policy.is_active,
            created_at: Seconds(policy.created_at),
            updated_at: Some(Seconds(policy.updated_at)),
            deleted_at: policy.deleted_at.map(Seconds),
        }
    }
}

/// The whole body (P12).
#[derive(Serialize)]
struct Body<'a> {
    id: EventId,
    #[serde(rename = "type")]
    event_type: EventKind,
    created_at: Seconds,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Consent(ConsentObject<'a>),
    Batch(BatchObject<'a>),
    Policy(PolicyObject<'a>),
}

/// One event's share of a batch; `count` is of this share (P15, P16).
#[derive(Serialize)]
struct BatchObject<'a> {
    batch_id: BatchId,
    count: usize,
    consents: Consents<'a>,
}

struct Consents<'a>(&'a [ConsentView]);

impl Serialize for Consents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ConsentObject::from))
    }
}

/// The text as received; `{}` where nothing was attached, since receivers read keys of it.
#[derive(Debug, Clone, Copy)]
struct Metadata<'a>(Option<&'a JsonObject>);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(object) => object.serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

/// An instant in ConsentProof's spelling: whole seconds and `Z` (P3).
#[derive(Debug, Clone, Copy)]
struct Seconds(Timestamp);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_seconds_text())
    }
}

/// What a receiver reads of a body before it knows the type.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
}

impl<'a> From<&'a Event> for Body<'a> {
    fn from(event: &'a Event) -> Self {
        let data = match &event.body {
            EventBody::Consent(consent) => Data::Consent(consent.into()),
            EventBody::Batch(BatchView { id, consents }) => {
                let (count, consents) = (consents.len(), Consents(consents));
                Data::Batch(BatchObject { batch_id: *id, count, consents })
            }
            EventBody::Policy(policy) => Data::Policy(PolicyObject::told(policy)),
        };
        Self { id: event.id, event_type: event.kind, created_at: Seconds(event.created_at), data }
    }
}

/// Room for a usual body without growing; an unusual one grows.
fn body_size(event: &Event) -> usize {
    let of_consent = |consent: &ConsentView| {
        448 + consent.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len())
    };
    128 + match &event.body {
        EventBody::Consent(consent) => of_consent(consent),
        EventBody::Batch(batch) => batch.consents.iter().map(of_consent).sum(),
        EventBody::Policy(_) => 512,
    }
}

/// Lower-case hex HMAC-SHA256; the key is the secret's own characters, its prefix included (P18).
fn signature(body: &[u8], secret: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex(hmac::sign(&key, body).as_ref())
}
