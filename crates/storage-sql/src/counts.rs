//! How deliveries went, in numbers. A report writes one row for each endpoint and organization in it; the row that it
//! adds to is remembered, so nothing is read.

use std::collections::BTreeMap;

use crate::leases::must_do_chores;
use crate::params;
use crate::sql::{Row, Sql, Turn};
use abide_core::Timestamp;
use abide_core::delivery::DeliveryState;
use abide_core::ids::{DeliveryId, EndpointId, OrganizationId};
use abide_storage::counts::{BUCKET_MILLIS, FOLDED_MILLIS, Happened, Point, Step, Totals, Waiting};
use abide_storage::{Counts, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::deliveries::standing_of;
use crate::rows::{at, id, maybe_at};
use crate::store::SqlStore;
use crate::tx::Tx;

/// Rows of the due index that are looked at for one endpoint's.
const DUE_LOOKS: u32 = 20_000;

/// What an attempt came to, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptCount {
    Successful,
    Failed,
    /// It failed, and the endpoint had no part in that.
    Blameless,
}

/// What one call adds to the counts of each endpoint.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<EndpointId, Change>);

#[derive(Debug, Default, Clone, Copy)]
struct Change {
    happened: Happened,
    /// Deliveries that ended well or as failed before and were asked for again.
    unsuccessful: u64,
    unfailed: u64,
    last_attempt_at: Option<Timestamp>,
}

impl Tally {
    /// An attempt has its end.
    pub(crate) fn attempt(
        &mut self,
        endpoint: EndpointId,
        started_at: Timestamp,
        count: AttemptCount,
    ) {
        let change = self.0.entry(endpoint).or_default();
        match count {
            AttemptCount::Successful => change.happened.attempts_successful += 1,
            AttemptCount::Failed => change.happened.attempts_failed += 1,
            AttemptCount::Blameless => {
                change.happened.attempts_failed += 1;
                change.happened.attempts_blameless += 1;
            }
        }
        change.last_attempt_at = change.last_attempt_at.max(Some(started_at));
    }

    /// A delivery moved there by what its attempts showed.
    pub(crate) fn moved(&mut self, endpoint: EndpointId, to: DeliveryState) {
        if let Some(is_successful) = end_of(to) {
            let happened = &mut self.0.entry(endpoint).or_default().happened;
            if is_successful { happened.successful += 1 } else { happened.failed += 1 }
        }
    }

    /// A delivery that stood there was asked for again.
    pub(crate) fn reopened(&mut self, endpoint: EndpointId, from: DeliveryState) {
        if let Some(was_successful) = end_of(from) {
            let change = self.0.entry(endpoint).or_default();
            if was_successful { change.unsuccessful += 1 } else { change.unfailed += 1 }
        }
    }

    /// Adds it all to the rows.
    pub(crate) fn write(self, tx: &mut Tx<'_>, now: Timestamp) -> StorageResult<()> {
        let mut organizations: BTreeMap<OrganizationId, Change> = BTreeMap::new();
        for (endpoint, change) in self.0 {
            let Some(organization) = organization_of(tx, endpoint)? else { continue };
            organizations.entry(organization).or_default().add(&change);
            add(tx, endpoint.key(), &change, now)?;
        }
        for (organization, change) in organizations {
            add(tx, organization.key(), &change, now)?;
        }
        Ok(())
    }
}

/// Whether that state is a counted end, and a good one.
fn end_of(state: DeliveryState) -> Option<bool> {
    match state {
        DeliveryState::Delivered | DeliveryState::Skipped => Some(true),
        DeliveryState::Failed => Some(false),
        DeliveryState::Hot
        | DeliveryState::Pending
        | DeliveryState::Claimed
        | DeliveryState::Parked
        | DeliveryState::Held
        | DeliveryState::Cancelled
        | DeliveryState::Superseded
        | DeliveryState::Erased
        | DeliveryState::Discarded => None,
    }
}

