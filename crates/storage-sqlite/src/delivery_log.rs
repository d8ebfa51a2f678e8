//! Looking through deliveries, newest first, without an index that their writing would pay for.
//!
//! Deliveries of a state that few are in are found by the partial indexes, one stream of keys for each endpoint and
//! state, merged. What was delivered, and what is hot, is found by walking the table's own key backwards, a bounded
//! number of rows per page.

use std::collections::{BinaryHeap, VecDeque};

use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, Run};
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, EndpointId, EventId, OrganizationId, SEQUENCE_BITS};
use abide_storage::delivery_log::{
    Asked, DeliveryFilter, DeliveryLine, DeliveryPage, DeliveryRecord, RunView,
};
use abide_storage::sealing::OrganizationKeys;
use abide_storage::{DeliveryLog, StorageResult};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::SqliteStore;
use crate::history::{Which, attempts_of, delivery_of};
use crate::rows::{at, database, id, maybe_id, named};

/// Rows that one page looks at, at most.
const LOOKS: u32 = 20_000;
/// Rows of a waiting state that are put in order in memory; where more wait, the table is walked instead.
const SORTED: usize = 20_000;
/// Keys that a stream reads at first; each time it runs dry it reads more.
const FIRST_READ: u32 = 16;
const LARGEST_READ: u32 = 1_000;

#[async_trait]
impl DeliveryLog for SqliteStore {
    async fn list(
        &self,
        organization: OrganizationId,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> StorageResult<DeliveryPage> {
        let filter = filter.clone();
        self.search(move |connection, shared| {
            let keys = crate::keys::organization_keys(connection, shared, organization)?;
            let look = Look::new(connection, organization, &filter, before)?;
            look.page(&keys, limit)
        })
        .await
    }

    async fn delivery(
        &self,
        organization: OrganizationId,
        delivery: DeliveryId,
    ) -> StorageResult<Option<DeliveryRecord>> {
        self.read(move |connection, shared| {
            let keys = crate::keys::organization_keys(connection, shared, organization)?;
            let found = connection
                .prepare_cached(
                    "SELECT deliveries.*, events.kind FROM deliveries JOIN events USING (event) \
                     WHERE delivery = ? AND deliveries.organization = ?",
                )
                .and_then(|mut statement| {
                    statement
                        .query_row([delivery.key(), organization.key()], |row| {
                            let (view, subject) = delivery_of(connection, row)?;
                            Ok((view, subject, named(row, "run", Run::parse)?))
                        })
                        .optional()
                })
                .map_err(database)?;
            let Some((mut view, subject, run)) = found else { return Ok(None) };
            // A test is one from its beginning.
            let first = if run == Run::Test { Run::Test } else { Run::First };
            view.attempts = attempts_of(connection, &keys, delivery, subject, Which::All)?;
            let asks = asks(connection, delivery)?;
            let mut record = DeliveryRecord {
                runs: vec![RunView { number: 1, run: first, asked: None }],
                discarded: None,
                delivery: view,
            };
            for (place, (what, next_number, asked)) in asks.iter().enumerate() {
                if what == REPLAY {
                    record.runs[0].asked = Some(asked.clone());
                    continue;
                }
                let Some(run) = Run::parse(what) else {
                    let is_discarded = record.delivery.state == DeliveryState::Discarded;
                    record.discarded = Some(asked.clone()).filter(|_| is_discarded);
                    continue;
                };
                // Replaced by another before its first attempt.
                let mut later = asks[place + 1..].iter().filter(|ask| Run::parse(&ask.0).is_some());
                if later.next().is_some_and(|later| later.1 == *next_number) {
                    continue;
                }
                let number = record.runs.len() as u32 + 1;
                record.runs.push(RunView { number, run, asked: Some(asked.clone()) });
            }
            Ok(Some(record))
        })
        .await
    }
}

/// What is noted of a delivery that was made for an old event.
const REPLAY: &str = "replay";

/// What was asked for, the attempt that came next, and who asked; oldest first.
fn asks(connection: &Connection, delivery: DeliveryId) -> StorageResult<Vec<(String, u32, Asked)>> {
    connection
        .prepare_cached(
            "SELECT what, next_number, at, actor, job FROM asks WHERE delivery = ? ORDER BY ask",
        )
        .and_then(|mut statement| {
            statement
                .query_map([delivery.key()], |row| {
                    let asked = Asked {
                        at: at(row, "at")?,
                        by: row.get("actor")?,
                        job: maybe_id(row, "job")?,
                    };
                    Ok((row.get("what")?, row.get("next_number")?, asked))
                })?
                .collect()
        })
        .map_err(database)
}

/// The first key that is drawn at an instant or later.
pub(crate) fn first_key_at(instant: Timestamp) -> i64 {
    instant.as_millis() << SEQUENCE_BITS
}

/// A row as far as streams see it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: i64,
    /// Whether it can be one of those that are wanted, as far as the stream knows.
    fits: bool,
}

