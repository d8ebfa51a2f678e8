//! Deliveries at rest: claiming due ones, parking, holding, finding lost ones again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::Timestamp;
use abide_core::delivery::Reason;
use abide_core::endpoint::EndpointState;
use abide_core::ids::{DeliveryId, EndpointId, Id, Kind, LeaseId};
use abide_storage::deliveries::{Backlog, Claimed, DuePage, OpenAttempt, Opened, Report};
use abide_storage::{Deliveries, StorageResult};
use async_trait::async_trait;
use tokio::time::Instant;

use crate::after::After;
use crate::attempts;
use crate::database::Database;
use crate::endpoints::{EndpointFacts, facts, facts_if_any};
use crate::leases;
use crate::rows::{at, id, maybe_at};
use crate::store::SqlStore;
use crate::tx::Tx;

/// Rows of endpoints without room that one claim moves out of the due index, where nothing else is due.
const PARK_PER_CLAIM: u32 = 1_000;
/// The same beside rows that can be sent, which come first.
const PARK_BESIDE: u32 = 200;
/// A walk over rows of endpoints without room that takes longer than this is not made again at once.
const LONG_WALK: Duration = Duration::from_millis(10);
/// For how long what a long walk passed by is passed by again.
const PASSED_BY_FOR: Duration = Duration::from_millis(500);
/// Pages of an endpoint's parked rows that one claim looks at.
const PAGES_PER_CLAIM: u32 = 16;

