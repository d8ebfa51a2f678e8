//! An event and its deliveries, written in the transaction of the change that they tell (I1).

use std::sync::Arc;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::Timestamp;
use abide_core::consent::batch::{BATCH_EVENT_LIMIT, split_batch};
use abide_core::consent::{ConsentView, PermissionState};
use abide_core::delivery::{DeliveryState, Reason, Run};
use abide_core::endpoint::Source;
use abide_core::event::{BatchView, Event, EventBody, EventKind, RENDER_VERSION};
use abide_core::ids::{
    BatchId, DeliveryId, EndpointId, EventId, LeaseId, OrganizationId, SubjectId,
};
use abide_storage::endpoints::TestSent;
use abide_storage::sealing::{OrganizationKeys, Place};
use abide_storage::{HotDelivery, StorageError, StorageResult};

use crate::after::{After, Counted};
use crate::endpoints::{EndpointFacts, endpoint_set, facts};
use crate::lanes;
use crate::leases;
use crate::ledger::Shown;
use crate::people;
use crate::rows::{at, damaged, id, maybe_id, named};
use crate::tx::Tx;

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

/// Writes the event; answers about how many bytes its body takes in memory.
fn insert_event(tx: &mut Tx<'_>, event: &Event) -> StorageResult<usize> {
    let (mut told, mut batch, mut sealed) = (None, None, None);
    let bytes = match &event.body {
        EventBody::Consent(view) => {
            told = Some(view);
            size_of(view)
        }
        EventBody::Policy(policy) => {
            let text = serde_json::to_vec(policy).map_err(|_| damaged("events.sealed"))?;
            let place = sealed_place(event.id.key());
            sealed = Some(tx.keys(event.organization)?.key.seal(&place, &text));
            text.len()
        }
        EventBody::Batch(view) => {
            batch = Some(view.id.key());
            insert_parts(tx, event, view)?;
            view.consents.iter().map(size_of).sum()
        }
    };
    let log_index = tx.number_event(event.organization, event.id)?;
    tx.sql(
        "INSERT INTO events (event, organization, kind, subject, created_at, render_version, batch, log_index, \
         consent, decision, version, state, withdrawn_at, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .later(event.id.key(), params![
        event.id.key(),
        event.organization.key(),
        event.kind.as_str(),
        event.subject.map(abide_core::ids::Id::key),
        event.created_at.as_millis(),
        event.render_version,
        batch,
        log_index,
        told.map(|view| view.id.id.key()),
        told.map(|view| view.decision.key()),
        told.map(|view| view.version),
        told.and_then(|view| view.state).map(PermissionState::as_str),
        told.and_then(|view| view.withdrawn_at).map(Timestamp::as_millis),
        sealed,
    ])?;
    Ok(bytes)
}

/// Writes an event with made-up content, and its one delivery, for the engine to send at once (P25).
pub(crate) fn publish_test(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    endpoint: EndpointId,
    (kind, body): (EventKind, &EventBody),
    now: Timestamp,
) -> StorageResult<TestSent> {
    let id = tx.id(now);
    let text = match body {
        EventBody::Consent(consent) => serde_json::to_vec(consent),
        EventBody::Batch(batch) => serde_json::to_vec(&(batch.id, &batch.consents)),
        EventBody::Policy(policy) => serde_json::to_vec(policy),
    };
    let text = text.map_err(|_| damaged("events.sealed"))?;
    let engine = tx.shared.engine.load_full();
    let Some(slot) = engine.as_ref().and_then(|engine| engine.0.reserve(1, text.len())) else {
        return Err(StorageError::Busy);
    };
    if !leases::is_held(tx, slot.lease())? {
        return Err(StorageError::Busy);
    }
    let event = Event {
        id,
        organization,
        kind,
        created_at: now,
        subject: None,
        render_version: RENDER_VERSION,
        body: body.clone(),
    };
    let sealed = tx.keys(organization)?.key.seal(&sealed_place(id.key()), &text);
    tx.sql(
        "INSERT INTO events (event, organization, kind, created_at, render_version, sealed) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .execute(params![
        id.key(),
        organization.key(),
        kind.as_str(),
        now.as_millis(),
        RENDER_VERSION,
        sealed
    ])?;
    let delivery = tx.delivery_id(&facts(tx.connection(), endpoint)?, now);
    tx.sql(
        "INSERT INTO deliveries (delivery, organization, event, endpoint, state, lease, run) \
         VALUES (?, ?, ?, ?, 'hot', ?, 'test')",
    )
    .execute([
        delivery.key(),
        organization.key(),
        id.key(),
        endpoint.key(),
        slot.lease().key(),
    ])?;
    let hot = HotDelivery { id: delivery, endpoint, event: Arc::new(event), run: Run::Test };
    tx.after(After::Take(slot, vec![hot]));
    Ok(TestSent { event: id, delivery })
}

