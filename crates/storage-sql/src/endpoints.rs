//! Endpoints: the owner's view, the engine's, and the set that fan-out goes by.

use std::sync::Arc;

use crate::params;
use crate::sql::{Row, Sql, Turn};
use abide_core::access::{Actor, Caller};
use abide_core::delivery::Reason;
use abide_core::endpoint::{
    DeliveryRules, EndpointAuth, EndpointState, EventFilter, Overrides, ShownAuth, Source,
};
use abide_core::event::{EventBody, EventKind};
use abide_core::ids::{DeliveryId, Endpoint, EndpointId, OrganizationId};
use abide_core::original::OriginalId;
use abide_core::policy::text_field;
use abide_core::{Refusal, Timestamp};
use abide_storage::endpoints::{
    EndpointPatch, EndpointView, LiveSecret, NewEndpoint, SendingEndpoint, TestSent,
};
use abide_storage::sealing::{OrganizationKeys, Place, Secret};
use abide_storage::{Endpoints, Page, PageWanted, StorageError, StorageResult};
use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::after::After;
use crate::database::Database;
use crate::endpoint_secrets;
use crate::failing::{begin_anew, failing_of};
use crate::keys::unless_destroyed;
use crate::organizations::hold_alone;
use crate::originals;
use crate::publish::publish_test;
use crate::rows::{at, count, damaged, id, maybe_at, maybe_named, named, newest, news};
use crate::store::SqlStore;
use crate::tx::Tx;

/// What fan-out and the meeting of waiting rows must know of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct EndpointFacts {
    pub(crate) id: EndpointId,
    pub(crate) organization: OrganizationId,
    pub(crate) events: EventFilter,
    pub(crate) state: EndpointState,
    /// Its organization is being deleted: nothing is sent there, and everything waits.
    pub(crate) is_suspended: bool,
    pub(crate) rules: DeliveryRules,
    pub(crate) version: u32,
    pub(crate) cancelled_through: DeliveryId,
    /// What is made for it by the transaction that read this has a higher key: it stands behind the line that its last stop
    /// drew, which may be another node's, and behind what lists are settled for.
    pub(crate) made_behind: DeliveryId,
}

impl EndpointFacts {
    /// Whether something may be sent there now.
    pub(crate) fn is_running(&self) -> bool {
        self.state == EndpointState::Active && !self.is_suspended
    }

    /// Why what waits for it is held while it is not running.
    pub(crate) fn held_because(&self) -> Reason {
        match self.state {
            _ if self.is_suspended => Reason::OrganizationDeleting,
            EndpointState::Gone => Reason::EndpointGone,
            EndpointState::Active | EndpointState::Paused | EndpointState::Deleted => {
                Reason::EndpointPaused
            }
        }
    }

    /// Whether an event of this kind makes a delivery to it now.
    pub(crate) fn queues(&self, kind: EventKind) -> bool {
        let takes = match self.state {
            EndpointState::Active => true,
            EndpointState::Paused | EndpointState::Gone => self.rules.queue_while_stopped,
            EndpointState::Deleted => false,
        };
        takes && self.events.wants(kind)
    }

    fn read(row: &dyn Row) -> StorageResult<Self> {
        let cancelled_through: DeliveryId = id(row, "cancelled_through")?;
        Ok(Self {
            id: id(row, "endpoint")?,
            organization: id(row, "organization")?,
            events: named(row, "events", filter_of)?,
            state: named(row, "state", EndpointState::parse)?,
            is_suspended: row.get("suspended")?,
            rules: DeliveryRules {
                source: named(row, "source", Source::parse)?,
                queue_while_stopped: row.get("queue_while_stopped")?,
                hold_waiting: row.get("hold_waiting")?,
            },
            version: row.get("version")?,
            cancelled_through,
            made_behind: cancelled_through.max(id(row, "closed_keys")?),
        })
    }
}

/// An organization's endpoints that are not deleted, as of one version of the set.
pub(crate) struct EndpointSet {
    pub(crate) endpoints: Vec<EndpointFacts>,
}