impl Change {
    fn add(&mut self, other: &Self) {
        plus(&mut self.happened, &other.happened);
        self.unsuccessful += other.unsuccessful;
        self.unfailed += other.unfailed;
        self.last_attempt_at = self.last_attempt_at.max(other.last_attempt_at);
    }
}

fn plus(sum: &mut Happened, more: &Happened) {
    sum.attempts_successful += more.attempts_successful;
    sum.attempts_failed += more.attempts_failed;
    sum.attempts_blameless += more.attempts_blameless;
    sum.successful += more.successful;
    sum.failed += more.failed;
}

/// An owner's newest row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CountRow {
    bucket: i64,
    happened: Happened,
    totals: Totals,
}

fn happened(row: &dyn Row) -> StorageResult<Happened> {
    let count = |column: &str| row.get::<i64>(column).map(|count| count.max(0) as u64);
    Ok(Happened {
        attempts_successful: count("attempts_successful")?,
        attempts_failed: count("attempts_failed")?,
        attempts_blameless: count("attempts_blameless")?,
        successful: count("successful")?,
        failed: count("failed")?,
    })
}

fn count_row(row: &dyn Row) -> StorageResult<CountRow> {
    let count = |column: &str| row.get::<i64>(column).map(|count| count.max(0) as u64);
    Ok(CountRow {
        bucket: row.get("bucket")?,
        happened: happened(row)?,
        totals: Totals {
            successful: count("successful_now")?,
            failed: count("failed_now")?,
            last_attempt_at: maybe_at(row, "last_attempt_at")?,
        },
    })
}

const NEWEST: &str = "SELECT * FROM counts WHERE owner = ? ORDER BY bucket DESC LIMIT 1";

fn organization_of(tx: &mut Tx<'_>, endpoint: EndpointId) -> StorageResult<Option<OrganizationId>> {
    if let Some(organization) = tx.caches.endpoint_homes.get(&endpoint) {
        return Ok(Some(organization));
    }
    let found = tx
        .sql("SELECT organization FROM endpoints WHERE endpoint = ?")
        .maybe([endpoint.key()], |row| id(row, "organization"))?;
    if let Some(organization) = found {
        tx.caches.endpoint_homes.insert(endpoint, organization);
    }
    Ok(found)
}

fn add(tx: &mut Tx<'_>, owner: i64, change: &Change, now: Timestamp) -> StorageResult<()> {
    let known = match tx.caches.counts.get(&owner) {
        Some(known) => Some(known),
        None => {
            // Of two that count at once the second adds to what the first one wrote. They meet in the order of keys.
            tx.connection().alone(Turn::Counting(owner))?;
            tx.sql(NEWEST).maybe([owner], count_row)?
        }
    };
    let bucket = now.as_millis() / BUCKET_MILLIS * BUCKET_MILLIS;
    let mut row = match known {
        // A clock set back adds to the newest bucket: its totals are those that count.
        Some(known) if known.bucket >= bucket => known,
        Some(known) => CountRow { bucket, happened: Happened::default(), ..known },
        None => CountRow { bucket, happened: Happened::default(), totals: Totals::default() },
    };
    plus(&mut row.happened, &change.happened);
    let Totals { successful, failed, last_attempt_at } = &mut row.totals;
    *successful = (*successful + change.happened.successful).saturating_sub(change.unsuccessful);
    *failed = (*failed + change.happened.failed).saturating_sub(change.unfailed);
    *last_attempt_at = (*last_attempt_at).max(change.last_attempt_at);
    write_row(tx, owner, BUCKET_MILLIS, &row)?;
    tx.caches.counts.insert(owner, row);
    Ok(())
}

