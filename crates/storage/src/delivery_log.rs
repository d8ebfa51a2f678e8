//! Deliveries as their owner looks through them: by page, newest first, and one of them whole.

use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, Reason, Run};
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, EndpointId, EventId, JobId, OrganizationId};
use async_trait::async_trait;

use crate::StorageResult;
use crate::history::{AttemptView, DeliveryView};

/// Which deliveries are wanted. What is left out does not narrow the choice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    /// To this endpoint, also when it is deleted.
    pub endpoint: Option<EndpointId>,
    /// In one of these states, as they are shown: what an endpoint's stop holds or cancels counts as held or cancelled at
    /// once. Empty: in any.
    pub states: Vec<DeliveryState>,
    /// Of events of this kind.
    pub kind: Option<EventKind>,
    /// Of this event.
    pub event: Option<EventId>,
    /// Made at this time or later.
    pub from: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPage {
    /// What was found.
    pub items: Vec<DeliveryLine>,
    /// Where to go on: before this place, which need not be one of the items nor any delivery, and is never another
    /// organization's. `None`: there is nothing older, and nothing else means that.
    ///
    /// A page ends when it is full, and also when it has looked at a bounded number of rows: then it is short or even
    /// empty, and everything down to this place was looked at.
    pub next: Option<DeliveryId>,
    /// Rows that were looked at for this page.
    pub looked: u32,
}

/// A delivery in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLine {
    /// Its id; says when it was made.
    pub id: DeliveryId,
    /// The event it tells.
    pub event: EventId,
    /// The event's kind.
    pub kind: EventKind,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why, for held and final states other than delivered.
    pub reason: Option<Reason>,
    /// The delivery that carries the state instead.
    pub superseded_by: Option<DeliveryId>,
    /// When the next attempt is due, for pending and parked ones.
    pub due_at: Option<Timestamp>,
    /// The run it is in.
    pub run: Run,
    /// Attempts over all runs, as far as they are recorded.
    pub attempts: u32,
    /// The newest attempt.
    pub last_attempt: Option<AttemptView>,
}

/// One delivery with all that happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The delivery and its attempts.
    pub delivery: DeliveryView,
    /// Its runs, oldest first; the first came with the event. Those that were asked for and replaced by another before
    /// their first attempt are not among them.
    pub runs: Vec<RunView>,
    /// Who gave it up, where it was discarded by somebody's wish.
    pub discarded: Option<Asked>,
}

/// A run of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// Its number, from 1, as attempts name it.
    pub number: u32,
    /// How long it goes on.
    pub run: Run,
    /// Who asked for it; `None` for the first, unless the delivery itself was made because somebody asked.
    pub asked: Option<Asked>,
}

/// That somebody asked for something to be done with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When.
    pub at: Timestamp,
    /// Who, as the audit log names them.
    pub by: String,
    /// The job that did it for them, where many deliveries were asked for at once.
    pub job: Option<JobId>,
}

/// Looking through deliveries. Costs the writing of them nothing.
#[async_trait]
pub trait DeliveryLog: Send + Sync {
    /// Deliveries older than `before`, newest first, at most `limit` of them. What they cost to find grows with what the
    /// organization, or the endpoint where one is wanted, has itself, and not with what others have beside it.
    async fn list(
        &self,
        organization: OrganizationId,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> StorageResult<DeliveryPage>;

    /// One delivery whole; `None` when there is none of that id.
    async fn delivery(
        &self,
        organization: OrganizationId,
        delivery: DeliveryId,
    ) -> StorageResult<Option<DeliveryRecord>>;

    /// For the engine's housekeeping: notes whose the deliveries are that were made since the last time, so that lists need
    /// not look at those of others; nothing is done where they are fewer than `at_least`. Answers how many it noted, which
    /// is bounded; `None` where it must wait until others have ended who began to write earlier. Lists are right also before.
    async fn note_new(&self, at_least: u32) -> StorageResult<Option<u32>>;
}
