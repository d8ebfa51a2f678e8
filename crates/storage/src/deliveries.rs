//! Deliveries as the engine works on them. These methods answer no caller and so take no organization.

use abide_core::Timestamp;
use abide_core::consent::{ConsentView, SubjectState};
use abide_core::delivery::{Decided, DeliveryState, ErrorClass, Run};
use abide_core::event::Event;
use abide_core::ids::{DeliveryId, EndpointId, LeaseId};
use abide_core::lane::AttemptId;
use async_trait::async_trait;
use std::sync::Arc;

use crate::StorageResult;

/// A due delivery, taken by this node. Its content is read when its attempt is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The delivery.
    pub id: DeliveryId,
    /// Where it goes.
    pub endpoint: EndpointId,
}

/// A page of due work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DuePage {
    /// Taken for this node.
    pub claimed: Vec<Claimed>,
    /// Rows of endpoints without room that were moved out of the due index.
    pub parked: u32,
    /// Rows of stopped endpoints that were held or cancelled as they were met.
    pub stopped: u32,
    /// Whether more may be due now.
    pub more: bool,
    /// When the next row falls due, if none is due now.
    pub next_due_at: Option<Timestamp>,
}

/// Asks to open an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenAttempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The lease it is held under.
    pub lease: LeaseId,
    /// When its send must have ended.
    pub ends_by: Timestamp,
}

/// The answer to [`OpenAttempt`].
#[derive(Debug, Clone)]
pub enum Opened {
    /// Send this, now.
    Send(Box<Opening>),
    /// The delivery has moved on and is no longer this node's to send.
    Moved(DeliveryState),
}

/// An opened attempt: all that is needed to render it.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Where it goes.
    pub endpoint: EndpointId,
    /// The event that the delivery tells.
    pub event: Arc<Event>,
    /// What is read anew at this moment, for kinds that are not snapshots.
    pub fresh: Fresh,
    /// The attempt's number over all runs, from 1.
    pub number: u32,
    /// The attempt's number in its run, from 1; attempts whose end is unknown count, those given back unsent do not.
    pub number_in_run: u32,
    /// The run.
    pub run: Run,
    /// The signature time drawn with the state, for kinds that are ordered by it.
    pub signed_at: Option<Timestamp>,
    /// The version of the object that was read; 0 for snapshots.
    pub object_version: u64,
    /// SHA-256 of the first attempt's body, for comparing a snapshot's. `None` when the event has lost parts of it
    /// with people erased since, so that other bytes are right.
    pub first_sha256: Option<[u8; 32]>,
}

/// What was read when the attempt was opened.
#[derive(Debug, Clone)]
pub enum Fresh {
    /// Nothing: the event is the content.
    Snapshot,
    /// The event's consent now.
    Latest(Box<ConsentView>),
    /// The subject's full state now.
    Subject(SubjectState),
}

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptTrigger {
    /// The event, or its schedule.
    Schedule,
    /// Somebody asked.
    Manual,
}

impl AttemptTrigger {
    /// Every trigger.
    pub const ALL: [Self; 2] = [Self::Schedule, Self::Manual];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == text)
    }
}

/// How an attempt's send ended, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The receiver answered.
    Answered,
    /// Certainly never arrived.
    NotSent,
    /// It may have arrived: timeout, reset.
    Unknown,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 3] = [Self::Answered, Self::NotSent, Self::Unknown];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.as_str() == text)
    }
}

/// One finished attempt, with what core decided about it.
#[derive(Debug, Clone)]
pub struct FinishedAttempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Where it was sent: what the counts of a plain success go by, which reads no row.
    pub endpoint: EndpointId,
    /// The lease it was held under.
    pub lease: LeaseId,
    /// Its number over all runs, from 1.
    pub number: u32,
    /// When the send began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_millis: u32,
    /// The time that was signed.
    pub signed_at: Timestamp,
    /// The token that was signed with, where the dialect has one.
    pub token: [u8; 16],
    /// SHA-256 of the body sent.
    pub body_sha256: [u8; 32],
    /// Length of the body sent, in bytes.
    pub body_length: u32,
    /// The version of the object that was read; 0 for snapshots.
    pub object_version: u64,
    /// The version of the endpoint that was used.
    pub endpoint_version: u32,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// The class of error, if there was one.
    pub error: Option<ErrorClass>,
    /// How the send ended.
    pub ending: Ending,
    /// The start of the answer's body, when it was not delivered: at most 1 KiB, stored sealed under the person's key;
    /// not kept where the event is a batch, which has no one person's key.
    pub answer: Option<Vec<u8>>,
    /// What follows.
    pub decided: Decided,
}

