//! What sending to an endpoint takes, read once per version of its row.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::delivery::{Afterwards, ErrorClass, Schedule};
use abide_core::endpoint::{EndpointState, Source};
use abide_core::ids::DeliveryId;
use abide_core::original::OriginalId;
use abide_dialects::Dialect;
use abide_storage::endpoints::SendingEndpoint;
use zeroize::Zeroizing;

use crate::credentials::{Credentials, Unusable};
use crate::job::Job;
use crate::outbound::{Courier, Target};

/// An endpoint as its workers use it. Replaced as a whole when the row changes.
pub(crate) struct Facts {
    /// `None`: another build made the endpoint, and this one does not know its dialect.
    pub(crate) dialect: Option<&'static dyn Dialect>,
    /// The URL, read once, or the class of error that every attempt ends with. It was judged when it was given; what is
    /// allowed may have changed since, and what can be used of the endpoint's credentials and certificates too.
    pub(crate) target: Result<Target, ErrorClass>,
    /// What goes with every request beside the signature.
    pub(crate) credentials: Option<Arc<Credentials>>,
    /// Its live secrets, those that live longest first: the newest, which has no end, and those it replaces.
    secrets: Vec<Zeroizing<String>>,
    /// When the second of them and those after it end.
    ends: Vec<Timestamp>,
    pub(crate) schedule: Schedule,
    pub(crate) deadline: Duration,
    pub(crate) state: EndpointState,
    pub(crate) source: Source,
    pub(crate) version: u32,
    /// What it was called where it was brought from.
    pub(crate) original: Option<OriginalId>,
    /// Deliveries up to this one were cancelled.
    pub(crate) cancelled_through: DeliveryId,
}

impl Facts {
    pub(crate) fn of(
        row: SendingEndpoint,
        dialects: &'static [&'static dyn Dialect],
        courier: &Courier,
    ) -> Self {
        let dialect = dialects.iter().copied().find(|dialect| dialect.name() == row.dialect);
        if dialect.is_none() {
            tracing::error!(endpoint = %row.id, dialect = %row.dialect, "no such dialect in this build");
        }
        let (target, credentials) = match reach(&row, courier) {
            Ok((target, credentials)) => (Ok(target), credentials),
            Err(class) => (Err(class), None),
        };
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
            target,
            credentials,
            secrets: secrets.into_iter().map(|secret| secret.secret.into_inner()).collect(),
            ends,
            state: row.state,
            source: row.rules.source,
            version: row.version,
            original: row.original,
            cancelled_through: row.cancelled_through,
        }
    }

    /// Takes over credentials from before that were made of the same: their token and their connections go on.
    pub(crate) fn keep_credentials(&mut self, before: &Facts) {
        if let (Some(new), Some(known)) = (&self.credentials, &before.credentials)
            && new.are_made_as(known)
        {
            self.target = Ok(known.target.clone());
            self.credentials = Some(Arc::clone(known));
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

/// Where an endpoint is and what goes with every request to it, or why nothing can be sent.
fn reach(
    row: &SendingEndpoint,
    courier: &Courier,
) -> Result<(Target, Option<Arc<Credentials>>), ErrorClass> {
    let target = Target::parse(&row.url, courier.guard()).map_err(|_| ErrorClass::ForbiddenUrl)?;
    if row.auth.is_empty() {
        return Ok((target, None));
    }
    match Credentials::of(row, target, courier) {
        Ok(own) => Ok((own.target.clone(), Some(own))),
        Err(Unusable { class, field }) => {
            let class_name = class.as_str();
            tracing::warn!(endpoint = %row.id, class = class_name, field, "cannot be sent anything");
            Err(class)
        }
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
