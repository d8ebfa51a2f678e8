//! What is kept for a time only: looked for beside the writer, removed by it in short transactions.
//!
//! No index serves it, so that nothing pays for it when it is written. Events are found by their numbers, deliveries by the
//! stretches in which their organization has some, audit entries by their key; ages are those of ids. A walk begins anew each
//! time, so what it had to leave goes with a later one.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::delivery::DeliveryState;
use abide_core::ids::{EndpointId, OrganizationId, SEQUENCE_BITS};
use abide_core::retention::{Retention, RetentionPatch, older_than};
use abide_storage::retention::OldPlace;
use abide_storage::{Retentions, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::deletions::REMOVE_EVENT;
use crate::delivery_log::first_key_at;
use crate::leases::must_do_chores;
use crate::params;
use crate::rows::id;
use crate::shared::Nodes;
use crate::sql::{Row, Sql};
use crate::store::SqlStore;
use crate::tx::Tx;

/// The kinds, in the order in which they are walked.
const EVENTS: u8 = 0;
const TEST_EVENTS: u8 = 1;
const DELIVERIES: u8 = 2;
const AUDIT: u8 = 3;
const OVER: u8 = 4;

/// Stretches of each owner that are forgotten at once.
const STRETCHES: u32 = 500;

#[async_trait]
impl<D: Database> Retentions for SqlStore<D> {
    async fn retention(&self, organization: OrganizationId) -> StorageResult<Retention> {
        self.read(move |connection, _| of(connection, organization)).await
    }

    async fn change_retention(
        &self,
        by: &Caller,
        patch: RetentionPatch,
        now: Timestamp,
    ) -> StorageResult<Retention> {
        self.act(by, 128, now, move |tx, by| {
            let before = of(tx.connection(), by.organization)?;
            let changed = before.changed(patch)?;
            if changed == before {
                return Ok(before);
            }
            tx.sql(
                "INSERT INTO retention (organization, deliveries_days, events_days, audit_days) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (organization) DO UPDATE SET deliveries_days = excluded.deliveries_days, \
                 events_days = excluded.events_days, audit_days = excluded.audit_days",
            )
            .execute(params![
                by.organization.key(),
                changed.deliveries_days,
                changed.events_days,
                changed.audit_days
            ])?;
            tx.audit(by, "organization.change_retention", &by.organization.to_string(), now)?;
            Ok(changed)
        })
        .await
    }

    async fn events_removed_through(&self, organization: OrganizationId) -> StorageResult<u64> {
        self.read(move |connection, _| {
            removed_through(connection, organization).map(i64::cast_unsigned)
        })
        .await
    }

    async fn remove_old(
        &self,
        after: Option<OldPlace>,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<Option<OldPlace>> {
        let page = self.read(move |connection, _| next(connection, after, limit, now)).await?;
        let Some(page) = page else { return Ok(None) };
        let next = page.next;
        if page.found.is_empty() && !page.ends_walk {
            return Ok(Some(next));
        }
        self.write_alone(64 + 16 * page.found.len(), page.organization, move |tx| {
            must_do_chores(tx)?;
            remove(tx, &page)?;
            Ok(Some(next))
        })
        .await
    }
}

fn of(connection: &dyn Sql, organization: OrganizationId) -> StorageResult<Retention> {
    let found = connection
        .sql(
            "SELECT deliveries_days, events_days, audit_days FROM retention WHERE organization = ?",
        )
        .maybe([organization.key()], of_row)?;
    Ok(found.unwrap_or_default())
}

fn of_row(row: &dyn Row) -> StorageResult<Retention> {
    Ok(Retention {
        deliveries_days: row.get("deliveries_days")?,
        events_days: row.get("events_days")?,
        audit_days: row.get("audit_days")?,
    })
}

/// The number of the last event that went.
pub(crate) fn removed_through(
    connection: &dyn Sql,
    organization: OrganizationId,
) -> StorageResult<i64> {
    let found = connection
        .sql("SELECT events_removed_through FROM retention WHERE organization = ?")
        .maybe([organization.key()], |row| row.get(0))?;
    Ok(found.unwrap_or(0))
}

/// What one turn found.
#[derive(Debug, Clone)]
struct Page {
    organization: OrganizationId,
    kind: u8,
    /// Keys of rows whose time is over, with the place of each: an event's number in its feed.
    found: Vec<(i64, i64)>,
    /// Keys below this one are old.
    cutoff: i64,
    /// Whether this ends a walk through deliveries that left none: then their stretches go, too.
    ends_walk: bool,
    next: OldPlace,
}

fn next(
    connection: &dyn Sql,
    after: Option<OldPlace>,
    limit: u32,
    now: Timestamp,
) -> StorageResult<Option<Page>> {
    let from = after.map_or(0, |place| place.organization.key());
    let ruled: Option<(OrganizationId, Retention)> = connection
        .sql(
            "SELECT organization, deliveries_days, events_days, audit_days FROM retention WHERE organization >= ? \
             AND (deliveries_days IS NOT NULL OR events_days IS NOT NULL OR audit_days IS NOT NULL) \
             ORDER BY organization LIMIT 1",
        )
        .maybe([from], |row| Ok((id(row, "organization")?, of_row(row)?)))?;
    let Some((organization, rules)) = ruled else { return Ok(None) };
    let begin = OldPlace { organization, kind: EVENTS, key: 0, left: false };
    let place = after.filter(|place| place.organization == organization).unwrap_or(begin);
    let days = match place.kind {
        EVENTS | TEST_EVENTS => rules.events_days,
        // They go with their events at the latest.
        DELIVERIES => rules.deliveries_days.or(rules.events_days),
        AUDIT => rules.audit_days,
        _ => None,
    };
    let mut page = Page {
        organization,
        kind: place.kind,
        found: Vec::new(),
        cutoff: 0,
        ends_walk: false,
        next: place,
    };
    let is_over = match days {
        None => true,
        Some(days) => {
            page.cutoff = first_key_at(older_than(days, now));
            look(connection, &mut page, limit)?
        }
    };
    if is_over {
        page.ends_walk = place.kind == DELIVERIES && days.is_some() && !page.next.left;
        page.next = OldPlace { kind: place.kind + 1, key: 0, left: false, ..place };
        if page.next.kind == OVER {
            let next = OrganizationId::from_key(organization.key() + 1);
            page.next = OldPlace { organization: next, kind: EVENTS, ..page.next };
        }
    }
    Ok(Some(page))
}

/// Looks at some rows; answers whether that was the end of the kind.
fn look(connection: &dyn Sql, page: &mut Page, limit: u32) -> StorageResult<bool> {
    match page.kind {
        EVENTS | TEST_EVENTS => look_at_events(connection, page, limit),
        DELIVERIES => look_at_deliveries(connection, page, limit),
        _ => {
            let keys: Vec<i64> = connection
                .sql("SELECT entry FROM audit WHERE organization = ? AND entry < ? ORDER BY entry LIMIT ?")
                .all(params![page.organization.key(), page.cutoff, limit], |row| row.get(0))?;
            let is_over = keys.len() < limit as usize;
            page.found = keys.into_iter().map(|key| (key, 0)).collect();
            Ok(is_over)
        }
    }
}

/// Whether a delivery of an event has not ended, or a lane's state is still told by it: then there is a row.
const IS_WAITED_FOR: &str = "SELECT 1 FROM deliveries WHERE event = ?1 AND is_right_after(?1) \
     AND state IN ('hot', 'pending', 'claimed', 'parked', 'held') \
     UNION ALL SELECT 1 FROM deliveries WHERE event = ?1 AND repeats = 1 \
     AND state IN ('hot', 'pending', 'claimed', 'parked', 'held') \
     UNION ALL SELECT 1 FROM lanes WHERE lanes.event = ?1 \
     AND lanes.subject = (SELECT subject FROM events WHERE event = ?1) LIMIT 1";

fn look_at_events(connection: &dyn Sql, page: &mut Page, limit: u32) -> StorageResult<bool> {
    let statement = if page.kind == EVENTS {
        "SELECT event, log_index FROM numbered_events WHERE organization = ?1 AND log_index > ?2 \
         ORDER BY log_index LIMIT ?3"
    } else {
        "SELECT event, event AS log_index FROM events WHERE organization = ?1 AND log_index IS NULL AND event > ?2 \
         ORDER BY event LIMIT ?3"
    };
    let rows: Vec<(i64, i64)> = connection
        .sql(statement)
        .all(params![page.organization.key(), page.next.key, limit], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let mut is_over = rows.len() < limit as usize;
    for (event, place) in rows {
        if event >= page.cutoff {
            is_over = true;
            break;
        }
        page.next.key = place;
        if !connection.sql(IS_WAITED_FOR).exists([event])? {
            page.found.push((event, place));
        }
    }
    Ok(is_over)
}

/// Whether a delivery was still tried after its time: then there is a row.
const WAS_TRIED_SINCE: &str =
    "SELECT 1 FROM attempts WHERE delivery = ? AND started_at >= ? LIMIT 1";

/// The stretch that holds what comes behind a key, or else the one that begins next.
fn stretch_behind(connection: &dyn Sql, owner: i64, key: i64) -> StorageResult<Option<(i64, i64)>> {
    let ends = |row: &dyn Row| Ok((row.get::<i64>("first")?, row.get::<i64>("last")?));
    let holds = connection
        .sql(
            "SELECT first, last FROM delivery_stretches WHERE owner = ? AND first <= ? ORDER BY first DESC LIMIT 1",
        )
        .maybe([owner, key], ends)?;
    if let Some(found) = holds.filter(|(_, last)| *last > key) {
        return Ok(Some(found));
    }
    connection
        .sql("SELECT first, last FROM delivery_stretches WHERE owner = ? AND first > ? ORDER BY first LIMIT 1")
        .maybe([owner, key], ends)
}

fn look_at_deliveries(connection: &dyn Sql, page: &mut Page, limit: u32) -> StorageResult<bool> {
    let owner = page.organization.key();
    let stretch = stretch_behind(connection, owner, page.next.key)?;
    let Some((first, last)) = stretch.filter(|(first, _)| *first < page.cutoff) else {
        return Ok(true);
    };
    let from = page.next.key.max(first - 1);
    let rows: Vec<(i64, i64, String)> = connection
        .sql(
            "SELECT delivery, organization, state FROM deliveries NOT INDEXED WHERE delivery > ? AND delivery <= ? \
             ORDER BY delivery LIMIT ?",
        )
        .all(params![from, last.min(page.cutoff - 1), limit], |row| {
            Ok((row.get("delivery")?, row.get("organization")?, row.get("state")?))
        })?;
    let is_stretch_over = rows.len() < limit as usize;
    let since = page.cutoff >> SEQUENCE_BITS;
    for (delivery, of, state) in rows {
        page.next.key = delivery;
        if of != owner {
            continue;
        }
        let has_ended = DeliveryState::parse(&state).is_some_and(DeliveryState::is_final);
        if has_ended && !connection.sql(WAS_TRIED_SINCE).exists([delivery, since])? {
            page.found.push((delivery, 0));
        } else {
            page.next.left = true;
        }
    }
    if is_stretch_over {
        page.next.key = page.next.key.max(last);
    }
    Ok(last >= page.cutoff && is_stretch_over)
}

fn remove(tx: &Tx<'_>, page: &Page) -> StorageResult<()> {
    let organization = page.organization;
    // What was seen beside the writer may have changed since: the rules, and what waits.
    if of(tx.connection(), organization)?.is_for_ever() {
        return Ok(());
    }
    for (key, number) in &page.found {
        match page.kind {
            EVENTS => remove_event(tx, organization, *key, Some(*number))?,
            TEST_EVENTS => remove_event(tx, organization, *key, None)?,
            DELIVERIES => remove_delivery(tx, *key, page.cutoff)?,
            _ => {
                tx.sql("DELETE FROM audit WHERE organization = ? AND entry = ?")
                    .execute([organization.key(), *key])?;
            }
        }
    }
    if page.ends_walk { forget_stretches(tx, organization, page.cutoff) } else { Ok(()) }
}

/// Removes an event, and notes its number where it has one.
fn remove_event(
    tx: &Tx<'_>,
    organization: OrganizationId,
    event: i64,
    number: Option<i64>,
) -> StorageResult<()> {
    if tx.sql(IS_WAITED_FOR).exists([event])? {
        return Ok(());
    }
    for statement in REMOVE_EVENT {
        tx.sql(statement).execute([event])?;
    }
    if let Some(number) = number {
        if tx.shared().nodes == Nodes::Several {
            tx.sql("DELETE FROM event_feed WHERE organization = ? AND log_index = ?")
                .execute([organization.key(), number])?;
        }
        tx.sql(
            "UPDATE retention SET events_removed_through = greatest(events_removed_through, ?) WHERE organization = ?",
        )
        .execute([number, organization.key()])?;
    }
    Ok(())
}

fn remove_delivery(tx: &Tx<'_>, delivery: i64, cutoff: i64) -> StorageResult<()> {
    if tx.sql(WAS_TRIED_SINCE).exists([delivery, cutoff >> SEQUENCE_BITS])? {
        return Ok(());
    }
    let removed = tx
        .sql(
            "DELETE FROM deliveries WHERE delivery = ? \
             AND state NOT IN ('hot', 'pending', 'claimed', 'parked', 'held')",
        )
        .execute([delivery])?;
    if removed > 0 {
        tx.sql("DELETE FROM attempts WHERE delivery = ?").execute([delivery])?;
        tx.sql("DELETE FROM asks WHERE delivery = ?").execute([delivery])?;
    }
    Ok(())
}

/// Lists need not look any more where all deliveries have gone.
fn forget_stretches(tx: &Tx<'_>, organization: OrganizationId, cutoff: i64) -> StorageResult<()> {
    let endpoints: Vec<EndpointId> = tx
        .sql("SELECT endpoint FROM endpoints WHERE organization = ?")
        .all([organization.key()], |row| id(row, "endpoint"))?;
    for owner in endpoints.iter().map(|endpoint| endpoint.key()).chain([organization.key()]) {
        tx.sql(
            "DELETE FROM delivery_stretches WHERE owner = ?1 AND first IN (SELECT first FROM delivery_stretches \
             WHERE owner = ?1 AND first < ?2 AND last < ?2 ORDER BY first LIMIT ?3)",
        )
        .execute(params![owner, cutoff, STRETCHES])?;
    }
    Ok(())
}