#[async_trait]
impl<D: Database> Deliveries for SqlStore<D> {
    async fn claim_due(
        &self,
        lease: LeaseId,
        full: &[EndpointId],
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<DuePage> {
        let has_full = !full.is_empty();
        let full = key_list(full);
        // Looking happens beside the writer: however many rows of full endpoints are in the way, only their walking
        // over is paid, not by the writer.
        let found = self
            .read(move |connection, shared| {
                let began = Instant::now();
                let from = shared
                    .passed_by
                    .lock()
                    .map_or(Timestamp::from_millis(0), |passed| passed.at(began));
                let found = look(connection, &full, (from, now), limit)?;
                // Without such endpoints nothing was walked over, however long it took.
                if has_full && began.elapsed() >= LONG_WALK {
                    let before = found.due.last().map_or(now, |(_, _, due_at)| *due_at);
                    *shared.passed_by.lock() = Some(PassedBy { before, since: Instant::now() });
                }
                Ok(found)
            })
            .await?;
        if found.due.is_empty() && found.blocked.is_empty() {
            return Ok(DuePage { next_due_at: found.next_due_at, ..DuePage::default() });
        }
        self.write(64 * found.due.len(), move |tx| take(tx, lease, &found, now)).await
    }

    async fn claim_parked(
        &self,
        lease: LeaseId,
        endpoint: EndpointId,
        limit: u32,
        _now: Timestamp,
    ) -> StorageResult<Vec<Claimed>> {
        self.write(64, move |tx| claim_parked(tx, lease, endpoint, limit)).await
    }

    async fn parked_endpoints(&self) -> StorageResult<Vec<EndpointId>> {
        self.read(|connection, _| distinct_endpoints(connection, PARKED_ENDPOINTS)).await
    }

    async fn release_held(&self, limit: u32, now: Timestamp) -> StorageResult<u32> {
        #[cfg(feature = "faults")]
        if abide_core::fault::is_planted(abide_core::fault::Fault::HoldForgotten) {
            return Ok(0);
        }
        self.write(64, move |tx| release_held(tx, limit, now)).await
    }

    async fn open_attempt(&self, open: OpenAttempt, now: Timestamp) -> StorageResult<Opened> {
        self.write(64, move |tx| attempts::open(tx, open, now)).await
    }

    async fn report(&self, report: Report, now: Timestamp) -> StorageResult<()> {
        let bytes = 256 * report.finished.len() + 64 * report.given_back.len();
        self.write(bytes, move |tx| attempts::report(tx, &report, now)).await
    }

    async fn lose(
        &self,
        lease: LeaseId,
        after: DeliveryId,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Option<DeliveryId>> {
        let lost =
            self.read(move |connection, _| still_leased(connection, lease, after, limit)).await?;
        let Some(last) = lost.last().copied() else { return Ok(None) };
        let is_held = self.write(64 + 8 * lost.len(), move |tx| {
            if !leases::is_held(tx, lease)? {
                return Ok(false);
            }
            // A test is not made again: whoever waited for it is gone.
            tx.sql(
                "UPDATE deliveries SET lease = NULL, state = CASE run WHEN 'test' THEN 'failed' ELSE 'pending' END, \
                 due_at = CASE run WHEN 'test' THEN NULL ELSE CAST(?1 AS BIGINT) END, \
                 reason = CASE run WHEN 'test' THEN 'test_cut_off' ELSE reason END \
                 WHERE delivery IN (SELECT CAST(value AS BIGINT) FROM json_each(?2)) AND lease = ?3 \
                 AND state IN ('hot', 'claimed')",
            )
            .execute(params![now.as_millis(), key_list(&lost), lease.key()])?;
            tx.after(After::Ring);
            Ok(true)
        });
        if !is_held.await? {
            // Another node has it by now.
            return Ok(None);
        }
        Ok(Some(last))
    }

    async fn backlog(&self, at_most: u32) -> StorageResult<Backlog> {
        self.read(move |connection, _| backlog(connection, at_most)).await
    }
}

fn id_and_standing(row: &dyn Row) -> StorageResult<(DeliveryId, DeliveryId)> {
    Ok((id(row, "delivery")?, standing_of(row)?))
}

fn claimed_and_standing(row: &dyn Row) -> StorageResult<(Claimed, DeliveryId)> {
    let (delivery, standing) = id_and_standing(row)?;
    Ok((Claimed { id: delivery, endpoint: id(row, "endpoint")? }, standing))
}

/// A JSON array of keys, for `IN (SELECT CAST(value AS BIGINT) FROM json_each(?))`.
pub(crate) fn key_list<K: Kind>(ids: &[Id<K>]) -> String {
    let keys: Vec<String> = ids.iter().map(|id| id.key().to_string()).collect();
    format!("[{}]", keys.join(","))
}

/// How far a long walk over rows of endpoints without room came. A hint: whatever falls due or gets room behind it is met
/// by the next walk from the beginning, within [`PASSED_BY_FOR`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassedBy {
    before: Timestamp,
    since: Instant,
}

impl PassedBy {
    /// Where a look may begin.
    fn at(self, now: Instant) -> Timestamp {
        if now.duration_since(self.since) < PASSED_BY_FOR {
            self.before
        } else {
            Timestamp::from_millis(0)
        }
    }
}

/// What a look at the due index found.
#[derive(Debug)]
pub struct Found {
    /// With their due times.
    pub due: Vec<(Claimed, DeliveryId, Timestamp)>,
    /// Of endpoints without room.
    pub blocked: Vec<(Claimed, DeliveryId)>,
    /// Whether there may be more of either.
    more: bool,
    next_due_at: Option<Timestamp>,
}

/// Looks for rows due within `span`, and from its beginning on for those of `full` endpoints.
pub fn look(
    connection: &dyn Sql,
    full: &str,
    span: (Timestamp, Timestamp),
    limit: u32,
) -> StorageResult<Found> {
    let (from, now) = span;
    let due: Vec<(Claimed, DeliveryId, Timestamp)> = connection
        .sql(
            "SELECT delivery, endpoint, asked, due_at FROM deliveries INDEXED BY deliveries_due \
             WHERE state = 'pending' AND due_at >= ?1 AND due_at <= ?2 \
             AND endpoint NOT IN (SELECT CAST(value AS BIGINT) FROM json_each(?3)) ORDER BY due_at LIMIT ?4",
        )
        .all(params![from.as_millis(), now.as_millis(), full, limit], |row| {
            let (claimed, standing) = claimed_and_standing(row)?;
            Ok((claimed, standing, at(row, "due_at")?))
        })?;
    let park = if due.is_empty() { PARK_PER_CLAIM } else { PARK_BESIDE };
    let blocked = if full == "[]" {
        Vec::new()
    } else {
        connection
            .sql(
                "SELECT delivery, endpoint, asked FROM deliveries INDEXED BY deliveries_due \
                 WHERE state = 'pending' AND due_at <= ?1 AND endpoint IN (SELECT CAST(value AS BIGINT) FROM json_each(?2)) \
                 ORDER BY due_at LIMIT ?3",
            ).all(params![now.as_millis(), full, park], claimed_and_standing)?
    };
    let next_due_at = connection
        .sql(
            "SELECT due_at FROM deliveries INDEXED BY deliveries_due WHERE state = 'pending' AND due_at > ? \
             ORDER BY due_at LIMIT 1",
        ).maybe([now.as_millis()], |row| maybe_at(row, "due_at"))?
        .flatten();
    let more = due.len() as u32 == limit || blocked.len() as u32 == park;
    Ok(Found { due, blocked, more, next_due_at })
}

fn take(tx: &mut Tx<'_>, lease: LeaseId, found: &Found, now: Timestamp) -> StorageResult<DuePage> {
    if !leases::is_held(tx, lease)? {
        return Ok(DuePage::default());
    }
    let mut page =
        DuePage { more: found.more, next_due_at: found.next_due_at, ..DuePage::default() };
    // What was seen beside the writer may have moved on: only what is still due is met.
    let seen = found.due.iter().map(|(due, ..)| due.id);
    let seen: Vec<DeliveryId> = seen.chain(found.blocked.iter().map(|(due, _)| due.id)).collect();
    let still_due = still_due(tx, &seen, now)?;
    let mut known: HashMap<EndpointId, EndpointFacts> = HashMap::new();
    let (mut claim, mut park) = (Vec::new(), Vec::new());
    let due = found.due.iter().map(|(due, standing, _)| (due, standing, false));
    let blocked = found.blocked.iter().map(|(due, standing)| (due, standing, true));
    for (due, standing, is_blocked) in due.chain(blocked) {
        if !still_due.contains(&due.id) {
            continue;
        }
        match stopped(known_facts(tx, &mut known, due.endpoint)?, *standing) {
            Some(stop) => {
                // One of a stopped endpoint is not parked: nobody would ask for it.
                stop_row(tx, due.id, stop)?;
                page.stopped += 1;
            }
            None if is_blocked => park.push(due.id),
            None => claim.push(*due),
        }
    }
    page.claimed = claim_rows(tx, claim, lease)?;
    if !park.is_empty() {
        page.parked = tx
            .sql(
                "UPDATE deliveries SET state = 'parked' WHERE state = 'pending' \
                 AND delivery IN (SELECT CAST(value AS BIGINT) FROM json_each(?))",
            )
            .execute([key_list(&park)])? as u32;
    }
    Ok(page)
}

/// An endpoint's facts, read once per call.
fn known_facts<'a>(
    tx: &Tx<'_>,
    known: &'a mut HashMap<EndpointId, EndpointFacts>,
    endpoint: EndpointId,
) -> StorageResult<&'a EndpointFacts> {
    Ok(match known.entry(endpoint) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(new) => {
            new.insert(facts(tx.connection(), endpoint)?)
        }
    })
}

