//! The wire contracts. A dialect is data in, data out: an event and an endpoint's facts become exact bytes and
//! headers; an answer becomes an outcome. No clock, no chance, no sockets.
//!
//! A new dialect is one file under `dialects/`, one line in [`all`], one folder of goldens.

mod catalogue;
pub mod data;
mod dialects;
mod receivers;
pub mod wire;

use std::time::Duration;

use abide_core::Timestamp;
use abide_core::consent::{ConsentView, SubjectState};
use abide_core::delivery::{Outcome, Run, Schedule};
use abide_core::endpoint::DeliveryRules;
use abide_core::event::{Event, EventKind};
use abide_core::ids::{EndpointId, EventId};
use abide_core::original::OriginalId;
use bytes::Bytes;
use zeroize::Zeroizing;

pub use catalogue::{CatalogueEntry, catalogue};
pub use dialects::{consentproof, standard_webhooks};
pub use receivers::{CopyableReceiver, receivers};
pub use wire::{Answer, Received, Rejection, Verified, WireRequest};

/// Every dialect, in the order documentation lists them.
pub fn all() -> &'static [&'static dyn Dialect] {
    &[&consentproof::ConsentProof, &standard_webhooks::StandardWebhooks]
}

/// The dialect of that name.
pub fn by_name(name: &str) -> Option<&'static dyn Dialect> {
    all().iter().copied().find(|dialect| dialect.name() == name)
}

/// One provider's wire contract.
pub trait Dialect: Send + Sync {
    /// The public name, as in `--dialect` and in the store.
    fn name(&self) -> &'static str;

    /// What people call it.
    fn label(&self) -> &'static str;

    /// What it is and whom it is for, in a sentence for people who choose one.
    fn meaning(&self) -> &'static str;

    /// What the store and the engine must know to queue, hold and re-read deliveries.
    fn rules(&self) -> DeliveryRules;

    /// When to try again.
    fn schedule(&self) -> Schedule;

    /// What run a retry opens that somebody asks for and does not say: one attempt where the provider's own does so.
    fn by_hand(&self) -> Run {
        Run::Single
    }

    /// How long one attempt may take, from look-up to the end of the answer.
    fn deadline(&self) -> Duration;

    /// How long an endpoint may fail before it is stopped (SW-18). `None` where the contract knows of no such stop: there
    /// what fails is tried as its schedule says, however long that goes on.
    fn stops_after(&self) -> Option<Duration> {
        None
    }

    /// Whether this kind of event can be told in this dialect.
    fn applies(&self, kind: EventKind) -> bool;

    /// The forms that its secrets take, the usual one first.
    fn secret_forms(&self) -> &'static [SecretForm];

    /// A new signing secret in one of its forms, made of 32 random bytes.
    fn new_secret(&self, form: SecretForm, random: &[u8; 32]) -> String;

    /// Judges a secret that somebody brings along, in any of its forms; the error says what is allowed.
    fn check_secret(&self, secret: &str) -> Result<(), &'static str>;

    /// Judges what a receiver wants to verify with, a secret or its public key; the error says what is allowed. Without
    /// this a receiver with half a key in its settings would call every request forged.
    fn check_held(&self, _held: &str) -> Result<(), &'static str> {
        Ok(())
    }

    /// What anybody may know of a secret: the key that verifies its signatures, in the form that receivers take.
    /// `None` where the secret itself verifies.
    fn public_key(&self, secret: &str) -> Option<String>;

    /// How many of an endpoint's live secrets sign a request.
    fn signed_by(&self) -> SignedBy;

    /// The part of the body that is the same for every endpoint. A pure function of its source, so that a retry of a
    /// snapshot gives the same bytes.
    fn render(&self, content: &Content<'_>) -> Rendered;

    /// The request for one attempt: the rendered part, signed.
    fn sign(&self, rendered: &Rendered, signing: &Signing<'_>) -> WireRequest;

    /// Reads the answer.
    fn classify(&self, answer: &Answer) -> Outcome;

    /// Checks a request as a receiver of this dialect does; `now` judges its age where the contract bounds it.
    fn verify(
        &self,
        request: &Received,
        secret: &str,
        now: Timestamp,
    ) -> Result<Verified, Rejection>;
}

/// What a delivery tells.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// What the event held.
    Event(&'a Event),
    /// The event's consent as it is now (`Source::Latest`).
    Latest {
        /// The event that asks for it to be sent.
        event: &'a Event,
        /// The consent now.
        consent: &'a ConsentView,
    },
    /// Everything known of the subject now (`Source::Lane`).
    Subject(&'a SubjectState),
}

/// The part of a body that is shared by all endpoints of a dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The bytes.
    pub body: Bytes,
}

/// What a signing secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretForm {
    /// One secret that both sides hold.
    Shared,
    /// A private key; receivers hold the public one.
    KeyPair,
}

impl SecretForm {
    /// Every form.
    pub const ALL: [Self; 2] = [Self::Shared, Self::KeyPair];

    /// The public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::KeyPair => "key_pair",
        }
    }

    /// Reads the public name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == text)
    }
}

/// What becomes of a secret that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// A request carries one signature: the newest secret's, from the moment it is made.
    Newest,
    /// A request carries a signature of every live secret, so that receivers can change over in their own time.
    EveryLive,
}

/// What differs from attempt to attempt and from endpoint to endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Signing<'a> {
    /// The event that is told: the same on every attempt.
    pub event: EventId,
    /// The endpoint's id.
    pub endpoint: EndpointId,
    /// What the endpoint was called where it was brought from, if it was.
    pub original: Option<&'a OriginalId>,
    /// Its live secrets as shown when they were made, the newest first; never empty.
    pub secrets: &'a [Zeroizing<String>],
    /// The signature time: drawn with the state for `Latest` and `Lane`, else the time of sending.
    pub at: Timestamp,
    /// Sixteen random bytes, new for each attempt.
    pub token: [u8; 16],
}