/// Where candidates come from, newest first.
enum Source {
    /// By the partial index of rows with a reason.
    Reasoned { endpoint: EndpointId, state: DeliveryState },
    /// Read already.
    Sorted,
    /// By the table's own key, down to `floor`.
    Key { floor: i64, states: Vec<DeliveryState> },
}

struct Stream {
    source: Source,
    read: VecDeque<Seen>,
    /// Keys below this one are still to be read; `None`: all are.
    below: Option<i64>,
    next_read: u32,
}

/// A page under way.
struct Look<'a> {
    connection: &'a Connection,
    organization: OrganizationId,
    filter: &'a DeliveryFilter,
    /// The lowest key that is wanted.
    lowest: i64,
    streams: Vec<Stream>,
}

impl<'a> Look<'a> {
    fn new(
        connection: &'a Connection,
        organization: OrganizationId,
        filter: &'a DeliveryFilter,
        before: Option<DeliveryId>,
    ) -> StorageResult<Self> {
        let below = before
            .map_or(i64::MAX, DeliveryId::key)
            .min(filter.until.map_or(i64::MAX, first_key_at));
        let lowest = filter.from.map_or(0, first_key_at);
        let mut look = Self { connection, organization, filter, lowest, streams: Vec::new() };
        if below > lowest {
            look.add_streams(below)?;
        }
        Ok(look)
    }

    fn add_streams(&mut self, below: i64) -> StorageResult<()> {
        if let Some(event) = self.filter.event {
            self.add_sorted(keys_of_event(self.connection, event)?, below);
            return Ok(());
        }
        let stored = self.stored_states();
        if stored.contains(&DeliveryState::Delivered) {
            self.add(Source::Key { floor: self.lowest, states: stored }, below);
            return Ok(());
        }
        let mut walked = Vec::new();
        let mut floor = i64::MAX;
        for state in stored {
            match state {
                DeliveryState::Pending | DeliveryState::Parked | DeliveryState::Claimed => {
                    let keys = self.waiting_keys(state)?;
                    if keys.len() > SORTED {
                        walked.push(state);
                        floor = self.lowest;
                    } else {
                        self.add_sorted(keys, below);
                    }
                }
                DeliveryState::Hot => {
                    walked.push(state);
                    floor = floor.min(self.first_hot()?);
                }
                DeliveryState::Held
                | DeliveryState::Skipped
                | DeliveryState::Failed
                | DeliveryState::Cancelled
                | DeliveryState::Superseded
                | DeliveryState::Erased
                | DeliveryState::Discarded => {
                    for endpoint in self.endpoints()? {
                        self.add(Source::Reasoned { endpoint, state }, below);
                    }
                }
                // Walked by the key, above.
                DeliveryState::Delivered => {}
            }
        }
        if !walked.is_empty() {
            self.add(Source::Key { floor, states: walked }, below);
        }
        Ok(())
    }

    fn add(&mut self, source: Source, below: i64) {
        let below = Some(below);
        self.streams.push(Stream { source, read: VecDeque::new(), below, next_read: FIRST_READ });
    }

    fn add_sorted(&mut self, mut keys: Vec<i64>, below: i64) {
        keys.retain(|key| *key < below && *key >= self.lowest);
        keys.sort_unstable_by(|one, other| other.cmp(one));
        let read = keys.into_iter().map(|key| Seen { key, fits: true }).collect();
        self.streams.push(Stream { source: Source::Sorted, read, below: None, next_read: 0 });
    }

