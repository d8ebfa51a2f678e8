//! The consent ledger.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::consent::{ConsentPatch, ConsentView, NewDecision};
use abide_core::ids::{BatchId, ConsentId, OrganizationId};
use abide_core::json::JsonObject;
use async_trait::async_trait;

use crate::consent_search::{ConsentAnswer, ConsentFilter, ConsentPage, ConsentQuestion};
use crate::{PageWanted, StorageResult};

/// What a batch call recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedBatch {
    /// The batch.
    pub id: BatchId,
    /// The records after the batch, in the order of the decisions given.
    pub consents: Vec<ConsentView>,
}

/// Decisions and the permission in force.
#[async_trait]
pub trait Consents: Send + Sync {
    /// Records a decision. The person, the purpose and the record are created where they are new; what follows for
    /// the permission in force decides the event (design part 1). An unknown or inactive policy is refused.
    async fn record(
        &self,
        by: &Caller,
        new: NewDecision,
        now: Timestamp,
    ) -> StorageResult<ConsentView>;

    /// Records up to 1,000 decisions as one change: all or none. Created consents make one `consent.batch_created`
    /// (several when one would be too large to send, P16); a record that existed before gets its own event. A refusal
    /// names the place: `consents[3].subject_id`.
    async fn record_batch(
        &self,
        by: &Caller,
        new: Vec<NewDecision>,
        now: Timestamp,
    ) -> StorageResult<RecordedBatch>;

    /// Records a decision that takes over what `patch` leaves out from the one shown by the record.
    async fn change(
        &self,
        by: &Caller,
        consent: ConsentId,
        patch: ConsentPatch,
        now: Timestamp,
    ) -> StorageResult<ConsentView>;

    /// Records a denial on a record that stands GRANTED. Where it does not, nothing changes and the record is
    /// answered as it stands: withdrawing twice is no mistake.
    async fn withdraw(
        &self,
        by: &Caller,
        consent: ConsentId,
        metadata: Option<JsonObject>,
        now: Timestamp,
    ) -> StorageResult<ConsentView>;

    /// One record as it stands; `None` when it does not exist or its person was erased.
    async fn get(
        &self,
        organization: OrganizationId,
        consent: ConsentId,
    ) -> StorageResult<Option<ConsentView>>;

    /// Records that a filter lets through, those decided last first, without those of erased people. What it reads is
    /// bounded; the page says what it leaves open. A record decided anew while somebody pages moves to the front.
    async fn list(
        &self,
        organization: OrganizationId,
        filter: ConsentFilter,
        page: PageWanted,
    ) -> StorageResult<ConsentPage>;

    /// The record that answers a question, judged at `now` though its change was not told yet; `None` where the person
    /// is not known, was erased, or has no such record.
    async fn verify(
        &self,
        organization: OrganizationId,
        question: ConsentQuestion,
        now: Timestamp,
    ) -> StorageResult<Option<ConsentAnswer>>;

    /// For the engine's clockwork: judges up to `limit` records whose `next_change_at` has come, of any organization,
    /// and tells what changed. Answers how many it judged.
    async fn advance_due(&self, now: Timestamp, limit: u32) -> StorageResult<u32>;
}
