//! Lanes as stored: what must not overtake itself, per (endpoint, subject). The rules are core's.

use crate::params;
use abide_core::Timestamp;
use abide_core::delivery::Reason;
#[cfg(feature = "faults")]
use abide_core::fault::{Fault, is_planted};
use abide_core::ids::{DeliveryId, EndpointId, EventId, Id, SubjectId};
use abide_core::lane::{AttemptEnd, AttemptId, Entry, Lane, OpenAttempt};
use abide_storage::StorageResult;

use crate::after::After;
use crate::deliveries::key_list;
use crate::endpoints::EndpointFacts;
use crate::publish::{DeliveryOf, Start, insert_delivery};
use crate::rows::{at, id, maybe_id};
use crate::shared::Nodes;
use crate::tx::Tx;

/// A lane with what the store keeps beside core's facts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredLane {
    pub(crate) lane: Lane,
    /// The newest delivery, until it ends.
    pub(crate) waiting: Option<DeliveryId>,
    /// The newest event.
    pub(crate) event: EventId,
}

/// The version of a person's state that an event makes: event ids grow with every change. Where another node's clock was
/// ahead, [`want`] goes on from what is wanted already.
pub(crate) fn version_of(event: EventId) -> u64 {
    event.key() as u64
}

/// Reads a lane.
pub(crate) fn load(
    tx: &Tx<'_>,
    endpoint: EndpointId,
    subject: SubjectId,
) -> StorageResult<Option<StoredLane>> {
    // A delivery that has ended, by whatever hand, waits no more.
    tx.sql(
        "SELECT lanes.*, (SELECT delivery FROM deliveries WHERE delivery = lanes.waiting \
         AND state IN ('hot', 'pending', 'claimed', 'parked', 'held')) AS still_waiting \
         FROM lanes WHERE endpoint = ? AND subject = ? FOR UPDATE",
    )
    .maybe([endpoint.key(), subject.key()], |row| {
        let open = match maybe_id(row, "open_delivery")? {
            Some(delivery) => Some(OpenAttempt {
                attempt: AttemptId {
                    delivery,
                    lease: id(row, "open_lease")?,
                    number: row.get("open_number")?,
                },
                version: row.get::<i64>("open_version")? as u64,
                doubted: row.get("open_doubted")?,
                ends_by: at(row, "open_ends_by")?,
            }),
            None => None,
        };
        Ok(StoredLane {
            lane: Lane {
                wanted: row.get::<i64>("wanted")? as u64,
                acknowledged: row.get::<i64>("acknowledged")? as u64,
                unsure: row.get("unsure")?,
                open,
                last_sent_at: at(row, "last_sent_at")?,
            },
            waiting: maybe_id(row, "still_waiting")?,
            event: id(row, "event")?,
        })
    })
}

fn store(
    tx: &Tx<'_>,
    endpoint: EndpointId,
    subject: SubjectId,
    stored: &StoredLane,
) -> StorageResult<()> {
    let StoredLane { lane, waiting, event } = stored;
    tx.sql(
        "INSERT INTO lanes (endpoint, subject, wanted, acknowledged, unsure, open_delivery, open_lease, \
         open_number, open_version, open_doubted, open_ends_by, last_sent_at, waiting, event) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (endpoint, subject) DO UPDATE SET \
         wanted = excluded.wanted, acknowledged = excluded.acknowledged, unsure = excluded.unsure, \
         open_delivery = excluded.open_delivery, open_lease = excluded.open_lease, open_number = excluded.open_number, \
         open_version = excluded.open_version, open_doubted = excluded.open_doubted, open_ends_by = excluded.open_ends_by, \
         last_sent_at = excluded.last_sent_at, waiting = excluded.waiting, event = excluded.event",
    )
    .execute(params![
        endpoint.key(),
        subject.key(),
        lane.wanted as i64,
        lane.acknowledged as i64,
        lane.unsure,
        lane.open.map(|open| open.attempt.delivery.key()),
        lane.open.map(|open| open.attempt.lease.key()),
        lane.open.map(|open| open.attempt.number),
        lane.open.map(|open| open.version as i64),
        lane.open.map(|open| open.doubted),
        lane.open.map(|open| open.ends_by.as_millis()),
        lane.last_sent_at.as_millis(),
        waiting.map(Id::key),
        event.key(),
    ])?;
    Ok(())
}

