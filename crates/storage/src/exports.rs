//! What an export of an organization reads beside what its lists show: the ledger with everything said in it, page by page.

use std::fmt;

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::consent::{PermissionState, Validity};
use abide_core::ids::{ConsentId, DecisionId, OrganizationId, PolicyId, PurposeId, SubjectId};
use abide_core::json::JsonObject;
use abide_core::policy::Policy;
use async_trait::async_trait;

use crate::StorageResult;
use crate::accounts::Organization;
use crate::feeds::{FeedPage, ToldDecision};

/// What an export begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportBegun {
    /// Whose it is.
    pub organization: Organization,
    /// The number of the last decision that it tells.
    pub last_decision: u64,
}

/// A part of the decision feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number behind which to begin; 0 at the beginning.
    pub after: u64,
    /// The last number to tell.
    pub through: u64,
    /// Most entries, 1 to 100.
    pub limit: u32,
}

/// A decision with everything that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedDecision {
    /// Its number in the feed.
    pub log_index: u64,
    /// What the feed tells of it.
    pub told: ToldDecision,
    /// What was sealed with it; `None` once its person was erased.
    pub said: Option<SaidWithDecision>,
}

/// What a decision says of its person.
#[derive(Clone, PartialEq, Eq)]
pub struct SaidWithDecision {
    /// The e-mail address that came with it.
    pub email: Option<String>,
    /// What the caller attached.
    pub metadata: Option<JsonObject>,
    /// From where it was taken.
    pub ip_address: Option<String>,
    /// The hash that anyone can recompute.
    pub consent_hash: String,
}

/// Where a consent record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedConsent {
    /// Its id.
    pub id: ConsentId,
    /// Whose.
    pub subject: SubjectId,
    /// For what.
    pub purpose: PurposeId,
    /// The purpose's name.
    pub purpose_name: String,
    /// Decisions so far.
    pub version: u32,
    /// The decision taken into it last.
    pub latest: DecisionId,
    /// The decision in force, if any.
    pub in_force: Option<DecisionId>,
    /// What that one decided.
    pub state: Option<PermissionState>,
    /// When that one can be in force.
    pub validity: Validity,
    /// When it was withdrawn.
    pub withdrawn_at: Option<Timestamp>,
    /// When its first decision was recorded.
    pub created_at: Timestamp,
}

/// Reading for an export.
#[async_trait]
pub trait Exports: Send + Sync {
    /// Notes in the audit log that an export was begun, in whatever state the organization is, and says how far it goes.
    async fn begin(&self, by: &Caller, now: Timestamp) -> StorageResult<ExportBegun>;

    /// Versions of policies with their text behind `after`, oldest first, deleted ones included, at most `limit`.
    async fn policies(
        &self,
        organization: OrganizationId,
        after: Option<PolicyId>,
        limit: u32,
    ) -> StorageResult<Vec<Policy>>;

    /// Decisions of a part of the feed. A page ends early where it grows large.
    async fn decisions(
        &self,
        organization: OrganizationId,
        span: Span,
    ) -> StorageResult<FeedPage<ExportedDecision>>;

    /// The records that decisions of a part of the feed began, as they stand now; the numbers are those decisions'. A page
    /// can be empty though more follow.
    async fn consents(
        &self,
        organization: OrganizationId,
        span: Span,
    ) -> StorageResult<FeedPage<ExportedConsent>>;
}

// I11: what is about a person stays out of every `Debug`.
impl fmt::Debug for SaidWithDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaidWithDecision(..)")
    }
}
