//! Numbers for the feeds, given under a lock on the feed's head that lasts until the commit: so each is given once, and none
//! is seen before all below it. A transaction of many calls gives them to its own rows, right before its commit, where nobody
//! else holds the head; what others write meanwhile is noted down, and numbered after its commit.

use std::collections::{BTreeMap, BTreeSet};

use abide_core::ids::{Id, OrganizationId};
use abide_storage::StorageResult;
use abide_storage_sql::damaged;
use abide_storage_sql::sql::Sql;

use crate::connection::Connection;

/// Whether everything that is committed has its number.
pub(crate) fn is_numbered(sql: &dyn Sql, of: OrganizationId) -> StorageResult<bool> {
    let waits = sql
        .sql(
            "SELECT 1 FROM unnumbered_decisions WHERE organization = ?1 \
             UNION ALL SELECT 1 FROM unnumbered_events WHERE organization = ?1 LIMIT 1",
        )
        .exists([of.key()])?;
    Ok(!waits)
}

/// Numbers what is committed, in the order of its keys.
pub(crate) fn number(sql: &dyn Sql, of: OrganizationId) -> StorageResult<()> {
    sql.sql(
        "INSERT INTO feed_heads (organization) VALUES (?) ON CONFLICT (organization) DO NOTHING",
    )
    .execute([of.key()])?;
    // The statements below see what was committed before this lock was given.
    sql.sql("SELECT 1 FROM feed_heads WHERE organization = ? FOR UPDATE").exists([of.key()])?;
    sql.sql(
        "WITH taken AS (DELETE FROM unnumbered_decisions WHERE organization = ?1 RETURNING decision), \
         given AS (INSERT INTO decision_feed (organization, log_index, decision) \
         SELECT ?1, (SELECT decisions FROM feed_heads WHERE organization = ?1) + row_number() OVER (ORDER BY decision), \
         decision FROM taken RETURNING log_index) \
         UPDATE feed_heads SET decisions = coalesce((SELECT max(log_index) FROM given), decisions) WHERE organization = ?1",
    )
    .execute([of.key()])?;
    sql.sql(
        "WITH taken AS (DELETE FROM unnumbered_events WHERE organization = ?1 RETURNING event), \
         given AS (INSERT INTO event_feed (organization, log_index, event) \
         SELECT ?1, (SELECT events FROM feed_heads WHERE organization = ?1) + row_number() OVER (ORDER BY event), \
         event FROM taken RETURNING log_index) \
         UPDATE feed_heads SET events = coalesce((SELECT max(log_index) FROM given), events) WHERE organization = ?1",
    )
    .execute([of.key()])?;
    Ok(())
}

/// A feed, for what a transaction adds to it.
struct Feed {
    /// Where its new rows are noted down, to be numbered later.
    unnumbered: &'static str,
    note: &'static str,
    number: &'static str,
    last: fn(&mut Head) -> &mut i64,
}

const DECISIONS: Feed = Feed {
    unnumbered: "unnumbered_decisions",
    note: "INSERT INTO unnumbered_decisions (organization, decision) VALUES (?, ?)",
    number: "INSERT INTO decision_feed (organization, log_index, decision) VALUES (?, ?, ?)",
    last: |head| &mut head.decisions,
};

const EVENTS: Feed = Feed {
    unnumbered: "unnumbered_events",
    note: "INSERT INTO unnumbered_events (organization, event) VALUES (?, ?)",
    number: "INSERT INTO event_feed (organization, log_index, event) VALUES (?, ?, ?)",
    last: |head| &mut head.events,
};

/// The last numbers of an organization's feeds.
#[derive(Debug, Clone, Copy)]
struct Head {
    decisions: i64,
    events: i64,
}

/// Numbers what the open transaction adds to feeds, as its last act before it writes and commits. It waits for nobody's head:
/// where another transaction holds one, what this one adds is noted down and numbered later.
pub(crate) fn number_own(connection: &Connection) -> StorageResult<()> {
    let decisions = connection.take_pairs(DECISIONS.unnumbered);
    let events = connection.take_pairs(EVENTS.unnumbered);
    let all: BTreeSet<i64> = decisions.iter().chain(&events).map(|(of, _)| *of).collect();
    if all.is_empty() {
        return Ok(());
    }
    // The heads are held from here to the commit: what takes its time comes before.
    connection.write_all()?;
    let mut heads = held(connection, &all)?;
    let sql: &dyn Sql = connection;
    add(sql, &DECISIONS, decisions, &mut heads)?;
    add(sql, &EVENTS, events, &mut heads)?;
    for (of, head) in heads {
        sql.sql("UPDATE feed_heads SET decisions = ?2, events = ?3 WHERE organization = ?1")
            .later(of, [of, head.decisions, head.events])?;
    }
    Ok(())
}

/// Adds rows, each an organization's and with its key, in the order of their keys.
fn add(
    sql: &dyn Sql,
    feed: &Feed,
    mut rows: Vec<(i64, i64)>,
    heads: &mut BTreeMap<i64, Head>,
) -> StorageResult<()> {
    rows.sort_unstable();
    for (of, key) in rows {
        match heads.get_mut(&of).map(feed.last) {
            Some(last) => {
                *last += 1;
                sql.sql(feed.number).later(key, [of, *last, key])?;
            }
            None => sql.sql(feed.note).later(key, [of, key])?,
        }
    }
    Ok(())
}

/// The heads that nobody else holds, and nobody else will until the transaction ends. What was committed without a number has
/// one then.
fn held(connection: &Connection, of: &BTreeSet<i64>) -> StorageResult<BTreeMap<i64, Head>> {
    let mut heads = BTreeMap::new();
    for (of, head, waits) in look(connection, of)? {
        if waits {
            number(connection, Id::from_key(of))?;
            heads.extend(look(connection, &BTreeSet::from([of]))?.map(|(of, head, _)| (of, head)));
        } else {
            heads.insert(of, head);
        }
    }
    Ok(heads)
}

/// The heads of organizations that nobody else holds, and whether something waits to be numbered there.
fn look(
    connection: &Connection,
    of: &BTreeSet<i64>,
) -> StorageResult<impl Iterator<Item = (i64, Head, bool)> + use<>> {
    let keys: Vec<String> = of.iter().map(ToString::to_string).collect();
    let rows = connection.texts(&format!(
        "SELECT organization, decisions, events, CAST(EXISTS (SELECT FROM unnumbered_decisions AS waiting \
         WHERE waiting.organization = feed_heads.organization) OR EXISTS (SELECT FROM unnumbered_events AS waiting \
         WHERE waiting.organization = feed_heads.organization) AS INT) FROM feed_heads WHERE organization IN ({}) \
         ORDER BY organization FOR UPDATE SKIP LOCKED",
        keys.join(",")
    ))?;
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i64>().ok());
    let heads = rows.iter().map(|row| {
        let numbers: Option<Vec<i64>> = row.iter().map(number).collect();
        match numbers.as_deref() {
            Some(&[of, decisions, events, waits]) => {
                Ok((of, Head { decisions, events }, waits != 0))
            }
            _ => Err(damaged("feed_heads")),
        }
    });
    Ok(heads.collect::<StorageResult<Vec<_>>>()?.into_iter())
}