/// The set that fan-out goes by. It lives in the writer, which also makes every change to it, so it is never stale.
pub(crate) fn endpoint_set(tx: &mut Tx<'_>, of: OrganizationId) -> StorageResult<Arc<EndpointSet>> {
    if let Some(set) = tx.caches.endpoint_sets.get(&of) {
        return Ok(Arc::clone(set));
    }
    let endpoints = tx
        .sql(
            "SELECT *, closed_keys() AS closed_keys FROM endpoints WHERE organization = ? AND state != 'deleted' \
             ORDER BY endpoint",
        )
        .all([of.key()], EndpointFacts::read)?;
    let set = Arc::new(EndpointSet { endpoints });
    tx.caches.endpoint_sets.insert(of, Arc::clone(&set));
    Ok(set)
}

/// One endpoint's facts, deleted ones included.
pub(crate) fn facts(connection: &dyn Sql, endpoint: EndpointId) -> StorageResult<EndpointFacts> {
    connection
        .sql("SELECT *, closed_keys() AS closed_keys FROM endpoints WHERE endpoint = ?")
        .one([endpoint.key()], EndpointFacts::read)
}

/// [`facts`] for whoever can be late: `None` once the endpoint went with its organization.
pub(crate) fn facts_if_any(
    connection: &dyn Sql,
    endpoint: EndpointId,
) -> StorageResult<Option<EndpointFacts>> {
    connection
        .sql("SELECT *, closed_keys() AS closed_keys FROM endpoints WHERE endpoint = ?")
        .maybe([endpoint.key()], EndpointFacts::read)
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

fn auth_place(endpoint: EndpointId) -> Place {
    Place { table: "endpoints", column: "auth", row: endpoint.key() }
}

/// The columns `auth` and `auth_shown`: null where the signature is all there is.
fn auth_columns(
    keys: &OrganizationKeys,
    endpoint: EndpointId,
    auth: &EndpointAuth,
) -> StorageResult<(Option<Vec<u8>>, Option<String>)> {
    if auth.is_empty() {
        return Ok((None, None));
    }
    let unwritten = |_| StorageError::Unavailable("endpoints.auth cannot be written".to_owned());
    let text = Zeroizing::new(serde_json::to_vec(auth).map_err(unwritten)?);
    let shown = serde_json::to_string(&auth.shown()).map_err(unwritten)?;
    Ok((Some(keys.key.seal(&auth_place(endpoint), &text)), Some(shown)))
}

fn opened_auth(
    keys: &OrganizationKeys,
    endpoint: EndpointId,
    sealed: Option<Vec<u8>>,
) -> StorageResult<EndpointAuth> {
    let Some(sealed) = sealed else { return Ok(EndpointAuth::default()) };
    let text = keys.key.open(&auth_place(endpoint), &sealed).map(Zeroizing::new);
    let auth = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
    auth.ok_or_else(|| damaged("endpoints.auth"))
}

fn shown_auth(text: &str) -> Option<ShownAuth> {
    serde_json::from_str(text).ok()
}

fn delays_text(overrides: &Overrides) -> Option<String> {
    let delays = overrides.retry_delays.as_ref()?;
    Some(delays.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
}

fn delays_of(text: &str) -> Option<Vec<u32>> {
    text.split_terminator(',').map(|delay| delay.parse().ok()).collect()
}

fn overrides_of(row: &dyn Row) -> StorageResult<Overrides> {
    Ok(Overrides {
        retry_delays: maybe_named(row, "retry_delays", delays_of)?,
        deadline_seconds: row.get("deadline_seconds")?,
    })
}

pub(crate) fn view_of(row: &dyn Row) -> StorageResult<EndpointView> {
    Ok(EndpointView {
        id: id(row, "endpoint")?,
        original: originals::of_row(row)?,
        dialect: row.get("dialect")?,
        url: row.get("url")?,
        events: named(row, "events", filter_of)?,
        description: row.get("description")?,
        state: named(row, "state", EndpointState::parse)?,
        failing: failing_of(row)?,
        auth: maybe_named(row, "auth_shown", shown_auth)?.unwrap_or_default(),
        overrides: overrides_of(row)?,
        replaced_secret_until: maybe_at(row, "replaced_secret_until")?,
        version: row.get("version")?,
        created_at: at(row, "created_at")?,
        updated_at: at(row, "updated_at")?,
    })
}

fn live_view(
    connection: &dyn Sql,
    organization: OrganizationId,
    endpoint: EndpointId,
) -> StorageResult<Option<EndpointView>> {
    connection
        .sql(
            "SELECT * FROM endpoints WHERE endpoint = ? AND organization = ? AND state != 'deleted'",
        ).maybe([endpoint.key(), organization.key()], view_of)
}

fn check_description(description: Option<&str>) -> Result<(), Refusal> {
    description.map_or(Ok(()), |text| text_field("description", text, 500))
}

/// Refuses what no endpoint can be made of.
pub(crate) fn check(new: &NewEndpoint) -> Result<(), Refusal> {
    check_description(new.description.as_deref())?;
    new.overrides.check()
}

/// A new endpoint, made here or brought along.
pub(crate) struct New<'a> {
    pub(crate) made_of: &'a NewEndpoint,
    pub(crate) original: Option<&'a OriginalId>,
    pub(crate) state: EndpointState,
    pub(crate) created_at: Timestamp,
}

impl<'a> New<'a> {
    fn here(made_of: &'a NewEndpoint, now: Timestamp) -> Self {
        Self { made_of, original: None, state: EndpointState::Active, created_at: now }
    }
}

/// Writes a new endpoint with its secret.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    by: &Caller,
    new: &New<'_>,
    now: Timestamp,
) -> StorageResult<EndpointId> {
    let id = tx.id::<Endpoint>(now);
    let keys = tx.keys(by.organization)?;
    let made_of = new.made_of;
    let (auth, auth_shown) = auth_columns(&keys, id, &made_of.auth)?;
    tx.sql(
        "INSERT INTO endpoints (endpoint, organization, dialect, url, events, description, state, \
         source, queue_while_stopped, hold_waiting, auth, auth_shown, retry_delays, \
         deadline_seconds, version, changed, created_at, updated_at, original) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?, ?)",
    )
    .execute(params![
        id.key(),
        by.organization.key(),
        made_of.dialect,
        made_of.url,
        filter_text(&made_of.events),
        made_of.description,
        new.state.as_str(),
        made_of.rules.source.as_str(),
        made_of.rules.queue_while_stopped,
        made_of.rules.hold_waiting,
        auth,
        auth_shown,
        delays_text(&made_of.overrides),
        made_of.overrides.deadline_seconds,
        new.created_at.as_millis(),
        now.as_millis(),
        new.original.map(OriginalId::as_str),
    ])?;
    endpoint_secrets::add(tx, &keys, id, &made_of.secret, now)?;
    changed(tx, by.organization, id, now)?;
    Ok(id)
}

