//! What happened: the gap-free feeds, a delivery with its attempts, the audit log.

use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, Reason};
use abide_core::event::{Event, EventKind};
use abide_core::ids::{DecisionId, DeliveryId, EndpointId, EventId, OrganizationId};
use async_trait::async_trait;

use crate::StorageResult;
use crate::deliveries::{AttemptTrigger, Ending};

/// A place in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedEntry<T> {
    /// Counts from 1 without gaps, per organization and feed.
    pub log_index: u64,
    /// What stands there.
    pub id: T,
}

/// A delivery as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// The event it tells.
    pub event: EventId,
    /// The event's kind.
    pub kind: EventKind,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why, for held and final states.
    pub reason: Option<Reason>,
    /// The delivery that carries the state instead.
    pub superseded_by: Option<DeliveryId>,
    /// When the next attempt is due, for pending and parked ones.
    pub due_at: Option<Timestamp>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// An attempt as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// Its number over all runs, from 1.
    pub number: u32,
    /// The number of the run it belongs to, from 1; the first came with the event.
    pub run: u32,
    /// Whether it is the first that somebody's wish led to, or one that a schedule asked for.
    pub trigger: AttemptTrigger,
    /// When the send began.
    pub started_at: Timestamp,
    /// How long it took; `None` while it is open or when its end is unknown.
    pub duration_millis: Option<u32>,
    /// The time that was signed.
    pub signed_at: Option<Timestamp>,
    /// How it ended; `None` while it is open or when it was lost with its lease.
    pub ending: Option<Ending>,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// The class of error, if there was one.
    pub error: Option<String>,
    /// SHA-256 of the body sent.
    pub body_sha256: Option<[u8; 32]>,
    /// Length of the body sent, in bytes.
    pub body_length: Option<u32>,
    /// The version of the endpoint that was used.
    pub endpoint_version: Option<u32>,
    /// The version of the object that was read; 0 for snapshots.
    pub object_version: u64,
    /// Recorded after the delivery had moved on: it moved no state.
    pub late: bool,
    /// The start of the answer, when it was not delivered and the person was not erased.
    pub answer: Option<Vec<u8>>,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    /// When.
    pub at: Timestamp,
    /// Who: a key's or a user's id, `operator` or `system`.
    pub actor: String,
    /// What was done: `consent.record`, `endpoint.pause`.
    pub action: String,
    /// To what: an id.
    pub object: String,
}

/// Reading back.
#[async_trait]
pub trait History: Send + Sync {
    /// Events after `log_index` in the organization's feed, at most `limit`.
    async fn events(
        &self,
        organization: OrganizationId,
        log_index: u64,
        limit: u32,
    ) -> StorageResult<Vec<FeedEntry<EventId>>>;

    /// Decisions after `log_index` in the organization's feed, at most `limit`.
    async fn decisions(
        &self,
        organization: OrganizationId,
        log_index: u64,
        limit: u32,
    ) -> StorageResult<Vec<FeedEntry<DecisionId>>>;

    /// One event; `None` when it does not exist or its person was erased.
    async fn event(
        &self,
        organization: OrganizationId,
        event: EventId,
    ) -> StorageResult<Option<Event>>;

    /// The deliveries of one event, in the order they were made.
    async fn deliveries_of(
        &self,
        organization: OrganizationId,
        event: EventId,
    ) -> StorageResult<Vec<DeliveryView>>;

    /// Asks for another run of a delivery: one attempt, or the whole schedule. Refused where the state table says so.
    async fn retry(
        &self,
        by: &abide_core::access::Caller,
        delivery: DeliveryId,
        run: abide_core::delivery::Run,
        now: Timestamp,
    ) -> StorageResult<()>;

    /// The newest audit entries, at most `limit`.
    async fn audit(
        &self,
        organization: OrganizationId,
        limit: u32,
    ) -> StorageResult<Vec<AuditView>>;
}
