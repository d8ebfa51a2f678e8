//! Endpoints that fail for long, judged by their counts.

use crate::leases::must_do_chores;
use crate::params;
use crate::sql::{Row, Sql};
use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::endpoint::failing::{LOOK_BACK_MILLIS, Showed, judge};
use abide_core::endpoint::{EndpointState, Failing};
use abide_core::ids::{EndpointId, OrganizationId};
use abide_storage::endpoints::EndpointView;
use abide_storage::failing::{Judged, Looked, Patience};
use abide_storage::{FailingEndpoints, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::endpoints::{changed, set_state, view_of};
use crate::organizations::hold_alone;
use crate::rows::{at, id, maybe_at, named};
use crate::store::SqlStore;
use crate::tx::Tx;

/// What is judged of an endpoint.
struct Candidate {
    id: EndpointId,
    organization: OrganizationId,
    dialect: String,
    is_sent_to: bool,
    judged_from: Timestamp,
    noted: Option<Failing>,
}

/// What is to be noted of an endpoint in place of what is.
struct News(Option<Failing>);

impl Candidate {
    fn read(row: &dyn Row) -> StorageResult<Self> {
        let state = named(row, "state", EndpointState::parse)?;
        let is_suspended: bool = row.get("suspended")?;
        Ok(Self {
            id: id(row, "endpoint")?,
            organization: id(row, "organization")?,
            dialect: row.get("dialect")?,
            is_sent_to: state == EndpointState::Active && !is_suspended,
            judged_from: at(row, "judged_from")?,
            noted: failing_of(row)?,
        })
    }

    /// How long it fails now; `None` where that is what is noted already, or not judged at all.
    fn news(
        &self,
        connection: &dyn Sql,
        patience: &[Patience],
        now: Timestamp,
    ) -> StorageResult<Option<News>> {
        let rule = patience.iter().find(|rule| rule.dialect == self.dialect);
        let Some(rule) = rule.filter(|_| self.is_sent_to) else { return Ok(None) };
        let statement = connection.sql(
            "SELECT bucket, attempts_successful, attempts_failed, attempts_blameless FROM counts \
             WHERE owner = ? AND bucket >= ? AND bucket < ? ORDER BY bucket DESC LIMIT ?",
        );
        let from = self.judged_from.max(now.plus_millis(-LOOK_BACK_MILLIS));
        let (mut below, mut wanted) = (i64::MAX, 1);
        let mut read = std::collections::VecDeque::new();
        let mut failed = None;
        // Read as far as they are asked for: of one that does well that is a row.
        let stretches = std::iter::from_fn(|| {
            if read.is_empty() {
                let span = [self.id.key(), from.as_millis(), below, wanted];
                match statement.all(span, stretch) {
                    Ok(page) => read.extend(page),
                    Err(error) => failed = Some(error),
                }
                wanted = 256;
            }
            let next: Option<(Timestamp, Showed)> = read.pop_front();
            below = next.as_ref().map_or(below, |(bucket, _)| bucket.as_millis());
            next
        });
        let judged = judge(rule.stops_after, self.noted, self.judged_from, now, stretches);
        match failed {
            Some(error) => Err(error),
            None => Ok((judged != self.noted).then_some(News(judged))),
        }
    }
}

fn stretch(row: &dyn Row) -> StorageResult<(Timestamp, Showed)> {
    let count = |column: &str| row.get::<i64>(column);
    let showed = if count("attempts_successful")? > 0 {
        Showed::Success
    } else if count("attempts_failed")? > count("attempts_blameless")? {
        Showed::Failure
    } else {
        Showed::Nothing
    };
    Ok((at(row, "bucket")?, showed))
}

/// What is noted in an endpoint's row.
pub(crate) fn failing_of(row: &dyn Row) -> StorageResult<Option<Failing>> {
    let Some(since) = maybe_at(row, "failing_since")? else { return Ok(None) };
    let stopped = maybe_at(row, "stopped_at")?;
    Ok(match (stopped, maybe_at(row, "stops_at")?) {
        (Some(stopped_at), _) => Some(Failing::Stopped { since, stopped_at }),
        (None, Some(stops_at)) => Some(Failing::Warned { since, stops_at }),
        (None, None) => None,
    })
}

/// Notes how long an endpoint fails.
fn note(tx: &Tx<'_>, endpoint: EndpointId, failing: Option<Failing>) -> StorageResult<()> {
    let (stops_at, stopped_at) = match failing {
        Some(Failing::Warned { stops_at, .. }) => (Some(stops_at), None),
        Some(Failing::Stopped { stopped_at, .. }) => (None, Some(stopped_at)),
        None => (None, None),
    };
    let columns = [failing.map(Failing::since), stops_at, stopped_at];
    let [since, stops_at, stopped_at] = columns.map(|at| at.map(Timestamp::as_millis));
    tx.sql(
        "UPDATE endpoints SET failing_since = ?, stops_at = ?, stopped_at = ? WHERE endpoint = ?",
    )
    .execute(params![since, stops_at, stopped_at, endpoint.key()])?;
    Ok(())
}

/// Forgets what was noted of an endpoint, and judges it from now on only: it gets its full time again.
pub(crate) fn begin_anew(tx: &Tx<'_>, endpoint: EndpointId, now: Timestamp) -> StorageResult<()> {
    note(tx, endpoint, None)?;
    tx.sql("UPDATE endpoints SET judged_from = ? WHERE endpoint = ?")
        .execute([now.as_millis(), endpoint.key()])?;
    Ok(())
}

#[async_trait]
impl<D: Database> FailingEndpoints for SqlStore<D> {
    async fn look(
        &self,
        after: Option<EndpointId>,
        limit: u32,
        patience: &[Patience],
        now: Timestamp,
    ) -> StorageResult<Looked> {
        let (after, patience) = (after.map_or(0, EndpointId::key), patience.to_vec());
        self.read(move |connection, _| {
            let page: Vec<Candidate> = connection
                .sql("SELECT * FROM endpoints WHERE endpoint > ? ORDER BY endpoint LIMIT ?")
                .all(params![after, limit], Candidate::read)?;
            let mut changed = Vec::new();
            for candidate in &page {
                if candidate.news(connection, &patience, now)?.is_some() {
                    changed.push(candidate.id);
                }
            }
            let is_full = page.len() as u32 == limit;
            Ok(Looked { changed, next: page.last().filter(|_| is_full).map(|last| last.id) })
        })
        .await
    }

    async fn troubled(
        &self,
        organization: OrganizationId,
        limit: u32,
    ) -> StorageResult<Vec<EndpointView>> {
        self.read(move |connection, _| {
            connection
                .sql(
                    "SELECT * FROM endpoints WHERE organization = ? \
                     AND (failing_since IS NOT NULL OR state = 'gone') ORDER BY endpoint DESC LIMIT ?",
                ).all(params![organization.key(), limit], view_of)
        })
        .await
    }

    async fn judge(
        &self,
        endpoint: EndpointId,
        patience: &[Patience],
        now: Timestamp,
    ) -> StorageResult<Option<Judged>> {
        let patience = patience.to_vec();
        self.write(64, move |tx| {
            must_do_chores(tx)?;
            let look = |tx: &Tx<'_>| {
                tx.sql("SELECT * FROM endpoints WHERE endpoint = ?")
                    .maybe([endpoint.key()], Candidate::read)
            };
            // Its organization may have been deleted since it was looked at.
            let Some(found) = look(tx)? else { return Ok(None) };
            hold_alone(tx, found.organization)?;
            let Some(found) = look(tx)? else { return Ok(None) };
            let news = found.news(tx.connection(), &patience, now)?;
            let Some(News(failing)) = news else { return Ok(None) };
            let organization = found.organization;
            if matches!(failing, Some(Failing::Stopped { .. })) {
                set_state(tx, endpoint, EndpointState::Paused, now)?;
                changed(tx, organization, endpoint, now)?;
                let by = Caller::new(organization, Actor::System);
                tx.audit(&by, "endpoint.stop_failing", &endpoint.to_string(), now)?;
            }
            note(tx, endpoint, failing)?;
            Ok(Some(Judged { organization, before: found.noted, failing }))
        })
        .await
    }
}
