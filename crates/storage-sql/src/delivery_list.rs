//! Pages of deliveries, newest first, without an index that their writing would pay for.
//!
//! Deliveries of a state that few are in are found by the partial indexes, one stream of keys for each endpoint and
//! state, merged. All others are found by going back along the stretches in which their owner has deliveries (see
//! [`crate::stretches`]), and above the mark along the table's own key. A page looks at a bounded number of rows, and
//! where it ends short of its limit it says from where to go on.

use std::collections::{BinaryHeap, VecDeque};

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::delivery::{DeliveryState, Run};
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, EndpointId, EventId, OrganizationId};
use abide_storage::StorageResult;
use abide_storage::delivery_log::{DeliveryFilter, DeliveryLine, DeliveryPage};
use abide_storage::sealing::OrganizationKeys;

use crate::delivery_log::{endpoints_of, first_key_at};
use crate::history::{Which, attempts_of, delivery_of};
use crate::rows::{id, named};
use crate::stretches::{newest_below, noted_through};

/// Rows that one page looks at, at most.
const LOOKS: u32 = 20_000;
/// Rows of a waiting state that are put in order in memory; where more wait, the owner's deliveries are walked instead.
const SORTED: usize = 20_000;
/// Keys that a stream reads at first; each time it runs dry it reads more.
const FIRST_READ: u32 = 16;
const LARGEST_READ: u32 = 1_000;

/// A row as far as streams see it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: i64,
    whose: Whose,
}

/// Whose a row is, as far as a stream knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The organization's, and it may be one of those that are wanted.
    Wanted,
    /// The organization's, and it is none of those.
    Own,
    /// Another organization's: neither it nor its id is shown (I13).
    Another,
}

/// Where candidates come from, newest first.
enum Source {
    /// By the partial index of rows with a reason.
    Reasoned { endpoint: EndpointId, state: DeliveryState },
    /// Read already.
    Sorted,
    /// All of the owner's, down to `floor`.
    All { floor: i64, states: Vec<DeliveryState> },
}

struct Stream {
    source: Source,
    read: VecDeque<Seen>,
    /// Keys below this one are still to be read; `None`: all are.
    below: Option<i64>,
    next_read: u32,
}