impl FinishedAttempt {
    /// Which attempt it was.
    pub fn attempt(&self) -> AttemptId {
        AttemptId { delivery: self.delivery, lease: self.lease, number: self.number }
    }
}

/// A row that this node gives back without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenBack {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The lease it is held under.
    pub lease: LeaseId,
    /// What the receiver may have seen of an attempt that was opened for it.
    pub sent: Sent,
    /// What becomes of it.
    pub to: GiveBack,
}

/// What can have been sent of a row that is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Nothing. An attempt that was opened for it ends as `not_sent` with the error [`NOT_STARTED`], takes no step of the
    /// schedule, and frees its lane.
    Nothing,
    /// Some or all of it: the send was cut off. An attempt that was opened for it ends as `unknown`, and counts.
    Perhaps,
}

/// The class of error of an attempt that a node opened and then did not begin to send, for reasons of its own.
pub const NOT_STARTED: &str = ErrorClass::NotStarted.as_str();

/// Why a row is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveBack {
    /// Its endpoint has no room in memory or rests: parked until its own task asks.
    Parked,
    /// It was not started, for this node's own reasons: pending again, due then.
    Due(Timestamp),
    /// Its endpoint is stopped: held or cancelled, as the endpoint's row says.
    Stopped,
    /// Its event can no longer be rendered: failed, or erased where its person was.
    Unreadable,
}

/// What one call reports of a node's work, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Attempts that ended.
    pub finished: Vec<FinishedAttempt>,
    /// Rows given back.
    pub given_back: Vec<GivenBack>,
}

/// The engine's questions.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Takes up to `limit` due rows, oldest first, for endpoints not in `full`. Rows of `full` endpoints met on the
    /// way are parked, rows of stopped endpoints held or cancelled; both in bounded number.
    async fn claim_due(
        &self,
        lease: LeaseId,
        full: &[EndpointId],
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<DuePage>;

    /// Takes up to `limit` of an endpoint's parked rows, oldest first.
    async fn claim_parked(
        &self,
        lease: LeaseId,
        endpoint: EndpointId,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Vec<Claimed>>;

    /// Endpoints with parked rows. Does not count them.
    async fn parked_endpoints(&self) -> StorageResult<Vec<EndpointId>>;

    /// Makes up to `limit` held rows of active endpoints pending, due now, and cancels those that a stop or a deletion
    /// cancelled. Answers how many it moved.
    async fn release_held(&self, limit: u32, now: Timestamp) -> StorageResult<u32>;

    /// Opens an attempt: one short transaction that reads what is to be sent, draws its signature time where the kind
    /// is ordered by it, and stores the attempt's number. Nothing is held open after it (I4).
    async fn open_attempt(&self, open: OpenAttempt, now: Timestamp) -> StorageResult<Opened>;

    /// Records attempts and rows given back. What no longer stands under its lease, and an attempt that another one has
    /// followed, moves no state: it is kept and marked late (I5).
    async fn report(&self, report: Report, now: Timestamp) -> StorageResult<()>;

    /// Pages rows that are still hot or claimed under `lease` back to pending, due now, in key order from `after`.
    /// For leases without work in memory, and those taken over. `None`: nothing is left.
    async fn lose(
        &self,
        lease: LeaseId,
        after: DeliveryId,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Option<DeliveryId>>;

    /// Waiting rows, counted up to `at_most`, and when the oldest due one fell due.
    async fn backlog(&self, at_most: u32) -> StorageResult<Backlog>;
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Pending rows, as far as counted.
    pub pending: u32,
    /// Parked rows, as far as counted.
    pub parked: u32,
    /// Held rows, as far as counted.
    pub held: u32,
    /// Due time of the oldest pending or parked row.
    pub oldest_due_at: Option<Timestamp>,
}