/// What a stop does to a waiting row of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Hold(Reason),
    Cancel(Reason),
}

/// Where a waiting delivery stands against the line that its endpoint's last stop drew: at its own id, or at the moment
/// when somebody asked for another run, which an earlier stop does not undo.
pub(crate) fn standing_of(row: &dyn Row) -> StorageResult<DeliveryId> {
    let delivery: i64 = row.get("delivery")?;
    Ok(DeliveryId::from_key(delivery.max(row.get("asked")?)))
}

/// Whether a waiting delivery that stands there is stopped, and how.
pub(crate) fn stopped(endpoint: &EndpointFacts, standing: DeliveryId) -> Option<Stop> {
    let reason = match endpoint.state {
        EndpointState::Active | EndpointState::Paused => Reason::EndpointPaused,
        EndpointState::Gone => Reason::EndpointGone,
        EndpointState::Deleted => Reason::EndpointDeleted,
    };
    if standing <= endpoint.cancelled_through {
        return Some(Stop::Cancel(reason));
    }
    match endpoint.state {
        EndpointState::Deleted => Some(Stop::Cancel(reason)),
        _ if endpoint.is_running() => None,
        EndpointState::Active | EndpointState::Paused | EndpointState::Gone => {
            Some(Stop::Hold(endpoint.held_because()))
        }
    }
}