/// About as many bytes as an event's body takes in an answer.
pub(crate) fn size_of_body(body: &EventBody) -> usize {
    match body {
        EventBody::Consent(view) => size_of(view),
        EventBody::Batch(view) => view.consents.iter().map(size_of).sum(),
        EventBody::Policy(policy) => 512 + policy.content.as_ref().map_or(0, String::len),
    }
}

/// About as many bytes as a consent takes in a body.
fn size_of(view: &ConsentView) -> usize {
    let metadata = view.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len());
    512 + view.reference.len() + view.email.as_ref().map_or(0, String::len) + metadata
}

/// A batch event is about several people: each part is told by its own person's decision.
fn insert_parts(tx: &Tx<'_>, event: &Event, batch: &BatchView) -> StorageResult<()> {
    for (position, view) in batch.consents.iter().enumerate() {
        tx.sql(
            "INSERT INTO event_parts (event, position, subject, consent, decision, version, state, withdrawn_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .later(event.id.key(), params![
            event.id.key(),
            position as i64,
            view.subject.key(),
            view.id.id.key(),
            view.decision.key(),
            view.version,
            view.state.map(PermissionState::as_str),
            view.withdrawn_at.map(Timestamp::as_millis),
        ])?;
    }
    Ok(())
}

fn sealed_place(event: i64) -> Place {
    Place { table: "events", column: "sealed", row: event }
}

