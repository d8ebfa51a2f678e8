//! An event and its deliveries, written in the transaction of the change that they tell (I1).

use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::consent::ConsentView;
use abide_core::consent::batch::{BATCH_EVENT_LIMIT, split_batch};
use abide_core::delivery::{DeliveryState, Reason};
use abide_core::endpoint::{EndpointState, Source};
use abide_core::event::{BatchView, Event, EventBody, EventKind, RENDER_VERSION};
use abide_core::ids::{
    BatchId, Delivery, DeliveryId, EndpointId, EventId, LeaseId, OrganizationId, SubjectId,
};
use abide_core::policy::Policy;
use abide_storage::sealing::{OrganizationKeys, Place};
use abide_storage::{HotDelivery, StorageResult};
use rusqlite::{Connection, OptionalExtension, params};

use crate::endpoints::{EndpointFacts, endpoint_set};
use crate::lanes;
use crate::people;
use crate::rows::{at, damaged, database, id, maybe_id, named};
use crate::tx::Tx;
use crate::writer::{After, Counted};

/// Writes an event with its place in the feed, and a delivery to every endpoint that wants it.
pub(crate) fn publish(tx: &mut Tx<'_>, event: &Arc<Event>, now: Timestamp) -> StorageResult<()> {
    let bytes = insert_event(tx, event)?;
    tx.count(Counted::Accepted);
    fan_out(tx, event, bytes, now)
}

/// The events of a batch's created consents: one, or several where one would be too large to send (P16).
pub(crate) fn publish_batch(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    batch: BatchId,
    created: &[ConsentView],
    now: Timestamp,
) -> StorageResult<()> {
    for share in split_batch(created, BATCH_EVENT_LIMIT) {
        let consents = created[share].to_vec();
        let event = Event {
            id: tx.id(now),
            organization,
            kind: EventKind::ConsentBatchCreated,
            created_at: now,
            subject: None,
            render_version: RENDER_VERSION,
            body: EventBody::Batch(BatchView { id: batch, consents }),
        };
        publish(tx, &Arc::new(event), now)?;
    }
    Ok(())
}

/// Writes the event with its sealed snapshot; answers about how many bytes its body takes in memory.
fn insert_event(tx: &mut Tx<'_>, event: &Event) -> StorageResult<usize> {
    let keys = tx.keys(event.organization)?;
    let place = Place { table: "events", column: "sealed", row: event.id.key() };
    let (batch, sealed, bytes) = match &event.body {
        EventBody::Consent(view) => {
            let text = json(view)?;
            let sealed = with_person_key(tx, event.organization, &keys, view, |key| {
                key.seal(&place, &text)
            })?;
            (None, Some(sealed), text.len())
        }
        EventBody::Policy(policy) => {
            let text = json(policy)?;
            (None, Some(keys.key.seal(&place, &text)), text.len())
        }
        EventBody::Batch(batch) => {
            let bytes = insert_parts(tx, &keys, event, batch)?;
            (Some(batch.id.key()), None, bytes)
        }
    };
    let log_index = tx.next_event_index(event.organization)?;
    tx.sql(
        "INSERT INTO events (event, organization, kind, subject, created_at, render_version, batch, log_index, \
         sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        event.id.key(),
        event.organization.key(),
        event.kind.as_str(),
        event.subject.map(abide_core::ids::Id::key),
        event.created_at.as_millis(),
        event.render_version,
        batch,
        log_index,
        sealed,
    ])
    .map_err(database)?;
    Ok(bytes)
}

/// A batch event is about several people: each part lies under its own person's key.
fn insert_parts(
    tx: &mut Tx<'_>,
    keys: &OrganizationKeys,
    event: &Event,
    batch: &BatchView,
) -> StorageResult<usize> {
    let place = part_place(event.id.key());
    let mut bytes = 0;
    for (position, view) in batch.consents.iter().enumerate() {
        let text = json(view)?;
        bytes += text.len();
        let sealed =
            with_person_key(tx, event.organization, keys, view, |key| key.seal(&place, &text))?;
        tx.sql(
            "INSERT INTO event_parts (event, position, subject, consent, sealed) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![
            event.id.key(),
            position as i64,
            view.subject.key(),
            view.id.key(),
            sealed
        ])
        .map_err(database)?;
    }
    Ok(bytes)
}