/// Keeps the lanes of these deliveries for this transaction, before it keeps any delivery: decisions come to a delivery by
/// its lane. One writer has nothing to keep.
pub(crate) fn hold_those_of(tx: &Tx<'_>, deliveries: &[DeliveryId]) -> StorageResult<()> {
    if tx.shared.nodes == Nodes::One || deliveries.is_empty() {
        return Ok(());
    }
    let held = tx.sql(
        "SELECT 1 FROM deliveries JOIN lanes ON lanes.endpoint = deliveries.endpoint AND lanes.subject = deliveries.subject \
         WHERE delivery IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) \
         ORDER BY lanes.endpoint, lanes.subject FOR UPDATE OF lanes",
    );
    held.all([key_list(deliveries)], |_| Ok(())).map(drop)
}

/// Keeps all lanes of these people, in the one order, before anything comes to one of them.
pub(crate) fn hold_of_people(tx: &Tx<'_>, people: &[SubjectId]) -> StorageResult<()> {
    let held = tx.sql(
        "SELECT 1 FROM lanes WHERE subject IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) \
         ORDER BY endpoint, subject FOR UPDATE",
    );
    held.all([key_list(people)], |_| Ok(())).map(drop)
}

/// A new event in the lane: the version wanted rises, and `delivery` supersedes the one that waited, unless that one
/// has the open attempt; then its outcome decides.
pub(crate) fn want(
    tx: &Tx<'_>,
    endpoint: EndpointId,
    subject: SubjectId,
    event: EventId,
    delivery: DeliveryId,
) -> StorageResult<()> {
    let version = version_of(event);
    let mut stored = match load(tx, endpoint, subject)? {
        Some(mut stored) => {
            stored.lane.wanted = version.max(stored.lane.wanted + 1);
            stored
        }
        None => StoredLane { lane: Lane::new(version), waiting: None, event },
    };
    let is_open = |waited| stored.lane.open.is_some_and(|open| open.attempt.delivery == waited);
    #[cfg(feature = "faults")]
    let is_open = |waited| !is_planted(Fault::SupersededTooEarly) && is_open(waited);
    if let Some(waited) = stored.waiting
        && !is_open(waited)
    {
        supersede(tx, waited, delivery)?;
    }
    stored.waiting = Some(delivery);
    stored.event = event;
    store(tx, endpoint, subject, &stored)
}

/// Ends a delivery because `by` carries the state; a final one stays.
pub(crate) fn supersede(tx: &Tx<'_>, delivery: DeliveryId, by: DeliveryId) -> StorageResult<()> {
    tx.sql(
        "UPDATE deliveries SET state = 'superseded', superseded_by = ?, reason = ?, lease = NULL, due_at = NULL \
         WHERE delivery = ? AND state IN ('hot', 'pending', 'claimed', 'parked', 'held')",
    )
    .execute(params![by.key(), Reason::NewerState.as_str(), delivery.key()])?;
    Ok(())
}

fn is_leased(tx: &Tx<'_>, delivery: DeliveryId) -> StorageResult<bool> {
    tx.sql("SELECT 1 FROM deliveries WHERE delivery = ? AND state IN ('hot', 'claimed')")
        .exists([delivery.key()])
}

/// What opening an attempt in a lane came to.
pub(crate) enum Entered {
    /// Send the state of this version with this signature time.
    Send(u64, Timestamp),
    /// Another attempt is open until then.
    Wait(Timestamp),
    /// The receiver has confirmed what it would say.
    Covered,
    /// A newer delivery carries the state.
    Superseded(DeliveryId),
}

