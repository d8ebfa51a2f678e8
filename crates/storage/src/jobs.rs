//! Work over many deliveries: created by their owner, worked page by page by the engine, resumed after a restart.

use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::{JobId, OrganizationId};
use abide_core::job::{JobState, Plan, Progress};
use async_trait::async_trait;

use crate::StorageResult;

/// Jobs of one organization that may run at a time.
pub const MOST_RUNNING: u32 = 10;

/// A job as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Its id. It touches nothing that was made after it.
    pub id: JobId,
    /// What it does, and with what.
    pub plan: Plan,
    /// Where it stands.
    pub state: JobState,
    /// How far it has come.
    pub progress: Progress,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Who asked for it, as the audit log names them.
    pub created_by: String,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The answer to asking for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A new job.
    Created(JobView),
    /// A job that does just this runs already. A rate of its own makes no other job of it.
    Running(JobView),
}

impl Asked {
    /// The job, new or not.
    pub fn into_job(self) -> JobView {
        match self {
            Self::Created(job) | Self::Running(job) => job,
        }
    }
}

/// What a job would do if it were created now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// What it would look at and do, as far as was looked.
    pub progress: Progress,
    /// Whether the look ended at its bound, so that there may be more.
    pub at_least: bool,
}

/// What one page came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// There may be more to do now.
    More,
    /// Its rate allows no more now.
    Paced,
    /// Its organization is being deleted: it stands still, and goes on where it was if the deletion is taken back.
    Suspended,
    /// It has ended, or there is no such job.
    Ended,
}

/// Jobs.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Creates a job, unless one that does the same runs. Refused where the endpoint does not exist or is deleted, and
    /// where too many jobs run.
    async fn create(&self, by: &Caller, plan: &Plan, now: Timestamp) -> StorageResult<Asked>;

    /// What a job would do. Looks at a bounded number of rows and changes nothing.
    async fn estimate(
        &self,
        organization: OrganizationId,
        plan: &Plan,
        now: Timestamp,
    ) -> StorageResult<Estimate>;

    /// One job.
    async fn get(&self, organization: OrganizationId, job: JobId)
    -> StorageResult<Option<JobView>>;

    /// Jobs older than `before`, newest first, at most `limit`.
    async fn list(
        &self,
        organization: OrganizationId,
        before: Option<JobId>,
        limit: u32,
    ) -> StorageResult<Vec<JobView>>;

    /// Stops a job; what is done stays done. One that was stopped before stays as it is; one that is done is refused.
    async fn cancel(&self, by: &Caller, job: JobId, now: Timestamp) -> StorageResult<JobView>;

    /// For the engine: the jobs that run, oldest first, after `after`, at most `limit`. Those of organizations that are
    /// being deleted stand still and are not among them.
    async fn running(&self, after: JobId, limit: u32) -> StorageResult<Vec<JobId>>;

    /// For the engine: works one page of a job, as large as its rate allows now. What it is about is looked for beside those
    /// who write; its changes are one short transaction, of a few dozen deliveries at most. A retry opens a whole series for
    /// the endpoints of the `series` dialects, where the plan does not say.
    async fn work(
        &self,
        job: JobId,
        series: Arc<[&'static str]>,
        now: Timestamp,
    ) -> StorageResult<Page>;

    /// For the engine: gives up deliveries that are held for an endpoint which answered 410 before `before` and has not
    /// been started since, and that were made or asked for before then; at most `limit` of them. None of an organization
    /// that is being deleted. Audited as the system's deed, once per endpoint and call. Answers how many it gave up.
    async fn discard_gone(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<u32>;
}

/// How long deliveries are held for an endpoint that answered 410, in milliseconds: seven days.
pub const GONE_HELD_MILLIS: i64 = 7 * 24 * 3600 * 1000;
