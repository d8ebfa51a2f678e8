//! How deliveries went, in numbers: totals, figures over time, and what waits now.
//!
//! Written with each report, once per endpoint and organization in it, and nowhere on the way of a decision. So these
//! numbers say how deliveries *ended*; what is on its way is not in them but in [`Waiting`].
//!
//! An attempt counts once, when its end is recorded: also one that ended late, and one whose end is unknown, which
//! counts as failed. One that was opened and never begun does not count, nor does a report that is repeated, nor a test
//! that somebody sent, which says nothing of the endpoint.
//!
//! A delivery counts when it ends by what its attempts showed: as *successful* when it was delivered or its receiver had
//! nothing to do (`skipped`), as *failed* when its schedule is used up, trying again cannot help, or it can no longer be
//! rendered. Cancelled, superseded, erased and discarded deliveries count nowhere: the receiver had no part in their end.

use abide_core::Timestamp;
use abide_core::ids::{EndpointId, OrganizationId};
use async_trait::async_trait;

use crate::StorageResult;

/// Length of a bucket in milliseconds: five minutes.
pub const BUCKET_MILLIS: i64 = 5 * 60 * 1000;
/// Length of what older buckets are folded into: a day of UTC.
pub const FOLDED_MILLIS: i64 = 24 * 3600 * 1000;
/// Buckets older than this, in milliseconds, are folded into days.
pub const FOLD_AFTER_MILLIS: i64 = 35 * FOLDED_MILLIS;

/// How an endpoint's deliveries stand (P10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Deliveries whose last end was a success. One that failed and was retried with success is one success.
    pub successful: u64,
    /// Deliveries whose last end was a failure, without those that were asked for again since.
    pub failed: u64,
    /// When the newest attempt began.
    pub last_attempt_at: Option<Timestamp>,
}

impl Totals {
    /// Deliveries that have ended. Each is in it once, however often it was tried.
    pub fn total(self) -> u64 {
        self.successful + self.failed
    }
}

/// What happened in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Happened {
    /// Attempts that the receiver took, or had nothing to do with.
    pub attempts_successful: u64,
    /// All other attempts.
    pub attempts_failed: u64,
    /// Those of them in which the endpoint had no part, because Abide was too busy or was cut off.
    pub attempts_blameless: u64,
    /// Times that a delivery ended well. Unlike in [`Totals`] one that ended twice, because it was asked for again, has
    /// ended twice here.
    pub successful: u64,
    /// Times that a delivery ended as failed.
    pub failed: u64,
}

/// What happened in a stretch of time that began at `start`. Stretches in which nothing happened are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The first instant.
    pub start: Timestamp,
    /// What happened.
    pub happened: Happened,
}

/// How finely a series is wanted. What is older than [`FOLD_AFTER_MILLIS`] has one point per day whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Five minutes.
    Bucket,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 3] = [Self::Bucket, Self::Hour, Self::Day];

    /// Its length in milliseconds.
    pub fn millis(self) -> i64 {
        match self {
            Self::Bucket => BUCKET_MILLIS,
            Self::Hour => 3600 * 1000,
            Self::Day => FOLDED_MILLIS,
        }
    }

    /// The public name: `5m`, `1h`, `1d`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bucket => "5m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// Reads the public name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == text)
    }
}

/// What waits for an endpoint now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Deliveries due at a time, those that wait for their next attempt above all.
    pub pending: u32,
    /// Deliveries that are due while the endpoint has no room.
    pub parked: u32,
    /// Deliveries that wait for somebody.
    pub held: u32,
    /// Whether there may be more of one or the other: counting ends at a bound.
    pub at_least: bool,
    /// When the oldest of those counted was made, or asked for again.
    pub oldest_since: Option<Timestamp>,
}

/// The numbers.
#[async_trait]
pub trait Counts: Send + Sync {
    /// The totals of each of these endpoints, in their order. One that is not the organization's has none.
    async fn totals(
        &self,
        organization: OrganizationId,
        endpoints: &[EndpointId],
    ) -> StorageResult<Vec<Totals>>;

    /// What happened at an endpoint, or in the whole organization, from `from` until before `until`, oldest first.
    /// Answers at most `limit` points, the newest ones where there are more.
    async fn series(
        &self,
        organization: OrganizationId,
        endpoint: Option<EndpointId>,
        step: Step,
        span: (Timestamp, Timestamp),
        limit: u32,
    ) -> StorageResult<Vec<Point>>;

    /// What waits for an endpoint, counted up to `at_most` for each state. Rows of the due index that are other
    /// endpoints' are passed over in bounded number too.
    async fn waiting(
        &self,
        organization: OrganizationId,
        endpoint: EndpointId,
        at_most: u32,
    ) -> StorageResult<Waiting>;

    /// For the engine: folds buckets that ended before `before` into days, for at most `limit` endpoints and
    /// organizations after `after`. Answers where to go on; `None`: that was the last.
    async fn fold(&self, after: i64, limit: u32, before: Timestamp) -> StorageResult<Option<i64>>;
}