/// Holds or cancels a waiting row.
pub(crate) fn stop_row(tx: &Tx<'_>, delivery: DeliveryId, stop: Stop) -> StorageResult<()> {
    let (state, reason) = match stop {
        Stop::Hold(reason) => ("held", reason),
        Stop::Cancel(reason) => ("cancelled", reason),
    };
    tx.sql(
        "UPDATE deliveries SET state = ?, reason = ?, lease = NULL, due_at = NULL \
         WHERE delivery = ? AND state IN ('hot', 'pending', 'claimed', 'parked', 'held')",
    )
    .execute(params![state, reason.as_str(), delivery.key()])?;
    Ok(())
}

/// Those that are due, without any that another node is about to move.
fn still_due(
    tx: &Tx<'_>,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> StorageResult<HashSet<DeliveryId>> {
    let due = tx
        .sql(
            "SELECT delivery FROM deliveries WHERE delivery IN (SELECT CAST(value AS BIGINT) FROM json_each(?1)) \
             AND state = 'pending' AND due_at <= ?2 FOR UPDATE SKIP LOCKED",
        )
        .all(params![key_list(deliveries), now.as_millis()], |row| id(row, "delivery"))?;
    Ok(due.into_iter().collect())
}

fn claim_parked(
    tx: &mut Tx<'_>,
    lease: LeaseId,
    endpoint: EndpointId,
    limit: u32,
) -> StorageResult<Vec<Claimed>> {
    if !leases::is_held(tx, lease)? {
        return Ok(Vec::new());
    }
    // One that went with its organization has nothing parked.
    let Some(facts) = facts_if_any(tx.connection(), endpoint)? else { return Ok(Vec::new()) };
    let mut claimed = Vec::new();
    // Rows that a stop cancelled leave the page short, so another one is read: a short answer means nothing is left.
    for _ in 0..PAGES_PER_CLAIM {
        let wanted = i64::from(limit) - claimed.len() as i64;
        let parked: Vec<(DeliveryId, DeliveryId)> = tx
            .sql(
                "SELECT delivery, asked FROM deliveries WHERE state = 'parked' AND endpoint = ? \
                 ORDER BY due_at, delivery LIMIT ?",
            )
            .all([endpoint.key(), wanted], id_and_standing)?;
        if parked.is_empty() {
            break;
        }
        let mut claim = Vec::with_capacity(parked.len());
        for (delivery, standing) in parked {
            match stopped(&facts, standing) {
                Some(stop) => stop_row(tx, delivery, stop)?,
                None => claim.push(Claimed { id: delivery, endpoint }),
            }
        }
        claimed.extend(claim_rows(tx, claim, lease)?);
    }
    Ok(claimed)
}