fn with_person_key<T>(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    keys: &OrganizationKeys,
    view: &ConsentView,
    seal: impl FnOnce(&abide_storage::sealing::SealingKey) -> T,
) -> StorageResult<T> {
    let blind = keys.index_key.blind(people::REFERENCE, &view.reference).0;
    if let Some(person) = tx.caches.people.get(&(organization, blind))
        && person.id == view.subject
    {
        return Ok(seal(&person.key));
    }
    let key = people::key_of(tx.connection(), keys, view.subject)?;
    Ok(seal(&*key.ok_or_else(|| damaged("subjects.wrapped_key"))?))
}

fn part_place(event: i64) -> Place {
    Place { table: "event_parts", column: "sealed", row: event }
}

fn json<T: serde::Serialize>(value: &T) -> StorageResult<Vec<u8>> {
    let mut text = Vec::with_capacity(768);
    serde_json::to_writer(&mut text, value).map_err(|_| damaged("events.sealed"))?;
    Ok(text)
}

fn fan_out(tx: &mut Tx<'_>, event: &Arc<Event>, bytes: usize, now: Timestamp) -> StorageResult<()> {
    let set = endpoint_set(tx, event.organization)?;
    let wanting: Vec<&EndpointFacts> =
        set.endpoints.iter().filter(|endpoint| endpoint.queues(event.kind)).collect();
    if wanting.is_empty() {
        return Ok(());
    }
    let live = wanting.iter().filter(|endpoint| endpoint.state == EndpointState::Active).count();
    let engine = tx.shared.engine.load_full();
    let slot =
        engine.as_ref().filter(|_| live > 0).and_then(|engine| engine.0.reserve(live, bytes));
    let lease = slot.as_ref().map(abide_storage::Slot::lease);
    let mut hot = Vec::with_capacity(live);
    let of =
        DeliveryOf { organization: event.organization, event: event.id, subject: event.subject };
    for endpoint in wanting {
        let delivery = tx.id::<Delivery>(now);
        let start = match (endpoint.state, lease) {
            (EndpointState::Active, Some(lease)) => Start::Hot(lease),
            (EndpointState::Active, None) => Start::Pending,
            (EndpointState::Gone, _) => Start::Held(Reason::EndpointGone),
            (EndpointState::Paused | EndpointState::Deleted, _) => {
                Start::Held(Reason::EndpointPaused)
            }
        };
        insert_delivery(tx, &of, endpoint.id, delivery, start, now)?;
        if matches!(start, Start::Hot(_)) {
            hot.push(HotDelivery { id: delivery, endpoint: endpoint.id, event: Arc::clone(event) });
        }
        if endpoint.rules.source == Source::Lane
            && let Some(subject) = event.subject
        {
            lanes::want(tx, endpoint.id, subject, event.id, delivery)?;
        }
    }
    match slot {
        Some(slot) => tx.after(After::Take(slot, hot)),
        None if live > 0 => tx.after(After::Ring),
        None => {}
    }
    Ok(())
}

/// How a new delivery begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// In the engine's memory.
    Hot(LeaseId),
    /// Due now.
    Pending,
    /// Its endpoint is stopped.
    Held(Reason),
}

/// What a delivery's row says of its event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeliveryOf {
    pub(crate) organization: OrganizationId,
    pub(crate) event: EventId,
    pub(crate) subject: Option<SubjectId>,
}

/// Writes a delivery of an event.
pub(crate) fn insert_delivery(
    tx: &Tx<'_>,
    of: &DeliveryOf,
    endpoint: EndpointId,
    delivery: DeliveryId,
    start: Start,
    now: Timestamp,
) -> StorageResult<()> {
    let (state, lease, due_at, reason) = match start {
        Start::Hot(lease) => (DeliveryState::Hot, Some(lease.key()), None, None),
        Start::Pending => (DeliveryState::Pending, None, Some(now.as_millis()), None),
        Start::Held(reason) => (DeliveryState::Held, None, None, Some(reason.as_str())),
    };
    tx.sql(
        "INSERT INTO deliveries (delivery, organization, event, endpoint, subject, state, lease, due_at, reason) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        delivery.key(),
        of.organization.key(),
        of.event.key(),
        endpoint.key(),
        of.subject.map(abide_core::ids::Id::key),
        state.as_str(),
        lease,
        due_at,
        reason,
    ])
    .map_err(database)?;
    Ok(())
}

