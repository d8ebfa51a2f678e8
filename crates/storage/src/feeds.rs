//! The feeds as their readers get them: whole events and decisions in the order of their numbers, and the audit log.
//!
//! A feed's numbers have no gaps, so a reader that goes on from the number it read last misses nothing and reads nothing
//! twice. What is about an erased person keeps its place and says nothing of them.

use abide_core::Timestamp;
use abide_core::consent::{LawfulBasis, PermissionState, Validity};
use abide_core::event::{Event, EventKind};
use abide_core::ids::{
    AuditEntryId, ConsentId, DecisionId, EventId, OrganizationId, PolicyId, PurposeId, SubjectId,
};
use abide_core::original::OriginalId;
use async_trait::async_trait;

use crate::StorageResult;

/// What part of a feed is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedWanted {
    /// The number behind which to begin; 0 at the beginning.
    pub after: u64,
    /// Most entries, 1 to 100.
    pub limit: u32,
}

/// Where a reader of a feed begins who has no place in it yet, other than at its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// Before everything that was recorded at this time or later.
    Time(Timestamp),
    /// Behind everything that is there.
    End,
}

/// Some entries of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage<T> {
    /// In the order of their numbers. Can be fewer than wanted, even none, though more follow: a filter that leaves out
    /// much is not followed without bounds.
    pub entries: Vec<T>,
    /// The number behind which to go on.
    pub next: u64,
    /// Whether more follows behind `next` now.
    pub has_more: bool,
}

/// An event as the feed tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldEvent {
    /// Whole; of a batch, the people who were not erased.
    Whole(Box<Event>),
    /// Made up for a test of an endpoint: it has not happened, and stands in no feed.
    Test(Box<Event>),
    /// Everybody it was about was erased since.
    Erased {
        /// Its id.
        id: EventId,
        /// What happened.
        kind: EventKind,
        /// When it happened.
        created_at: Timestamp,
    },
}

/// A decision as the feed tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldDecision {
    /// Its id.
    pub id: DecisionId,
    /// The record it was taken into.
    pub consent: ConsentId,
    /// What it is about.
    pub purpose: PurposeId,
    /// The purpose's name.
    pub purpose_name: String,
    /// Who decided.
    pub subject: SubjectId,
    /// The organization's reference of the person; `None` once they were erased.
    pub reference: Option<String>,
    /// What the record was called where it was brought from; `None` where it was not, and once the person was erased.
    pub original: Option<OriginalId>,
    /// The policy version that was shown.
    pub policy: Option<PolicyId>,
    /// What that was called where it was brought from; `None` as above.
    pub policy_original: Option<OriginalId>,
    /// On which basis.
    pub basis: LawfulBasis,
    /// What was decided.
    pub state: PermissionState,
    /// When the person decided.
    pub obtained_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When it can be in force.
    pub validity: Validity,
    /// Who recorded it: a key's id, `operator` or `system`.
    pub recorded_by: String,
    /// SHA-256 over a salt and the decision's canonical bytes.
    pub commitment: [u8; 32],
}

/// An entry of the audit log with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntryView {
    /// Its id; later entries have higher ones.
    pub id: AuditEntryId,
    /// When.
    pub at: Timestamp,
    /// Who: a key's id, `operator` or `system`.
    pub actor: String,
    /// What was done: `consent.record`, `endpoint.pause`.
    pub action: String,
    /// To what: an id.
    pub object: String,
}

/// Which entries of the audit log are wanted; what is `None` leaves out nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// By whom.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// To what.
    pub object: Option<String>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// Some entries of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// Newest first. Can be fewer than wanted though more follow, as in a feed.
    pub entries: Vec<AuditEntryView>,
    /// The entry behind which to go on; `None` where the log ends.
    pub next: Option<AuditEntryId>,
}

/// Most entries of a feed or of the audit log that one call looks through.
pub const LOOKED_THROUGH: u32 = 10_000;

/// Reading feeds.
#[async_trait]
pub trait Feeds: Send + Sync {
    /// The epoch of the feeds: a random number made with the database and drawn anew when it is restored.
    async fn epoch(&self) -> StorageResult<u64>;

    /// Events of an organization in the order of their numbers, of one kind or of all.
    async fn events_after(
        &self,
        organization: OrganizationId,
        kind: Option<EventKind>,
        wanted: FeedWanted,
    ) -> StorageResult<FeedPage<ToldEvent>>;

    /// The number behind which to begin reading an organization's events, as [`FeedWanted::after`].
    async fn events_start(
        &self,
        organization: OrganizationId,
        start: FeedStart,
    ) -> StorageResult<u64>;

    /// One event of an organization; `None` where there is none.
    async fn told_event(
        &self,
        organization: OrganizationId,
        event: EventId,
    ) -> StorageResult<Option<ToldEvent>>;

    /// Decisions of an organization in the order of their numbers.
    async fn decisions_after(
        &self,
        organization: OrganizationId,
        wanted: FeedWanted,
    ) -> StorageResult<FeedPage<ToldDecision>>;

    /// The number behind which to begin reading an organization's decisions, as [`FeedWanted::after`].
    async fn decisions_start(
        &self,
        organization: OrganizationId,
        start: FeedStart,
    ) -> StorageResult<u64>;

    /// The audit log of an organization, newest first, from behind `after` on.
    async fn audit_before(
        &self,
        organization: OrganizationId,
        filter: AuditFilter,
        after: Option<AuditEntryId>,
        limit: u32,
    ) -> StorageResult<AuditPage>;
}
