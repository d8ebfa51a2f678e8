//! The dialects of the simulation: two that people use, and one for each way of sending, quick to try again.
//!
//! The three of its own all sign alike: `x-signature` is the HMAC of `<x-signed-at>.<body>`, so that a receiver knows the
//! time that was drawn. They say in every body whose records it tells of, and how old what it says is.

use std::borrow::Cow;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::consent::ConsentView;
use abide_core::consent::hash::hex;
use abide_core::delivery::{Afterwards, Outcome, Run, Schedule};
use abide_core::endpoint::{DeliveryRules, Source};
use abide_core::event::{EventBody, EventKind};
use abide_dialects::{
    Answer, Content, Dialect, Received, Rejection, Rendered, SecretForm, SignedBy, Signing,
    Verified, WireRequest, consentproof, standard_webhooks,
};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speech {
    /// The contract of ConsentProof: cancels what waits when it is stopped, never hears of a 410.
    ConsentProof,
    /// The open specification.
    StandardWebhooks,
    /// A snapshot, tried again within seconds.
    Snapshot,
    /// The record as it is when it is sent.
    Latest,
    /// The person's whole state, one attempt at a time.
    Lane,
}

/// Every one of them.
pub const SPEECHES: [Speech; 5] = [
    Speech::ConsentProof,
    Speech::StandardWebhooks,
    Speech::Snapshot,
    Speech::Latest,
    Speech::Lane,
];

/// What the engine of the simulation speaks.
pub(crate) static DIALECTS: &[&dyn Dialect] =
    &[&consentproof::ConsentProof, &standard_webhooks::StandardWebhooks, &SNAPSHOT, &LATEST, &LANE];

impl Speech {
    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::ConsentProof => &consentproof::ConsentProof,
            Self::StandardWebhooks => &standard_webhooks::StandardWebhooks,
            Self::Snapshot => &SNAPSHOT,
            Self::Latest => &LATEST,
            Self::Lane => &LANE,
        }
    }

    pub(crate) fn source(self) -> Source {
        self.dialect().rules().source
    }
}

/// What a receiver reads in a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// The event's id: how duplicates are told. A person's whole state is no one event's.
    pub(crate) event: Option<String>,
    /// The records it tells of.
    pub(crate) consents: Vec<String>,
    /// How new what it says is: the record's number of decisions, or the version of the person's state.
    pub(crate) version: u64,
    /// The time that was drawn for it.
    pub(crate) signed_at: Option<i64>,
}

/// Reads a request as a receiver does; the signature was checked before.
pub(crate) fn hear(speech: Speech, request: &Received) -> Heard {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut consents = Vec::new();
    find_consents(&body, &mut consents);
    Heard {
        event: match speech {
            Speech::ConsentProof => text("id"),
            Speech::StandardWebhooks => request.header("webhook-id").map(str::to_owned),
            Speech::Snapshot | Speech::Latest | Speech::Lane => text("event"),
        },
        consents,
        version: body.get("version").and_then(Value::as_u64).unwrap_or(0),
        signed_at: request.header("x-signed-at").and_then(|at| at.parse().ok()),
    }
}

fn find_consents(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("con_") => found.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|one| find_consents(one, found)),
        Value::Object(all) => all.values().for_each(|one| find_consents(one, found)),
        _ => {}
    }
}

#[derive(Debug)]
struct Quick {
    name: &'static str,
    source: Source,
    schedule: (&'static [u32], Afterwards),
}

static SNAPSHOT: Quick = Quick {
    name: "sim.snapshot",
    source: Source::Snapshot,
    schedule: (&[1, 2, 4], Afterwards::Fail),
};

static LATEST: Quick = Quick {
    name: "sim.latest",
    source: Source::Latest,
    schedule: (&[1, 2, 4, 8], Afterwards::Fail),
};

static LANE: Quick = Quick {
    name: "sim.lane",
    source: Source::Lane,
    schedule: (&[1, 2], Afterwards::EverySeconds(5)),
};

fn told(consent: &ConsentView) -> Value {
    json!({ "consent": consent.id.id.to_string(), "version": consent.version, "hash": consent.consent_hash })
}

impl Dialect for Quick {
    fn name(&self) -> &'static str {
        self.name
    }

    fn label(&self) -> &'static str {
        self.name
    }

    fn meaning(&self) -> &'static str {
        "For simulations."
    }

    fn rules(&self) -> DeliveryRules {
        DeliveryRules { source: self.source, queue_while_stopped: true, hold_waiting: true }
    }

    fn by_hand(&self) -> Run {
        Run::Series
    }

    fn schedule(&self) -> Schedule {
        let (delays, afterwards) = self.schedule;
        Schedule { delays: Cow::Borrowed(delays), afterwards, jitter_percent: 10 }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn applies(&self, _kind: EventKind) -> bool {
        true
    }

    fn secret_forms(&self) -> &'static [SecretForm] {
        &[SecretForm::Shared]
    }

    fn new_secret(&self, _form: SecretForm, random: &[u8; 32]) -> String {
        hex(random)
    }

    fn check_secret(&self, _secret: &str) -> Result<(), &'static str> {
        Ok(())
    }

    fn public_key(&self, _secret: &str) -> Option<String> {
        None
    }

    fn signed_by(&self) -> SignedBy {
        SignedBy::Newest
    }

    fn render(&self, content: &Content<'_>) -> Rendered {
        let body = match content {
            Content::Event(event) => {
                let all: Vec<Value> = match &event.body {
                    EventBody::Consent(consent) => vec![told(consent)],
                    EventBody::Batch(batch) => batch.consents.iter().map(told).collect(),
                    EventBody::Policy(_) => Vec::new(),
                };
                json!({ "event": event.id.to_string(), "told": all })
            }
            Content::Latest { event, consent } => json!({
                "event": event.id.to_string(), "told": [told(consent)], "version": consent.version,
            }),
            Content::Subject(state) => {
                let all: Vec<Value> = state.consents.iter().map(told).collect();
                json!({ "told": all, "version": state.version })
            }
        };
        Rendered { body: body.to_string().into() }
    }

    fn sign(&self, rendered: &Rendered, signing: &Signing<'_>) -> WireRequest {
        let at = signing.at.as_millis().to_string();
        let signature = mac(&signing.secrets[0], &at, &rendered.body);
        WireRequest {
            headers: vec![("x-signed-at", at), ("x-signature", signature)],
            body: rendered.body.clone(),
        }
    }

    fn classify(&self, answer: &Answer) -> Outcome {
        match answer.status {
            200..300 => Outcome::Delivered,
            400 => Outcome::Failed,
            410 => Outcome::Gone,
            _ => Outcome::Retry { retry_after: answer.retry_after },
        }
    }

    fn verify(
        &self,
        request: &Received,
        secret: &str,
        _now: Timestamp,
    ) -> Result<Verified, Rejection> {
        let at = request.header("x-signed-at").ok_or(Rejection::MissingHeader("x-signed-at"))?;
        if request.header("x-signature") != Some(&mac(secret, at, &request.body)) {
            return Err(Rejection::WrongSignature);
        }
        Ok(Verified { event_id: String::new(), event_type: String::new() })
    }
}

fn mac(secret: &str, at: &str, body: &[u8]) -> String {
    let mut context =
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    context.update(at.as_bytes());
    context.update(b".");
    context.update(body);
    hex(context.sign().as_ref())
}