/// An event as read back.
pub(crate) enum Stored {
    /// Whole, or a batch without the parts of people erased since.
    Event(Box<Event>),
    /// Everyone it was about was erased.
    Erased,
}

/// Reads an event back, opening its snapshot.
pub(crate) fn load_event(
    connection: &Connection,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    event: i64,
) -> StorageResult<Option<Stored>> {
    type Head = (EventKind, Option<SubjectId>, Timestamp, u16, Option<BatchId>, Option<Vec<u8>>);
    let head: Option<Head> = connection
        .prepare_cached("SELECT * FROM events WHERE event = ? AND organization = ?")
        .and_then(|mut statement| {
            statement
                .query_row([event, organization.key()], |row| {
                    Ok((
                        named(row, "kind", EventKind::parse)?,
                        maybe_id(row, "subject")?,
                        at(row, "created_at")?,
                        row.get("render_version")?,
                        maybe_id(row, "batch")?,
                        row.get("sealed")?,
                    ))
                })
                .optional()
        })
        .map_err(database)?;
    let Some((kind, subject, created_at, render_version, batch, sealed)) = head else {
        return Ok(None);
    };
    let body = match (batch, sealed) {
        (Some(batch), _) => load_batch(connection, keys, event, batch)?,
        (None, Some(sealed)) => load_body(connection, keys, event, subject, &sealed)?,
        (None, None) => return Err(damaged("events.sealed")),
    };
    Ok(Some(match body {
        Some(body) => Stored::Event(Box::new(Event {
            id: EventId::from_key(event),
            organization,
            kind,
            created_at,
            subject,
            render_version,
            body,
        })),
        None => Stored::Erased,
    }))
}

fn load_body(
    connection: &Connection,
    keys: &OrganizationKeys,
    event: i64,
    subject: Option<SubjectId>,
    sealed: &[u8],
) -> StorageResult<Option<EventBody>> {
    let place = Place { table: "events", column: "sealed", row: event };
    let unreadable = |_| damaged("events.sealed");
    let unparsable = |_| damaged("events.sealed");
    let Some(subject) = subject else {
        let text = keys.key.open(&place, sealed).map_err(unreadable)?;
        let policy: Policy = serde_json::from_slice(&text).map_err(unparsable)?;
        return Ok(Some(EventBody::Policy(policy)));
    };
    let Some(key) = people::key_of(connection, keys, subject)? else { return Ok(None) };
    let text = key.open(&place, sealed).map_err(unreadable)?;
    serde_json::from_slice(&text).map_err(unparsable).map(|view| Some(EventBody::Consent(view)))
}

fn load_batch(
    connection: &Connection,
    keys: &OrganizationKeys,
    event: i64,
    batch: BatchId,
) -> StorageResult<Option<EventBody>> {
    let parts: Vec<(SubjectId, Vec<u8>)> = connection
        .prepare_cached("SELECT subject, sealed FROM event_parts WHERE event = ? ORDER BY position")
        .and_then(|mut statement| {
            statement.query_map([event], |row| Ok((id(row, "subject")?, row.get(1)?)))?.collect()
        })
        .map_err(database)?;
    let mut consents = Vec::with_capacity(parts.len());
    for (subject, sealed) in parts {
        let Some(key) = people::key_of(connection, keys, subject)? else { continue };
        let text =
            key.open(&part_place(event), &sealed).map_err(|_| damaged("event_parts.sealed"))?;
        let view: ConsentView =
            serde_json::from_slice(&text).map_err(|_| damaged("event_parts.sealed"))?;
        consents.push(view);
    }
    if consents.is_empty() {
        return Ok(None);
    }
    Ok(Some(EventBody::Batch(BatchView { id: batch, consents })))
}