/// Opens an attempt in its delivery's lane.
pub(crate) fn enter(
    tx: &Tx<'_>,
    endpoint: EndpointId,
    subject: SubjectId,
    attempt: AttemptId,
    by_hand: bool,
    times: (Timestamp, Timestamp),
) -> StorageResult<Entered> {
    let (now, ends_by) = times;
    let Some(mut stored) = load(tx, endpoint, subject)? else { return Ok(Entered::Covered) };
    // An attempt whose delivery is in no node's memory any more is over once its send must have ended. Its own delivery
    // may never come back to say so: a stop may have cancelled it meanwhile.
    if let Some(open) = stored.lane.open
        && now >= open.ends_by
        && !is_leased(tx, open.attempt.delivery)?
    {
        stored.lane.close(open.attempt, AttemptEnd::Unknown);
    }
    let version = stored.lane.wanted;
    let entry = stored.lane.enter(attempt, version, by_hand, now, ends_by);
    let entered = match entry {
        Entry::Send(sent_at) => match stored.waiting {
            // Its own lost attempt has just been closed: the newer delivery goes on in its place.
            Some(newer) if newer != attempt.delivery && !by_hand => {
                stored.lane.open = None;
                Entered::Superseded(newer)
            }
            _ => Entered::Send(version, sent_at),
        },
        Entry::Wait(until) => Entered::Wait(until),
        Entry::Covered => Entered::Covered,
    };
    store(tx, endpoint, subject, &stored)?;
    Ok(entered)
}

/// What closing an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The delivery goes the way of its outcome.
    AsDecided,
    /// A newer delivery carries the state: unless it was delivered, it ends as superseded.
    Newer(DeliveryId),
}

/// Closes an attempt: wakes the delivery that waited for it, and sees that an unknown end is followed by one more
/// sending of the current state (I7). The outcome of one that is not open comes late: it closes nothing.
pub(crate) fn close(
    tx: &mut Tx<'_>,
    endpoint: &EndpointFacts,
    subject: SubjectId,
    attempt: AttemptId,
    end: AttemptEnd,
    now: Timestamp,
) -> StorageResult<Closed> {
    let Some(mut stored) = load(tx, endpoint.id, subject)? else { return Ok(Closed::AsDecided) };
    let was_open = stored.lane.close(attempt, end);
    let closed = match stored.waiting {
        Some(newer) if newer != attempt.delivery => {
            wake(tx, newer, now)?;
            Closed::Newer(newer)
        }
        _ => Closed::AsDecided,
    };
    if was_open && end == AttemptEnd::Acknowledged && stored.waiting == Some(attempt.delivery) {
        stored.waiting = None;
    }
    let sent = end != AttemptEnd::NotSent;
    if sent && stored.waiting.is_none() && stored.lane.needs_sending() {
        stored.waiting = Some(send_again(tx, endpoint, subject, stored.event, now)?);
    }
    store(tx, endpoint.id, subject, &stored)?;
    Ok(closed)
}

/// A delivery of the lane has ended for good without the receiver's word: nothing waits any more.
pub(crate) fn ended(
    tx: &Tx<'_>,
    endpoint: EndpointId,
    subject: SubjectId,
    delivery: DeliveryId,
) -> StorageResult<()> {
    tx.sql("UPDATE lanes SET waiting = NULL WHERE endpoint = ? AND subject = ? AND waiting = ?")
        .execute([endpoint.key(), subject.key(), delivery.key()])?;
    Ok(())
}

fn wake(tx: &mut Tx<'_>, delivery: DeliveryId, now: Timestamp) -> StorageResult<()> {
    let woken = tx
        .sql("UPDATE deliveries SET due_at = ? WHERE delivery = ? AND state = 'pending' AND due_at > ?")
        .execute(params![now.as_millis(), delivery.key(), now.as_millis()])?;
    if woken > 0 {
        tx.after(After::Ring);
    }
    Ok(())
}

/// One more delivery of the lane's newest event.
fn send_again(
    tx: &mut Tx<'_>,
    endpoint: &EndpointFacts,
    subject: SubjectId,
    event: EventId,
    now: Timestamp,
) -> StorageResult<DeliveryId> {
    let delivery = tx.delivery_id(endpoint, now);
    let organization = tx
        .sql("SELECT organization FROM events WHERE event = ?")
        .one([event.key()], |row| id(row, "organization"))?;
    let told = DeliveryOf { organization, event, subject: Some(subject) };
    let start =
        if endpoint.is_running() { Start::Pending } else { Start::Held(endpoint.held_because()) };
    insert_delivery(tx, &told, endpoint.id, delivery, start, now)?;
    tx.sql("UPDATE deliveries SET repeats = 1 WHERE delivery = ?").execute([delivery.key()])?;
    tx.after(After::Ring);
    Ok(delivery)
}
