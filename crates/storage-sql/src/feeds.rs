//! Feeds as their readers get them, and the audit log by cursor.

use std::ops::ControlFlow;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::Timestamp;
use abide_core::consent::{LawfulBasis, PermissionState, Validity};
use abide_core::event::EventKind;
use abide_core::ids::{AuditEntryId, DecisionId, EventId, Id, OrganizationId, SEQUENCE_BITS};
use abide_core::shell::{Chance, draw};
use abide_storage::feeds::{
    AuditEntryView, AuditFilter, AuditPage, FeedPage, FeedStart, FeedWanted, LOOKED_THROUGH,
    ToldDecision, ToldEvent,
};
use abide_storage::sealing::OrganizationKeys;
use abide_storage::{Feeds, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::keys::organization_keys;
use crate::publish::{Stored, load_event, size_of_body};
use crate::rows::{at, id, maybe_at, maybe_id, named};
use crate::store::SqlStore;
use crate::{people, retention, said};

/// About how many bytes of bodies one page of events holds; it ends with the event that passes this (I9).
const PAGE_BYTES: usize = 1024 * 1024;

/// The feeds' epoch, drawn where the database has none yet.
pub fn epoch(connection: &dyn Sql, chance: &dyn Chance) -> StorageResult<u64> {
    let drawn = i64::from_be_bytes(draw(chance));
    connection
        .sql("INSERT INTO feed_epoch (only_row, epoch) VALUES (1, ?) ON CONFLICT (only_row) DO NOTHING")
        .execute([drawn])?;
    let epoch: i64 = connection.sql("SELECT epoch FROM feed_epoch").one((), |row| row.get(0))?;
    Ok(epoch.cast_unsigned())
}

/// What the row alone says of an event.
struct Head {
    /// `None` for an event that was made up for a test.
    log_index: Option<u64>,
    id: EventId,
    kind: EventKind,
    created_at: Timestamp,
}

impl Head {
    fn of_row(row: &dyn Row) -> StorageResult<Self> {
        Ok(Self {
            log_index: row.get::<Option<i64>>("log_index")?.map(i64::cast_unsigned),
            id: id(row, "event")?,
            kind: named(row, "kind", EventKind::parse)?,
            created_at: at(row, "created_at")?,
        })
    }

    /// The whole event, as far as it can be read, and about how many bytes it takes.
    fn told(
        &self,
        connection: &dyn Sql,
        keys: &OrganizationKeys,
        organization: OrganizationId,
    ) -> StorageResult<(ToldEvent, usize)> {
        Ok(match load_event(connection, keys, organization, self.id.key())? {
            Some(Stored::Event(event)) => {
                let bytes = size_of_body(&event.body);
                let told = match self.log_index {
                    Some(_) => ToldEvent::Whole(event),
                    None => ToldEvent::Test(event),
                };
                (told, bytes)
            }
            Some(Stored::Erased) | None => {
                let Self { id, kind, created_at, .. } = *self;
                (ToldEvent::Erased { id, kind, created_at }, 0)
            }
        })
    }
}

fn events_after(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    kind: Option<EventKind>,
    wanted: FeedWanted,
) -> StorageResult<FeedPage<ToldEvent>> {
    let statement = connection.sql(
        "SELECT log_index, event, kind, created_at FROM numbered_events WHERE organization = ? AND log_index > ? \
         ORDER BY log_index LIMIT ?",
    );
    let behind = params![organization.key(), wanted.after.cast_signed(), LOOKED_THROUGH + 1];
    let mut page = FeedPage { entries: Vec::new(), next: wanted.after, has_more: false };
    let (mut looked_through, mut bytes) = (0, 0);
    statement.each_of_many(behind, |row| {
        let is_full = page.entries.len() >= wanted.limit as usize || bytes >= PAGE_BYTES;
        if is_full || looked_through == LOOKED_THROUGH {
            page.has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        let head = Head::of_row(row)?;
        looked_through += 1;
        page.next = head.log_index.unwrap_or(page.next);
        if kind.is_none_or(|kind| kind == head.kind) {
            let (told, size) = head.told(connection, keys, organization)?;
            bytes += size;
            page.entries.push(told);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

/// What finds places in a feed: both statements read its unique index and one row.
struct FeedTable {
    last: &'static str,
    at_or_behind: &'static str,
    first_from: &'static str,
}

const EVENTS: FeedTable = FeedTable {
    last: "SELECT log_index FROM numbered_events WHERE organization = ? AND log_index IS NOT NULL ORDER BY log_index DESC LIMIT 1",
    at_or_behind: "SELECT event FROM numbered_events WHERE organization = ? AND log_index >= ? ORDER BY log_index LIMIT 1",
    first_from: "SELECT log_index FROM numbered_events WHERE organization = ? AND log_index > ? AND event >= ? ORDER BY log_index LIMIT 1",
};
const DECISIONS: FeedTable = FeedTable {
    last: "SELECT log_index FROM numbered_decisions WHERE organization = ? ORDER BY log_index DESC LIMIT 1",
    at_or_behind: "SELECT decision FROM numbered_decisions WHERE organization = ? AND log_index >= ? ORDER BY log_index LIMIT 1",
    first_from: "SELECT log_index FROM numbered_decisions WHERE organization = ? AND log_index > ? AND decision >= ? ORDER BY log_index LIMIT 1",
};

/// How long before its neighbours in a feed an id can have been drawn, in milliseconds: where several nodes write, their
/// clocks differ a little, and the commit that came first may be of the call that began last.
const OUT_OF_ORDER: i64 = 10_000;

/// The number behind which to begin. Ids are drawn in about the order of the numbers, and an id tells when it was drawn, so
/// a time is found by halving, some twenty rows of a million, to where its neighbourhood begins; from there one by one.
fn start_of(
    connection: &dyn Sql,
    table: &FeedTable,
    organization: OrganizationId,
    start: FeedStart,
) -> StorageResult<u64> {
    let last: Option<i64> =
        connection.sql(table.last).maybe([organization.key()], |row| row.get(0))?;
    let last = last.unwrap_or(0);
    let FeedStart::Time(time) = start else { return Ok(last.cast_unsigned()) };
    let statement = connection.sql(table.at_or_behind);
    let surely = time.as_millis().saturating_sub(OUT_OF_ORDER);
    // Everything up to `before` was recorded earlier; nothing behind `end` was recorded long before.
    let (mut before, mut end) = (0, last);
    while before < end {
        let middle = end - (end - before) / 2;
        let key: i64 = statement.one(params![organization.key(), middle], |row| row.get(0))?;
        if key >> SEQUENCE_BITS < surely {
            before = middle;
        } else {
            end = middle - 1;
        }
    }
    let from = time.as_millis().saturating_mul(1 << SEQUENCE_BITS);
    let first: Option<i64> = connection
        .sql(table.first_from)
        .maybe([organization.key(), before, from], |row| row.get(0))?;
    Ok(first.map_or(last, |first| first - 1).cast_unsigned())
}

fn decisions_after(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    wanted: FeedWanted,
) -> StorageResult<FeedPage<ToldDecision>> {
    let statement = connection.sql(
            "SELECT decisions.*, consents.purpose, purposes.name AS purpose_name \
             FROM numbered_decisions AS decisions JOIN consents USING (consent) JOIN purposes USING (purpose) \
             WHERE decisions.organization = ? AND log_index > ? ORDER BY log_index LIMIT ?",
        );
    let behind = params![organization.key(), wanted.after.cast_signed(), wanted.limit + 1];
    let mut page = FeedPage { entries: Vec::new(), next: wanted.after, has_more: false };
    statement.each_of_many(behind, |row| {
        if page.entries.len() >= wanted.limit as usize {
            page.has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        page.next = row.get::<i64>("log_index")?.cast_unsigned();
        let mut told = decision_of(row)?;
        if let Some(key) = people::key_of(connection, keys, told.subject)? {
            let sealed: Vec<u8> = row.get("sealed")?;
            said::names_in(&key, told.id, &sealed)?.give(&mut told);
        }
        page.entries.push(told);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

pub(crate) fn decision_of(row: &dyn Row) -> StorageResult<ToldDecision> {
    let decision: DecisionId = id(row, "decision")?;
    Ok(ToldDecision {
        id: decision,
        consent: id(row, "consent")?,
        purpose: id(row, "purpose")?,
        purpose_name: row.get("purpose_name")?,
        subject: id(row, "subject")?,
        reference: None,
        original: None,
        policy: maybe_id(row, "policy")?,
        policy_original: None,
        basis: named(row, "basis", LawfulBasis::parse)?,
        state: named(row, "state", PermissionState::parse)?,
        obtained_at: at(row, "obtained_at")?,
        recorded_at: at(row, "recorded_at")?,
        validity: Validity {
            from: maybe_at(row, "valid_from")?,
            until: maybe_at(row, "valid_until")?,
        },
        recorded_by: row.get("recorded_by")?,
        commitment: row.get("commitment")?,
    })
}

fn audit_before(
    connection: &dyn Sql,
    organization: OrganizationId,
    filter: &AuditFilter,
    after: Option<AuditEntryId>,
    limit: u32,
) -> StorageResult<AuditPage> {
    let statement = connection.sql(
            "SELECT entry, at, actor, action, object FROM audit WHERE organization = ? AND entry < ? AND entry >= ? \
             ORDER BY entry DESC LIMIT ?",
        );
    // An id is never drawn before the time of its entry, so nothing below this was written at or after `from`.
    let lowest = filter.from.map_or(0, |from| from.as_millis() << SEQUENCE_BITS);
    let before =
        params![organization.key(), after.map_or(i64::MAX, Id::key), lowest, LOOKED_THROUGH + 1];
    let mut entries: Vec<AuditEntryView> = Vec::new();
    let mut last = None;
    let mut looked_through = 0;
    let mut has_more = false;
    statement.each_of_many(before, |row| {
        if entries.len() >= limit as usize || looked_through == LOOKED_THROUGH {
            has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        let entry = AuditEntryView {
            id: id(row, "entry")?,
            at: at(row, "at")?,
            actor: row.get("actor")?,
            action: row.get("action")?,
            object: row.get("object")?,
        };
        looked_through += 1;
        last = Some(entry.id);
        if passes(filter, &entry) {
            entries.push(entry);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(AuditPage { entries, next: last.filter(|_| has_more) })
}

fn passes(filter: &AuditFilter, entry: &AuditEntryView) -> bool {
    let is = |wanted: &Option<String>, found: &String| {
        wanted.as_ref().is_none_or(|wanted| wanted == found)
    };
    is(&filter.actor, &entry.actor)
        && is(&filter.action, &entry.action)
        && is(&filter.object, &entry.object)
        && filter.from.is_none_or(|from| entry.at >= from)
        && filter.to.is_none_or(|to| entry.at < to)
}

#[async_trait]
impl<D: Database> Feeds for SqlStore<D> {
    async fn epoch(&self) -> StorageResult<u64> {
        Ok(self.shared.epoch)
    }

    async fn events_after(
        &self,
        organization: OrganizationId,
        kind: Option<EventKind>,
        wanted: FeedWanted,
    ) -> StorageResult<FeedPage<ToldEvent>> {
        self.database().number_feeds(organization).await?;
        self.read(move |connection, shared| {
            let keys = organization_keys(connection, shared, organization)?;
            events_after(connection, &keys, organization, kind, wanted)
        })
        .await
    }

    async fn events_start(
        &self,
        organization: OrganizationId,
        start: FeedStart,
    ) -> StorageResult<u64> {
        self.database().number_feeds(organization).await?;
        self.read(move |connection, _| {
            let removed = retention::removed_through(connection, organization)?;
            let start = start_of(connection, &EVENTS, organization, start)?;
            Ok(start.max(removed.cast_unsigned()))
        })
        .await
    }

    async fn told_event(
        &self,
        organization: OrganizationId,
        event: EventId,
    ) -> StorageResult<Option<ToldEvent>> {
        self.read(move |connection, shared| {
            let head = connection
                .sql(
                    "SELECT log_index, event, kind, created_at FROM events WHERE event = ? AND organization = ?",
                ).maybe([event.key(), organization.key()], Head::of_row)?;
            let Some(head) = head else { return Ok(None) };
            let keys = organization_keys(connection, shared, organization)?;
            head.told(connection, &keys, organization).map(|(told, _)| Some(told))
        })
        .await
    }

    async fn decisions_after(
        &self,
        organization: OrganizationId,
        wanted: FeedWanted,
    ) -> StorageResult<FeedPage<ToldDecision>> {
        self.database().number_feeds(organization).await?;
        self.read(move |connection, shared| {
            let keys = organization_keys(connection, shared, organization)?;
            decisions_after(connection, &keys, organization, wanted)
        })
        .await
    }

    async fn decisions_start(
        &self,
        organization: OrganizationId,
        start: FeedStart,
    ) -> StorageResult<u64> {
        self.database().number_feeds(organization).await?;
        self.read(move |connection, _| start_of(connection, &DECISIONS, organization, start)).await
    }

    async fn audit_before(
        &self,
        organization: OrganizationId,
        filter: AuditFilter,
        after: Option<AuditEntryId>,
        limit: u32,
    ) -> StorageResult<AuditPage> {
        self.read(move |connection, _| {
            audit_before(connection, organization, &filter, after, limit)
        })
        .await
    }
}