#[async_trait]
impl<D: Database> Endpoints for SqlStore<D> {
    async fn create(
        &self,
        by: &Caller,
        new: NewEndpoint,
        now: Timestamp,
    ) -> StorageResult<EndpointView> {
        check(&new)?;
        self.act(by, 1_024, now, move |tx, by| {
            let id = insert(tx, by, &New::here(&new, now), now)?;
            tx.audit(by, "endpoint.create", &id.to_string(), now)?;
            live(tx, by.organization, id)
        })
        .await
    }

    async fn list(
        &self,
        organization: OrganizationId,
        dialect: Option<&str>,
        page: PageWanted,
    ) -> StorageResult<Page<EndpointView>> {
        let dialect = dialect.map(str::to_owned);
        self.read(move |connection, _| {
            let total = connection
                .sql(
                    "SELECT count(*) FROM endpoints WHERE organization = ?1 AND dialect = coalesce(?2, dialect) \
                     AND state != 'deleted'",
                ).one(params![organization.key(), dialect], count)?;
            let items = connection
                .sql(
                    "SELECT * FROM endpoints WHERE organization = ? AND dialect = coalesce(?, dialect) \
                     AND state != 'deleted' ORDER BY endpoint DESC LIMIT ? OFFSET ?",
                ).all(
                            params![organization.key(), dialect, page.limit, page.offset() as i64],
                            view_of,
                        )?;
            Ok(Page { items, total })
        })
        .await
    }

