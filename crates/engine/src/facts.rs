//! What sending to an endpoint takes, read once per version of its row.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::delivery::{Afterwards, Schedule};
use abide_core::endpoint::{EndpointState, Source};
use abide_core::ids::DeliveryId;
use abide_dialects::Dialect;
use abide_storage::endpoints::SendingEndpoint;
use zeroize::Zeroizing;

use crate::job::Job;
use crate::outbound::{Guard, Target, TargetProblem};

/// An endpoint as its workers use it. Replaced as a whole when the row changes.
pub(crate) struct Facts {
    /// `None`: another build made the endpoint, and this one does not know its dialect.
    pub(crate) dialect: Option<&'static dyn Dialect>,
    /// The URL, read once. It was judged when it was given; what is allowed may have changed since.
    pub(crate) target: Result<Target, TargetProblem>,
    /// Its live secrets, those that live longest first: the newest, which has no end, and those it replaces.
    secrets: Vec<Zeroizing<String>>,
    /// When the second of them and those after it end.
    ends: Vec<Timestamp>,
    pub(crate) schedule: Schedule,
    pub(crate) deadline: Duration,
    pub(crate) state: EndpointState,
    pub(crate) source: Source,
    pub(crate) version: u32,
    /// Deliveries up to this one were cancelled.
    pub(crate) cancelled_through: DeliveryId,
}

impl Facts {
    pub(crate) fn of(
        row: SendingEndpoint,
        dialects: &'static [&'static dyn Dialect],
        guard: &Guard,
    ) -> Self {
        let dialect = dialects.iter().copied().find(|dialect| dialect.name() == row.dialect);
        if dialect.is_none() {
            tracing::error!(endpoint = %row.id, dialect = %row.dialect, "no such dialect in this build");
        }
        let mut secrets = row.secrets;
        secrets.sort_by_key(|secret| Reverse(secret.live_until.unwrap_or(Timestamp::MAX)));
        let ends = secrets.iter().skip(1).filter_map(|secret| secret.live_until).collect();
        Self {
            schedule: schedule(dialect, row.overrides.retry_delays),
            deadline: match (row.overrides.deadline_seconds, dialect) {
                (Some(seconds), _) => Duration::from_secs(seconds.into()),
                (None, Some(dialect)) => dialect.deadline(),
                (None, None) => Duration::ZERO,
            },
            dialect,
            target: Target::parse(&row.url, guard),
            secrets: secrets.into_iter().map(|secret| secret.secret.into_inner()).collect(),
            ends,
            state: row.state,
            source: row.rules.source,
            version: row.version,
            cancelled_through: row.cancelled_through,
        }
    }

    /// The secrets that sign at that time, the newest first.
    pub(crate) fn secrets_at(&self, at: Timestamp) -> &[Zeroizing<String>] {
        let replaced = self.ends.iter().take_while(|end| **end > at).count();
        &self.secrets[..self.secrets.len().min(1 + replaced)]
    }

    /// Whether a job may be sent to it at all. The line of cancelled deliveries is for hot jobs: one that was asked for
    /// by hand later lies behind it and lives, and opening its attempt judges it by its row.
    pub(crate) fn admits(&self, job: &Job) -> bool {
        if job.is_test() {
            return self.state != EndpointState::Deleted;
        }
        let cancelled = job.event().is_some() && job.delivery <= self.cancelled_through;
        self.state == EndpointState::Active && !cancelled
    }
}

/// The dialect's schedule, or its owner's delays before what the dialect does afterwards.
fn schedule(dialect: Option<&dyn Dialect>, delays: Option<Vec<u32>>) -> Schedule {
    let usual = dialect.map_or(
        Schedule { delays: Cow::Borrowed(&[]), afterwards: Afterwards::Fail, jitter_percent: 0 },
        Dialect::schedule,
    );
    match delays {
        Some(delays) => Schedule { delays: Cow::Owned(delays), ..usual },
        None => usual,
    }
}