fn fan_out(tx: &mut Tx<'_>, event: &Arc<Event>, bytes: usize, now: Timestamp) -> StorageResult<()> {
    let set = endpoint_set(tx, event.organization)?;
    let wanting: Vec<&EndpointFacts> =
        set.endpoints.iter().filter(|endpoint| endpoint.queues(event.kind)).collect();
    if wanting.is_empty() {
        return Ok(());
    }
    let live = wanting.iter().filter(|endpoint| endpoint.is_running()).count();
    let engine = tx.shared.engine.load_full();
    let slot =
        engine.as_ref().filter(|_| live > 0).and_then(|engine| engine.0.reserve(live, bytes));
    let slot = match slot {
        Some(slot) if leases::is_held(tx, slot.lease())? => Some(slot),
        _ => None,
    };
    let lease = slot.as_ref().map(abide_storage::Slot::lease);
    let mut hot = Vec::with_capacity(live);
    let of =
        DeliveryOf { organization: event.organization, event: event.id, subject: event.subject };
    for endpoint in wanting {
        let delivery = tx.delivery_id(endpoint, now);
        let start = match lease {
            _ if !endpoint.is_running() => Start::Held(endpoint.held_because()),
            Some(lease) => Start::Hot(lease),
            None => Start::Pending,
        };
        insert_delivery(tx, &of, endpoint.id, delivery, start, now)?;
        if matches!(start, Start::Hot(_)) {
            let event = Arc::clone(event);
            hot.push(HotDelivery { id: delivery, endpoint: endpoint.id, event, run: Run::First });
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
    )
    .later(delivery.key(), params![
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
}

/// An event as read back.
pub(crate) enum Stored {
    /// Whole, or a batch without the parts of people erased since.
    Event(Box<Event>),
    /// Everyone it was about was erased.
    Erased,
}

/// Reads an event back as it was when it happened.
pub(crate) fn load_event(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    event: i64,
) -> StorageResult<Option<Stored>> {
    let head = connection
        .sql("SELECT * FROM events WHERE event = ? AND organization = ?")
        .maybe([event, organization.key()], Head::of_row)?;
    let Some(head) = head else { return Ok(None) };
    let body = match (head.told, head.subject, head.batch, head.sealed) {
        (Some(told), Some(subject), _, _) => load_consent(connection, keys, subject, &told)?,
        (_, _, Some(batch), _) => load_batch(connection, keys, event, batch)?,
        (_, _, _, Some(sealed)) => Some(open_sealed(keys, event, head.kind, &sealed)?),
        (..) => return Err(damaged("events")),
    };
    Ok(Some(match body {
        Some(body) => Stored::Event(Box::new(Event {
            id: EventId::from_key(event),
            organization,
            kind: head.kind,
            created_at: head.created_at,
            subject: head.subject,
            render_version: head.render_version,
            body,
        })),
        None => Stored::Erased,
    }))
}

/// An event's row.
struct Head {
    kind: EventKind,
    subject: Option<SubjectId>,
    created_at: Timestamp,
    render_version: u16,
    batch: Option<BatchId>,
    told: Option<Shown>,
    sealed: Option<Vec<u8>>,
}

impl Head {
    fn of_row(row: &dyn Row) -> StorageResult<Self> {
        let decision: Option<i64> = row.get("decision")?;
        Ok(Self {
            kind: named(row, "kind", EventKind::parse)?,
            subject: maybe_id(row, "subject")?,
            created_at: at(row, "created_at")?,
            render_version: row.get("render_version")?,
            batch: maybe_id(row, "batch")?,
            told: decision.map(|_| Shown::of_row(row)).transpose()?,
            sealed: row.get("sealed")?,
        })
    }
}

fn load_consent(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    subject: SubjectId,
    told: &Shown,
) -> StorageResult<Option<EventBody>> {
    let Some(key) = people::key_of(connection, keys, subject)? else { return Ok(None) };
    told.read(connection, subject, &key).map(|view| Some(EventBody::Consent(view)))
}

/// What an event about nobody tells: a policy, or the made-up content of a test.
fn open_sealed(
    keys: &OrganizationKeys,
    event: i64,
    kind: EventKind,
    sealed: &[u8],
) -> StorageResult<EventBody> {
    let text = keys.key.open(&sealed_place(event), sealed).map_err(|_| damaged("events.sealed"))?;
    let body = match kind {
        EventKind::PolicyCreated | EventKind::PolicyUpdated | EventKind::PolicyDeleted => {
            serde_json::from_slice(&text).map(EventBody::Policy)
        }
        EventKind::ConsentCreated | EventKind::ConsentUpdated | EventKind::ConsentWithdrawn => {
            serde_json::from_slice(&text).map(EventBody::Consent)
        }
        EventKind::ConsentBatchCreated => serde_json::from_slice(&text)
            .map(|(id, consents)| EventBody::Batch(BatchView { id, consents })),
    };
    body.map_err(|_| damaged("events.sealed"))
}

fn load_batch(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    event: i64,
    batch: BatchId,
) -> StorageResult<Option<EventBody>> {
    let parts: Vec<(SubjectId, Shown)> = connection
        .sql("SELECT * FROM event_parts WHERE event = ? ORDER BY position")
        .all([event], |row: &dyn Row| Ok((id(row, "subject")?, Shown::of_row(row)?)))?;
    let mut consents = Vec::with_capacity(parts.len());
    for (subject, told) in parts {
        // Erased since.
        let Some(key) = people::key_of(connection, keys, subject)? else { continue };
        consents.push(told.read(connection, subject, &key)?);
    }
    if consents.is_empty() {
        return Ok(None);
    }
    Ok(Some(EventBody::Batch(BatchView { id: batch, consents })))
}