    /// The states in which rows are stored that may be shown in a state that is wanted: an endpoint's stop shows at once,
    /// and waiting rows follow as they are met.
    fn stored_states(&self) -> Vec<DeliveryState> {
        let wanted = &self.filter.states;
        if wanted.is_empty() {
            return DeliveryState::ALL.to_vec();
        }
        let stops =
            [DeliveryState::Held, DeliveryState::Cancelled].iter().any(|one| wanted.contains(one));
        let may_be = |state: &DeliveryState| {
            let waits = matches!(
                state,
                DeliveryState::Pending | DeliveryState::Parked | DeliveryState::Held
            );
            wanted.contains(state) || (stops && waits)
        };
        DeliveryState::ALL.into_iter().filter(may_be).collect()
    }

    fn endpoints(&self) -> StorageResult<Vec<EndpointId>> {
        endpoints_of(self.connection, self.organization, self.filter.endpoint)
    }

    /// Keys of rows in a waiting state, in no order; more than [`SORTED`] when there are more.
    fn waiting_keys(&self, state: DeliveryState) -> StorageResult<Vec<i64>> {
        let statement = match state {
            DeliveryState::Pending => {
                "SELECT delivery, endpoint FROM deliveries INDEXED BY deliveries_due WHERE state = 'pending' LIMIT ?"
            }
            DeliveryState::Parked => {
                "SELECT delivery, endpoint FROM deliveries INDEXED BY deliveries_parked WHERE state = 'parked' LIMIT ?"
            }
            _ => {
                "SELECT delivery, endpoint FROM deliveries INDEXED BY deliveries_claimed WHERE state = 'claimed' LIMIT ?"
            }
        };
        let found: Vec<(i64, EndpointId)> = self
            .connection
            .prepare_cached(statement)
            .and_then(|mut statement| {
                statement
                    .query_map([SORTED as i64 + 1], |row| {
                        Ok((row.get("delivery")?, id(row, "endpoint")?))
                    })?
                    .collect()
            })
            .map_err(database)?;
        if found.len() > SORTED {
            return Ok(found.into_iter().map(|(key, _)| key).collect());
        }
        let of = self.endpoints()?;
        Ok(found
            .into_iter()
            .filter(|(_, endpoint)| of.binary_search(endpoint).is_ok())
            .map(|(key, _)| key)
            .collect())
    }

    /// Where hot rows begin: each is above its lease's own key.
    fn first_hot(&self) -> StorageResult<i64> {
        let first: Option<i64> = self
            .connection
            .prepare_cached("SELECT min(lease) FROM leases")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(database)?;
        Ok(first.unwrap_or(i64::MAX).max(self.lowest))
    }

    fn page(mut self, keys: &OrganizationKeys, limit: u32) -> StorageResult<DeliveryPage> {
        let mut heads: BinaryHeap<(i64, usize)> = BinaryHeap::new();
        for place in 0..self.streams.len() {
            if let Some(key) = self.head(place)? {
                heads.push((key, place));
            }
        }
        let mut page = DeliveryPage { items: Vec::new(), next: None, looked: 0 };
        while let Some((key, place)) = heads.pop() {
            let seen = self.streams[place].read.pop_front();
            page.looked += 1;
            if seen.is_some_and(|seen| seen.fits)
                && let Some(line) = self.line(keys, key)?
            {
                page.items.push(line);
            }
            if let Some(key) = self.head(place)? {
                heads.push((key, place));
            }
            let is_full = page.items.len() as u32 >= limit || page.looked >= LOOKS;
            if is_full && !heads.is_empty() {
                page.next = Some(DeliveryId::from_key(key));
                break;
            }
        }
        Ok(page)
    }

    /// The newest key that a stream has still to give.
    fn head(&mut self, place: usize) -> StorageResult<Option<i64>> {
        if self.streams[place].read.is_empty()
            && let Some(below) = self.streams[place].below
        {
            let limit = self.streams[place].next_read;
            let read = self.read(&self.streams[place].source, below, limit)?;
            let stream = &mut self.streams[place];
            stream.below =
                read.last().filter(|_| read.len() as u32 == limit).map(|seen: &Seen| seen.key);
            stream.next_read = (limit * 4).min(LARGEST_READ);
            stream.read = read.into();
        }
        Ok(self.streams[place].read.front().map(|seen| seen.key))
    }

