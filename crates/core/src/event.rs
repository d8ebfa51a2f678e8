//! Events: immutable facts that something happened, with an id that never changes.

mod sample;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::consent::ConsentView;
use crate::ids::{BatchId, EventId, OrganizationId, SubjectId};
use crate::policy::Policy;

pub use sample::sample;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// The first GRANTED or DENIED of a consent came into force.
    #[serde(rename = "consent.created")]
    ConsentCreated,
    /// The decision in force changed to another GRANTED or DENIED, other than a withdrawal.
    #[serde(rename = "consent.updated")]
    ConsentUpdated,
    /// GRANTED gave way to something else.
    #[serde(rename = "consent.withdrawn")]
    ConsentWithdrawn,
    /// Consents were created in one batch.
    #[serde(rename = "consent.batch_created")]
    ConsentBatchCreated,
    /// A policy version was created.
    #[serde(rename = "policy.created")]
    PolicyCreated,
    /// A policy version changed.
    #[serde(rename = "policy.updated")]
    PolicyUpdated,
    /// A policy version was deleted.
    #[serde(rename = "policy.deleted")]
    PolicyDeleted,
}

impl EventKind {
    /// Every kind, in the order documentation lists them.
    pub const ALL: [Self; 7] = [
        Self::ConsentCreated,
        Self::ConsentUpdated,
        Self::ConsentWithdrawn,
        Self::ConsentBatchCreated,
        Self::PolicyCreated,
        Self::PolicyUpdated,
        Self::PolicyDeleted,
    ];

    /// The name in Abide's own words and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConsentCreated => "consent.created",
            Self::ConsentUpdated => "consent.updated",
            Self::ConsentWithdrawn => "consent.withdrawn",
            Self::ConsentBatchCreated => "consent.batch_created",
            Self::PolicyCreated => "policy.created",
            Self::PolicyUpdated => "policy.updated",
            Self::PolicyDeleted => "policy.deleted",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One event as rendered by dialects: a snapshot that says all a receiver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for every endpoint and on every attempt.
    pub id: EventId,
    /// Whose event it is.
    pub organization: OrganizationId,
    /// What happened.
    pub kind: EventKind,
    /// When it happened.
    pub created_at: Timestamp,
    /// Whom it is about, when it is about one person.
    pub subject: Option<SubjectId>,
    /// Which rendering of this kind made it: old events keep theirs for ever.
    pub render_version: u16,
    /// What receivers are told.
    pub body: EventBody,
}

/// The snapshot inside an event. Stored sealed: under the subject's key, a batch one part per subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventBody {
    /// A consent as the event left it.
    Consent(ConsentView),
    /// Consents created together.
    Batch(BatchView),
    /// A policy version as the event left it, without its text.
    Policy(Policy),
}

/// One delivery's share of a batch: large batches make several events, each below the size limit (P16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchView {
    /// The batch.
    pub id: BatchId,
    /// Its consents, in the order given.
    pub consents: Vec<ConsentView>,
}

/// The rendering that new events get.
pub const RENDER_VERSION: u16 = 1;