    async fn before(
        &self,
        organization: OrganizationId,
        dialect: Option<&str>,
        before: Option<EndpointId>,
        limit: u32,
    ) -> StorageResult<Vec<EndpointView>> {
        let dialect = dialect.map(str::to_owned);
        let before = before.map_or(i64::MAX, EndpointId::key);
        self.read(move |connection, _| {
            connection
                .sql(
                    "SELECT * FROM endpoints WHERE organization = ? AND endpoint < ? \
                     AND dialect = coalesce(?, dialect) AND state != 'deleted' ORDER BY endpoint DESC LIMIT ?",
                ).all(params![organization.key(), before, dialect, limit], view_of)
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
        if let Some(overrides) = &patch.overrides {
            overrides.check()?;
        }
        self.act(by, 1_024, now, move |tx, by| change(tx, by, endpoint, &patch, now)).await
    }

    async fn rotate_secret(
        &self,
        by: &Caller,
        endpoint: EndpointId,
        new: Secret,
        others_until: Timestamp,
        now: Timestamp,
    ) -> StorageResult<EndpointView> {
        self.act(by, 512, now, move |tx, by| {
            live(tx, by.organization, endpoint)?;
            endpoint_secrets::has_room(tx.connection(), endpoint, others_until, now)?;
            let keys = tx.keys(by.organization)?;
            endpoint_secrets::replace(tx, &keys, endpoint, &new, others_until, now)?;
            changed(tx, by.organization, endpoint, now)?;
            tx.audit(by, "endpoint.rotate_secret", &endpoint.to_string(), now)?;
            live(tx, by.organization, endpoint)
        })
        .await
    }

    async fn end_replaced_secrets(
        &self,
        by: &Caller,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> StorageResult<EndpointView> {
        self.act(by, 64, now, move |tx, by| {
            let before = live(tx, by.organization, endpoint)?;
            if before.replaced_secret_until.is_none_or(|until| until <= now) {
                return Ok(before);
            }
            endpoint_secrets::end_replaced(tx, endpoint, now)?;
            changed(tx, by.organization, endpoint, now)?;
            tx.audit(by, "endpoint.end_replaced_secrets", &endpoint.to_string(), now)?;
            live(tx, by.organization, endpoint)
        })
        .await
    }

    async fn test(
        &self,
        by: &Caller,
        endpoint: EndpointId,
        kind: EventKind,
        body: EventBody,
        now: Timestamp,
    ) -> StorageResult<TestSent> {
        self.act(by, 8_192, now, move |tx, by| {
            live(tx, by.organization, endpoint)?;
            let sent = publish_test(tx, by.organization, endpoint, (kind, &body), now)?;
            tx.audit(by, "endpoint.test", &endpoint.to_string(), now)?;
            Ok(sent)
        })
        .await
    }

    async fn delete(&self, by: &Caller, endpoint: EndpointId, now: Timestamp) -> StorageResult<()> {
        self.act(by, 64, now, move |tx, by| {
            live(tx, by.organization, endpoint)?;
            set_state(tx, endpoint, EndpointState::Deleted, now)?;
            // Whoever brings it along again finds the id free, as another new endpoint would be.
            originals::forget(tx, endpoint.key())?;
            changed(tx, by.organization, endpoint, now)?;
            tx.audit(by, "endpoint.delete", &endpoint.to_string(), now)
        })
        .await
    }

    async fn sending(
        &self,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> StorageResult<Option<SendingEndpoint>> {
        self.read(move |connection, shared| {
            type Wire =
                (EndpointFacts, String, String, Option<Vec<u8>>, Overrides, Option<OriginalId>);
            let found: Option<Wire> = connection
                .sql("SELECT *, closed_keys() AS closed_keys FROM endpoints WHERE endpoint = ?")
                .maybe([endpoint.key()], |row| {
                    let facts = EndpointFacts::read(row)?;
                    Ok((
                        facts,
                        row.get("dialect")?,
                        row.get("url")?,
                        row.get("auth")?,
                        overrides_of(row)?,
                        originals::of_row(row)?,
                    ))
                })?;
            let Some((facts, dialect, url, auth, overrides, original)) = found else {
                return Ok(None);
            };
            let keys = crate::keys::organization_keys(connection, shared, facts.organization);
            // Of a deleted organization there is nothing left to send, nor to sign with.
            let Some(keys) = unless_destroyed(keys)? else { return Ok(None) };
            let state = match facts.state {
                EndpointState::Active if facts.is_suspended => EndpointState::Paused,
                state => state,
            };
            Ok(Some(SendingEndpoint {
                id: endpoint,
                original,
                organization: facts.organization,
                dialect,
                url,
                secrets: endpoint_secrets::live(connection, &keys, endpoint, now)?,
                auth: opened_auth(&keys, endpoint, auth)?,
                overrides,
                state,
                rules: facts.rules,
                version: facts.version,
                cancelled_through: facts.cancelled_through,
            }))
        })
        .await
    }

    async fn signing_secrets(
        &self,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> StorageResult<Vec<LiveSecret>> {
        self.read(move |connection, shared| {
            let organization: Option<OrganizationId> = connection
                .sql("SELECT organization FROM endpoints WHERE endpoint = ? AND state != 'deleted'")
                .maybe([endpoint.key()], |row| id(row, "organization"))?;
            let Some(organization) = organization else { return Ok(Vec::new()) };
            let keys = crate::keys::organization_keys(connection, shared, organization)?;
            endpoint_secrets::live(connection, &keys, endpoint, now)
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
            // The rows of a deleted organization go while its last attempts end.
            let Some(found) = facts_if_any(tx.connection(), endpoint)? else { return Ok(()) };
            hold_alone(tx, found.organization)?;
            let Some(facts) = facts_if_any(tx.connection(), endpoint)? else { return Ok(()) };
            if !facts.is_running() {
                return Ok(());
            }
            set_state(tx, endpoint, EndpointState::Gone, now)?;
            changed(tx, facts.organization, endpoint, now)?;
            let by = Caller::new(facts.organization, Actor::System);
            tx.audit(&by, "endpoint.gone", &endpoint.to_string(), now)
        })
        .await
    }
}

pub(crate) fn live(
    tx: &Tx<'_>,
    organization: OrganizationId,
    endpoint: EndpointId,
) -> StorageResult<EndpointView> {
    live_view(tx.connection(), organization, endpoint)?
        .ok_or(StorageError::Refused(Refusal::NotFound("the webhook")))
}

/// Whether the two are not of one scheme, host and port.
fn leads_elsewhere(before: &EndpointView, after: &EndpointView) -> bool {
    let origin = |url: &str| {
        let authority = url.find("://").map_or(0, |at| at + 3);
        let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
        url[..end].to_ascii_lowercase()
    };
    origin(&before.url) != origin(&after.url)
}

fn change(
    tx: &mut Tx<'_>,
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
        overrides: patch.overrides.clone().unwrap_or_else(|| before.overrides.clone()),
        ..before.clone()
    };
    // Whoever may change where an endpoint is must not thereby be sent what proves Abide to the one before (I12).
    if patch.auth.is_none()
        && before.auth != ShownAuth::default()
        && leads_elsewhere(&before, &after)
    {
        let problem = "must be given anew, or as null, with a URL of another host: its credentials were for the one before";
        return Err(StorageError::Refused(Refusal::field("auth", problem)));
    }
    // Other credentials may look alike where they are shown: whoever sends some changes them.
    if after == before && patch.auth.is_none() {
        return Ok(before);
    }
    tx.sql(
        "UPDATE endpoints SET url = ?, events = ?, description = ?, retry_delays = ?, deadline_seconds = ? \
         WHERE endpoint = ?",
    )
    .execute(params![
        after.url,
        filter_text(&after.events),
        after.description,
        delays_text(&after.overrides),
        after.overrides.deadline_seconds,
        endpoint.key()
    ])?;
    if let Some(auth) = &patch.auth {
        let keys = tx.keys(by.organization)?;
        let (sealed, shown) = auth_columns(&keys, endpoint, auth)?;
        tx.sql("UPDATE endpoints SET auth = ?, auth_shown = ? WHERE endpoint = ?")
            .execute(params![sealed, shown, endpoint.key()])?;
    }
    let action = match (before.state, after.state) {
        (EndpointState::Active, EndpointState::Paused) => "endpoint.pause",
        (before, EndpointState::Active) if before != EndpointState::Active => "endpoint.resume",
        _ => "endpoint.change",
    };
    if after.state != before.state {
        set_state(tx, endpoint, after.state, now)?;
    }
    if after.url != before.url && after.state == EndpointState::Active {
        begin_anew(tx, endpoint, now)?;
    }
    changed(tx, by.organization, endpoint, now)?;
    tx.audit(by, action, &endpoint.to_string(), now)?;
    live(tx, by.organization, endpoint)
}

/// Sets the state. A stop that cancels draws a line: every delivery up to it is cancelled, though rows follow only as
/// they are met, and stays so when the endpoint is started again.
pub(crate) fn set_state(
    tx: &Tx<'_>,
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
    if cancels {
        // Other nodes draw keys, too: the line is behind all that is there, and behind all that was asked for. Who asks is
        // in the log right after that, or is a job.
        let newest = newest(tx.connection(), "SELECT max(delivery) FROM deliveries")?;
        let asked: Option<i64> = tx
            .sql(
                "SELECT max(key) FROM (SELECT max(entry) AS key FROM audit WHERE organization = ?1 \
                 UNION ALL SELECT max(asked) FROM jobs WHERE organization = ?1) AS asks",
            )
            .one([facts.organization.key()], |row| row.get(0))?;
        tx.shared.ids.pass(newest.max(asked.unwrap_or(0)));
    }
    let line = if cancels { tx.id::<Endpoint>(now).key() } else { facts.cancelled_through.key() };
    let gone_at = (state == EndpointState::Gone).then_some(now.as_millis());
    tx.sql("UPDATE endpoints SET state = ?, cancelled_through = ?, gone_at = ? WHERE endpoint = ?")
        .execute(params![state.as_str(), line, gone_at, endpoint.key()])?;
    begin_anew(tx, endpoint, now)
}

/// Bumps the set's version and the endpoint's, and sees that the engine hears of it.
pub(crate) fn changed(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    endpoint: EndpointId,
    now: Timestamp,
) -> StorageResult<()> {
    // Whoever looks for changes goes by their order: of two at once, the later one to be seen has the higher number.
    tx.connection().alone(Turn::ChangingEndpoints)?;
    let newest = newest(tx.connection(), "SELECT max(changed) FROM endpoints")?;
    let change = tx.id::<Endpoint>(now).key().max(newest + 1);
    tx.sql(
        "UPDATE endpoints SET version = version + CASE WHEN changed = 0 THEN 0 ELSE 1 END, changed = ?, updated_at = ? WHERE endpoint = ?",
    )
    .execute(params![change, now.as_millis(), endpoint.key()])?;
    tx.sql(
        "UPDATE organizations SET endpoint_set_version = endpoint_set_version + 1 WHERE organization = ?",
    )
    .execute([organization.key()])?;
    #[cfg(feature = "faults")]
    if abide_core::fault::is_planted(abide_core::fault::Fault::StaleEndpointSet) {
        return Ok(());
    }
    tx.caches.endpoint_sets.remove(&organization);
    tx.after(After::Ring);
    Ok(())
}