    fn read(&self, source: &Source, below: i64, limit: u32) -> StorageResult<Vec<Seen>> {
        match source {
            Source::Reasoned { endpoint, state } => self
                .connection
                .prepare_cached(
                    "SELECT delivery FROM deliveries INDEXED BY deliveries_reasoned WHERE reason IS NOT NULL \
                     AND endpoint = ? AND state = ? AND delivery < ? AND delivery >= ? \
                     ORDER BY delivery DESC LIMIT ?",
                )
                .and_then(|mut statement| {
                    let span = params![endpoint.key(), state.as_str(), below, self.lowest, limit];
                    let seen = |row: &Row<'_>| Ok(Seen { key: row.get("delivery")?, fits: true });
                    statement.query_map(span, seen)?.collect()
                })
                .map_err(database),
            Source::Sorted => Ok(Vec::new()),
            Source::Key { floor, states } => self
                .connection
                .prepare_cached(
                    "SELECT delivery, organization, endpoint, state FROM deliveries NOT INDEXED \
                     WHERE delivery < ? AND delivery >= ? ORDER BY delivery DESC LIMIT ?",
                )
                .and_then(|mut statement| {
                    let seen = |row: &Row<'_>| {
                        let of: OrganizationId = id(row, "organization")?;
                        let to: EndpointId = id(row, "endpoint")?;
                        let state = named(row, "state", DeliveryState::parse)?;
                        let fits = of == self.organization
                            && self.filter.endpoint.is_none_or(|wanted| wanted == to)
                            && states.contains(&state);
                        Ok(Seen { key: row.get("delivery")?, fits })
                    };
                    statement.query_map([below, *floor, i64::from(limit)], seen)?.collect()
                })
                .map_err(database),
        }
    }

    /// The row as it is shown, if it is one of those that are wanted.
    fn line(&self, keys: &OrganizationKeys, key: i64) -> StorageResult<Option<DeliveryLine>> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT deliveries.*, events.kind FROM deliveries JOIN events USING (event) \
                 WHERE delivery = ? AND deliveries.organization = ?",
            )
            .and_then(|mut statement| {
                statement
                    .query_row([key, self.organization.key()], |row| {
                        let (view, subject) = delivery_of(self.connection, row)?;
                        Ok((view, subject, named(row, "run", Run::parse)?, row.get("attempts")?))
                    })
                    .optional()
            })
            .map_err(database)?;
        let Some((view, subject, run, attempts)) = found else { return Ok(None) };
        let DeliveryFilter { endpoint, states, kind, event, .. } = self.filter;
        let is_wanted = endpoint.is_none_or(|wanted: EndpointId| wanted == view.endpoint)
            && (states.is_empty() || states.contains(&view.state))
            && kind.is_none_or(|wanted: EventKind| wanted == view.kind)
            && event.is_none_or(|wanted: EventId| wanted == view.event);
        if !is_wanted {
            return Ok(None);
        }
        let newest = attempts_of(self.connection, keys, view.id, subject, Which::Newest)?;
        Ok(Some(DeliveryLine {
            id: view.id,
            event: view.event,
            kind: view.kind,
            endpoint: view.endpoint,
            state: view.state,
            reason: view.reason,
            superseded_by: view.superseded_by,
            due_at: view.due_at,
            run,
            attempts,
            last_attempt: newest.into_iter().next(),
        }))
    }
}

/// The organization's endpoints, deleted ones too, or the one of them that is wanted; in order.
pub(crate) fn endpoints_of(
    connection: &Connection,
    organization: OrganizationId,
    only: Option<EndpointId>,
) -> StorageResult<Vec<EndpointId>> {
    let (from, to) = only.map_or((0, i64::MAX), |only| (only.key(), only.key()));
    connection
        .prepare_cached(
            "SELECT endpoint FROM endpoints WHERE organization = ? AND endpoint >= ? AND endpoint <= ? \
             ORDER BY endpoint",
        )
        .and_then(|mut statement| {
            statement
                .query_map([organization.key(), from, to], |row| id(row, "endpoint"))?
                .collect()
        })
        .map_err(database)
}

/// An event's deliveries have the keys right after its own, up to the next event's; those made later stand in an index.
fn keys_of_event(connection: &Connection, event: EventId) -> StorageResult<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT delivery FROM deliveries WHERE delivery > ?1 AND delivery < \
             ifnull((SELECT event FROM events WHERE event > ?1 ORDER BY event LIMIT 1), 9223372036854775807) \
             AND event = ?1 AND repeats = 0 \
             UNION ALL SELECT delivery FROM deliveries WHERE event = ?1 AND repeats = 1",
        )
        .and_then(|mut statement| {
            statement.query_map([event.key()], |row| row.get("delivery"))?.collect()
        })
        .map_err(database)
}