/// A page under way.
pub(crate) struct Look<'a> {
    connection: &'a dyn Sql,
    organization: OrganizationId,
    filter: &'a DeliveryFilter,
    /// The lowest key that is wanted.
    lowest: i64,
    /// Up to here, deliveries stand in stretches.
    noted: i64,
    streams: Vec<Stream>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(
        connection: &'a dyn Sql,
        organization: OrganizationId,
        filter: &'a DeliveryFilter,
        before: Option<DeliveryId>,
    ) -> StorageResult<Self> {
        let below = before
            .map_or(i64::MAX, DeliveryId::key)
            .min(filter.until.map_or(i64::MAX, first_key_at));
        let lowest = filter.from.map_or(0, first_key_at);
        let noted = noted_through(connection)?;
        let mut look =
            Self { connection, organization, filter, lowest, noted, streams: Vec::new() };
        if below > lowest {
            look.add_streams(below)?;
        }
        Ok(look)
    }

    fn add_streams(&mut self, below: i64) -> StorageResult<()> {
        if self.filter.endpoint.is_some() && self.endpoints()?.is_empty() {
            // Nobody's, or another organization's: there is nothing to look along.
            return Ok(());
        }
        if let Some(event) = self.filter.event {
            self.add_sorted(keys_of_event(self.connection, self.organization, event)?, below);
            return Ok(());
        }
        let stored = self.stored_states();
        if stored.contains(&DeliveryState::Delivered) {
            self.add(Source::All { floor: self.lowest, states: stored }, below);
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
                // Walked, above.
                DeliveryState::Delivered => {}
            }
        }
        if !walked.is_empty() {
            self.add(Source::All { floor, states: walked }, below);
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
        let read = keys.into_iter().map(|key| Seen { key, whose: Whose::Wanted }).collect();
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

    /// Keys of the owner's rows in a waiting state, in no order; more than [`SORTED`] when there are more, also of others.
    fn waiting_keys(&self, state: DeliveryState) -> StorageResult<Vec<i64>> {
        let of = self.endpoints()?;
        if state == DeliveryState::Parked {
            return self.parked_keys(&of);
        }
        let statement = match state {
            DeliveryState::Pending => {
                "SELECT delivery, endpoint FROM deliveries INDEXED BY deliveries_due WHERE state = 'pending' LIMIT ?"
            }
            _ => {
                "SELECT delivery, endpoint FROM deliveries INDEXED BY deliveries_claimed WHERE state = 'claimed' LIMIT ?"
            }
        };
        let found: Vec<(i64, EndpointId)> = self
            .connection
            .sql(statement)
            .all([SORTED as i64 + 1], |row| Ok((row.get("delivery")?, id(row, "endpoint")?)))?;
        let are_too_many = found.len() > SORTED;
        let own = |endpoint: &EndpointId| are_too_many || of.binary_search(endpoint).is_ok();
        Ok(found.into_iter().filter(|(_, to)| own(to)).map(|(key, _)| key).collect())
    }

    fn parked_keys(&self, of: &[EndpointId]) -> StorageResult<Vec<i64>> {
        let mut keys = Vec::new();
        for endpoint in of {
            let left = SORTED as i64 + 1 - keys.len() as i64;
            let found: Vec<i64> = self
                .connection
                .sql(
                    "SELECT delivery FROM deliveries INDEXED BY deliveries_parked WHERE state = 'parked' \
                     AND endpoint = ? LIMIT ?",
                ).all([endpoint.key(), left], |row| row.get("delivery"))?;
            keys.extend(found);
        }
        Ok(keys)
    }

    /// Where hot rows begin: each is above its lease's own key.
    fn first_hot(&self) -> StorageResult<i64> {
        let first: Option<i64> = self
            .connection
            .sql("SELECT min(lease) FROM leases WHERE lease > 0")
            .one((), |row| row.get(0))?;
        Ok(first.unwrap_or(i64::MAX).max(self.lowest))
    }

    pub(crate) fn page(
        mut self,
        keys: &OrganizationKeys,
        limit: u32,
    ) -> StorageResult<DeliveryPage> {
        let mut heads: BinaryHeap<(i64, usize)> = BinaryHeap::new();
        for place in 0..self.streams.len() {
            if let Some(key) = self.head(place)? {
                heads.push((key, place));
            }
        }
        let mut page = DeliveryPage { items: Vec::new(), next: None, looked: 0 };
        while let Some((key, place)) = heads.pop() {
            let whose = self.streams[place].read.pop_front().map(|seen| seen.whose);
            page.looked += 1;
            if whose == Some(Whose::Wanted)
                && let Some(line) = self.line(keys, key)?
            {
                page.items.push(line);
            }
            if let Some(key) = self.head(place)? {
                heads.push((key, place));
            }
            let is_full = page.items.len() as u32 >= limit || page.looked >= LOOKS;
            let Some((older, _)) = heads.peek().filter(|_| is_full) else { continue };
            if whose != Some(Whose::Another) {
                page.next = Some(DeliveryId::from_key(key));
                break;
            }
            // No id of another organization says where to go on: the beginning of an instant does, once all that was made
            // in it was looked at.
            let instant = DeliveryId::from_key(key).drawn_at();
            if DeliveryId::from_key(*older).drawn_at() < instant {
                page.next = Some(DeliveryId::from_key(first_key_at(instant)));
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
                .sql(
                    "SELECT delivery FROM deliveries INDEXED BY deliveries_reasoned WHERE reason IS NOT NULL \
                     AND endpoint = ? AND state = ? AND delivery < ? AND delivery >= ? \
                     ORDER BY delivery DESC LIMIT ?",
                ).all(params![endpoint.key(), state.as_str(), below, self.lowest, limit], |row: &dyn Row| {
                        Ok(Seen { key: row.get("delivery")?, whose: Whose::Wanted })
                    }),
            Source::Sorted => Ok(Vec::new()),
            Source::All { floor, states } => self.read_all(*floor, states, below, limit),
        }
    }

    /// The owner's rows below a key, with those of others between them: what is not noted yet, then stretch by stretch.
    fn read_all(
        &self,
        floor: i64,
        states: &[DeliveryState],
        mut below: i64,
        limit: u32,
    ) -> StorageResult<Vec<Seen>> {
        let owner = match self.filter.endpoint {
            Some(endpoint) => endpoint.key(),
            None => self.organization.key(),
        };
        let mut seen = Vec::new();
        if below > self.noted + 1 {
            self.read_rows(floor.max(self.noted + 1), below, states, limit, &mut seen)?;
            below = self.noted + 1;
        }
        while (seen.len() as u32) < limit && below > floor {
            let Some(stretch) = newest_below(self.connection, owner, below)? else { break };
            let below_last = below.min(stretch.last + 1);
            self.read_rows(floor.max(stretch.first), below_last, states, limit, &mut seen)?;
            below = stretch.first;
        }
        Ok(seen)
    }

    /// Adds rows from `from` to below a key to what was seen, newest first, until it is `limit`.
    fn read_rows(
        &self,
        from: i64,
        below: i64,
        states: &[DeliveryState],
        limit: u32,
        seen: &mut Vec<Seen>,
    ) -> StorageResult<()> {
        let left = i64::from(limit) - seen.len() as i64;
        let rows = self
            .connection
            .sql(
                "SELECT delivery, organization, endpoint, state FROM deliveries NOT INDEXED \
                 WHERE delivery < ? AND delivery >= ? ORDER BY delivery DESC LIMIT ?",
            )
            .all([below, from, left], |row| {
                let of: OrganizationId = id(row, "organization")?;
                let to: EndpointId = id(row, "endpoint")?;
                let state = named(row, "state", DeliveryState::parse)?;
                let is_wanted = self.filter.endpoint.is_none_or(|wanted| wanted == to)
                    && states.contains(&state);
                let whose = match of == self.organization {
                    true if is_wanted => Whose::Wanted,
                    true => Whose::Own,
                    false => Whose::Another,
                };
                Ok(Seen { key: row.get("delivery")?, whose })
            })?;
        seen.extend(rows);
        Ok(())
    }

    /// The row as it is shown, if it is one of those that are wanted.
    fn line(&self, keys: &OrganizationKeys, key: i64) -> StorageResult<Option<DeliveryLine>> {
        let found = self
            .connection
            .sql(
                "SELECT deliveries.*, events.kind FROM deliveries JOIN events USING (event) \
                 WHERE delivery = ? AND deliveries.organization = ?",
            )
            .maybe([key, self.organization.key()], |row| {
                let (view, subject) = delivery_of(self.connection, row)?;
                Ok((view, subject, named(row, "run", Run::parse)?, row.get("attempts")?))
            })?;
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

/// An event's deliveries have the keys right after its own, up to the next event's; those made later stand in an index.
fn keys_of_event(
    connection: &dyn Sql,
    organization: OrganizationId,
    event: EventId,
) -> StorageResult<Vec<i64>> {
    connection
        .sql(
            "SELECT delivery FROM deliveries WHERE is_right_after(?1) \
             AND event = ?1 AND repeats = 0 AND organization = ?2 \
             UNION ALL SELECT delivery FROM deliveries WHERE event = ?1 AND repeats = 1 AND organization = ?2",
        ).all([event.key(), organization.key()], |row| row.get("delivery"))
}