fn write_row(tx: &Tx<'_>, owner: i64, width: i64, row: &CountRow) -> StorageResult<()> {
    tx.sql(
        "INSERT INTO counts (owner, bucket, width, attempts_successful, attempts_failed, attempts_blameless, \
         successful, failed, successful_now, failed_now, last_attempt_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (owner, bucket) DO UPDATE SET width = excluded.width, \
         attempts_successful = excluded.attempts_successful, attempts_failed = excluded.attempts_failed, \
         attempts_blameless = excluded.attempts_blameless, successful = excluded.successful, failed = excluded.failed, \
         successful_now = excluded.successful_now, failed_now = excluded.failed_now, \
         last_attempt_at = excluded.last_attempt_at",
    )
    .execute(params![
        owner,
        row.bucket,
        width,
        row.happened.attempts_successful as i64,
        row.happened.attempts_failed as i64,
        row.happened.attempts_blameless as i64,
        row.happened.successful as i64,
        row.happened.failed as i64,
        row.totals.successful as i64,
        row.totals.failed as i64,
        row.totals.last_attempt_at.map(Timestamp::as_millis),
    ])?;
    Ok(())
}

#[async_trait]
impl<D: Database> Counts for SqlStore<D> {
    async fn totals(
        &self,
        organization: OrganizationId,
        endpoints: &[EndpointId],
    ) -> StorageResult<Vec<Totals>> {
        let endpoints = endpoints.to_vec();
        self.read(move |connection, _| {
            endpoints.iter().map(|endpoint| totals(connection, organization, *endpoint)).collect()
        })
        .await
    }

    async fn series(
        &self,
        organization: OrganizationId,
        endpoint: Option<EndpointId>,
        step: Step,
        span: (Timestamp, Timestamp),
        limit: u32,
    ) -> StorageResult<Vec<Point>> {
        self.read(move |connection, _| {
            let owner = match endpoint {
                Some(endpoint) if !is_of(connection, organization, endpoint)? => return Ok(vec![]),
                Some(endpoint) => endpoint.key(),
                None => organization.key(),
            };
            let mut points: Vec<Point> = connection
                .sql(
                    "SELECT bucket / ?2 * ?2 AS start, CAST(sum(attempts_successful) AS BIGINT) AS attempts_successful, \
                     CAST(sum(attempts_failed) AS BIGINT) AS attempts_failed, \
                     CAST(sum(attempts_blameless) AS BIGINT) AS attempts_blameless, \
                     CAST(sum(successful) AS BIGINT) AS successful, CAST(sum(failed) AS BIGINT) AS failed \
                     FROM counts WHERE owner = ?1 AND bucket >= ?3 / ?2 * ?2 AND bucket < ?4 \
                     GROUP BY start ORDER BY start DESC LIMIT ?5",
                ).all(params![
                        owner,
                        step.millis(),
                        span.0.as_millis(),
                        span.1.as_millis(),
                        limit
                    ], |row: &dyn Row| Ok(Point { start: at(row, "start")?, happened: happened(row)? }))?;
            points.reverse();
            Ok(points)
        })
        .await
    }

    async fn waiting(
        &self,
        organization: OrganizationId,
        endpoint: EndpointId,
        at_most: u32,
    ) -> StorageResult<Waiting> {
        self.read(move |connection, _| {
            if !is_of(connection, organization, endpoint)? {
                return Ok(Waiting::default());
            }
            waiting(connection, endpoint, at_most)
        })
        .await
    }

    async fn fold(&self, after: i64, limit: u32, before: Timestamp) -> StorageResult<Option<i64>> {
        self.write(64, move |tx| {
            must_do_chores(tx)?;
            let owners: Vec<i64> = tx
                .sql(
                    "WITH RECURSIVE walk (owner) AS ( \
                     SELECT min(owner) FROM counts WHERE owner > ?1 \
                     UNION ALL SELECT (SELECT min(owner) FROM counts WHERE owner > walk.owner) \
                     FROM walk WHERE owner IS NOT NULL) \
                     SELECT owner FROM walk WHERE owner IS NOT NULL LIMIT ?2",
                )
                .all(params![after, limit], |row| row.get(0))?;
            for owner in &owners {
                fold(tx, *owner, before)?;
            }
            Ok(owners.last().copied().filter(|_| owners.len() as u32 == limit))
        })
        .await
    }
}