/// Claims rows that wait; answers those that still did.
fn claim_rows(tx: &Tx<'_>, rows: Vec<Claimed>, lease: LeaseId) -> StorageResult<Vec<Claimed>> {
    if rows.is_empty() {
        return Ok(rows);
    }
    let keys: Vec<DeliveryId> = rows.iter().map(|row| row.id).collect();
    let claimed: HashSet<DeliveryId> = tx
        .sql(
            "UPDATE deliveries SET state = 'claimed', lease = ?1, due_at = NULL \
             WHERE delivery IN (SELECT CAST(value AS BIGINT) FROM json_each(?2)) AND state IN ('pending', 'parked') \
             RETURNING delivery",
        )
        .all(params![lease.key(), key_list(&keys)], |row| id(row, "delivery"))?
        .into_iter()
        .collect();
    Ok(rows.into_iter().filter(|row| claimed.contains(&row.id)).collect())
}

const PARKED_ENDPOINTS: &str = "WITH RECURSIVE walk (endpoint) AS ( \
     SELECT min(endpoint) FROM deliveries WHERE state = 'parked' \
     UNION ALL \
     SELECT (SELECT min(endpoint) FROM deliveries WHERE state = 'parked' AND endpoint > walk.endpoint) \
     FROM walk WHERE endpoint IS NOT NULL) \
     SELECT endpoint FROM walk WHERE endpoint IS NOT NULL";

pub(crate) const HELD_ENDPOINTS: &str = "WITH RECURSIVE walk (endpoint) AS ( \
     SELECT min(endpoint) FROM deliveries WHERE state = 'held' \
     UNION ALL \
     SELECT (SELECT min(endpoint) FROM deliveries WHERE state = 'held' AND endpoint > walk.endpoint) \
     FROM walk WHERE endpoint IS NOT NULL) \
     SELECT endpoint FROM walk WHERE endpoint IS NOT NULL";

/// The endpoints of a partial index, jumping from one to the next rather than reading their rows.
pub(crate) fn distinct_endpoints(
    connection: &dyn Sql,
    walk: &'static str,
) -> StorageResult<Vec<EndpointId>> {
    connection.sql(walk).all((), |row| id(row, "endpoint"))
}

fn release_held(tx: &mut Tx<'_>, limit: u32, now: Timestamp) -> StorageResult<u32> {
    let mut moved = 0;
    for endpoint in distinct_endpoints(tx.connection(), HELD_ENDPOINTS)? {
        let facts = facts(tx.connection(), endpoint)?;
        let left = i64::from(limit.saturating_sub(moved));
        // A stopped endpoint's rows stay held, but for those behind a line that cancelled them.
        let up_to = match facts.state {
            EndpointState::Deleted => i64::MAX,
            _ if facts.is_running() => i64::MAX,
            EndpointState::Active | EndpointState::Paused | EndpointState::Gone => {
                facts.cancelled_through.key()
            }
        };
        let held: Vec<(DeliveryId, DeliveryId)> = tx
            .sql(
                "SELECT delivery, asked FROM deliveries WHERE state = 'held' AND endpoint = ?1 \
                 AND delivery <= ?2 AND asked <= ?2 LIMIT ?3",
            )
            .all([endpoint.key(), up_to, left], id_and_standing)?;
        for (delivery, standing) in held {
            match stopped(&facts, standing) {
                Some(stop) => stop_row(tx, delivery, stop)?,
                None => {
                    tx.sql(
                        "UPDATE deliveries SET state = 'pending', reason = NULL, due_at = ? \
                         WHERE delivery = ? AND state = 'held'",
                    )
                    .execute([now.as_millis(), delivery.key()])?;
                }
            }
            moved += 1;
        }
    }
    moved += stop_parked(tx, limit.saturating_sub(moved))?;
    if moved > 0 {
        tx.after(After::Ring);
    }
    Ok(moved)
}

