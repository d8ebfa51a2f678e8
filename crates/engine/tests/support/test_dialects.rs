//! Dialects that only tests speak: quick schedules, and the two ways of sending that ConsentProof does not use.
//!
//! All sign alike: `x-signature` is the HMAC of `<x-signed-at>.<body>`, so that a test can tell the signed time.

use std::borrow::Cow;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::consent::hash::hex;
use abide_core::delivery::{Afterwards, Outcome, Schedule};
use abide_core::endpoint::{DeliveryRules, Source};
use abide_core::event::{EventBody, EventKind};
use abide_dialects::{
    Answer, Content, Dialect, Received, Rejection, Rendered, SecretForm, SignedBy, Signing,
    Verified, WireRequest,
};
use aws_lc_rs::hmac;

/// A dialect made of values.
#[derive(Debug)]
pub(crate) struct TestDialect {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    pub(crate) delays: &'static [u32],
    pub(crate) deadline: Duration,
    pub(crate) stops_after: Option<Duration>,
}

/// The same bytes on every attempt, tried again a minute later; 410 stops the endpoint; patient.
pub(crate) static SNAPSHOT: TestDialect = TestDialect {
    name: "test.snapshot",
    source: Source::Snapshot,
    delays: &[60, 60, 60, 60],
    deadline: Duration::from_mins(1),
    stops_after: None,
};

/// The same, with a deadline of a second.
pub(crate) static HASTY: TestDialect = TestDialect {
    name: "test.hasty",
    source: Source::Snapshot,
    delays: &[60],
    deadline: Duration::from_secs(1),
    stops_after: None,
};

/// The same, with a deadline that a receiver misses only on purpose. Like all of these it does as a receiver wishes that
/// says when to come back, which ConsentProof does not.
pub(crate) static COURTEOUS: TestDialect = TestDialect {
    name: "test.courteous",
    source: Source::Snapshot,
    delays: &[60],
    deadline: Duration::from_secs(5),
    stops_after: None,
};

/// The same, stopped when it has failed for five days.
pub(crate) static WATCHED: TestDialect = TestDialect {
    name: "test.watched",
    source: Source::Snapshot,
    delays: &[60],
    deadline: Duration::from_mins(1),
    stops_after: Some(Duration::from_hours(5 * 24)),
};

/// The consent as it is when it is sent, signed with strictly increasing time.
pub(crate) static LATEST: TestDialect = TestDialect {
    name: "test.latest",
    source: Source::Latest,
    delays: &[1, 1, 1, 1, 1, 1],
    deadline: Duration::from_mins(1),
    stops_after: None,
};

/// The person's whole state, one attempt at a time.
pub(crate) static LANE: TestDialect = TestDialect {
    name: "test.lane",
    source: Source::Lane,
    delays: &[1, 1, 1, 1, 1, 1],
    deadline: Duration::from_secs(1),
    stops_after: None,
};

/// A person whose events make the rendering panic.
pub(crate) const POISON: &str = "poison";

/// Everything the tests speak.
pub(crate) static DIALECTS: &[&dyn Dialect] = &[
    &abide_dialects::consentproof::ConsentProof,
    &SNAPSHOT,
    &HASTY,
    &COURTEOUS,
    &WATCHED,
    &LATEST,
    &LANE,
];

/// For engines whose longest deadline must be short.
pub(crate) static LANE_ALONE: &[&dyn Dialect] = &[&LANE];

impl Dialect for TestDialect {
    fn name(&self) -> &'static str {
        self.name
    }

    fn label(&self) -> &'static str {
        self.name
    }

    fn meaning(&self) -> &'static str {
        "For tests."
    }

    fn rules(&self) -> DeliveryRules {
        DeliveryRules { source: self.source, queue_while_stopped: true, hold_waiting: true }
    }

    fn schedule(&self) -> Schedule {
        Schedule {
            delays: Cow::Borrowed(self.delays),
            afterwards: Afterwards::Fail,
            jitter_percent: 0,
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn stops_after(&self) -> Option<Duration> {
        self.stops_after
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
        let text = match content {
            Content::Event(event) => {
                let of = match &event.body {
                    EventBody::Consent(consent) => {
                        assert_ne!(consent.reference, POISON, "a dialect that panics");
                        consent.reference.clone()
                    }
                    EventBody::Batch(batch) => {
                        let all: Vec<_> =
                            batch.consents.iter().map(|one| one.reference.as_str()).collect();
                        all.join("+")
                    }
                    EventBody::Policy(_) => String::new(),
                };
                format!("event={} of={of}", event.id)
            }
            Content::Latest { event, consent } => {
                assert_ne!(consent.reference, POISON, "a dialect that panics");
                format!("event={} of={} version={}", event.id, consent.reference, consent.version)
            }
            Content::Subject(state) => {
                let versions: u32 = state.consents.iter().map(|one| one.version).sum();
                format!("version={} changes={versions}", state.version)
            }
        };
        Rendered { body: text.into() }
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
            204 => Outcome::Skipped,
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
