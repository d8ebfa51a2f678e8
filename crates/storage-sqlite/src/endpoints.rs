//! Endpoints: the owner's view, the engine's, and the set that fan-out goes by.

use std::sync::Arc;

use abide_core::access::{Actor, Caller};
use abide_core::endpoint::{DeliveryRules, EndpointState, EventFilter, Source};
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, Endpoint, EndpointId, OrganizationId};
use abide_core::policy::text_field;
use abide_core::{Refusal, Timestamp};
use abide_storage::endpoints::{EndpointPatch, EndpointView, NewEndpoint, SendingEndpoint};
use abide_storage::sealing::{Place, Secret};
use abide_storage::{Endpoints, Page, PageWanted, StorageError, StorageResult};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::SqliteStore;
use crate::rows::{at, count, damaged, database, id, named, newest, news};
use crate::tx::Tx;
use crate::writer::After;

/// What fan-out and the meeting of waiting rows must know of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct EndpointFacts {
    pub(crate) id: EndpointId,
    pub(crate) organization: OrganizationId,
    pub(crate) events: EventFilter,
    pub(crate) state: EndpointState,
    pub(crate) rules: DeliveryRules,
    pub(crate) version: u32,
    pub(crate) cancelled_through: DeliveryId,
}

impl EndpointFacts {
    /// Whether an event of this kind makes a delivery to it now.
    pub(crate) fn queues(&self, kind: EventKind) -> bool {
        let takes = match self.state {
            EndpointState::Active => true,
            EndpointState::Paused | EndpointState::Gone => self.rules.queue_while_stopped,
            EndpointState::Deleted => false,
        };
        takes && self.events.wants(kind)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: id(row, "endpoint")?,
            organization: id(row, "organization")?,
            events: named(row, "events", filter_of)?,
            state: named(row, "state", EndpointState::parse)?,
            rules: DeliveryRules {
                source: named(row, "source", Source::parse)?,
                queue_while_stopped: row.get("queue_while_stopped")?,
                hold_waiting: row.get("hold_waiting")?,
            },
            version: row.get("version")?,
            cancelled_through: id(row, "cancelled_through")?,
        })
    }
}

/// An organization's endpoints that are not deleted, as of one version of the set.
pub(crate) struct EndpointSet {
    pub(crate) endpoints: Vec<EndpointFacts>,
}

/// The set that fan-out goes by. It lives in the writer, which also makes every change to it, so it is never stale.
pub(crate) fn endpoint_set(
    tx: &mut Tx<'_, '_>,
    of: OrganizationId,
) -> StorageResult<Arc<EndpointSet>> {
    if let Some(set) = tx.caches.endpoint_sets.get(&of) {
        return Ok(Arc::clone(set));
    }
    let endpoints = tx
        .sql("SELECT * FROM endpoints WHERE organization = ? AND state != 'deleted' ORDER BY endpoint")?
        .query_map([of.key()], EndpointFacts::read)
        .and_then(Iterator::collect)
        .map_err(database)?;
    let set = Arc::new(EndpointSet { endpoints });
    tx.caches.endpoint_sets.insert(of, Arc::clone(&set));
    Ok(set)
}

/// One endpoint's facts, deleted ones included.
pub(crate) fn facts(connection: &Connection, endpoint: EndpointId) -> StorageResult<EndpointFacts> {
    connection
        .prepare_cached("SELECT * FROM endpoints WHERE endpoint = ?")
        .and_then(|mut statement| statement.query_row([endpoint.key()], EndpointFacts::read))
        .map_err(database)
}

fn filter_text(filter: &EventFilter) -> String {
    match filter {
        EventFilter::All => "*".to_owned(),
        EventFilter::Only(kinds) => {
            kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",")
        }
    }
}

fn filter_of(text: &str) -> Option<EventFilter> {
    if text == "*" {
        return Some(EventFilter::All);
    }
    if text.is_empty() {
        return Some(EventFilter::Only(Vec::new()));
    }
    text.split(',').map(EventKind::parse).collect::<Option<_>>().map(EventFilter::Only)
}

fn secret_place(endpoint: EndpointId) -> Place {
    Place { table: "endpoints", column: "secret", row: endpoint.key() }
}

fn view_of(row: &Row<'_>) -> rusqlite::Result<EndpointView> {
    Ok(EndpointView {
        id: id(row, "endpoint")?,
        dialect: row.get("dialect")?,
        url: row.get("url")?,
        events: named(row, "events", filter_of)?,
        description: row.get("description")?,
        state: named(row, "state", EndpointState::parse)?,
        version: row.get("version")?,
        created_at: at(row, "created_at")?,
        updated_at: at(row, "updated_at")?,
    })
}

fn live_view(
    connection: &Connection,
    organization: OrganizationId,
    endpoint: EndpointId,
) -> StorageResult<Option<EndpointView>> {
    connection
        .prepare_cached(
            "SELECT * FROM endpoints WHERE endpoint = ? AND organization = ? AND state != 'deleted'",
        )
        .and_then(|mut statement| {
            statement.query_row([endpoint.key(), organization.key()], view_of).optional()
        })
        .map_err(database)
}