/// Parked rows of stopped endpoints follow their endpoint: nobody else would meet them.
fn stop_parked(tx: &Tx<'_>, limit: u32) -> StorageResult<u32> {
    let mut moved = 0;
    for endpoint in distinct_endpoints(tx.connection(), PARKED_ENDPOINTS)? {
        let facts = facts(tx.connection(), endpoint)?;
        if facts.is_running() {
            continue;
        }
        let parked: Vec<(DeliveryId, DeliveryId)> = tx
            .sql("SELECT delivery, asked FROM deliveries WHERE state = 'parked' AND endpoint = ? LIMIT ?")
            .all([endpoint.key(), i64::from(limit.saturating_sub(moved))], id_and_standing)?;
        for (delivery, standing) in parked {
            if let Some(stop) = stopped(&facts, standing) {
                stop_row(tx, delivery, stop)?;
                moved += 1;
            }
        }
    }
    Ok(moved)
}

/// Rows under a lease that are claimed or hot, from a key on.
pub(crate) fn still_leased(
    connection: &dyn Sql,
    lease: LeaseId,
    after: DeliveryId,
    limit: u32,
) -> StorageResult<Vec<DeliveryId>> {
    // Claimed rows stand in an index of their own; hot ones were written after the lease was opened.
    let mut lost: Vec<DeliveryId> = connection
        .sql(
            "SELECT delivery FROM deliveries WHERE state = 'claimed' AND lease = ? ORDER BY delivery LIMIT ?",
        ).all(params![lease.key(), limit], |row| id(row, "delivery"))?;
    if lost.is_empty() {
        lost = connection
            .sql(
                "SELECT delivery FROM deliveries NOT INDEXED WHERE delivery > ?1 AND state = 'hot' AND lease = ?2 \
                 AND delivery <= (SELECT coalesce(max(last_key), 9223372036854775807) FROM leases WHERE lease = ?2) \
                 ORDER BY delivery LIMIT ?3",
            ).all(params![after.key().max(lease.key()), lease.key(), limit], |row| id(row, "delivery"))?;
    } else {
        // The page's end is a place among the hot rows: stay before them until no claimed row is left.
        lost.push(after);
    }
    Ok(lost)
}

/// How many deliveries wait in which way, each counted up to `at_most`, and when the oldest pending one fell due.
pub fn waiting(connection: &dyn Sql, at_most: u32) -> StorageResult<Backlog> {
    let count = |statement| connection.sql(statement).one([at_most], |row| row.get(0));
    let oldest_pending: Option<i64> = connection
        .sql("SELECT min(due_at) FROM deliveries WHERE state = 'pending'")
        .one((), |row| row.get(0))?;
    Ok(Backlog {
        pending: count(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = 'pending' LIMIT ?) AS few",
        )?,
        parked: count(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = 'parked' LIMIT ?) AS few",
        )?,
        held: count(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = 'held' LIMIT ?) AS few",
        )?,
        oldest_due_at: oldest_pending.map(Timestamp::from_millis),
    })
}

/// The same, with the oldest of the parked ones, too.
fn backlog(connection: &dyn Sql, at_most: u32) -> StorageResult<Backlog> {
    let waiting = waiting(connection, at_most)?;
    let mut oldest = waiting.oldest_due_at;
    for endpoint in distinct_endpoints(connection, PARKED_ENDPOINTS)? {
        let first: Option<i64> = connection
            .sql("SELECT min(due_at) FROM deliveries WHERE state = 'parked' AND endpoint = ?")
            .one([endpoint.key()], |row| row.get(0))?;
        oldest = oldest.into_iter().chain(first.map(Timestamp::from_millis)).min();
    }
    Ok(Backlog { oldest_due_at: oldest, ..waiting })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I8: what a long walk passed by is passed by for a while and no longer.
    #[test]
    fn i8_what_was_passed_by_is_looked_at_again_in_a_while() {
        let since = Instant::now();
        let passed = PassedBy { before: Timestamp::from_millis(30), since };
        assert_eq!(passed.at(since + PASSED_BY_FOR / 2), Timestamp::from_millis(30));
        assert_eq!(passed.at(since + PASSED_BY_FOR), Timestamp::from_millis(0));
    }
}
