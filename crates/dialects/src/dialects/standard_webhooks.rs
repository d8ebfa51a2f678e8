//! Standard Webhooks 1.0.0: one JSON message per delivery, signed over id, time and body, by shared secret or key pair.
//!
//! A delivery as its receivers get it (the golden `created`); the body is one line, wrapped here:
//!
//! ```text
//! POST /webhooks HTTP/1.1
//! content-type: application/json
//! webhook-id: evt_01hm6b0p4ve00802b8yz9cj8ac
//! webhook-timestamp: 1705314901
//! webhook-signature: v1,WWdyRHCiC12eX809JS0baiPT0fhkQCPR5tVZNcl0zXo=
//!
//! {"type":"consent.created","timestamp":"2024-01-15T10:35:00.123Z","data":{"id":"con_01hm6b0p4ve0080ecse45pdprm",
//! "version":1,"subject":{"id":"sub_01hm6ayvhve008088p0bfcwaxe","reference":"user_123"},"email":"user@example.com",
//! "purpose":"marketing","lawful_basis":"consent","state":"GRANTED","policy":"pol_01hm3rkz4ve0080f6j4ncct8yn",
//! "obtained_at":"2024-01-15T10:35:00.123Z","recorded_at":"2024-01-15T10:35:00.123Z","valid_from":null,
//! "valid_until":null,"withdrawn_at":null,"metadata":{"ip_address":"192.168.1.1","source":"signup_form"},
//! "consent_hash":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}
//! ```
//!
//! Not obvious, and decided:
//!
//! - `webhook-id` is the event's id: the same on every attempt and for every endpoint, so that a receiver with two
//!   endpoints can tell that both heard of one event (SW-2). `webhook-timestamp` is this attempt's, so that receivers
//!   can refuse what is old, while the body's `timestamp` is the event's (SW-1, SW-10).
//! - Every live secret signs (SW-6). Shared secrets and key pairs may stand side by side, so that a receiver can change
//!   from one to the other.
//! - A receiver reads neither an id with a full stop nor a time that is no number: else what was signed as one message
//!   could be read as another (SW-4).
//! - Only 410 ends an endpoint. Every other answer but 2xx is tried again, a 4xx too: most of them are a receiver's
//!   fault of the hour, and nothing is lost by asking again (SW-13).
//! - An endpoint that failed for five days is stopped, and its owner is told beforehand (SW-18). Nothing is lost by that
//!   either: what waits is held until it is resumed.

mod key_set;
mod secret;