fn check_description(description: Option<&str>) -> Result<(), Refusal> {
    description.map_or(Ok(()), |text| text_field("description", text, 500))
}

#[async_trait]
impl Endpoints for SqliteStore {
    async fn create(
        &self,
        by: &Caller,
        new: NewEndpoint,
        now: Timestamp,
    ) -> StorageResult<EndpointView> {
        check_description(new.description.as_deref())?;
        let by = *by;
        self.write(1_024, move |tx| {
            let id = tx.id::<Endpoint>(now);
            let keys = tx.keys(by.organization)?;
            let secret = keys.key.seal(&secret_place(id), new.secret.reveal().as_bytes());
            tx.sql(
                "INSERT INTO endpoints (endpoint, organization, dialect, url, events, description, secret, state, \
                 source, queue_while_stopped, hold_waiting, version, changed, created_at, updated_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, 'active', ?, ?, ?, 1, 0, ?, ?)",
            )?
            .execute(params![
                id.key(),
                by.organization.key(),
                new.dialect,
                new.url,
                filter_text(&new.events),
                new.description,
                secret,
                new.rules.source.as_str(),
                new.rules.queue_while_stopped,
                new.rules.hold_waiting,
                now.as_millis(),
                now.as_millis(),
            ])
            .map_err(database)?;
            changed(tx, by.organization, id, now)?;
            tx.audit(&by, "endpoint.create", &id.to_string(), now)?;
            live(tx, by.organization, id)
        })
        .await
    }

    async fn list(
        &self,
        organization: OrganizationId,
        dialect: &str,
        page: PageWanted,
    ) -> StorageResult<Page<EndpointView>> {
        let dialect = dialect.to_owned();
        self.read(move |connection, _| {
            let total = connection
                .prepare_cached(
                    "SELECT count(*) FROM endpoints WHERE organization = ? AND dialect = ? AND state != 'deleted'",
                )
                .and_then(|mut statement| {
                    statement.query_row(params![organization.key(), dialect], count)
                })
                .map_err(database)?;
            let items = connection
                .prepare_cached(
                    "SELECT * FROM endpoints WHERE organization = ? AND dialect = ? AND state != 'deleted' \
                     ORDER BY endpoint DESC LIMIT ? OFFSET ?",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map(
                            params![organization.key(), dialect, page.limit, page.offset() as i64],
                            view_of,
                        )?
                        .collect()
                })
                .map_err(database)?;
            Ok(Page { items, total })
        })
        .await
    }

    async fn get(
        &self,
        organization: OrganizationId,
        endpoint: EndpointId,
    ) -> StorageResult<Option<EndpointView>> {
        self.read(move |connection, _| live_view(connection, organization, endpoint)).await
    }

    async fn change(
        &self,
        by: &Caller,
        endpoint: EndpointId,
        patch: EndpointPatch,
        now: Timestamp,
    ) -> StorageResult<EndpointView> {
        check_description(patch.description.as_ref().and_then(|text| text.as_deref()))?;
        let by = *by;
        self.write(1_024, move |tx| change(tx, &by, endpoint, &patch, now)).await
    }

    async fn delete(&self, by: &Caller, endpoint: EndpointId, now: Timestamp) -> StorageResult<()> {
        let by = *by;
        self.write(64, move |tx| {
            live(tx, by.organization, endpoint)?;
            set_state(tx, endpoint, EndpointState::Deleted, now)?;
            changed(tx, by.organization, endpoint, now)?;
            tx.audit(&by, "endpoint.delete", &endpoint.to_string(), now)
        })
        .await
    }

    async fn sending(&self, endpoint: EndpointId) -> StorageResult<Option<SendingEndpoint>> {
        self.read(move |connection, shared| {
            type Wire = (EndpointFacts, String, String, Vec<u8>);
            let found: Option<Wire> = connection
                .prepare_cached("SELECT * FROM endpoints WHERE endpoint = ?")
                .and_then(|mut statement| {
                    statement
                        .query_row([endpoint.key()], |row| {
                            let facts = EndpointFacts::read(row)?;
                            Ok((facts, row.get("dialect")?, row.get("url")?, row.get("secret")?))
                        })
                        .optional()
                })
                .map_err(database)?;
            let Some((facts, dialect, url, sealed)) = found else { return Ok(None) };
            let keys = crate::keys::organization_keys(connection, shared, facts.organization)?;
            let secret = keys
                .key
                .open(&secret_place(endpoint), &sealed)
                .ok()
                .and_then(|secret| String::from_utf8(secret).ok())
                .ok_or_else(|| damaged("endpoints.secret"))?;
            Ok(Some(SendingEndpoint {
                id: endpoint,
                organization: facts.organization,
                dialect,
                url,
                secret: Secret::from(secret),
                state: facts.state,
                rules: facts.rules,
                version: facts.version,
                cancelled_through: facts.cancelled_through,
            }))
        })
        .await
    }

    async fn changed_since(
        &self,
        cursor: i64,
        limit: u32,
    ) -> StorageResult<(i64, Vec<EndpointId>)> {
        self.read(move |connection, _| {
            let page = "SELECT changed AS place, endpoint AS id FROM endpoints WHERE changed > ? \
                        ORDER BY changed LIMIT ?";
            news(connection, page, cursor, limit)
        })
        .await
    }

    async fn newest_change(&self) -> StorageResult<i64> {
        self.read(|connection, _| newest(connection, "SELECT max(changed) FROM endpoints")).await
    }

    async fn gone(&self, endpoint: EndpointId, now: Timestamp) -> StorageResult<()> {
        self.write(64, move |tx| {
            let facts = facts(tx.connection(), endpoint)?;
            if facts.state != EndpointState::Active {
                return Ok(());
            }
            set_state(tx, endpoint, EndpointState::Gone, now)?;
            changed(tx, facts.organization, endpoint, now)?;
            let by = Caller { organization: facts.organization, actor: Actor::System };
            tx.audit(&by, "endpoint.gone", &endpoint.to_string(), now)
        })
        .await
    }
}