fn is_of(
    connection: &dyn Sql,
    organization: OrganizationId,
    endpoint: EndpointId,
) -> StorageResult<bool> {
    connection
        .sql("SELECT 1 FROM endpoints WHERE endpoint = ? AND organization = ?")
        .exists([endpoint.key(), organization.key()])
}

fn totals(
    connection: &dyn Sql,
    organization: OrganizationId,
    endpoint: EndpointId,
) -> StorageResult<Totals> {
    if !is_of(connection, organization, endpoint)? {
        return Ok(Totals::default());
    }
    let newest = connection.sql(NEWEST).maybe([endpoint.key()], count_row)?;
    Ok(newest.map_or_else(Totals::default, |row| row.totals))
}

fn waiting(connection: &dyn Sql, endpoint: EndpointId, at_most: u32) -> StorageResult<Waiting> {
    let mut waiting = Waiting::default();
    let mut count = |statement: &'static str, limit: u32| -> StorageResult<u32> {
        let found: Vec<(EndpointId, DeliveryId)> =
            connection.sql(statement).all(params![endpoint.key(), limit], |row| {
                Ok((id(row, "endpoint")?, standing_of(row)?))
            })?;
        waiting.at_least |= found.len() as u32 == limit;
        let ours = || found.iter().filter(|(of, _)| *of == endpoint);
        let oldest = ours().map(|(_, standing)| standing.drawn_at()).min();
        waiting.oldest_since = waiting.oldest_since.into_iter().chain(oldest).min();
        Ok(ours().count() as u32)
    };
    let held = count(
        "SELECT endpoint, delivery, asked FROM deliveries INDEXED BY deliveries_held \
         WHERE state = 'held' AND endpoint = ? LIMIT ?",
        at_most,
    )?;
    let parked = count(
        "SELECT endpoint, delivery, asked FROM deliveries INDEXED BY deliveries_parked \
         WHERE state = 'parked' AND endpoint = ? ORDER BY due_at LIMIT ?",
        at_most,
    )?;
    let pending = count(
        "SELECT endpoint, delivery, asked FROM (SELECT endpoint, delivery, asked FROM deliveries \
         INDEXED BY deliveries_due WHERE state = 'pending' ORDER BY due_at LIMIT ?2) AS few WHERE endpoint = ?1",
        DUE_LOOKS,
    )?;
    Ok(Waiting { pending, parked, held, ..waiting })
}

/// Makes days of an owner's buckets that ended before `before`. The newest row stays: it has the totals.
fn fold(tx: &Tx<'_>, owner: i64, before: Timestamp) -> StorageResult<()> {
    let first_kept = before.as_millis() / FOLDED_MILLIS * FOLDED_MILLIS;
    let rows: Vec<CountRow> = tx
        .sql(
            "SELECT * FROM counts WHERE owner = ?1 AND bucket < ?2 AND width < ?3 \
             AND bucket < (SELECT max(bucket) FROM counts WHERE owner = ?1) ORDER BY bucket",
        )
        .all([owner, first_kept, FOLDED_MILLIS], count_row)?;
    let mut days: BTreeMap<i64, CountRow> = BTreeMap::new();
    for row in rows {
        let day = row.bucket / FOLDED_MILLIS * FOLDED_MILLIS;
        tx.sql("DELETE FROM counts WHERE owner = ? AND bucket = ?").execute([owner, row.bucket])?;
        let folded = match days.get(&day) {
            Some(folded) => Some(*folded),
            // Folded before, while its last bucket was the newest row.
            None => tx
                .sql("SELECT * FROM counts WHERE owner = ? AND bucket = ? AND width = ?")
                .maybe([owner, day, FOLDED_MILLIS], count_row)?,
        };
        let mut sum = row.happened;
        plus(&mut sum, &folded.map_or_else(Happened::default, |folded| folded.happened));
        days.insert(day, CountRow { bucket: day, happened: sum, ..row });
    }
    for row in days.values() {
        write_row(tx, owner, FOLDED_MILLIS, row)?;
    }
    Ok(())
}