use std::borrow::Cow;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::consent::ConsentView;
use abide_core::delivery::{Afterwards, Outcome, Run, Schedule};
use abide_core::endpoint::{DeliveryRules, Source};
use abide_core::event::{Event, EventBody, EventKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::data::{EventData, Millis};
use crate::wire::{Answer, Received, Rejection, Verified, WireRequest};
use crate::{Content, Dialect, Rendered, SecretForm, SignedBy, Signing};
use secret::{Message, PUBLIC_PREFIX, Signer, Verifier};

pub use key_set::{KeySet, PublicKey, key_set};

/// The contract of Standard Webhooks.
#[derive(Debug, Clone, Copy)]
pub struct StandardWebhooks;

/// How far a signature's time may lie from a receiver's, in seconds, either way.
const TOLERANCE: u64 = 5 * 60;

impl Dialect for StandardWebhooks {
    fn name(&self) -> &'static str {
        "standard_webhooks"
    }

    fn label(&self) -> &'static str {
        "Standard Webhooks"
    }

    fn meaning(&self) -> &'static str {
        "The open specification: signed id, time and body, libraries in every language, a long retry schedule. Take it unless a receiver needs another."
    }

    /// A stopped endpoint misses nothing: what comes and what waits is held for its return.
    fn rules(&self) -> DeliveryRules {
        DeliveryRules { source: Source::Snapshot, queue_while_stopped: true, hold_waiting: true }
    }

    fn by_hand(&self) -> Run {
        Run::Series
    }

    fn schedule(&self) -> Schedule {
        const MINUTE: u32 = 60;
        const HOUR: u32 = 60 * MINUTE;
        Schedule {
            delays: Cow::Borrowed(&[
                5,
                5 * MINUTE,
                30 * MINUTE,
                2 * HOUR,
                5 * HOUR,
                10 * HOUR,
                10 * HOUR,
            ]),
            afterwards: Afterwards::Fail,
            jitter_percent: 20,
        }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(15)
    }

    /// Five days: long enough for a long weekend and a day of work after it.
    fn stops_after(&self) -> Option<Duration> {
        Some(Duration::from_hours(5 * 24))
    }

    fn applies(&self, _kind: EventKind) -> bool {
        true
    }

    fn secret_forms(&self) -> &'static [SecretForm] {
        &[SecretForm::Shared, SecretForm::KeyPair]
    }

    fn new_secret(&self, form: SecretForm, random: &[u8; 32]) -> String {
        secret::new(form, random)
    }

    fn check_secret(&self, secret: &str) -> Result<(), &'static str> {
        Signer::read(secret).map(|_| ())
    }

    fn check_held(&self, held: &str) -> Result<(), &'static str> {
        if held.starts_with(PUBLIC_PREFIX) && Verifier::read(held).is_none() {
            return Err("must be `whpk_` and base64 of an Ed25519 public key, 32 bytes");
        }
        if held.starts_with(PUBLIC_PREFIX) { Ok(()) } else { self.check_secret(held) }
    }

    fn public_key(&self, secret: &str) -> Option<String> {
        let signer = Signer::read(secret).ok()?;
        signer.public_key().map(|key| format!("{PUBLIC_PREFIX}{}", secret::base64(key)))
    }

    fn signed_by(&self) -> SignedBy {
        SignedBy::EveryLive
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
        let id = signing.event.to_string();
        let timestamp = signing.at.as_seconds().to_string();
        let message = Message { id: &id, timestamp: &timestamp, body: &rendered.body };
        // Every secret was judged when it came; one that no longer reads signs nothing, and receivers refuse.
        let signers = signing.secrets.iter().filter_map(|secret| Signer::read(secret).ok());
        let signatures: Vec<String> = signers.map(|signer| signer.sign(&message)).collect();
        WireRequest {
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("webhook-id", id),
                ("webhook-timestamp", timestamp),
                ("webhook-signature", signatures.join(" ")),
            ],
            body: rendered.body.clone(),
        }
    }

    fn classify(&self, answer: &Answer) -> Outcome {
        match answer.status {
            200..=299 => Outcome::Delivered,
            410 => Outcome::Gone,
            _ => Outcome::Retry { retry_after: answer.retry_after },
        }
    }

    /// With a shared secret, a public key, or the private key that the public one belongs to. The signature is judged
    /// before anything it covers is believed.
    fn verify(
        &self,
        request: &Received,
        secret: &str,
        now: Timestamp,
    ) -> Result<Verified, Rejection> {
        let header = |name| request.header(name).ok_or(Rejection::MissingHeader(name));
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        let signatures = header("webhook-signature")?;
        let message = Message { id, timestamp, body: &request.body };
        let verifier = Verifier::read(secret).ok_or(Rejection::WrongSignature)?;
        if !signatures.split(' ').any(|entry| verifier.accepts(&message, entry)) {
            return Err(Rejection::WrongSignature);
        }
        if id.contains('.') {
            return Err(Rejection::Malformed("`webhook-id` holds a full stop"));
        }
        let signed_at = whole_seconds(timestamp)
            .ok_or(Rejection::Malformed("`webhook-timestamp` is no count of seconds"))?;
        if now.as_seconds().abs_diff(signed_at) > TOLERANCE {
            return Err(Rejection::Stale);
        }
        let envelope: Envelope<'_> = serde_json::from_slice(&request.body)
            .map_err(|_| Rejection::Malformed("the body is no JSON object with a `type`"))?;
        Ok(Verified { event_id: id.to_owned(), event_type: envelope.event_type.into_owned() })
    }
}

/// The whole body (SW-10).
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    event_type: EventKind,
    timestamp: Millis,
    data: EventData<'a>,
}

impl<'a> From<&'a Event> for Body<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            event_type: event.kind,
            timestamp: Millis(event.created_at),
            data: EventData::from(event),
        }
    }
}

/// What a receiver reads of a body before it knows the type.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
}

/// Digits alone: no sign, no fraction.
fn whole_seconds(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Room for a usual body without growing; an unusual one grows.
fn body_size(event: &Event) -> usize {
    let of_consent = |consent: &ConsentView| {
        704 + consent.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len())
    };
    96 + match &event.body {
        EventBody::Consent(consent) => of_consent(consent),
        EventBody::Batch(batch) => batch.consents.iter().map(of_consent).sum(),
        EventBody::Policy(_) => 512,
    }
}