fn live(
    tx: &Tx<'_, '_>,
    organization: OrganizationId,
    endpoint: EndpointId,
) -> StorageResult<EndpointView> {
    live_view(tx.connection(), organization, endpoint)?
        .ok_or(StorageError::Refused(Refusal::NotFound("the webhook")))
}

fn change(
    tx: &mut Tx<'_, '_>,
    by: &Caller,
    endpoint: EndpointId,
    patch: &EndpointPatch,
    now: Timestamp,
) -> StorageResult<EndpointView> {
    let before = live(tx, by.organization, endpoint)?;
    let after = EndpointView {
        url: patch.url.clone().unwrap_or_else(|| before.url.clone()),
        events: patch.events.clone().unwrap_or_else(|| before.events.clone()),
        description: patch.description.clone().unwrap_or_else(|| before.description.clone()),
        state: match patch.is_active {
            Some(true) => EndpointState::Active,
            Some(false) if before.state == EndpointState::Active => EndpointState::Paused,
            Some(false) | None => before.state,
        },
        ..before.clone()
    };
    if after == before {
        return Ok(before);
    }
    tx.sql("UPDATE endpoints SET url = ?, events = ?, description = ? WHERE endpoint = ?")?
        .execute(params![after.url, filter_text(&after.events), after.description, endpoint.key()])
        .map_err(database)?;
    let action = match (before.state, after.state) {
        (EndpointState::Active, EndpointState::Paused) => "endpoint.pause",
        (before, EndpointState::Active) if before != EndpointState::Active => "endpoint.resume",
        _ => "endpoint.change",
    };
    if after.state != before.state {
        set_state(tx, endpoint, after.state, now)?;
    }
    changed(tx, by.organization, endpoint, now)?;
    tx.audit(by, action, &endpoint.to_string(), now)?;
    live(tx, by.organization, endpoint)
}

/// Sets the state. A stop that cancels draws a line: every delivery up to it is cancelled, though rows follow only as
/// they are met, and stays so when the endpoint is started again.
fn set_state(
    tx: &Tx<'_, '_>,
    endpoint: EndpointId,
    state: EndpointState,
    now: Timestamp,
) -> StorageResult<()> {
    let facts = facts(tx.connection(), endpoint)?;
    let cancels = match state {
        EndpointState::Active => false,
        EndpointState::Paused | EndpointState::Gone => !facts.rules.hold_waiting,
        EndpointState::Deleted => true,
    };
    let line = if cancels { tx.id::<Endpoint>(now).key() } else { facts.cancelled_through.key() };
    tx.sql("UPDATE endpoints SET state = ?, cancelled_through = ? WHERE endpoint = ?")?
        .execute(params![state.as_str(), line, endpoint.key()])
        .map_err(database)?;
    Ok(())
}

/// Bumps the set's version and the endpoint's, and sees that the engine hears of it.
fn changed(
    tx: &mut Tx<'_, '_>,
    organization: OrganizationId,
    endpoint: EndpointId,
    now: Timestamp,
) -> StorageResult<()> {
    let change = tx.id::<Endpoint>(now);
    tx.sql(
        "UPDATE endpoints SET version = version + (changed != 0), changed = ?, updated_at = ? WHERE endpoint = ?",
    )?
    .execute(params![change.key(), now.as_millis(), endpoint.key()])
    .map_err(database)?;
    tx.sql(
        "UPDATE organizations SET endpoint_set_version = endpoint_set_version + 1 WHERE organization = ?",
    )?
    .execute([organization.key()])
    .map_err(database)?;
    tx.caches.endpoint_sets.remove(&organization);
    tx.after(After::Ring);
    Ok(())
}
