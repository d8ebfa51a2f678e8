//! Partitions of events and attempts: keys are time-ordered, so a range of keys is a range of time. They are made ahead of
//! their time, and go once retention has left nothing in them: the space that rows took is the server's again then.

use abide_core::Timestamp;
use abide_core::ids::SEQUENCE_BITS;
use abide_core::retention::SHORTEST_DAYS;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::sql::Sql;

use crate::connection::Connection;

/// What one partition holds, in milliseconds: 30 days.
const SPAN: i64 = 30 * DAY;
const DAY: i64 = 24 * 3_600_000;
/// Partitions that are there beforehand, after the one of today.
const AHEAD: i64 = 2;
/// Rows that are moved into a partition that is made late, at most: everybody waits meanwhile.
const MOST_STRAYS: usize = 10_000;
/// What is partitioned.
pub(crate) const TABLES: [&str; 2] = ["events", "attempts"];

/// The partitions that should be there now and are not, by name.
pub(crate) fn missing(sql: &dyn Sql, now: Timestamp) -> StorageResult<Vec<String>> {
    let today = now.as_millis() / SPAN;
    let mut missing = Vec::new();
    for table in TABLES {
        for span in today..=today + AHEAD {
            let name = format!("{table}_{span}");
            let is_there = sql.sql("SELECT 1 WHERE to_regclass(?) IS NOT NULL").exists([&name])?;
            if !is_there {
                missing.push(name);
            }
        }
    }
    Ok(missing)
}

/// Makes the partition of today and the next ones; answers whether all are there. One that cannot be made leaves its rows to
/// the default partition, where they are found as well, and is made another time.
pub(crate) fn look_ahead(connection: &Connection, now: Timestamp) -> bool {
    let today = now.as_millis() / SPAN;
    let mut are_there = true;
    for span in today..=today + AHEAD {
        for table in TABLES {
            if let Err(why) = make(connection, table, span) {
                tracing::warn!(%why, table, "a partition could not be made");
                give_up(connection);
                are_there = false;
            }
        }
    }
    are_there
}

/// Makes a partition that is not there. Rows of its time that lie in the default one, which would stand in its way, come over.
fn make(connection: &Connection, table: &str, span: i64) -> StorageResult<()> {
    let (name, key) = (format!("{table}_{span}"), key_of(table));
    let is_there = format!("SELECT 1 WHERE to_regclass('{name}') IS NOT NULL");
    if !connection.texts(&is_there)?.is_empty() {
        return Ok(());
    }
    let (from, to) = (lowest(span), lowest(span + 1));
    let strays = format!("{key} >= {from} AND {key} < {to}");
    let found = connection
        .texts(&format!("SELECT 1 FROM {table}_default WHERE {strays} LIMIT {MOST_STRAYS} + 1"))?;
    if found.is_empty() {
        let making = making(table, span);
        return connection
            .simple(&format!("BEGIN; SET LOCAL lock_timeout = '2s'; {making}; COMMIT"));
    }
    if found.len() > MOST_STRAYS {
        return Err(StorageError::Unavailable(format!(
            "{table}_default holds more than {MOST_STRAYS} rows of its time, and goes on taking them"
        )));
    }
    connection.simple(&format!(
        "BEGIN; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '2s'; \
         LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE; \
         CREATE TABLE {name} (LIKE {table} INCLUDING ALL); \
         WITH strays AS (DELETE FROM {table}_default WHERE {strays} RETURNING *) \
         INSERT INTO {name} SELECT * FROM strays; \
         ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to}); COMMIT"
    ))
}

/// Makes the partition in which a key of a table lies; answers the lowest key behind it.
pub(crate) fn make_for(connection: &Connection, table: &str, key: i64) -> StorageResult<i64> {
    let span = (key >> SEQUENCE_BITS) / SPAN;
    connection.simple(&making(table, span))?;
    Ok(lowest(span + 1))
}

fn making(table: &str, span: i64) -> String {
    let (from, to) = (lowest(span), lowest(span + 1));
    format!(
        "CREATE TABLE IF NOT EXISTS {table}_{span} PARTITION OF {table} FOR VALUES FROM ({from}) TO ({to})"
    )
}

/// What a table is partitioned by.
fn key_of(table: &str) -> &'static str {
    if table == "events" { "event" } else { "delivery" }
}

/// The lowest key of a span.
fn lowest(span: i64) -> i64 {
    (span * SPAN) << SEQUENCE_BITS
}

/// Drops the partitions in which nothing is left and nothing will be. A row that comes with such a key all the same, an
/// attempt of a delivery from long ago that somebody asks for again, goes to the default partition.
///
/// Nobody waits for it for long: one that is in use for a tenth of a second stays until the next time. It ends early where
/// `is_over` says so.
pub(crate) fn look_back(connection: &Connection, now: Timestamp, is_over: &dyn Fn() -> bool) {
    for table in TABLES {
        let partitions = connection.texts(&format!(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
             WHERE inhparent = CAST('{table}' AS regclass) ORDER BY relname"
        ));
        // A connection that is lost is noticed by whatever is next.
        let names = partitions.unwrap_or_default().into_iter().flatten().flatten();
        for partition in names {
            if is_over() {
                return;
            }
            if !is_past(table, &partition, now) {
                continue;
            }
            match drop_empty(connection, table, &partition) {
                Ok(Left::Something) => {}
                Ok(Left::Nothing) => {
                    tracing::info!(partition, "dropped a partition: nothing was left in it");
                }
                Err(why) => {
                    tracing::debug!(%why, partition, "a partition was left for another time");
                    give_up(connection);
                }
            }
        }
    }
}

/// What was found in a partition.
enum Left {
    Something,
    Nothing,
}

fn drop_empty(connection: &Connection, table: &str, partition: &str) -> StorageResult<Left> {
    // A walk over what is dead and not yet vacuumed may be long, and there may be many partitions.
    let left = connection.texts(&format!(
        "BEGIN; SET LOCAL statement_timeout = '500ms'; SELECT 1 FROM {partition} LIMIT 1; COMMIT"
    ))?;
    if !left.is_empty() {
        return Ok(Left::Something);
    }
    // The table is locked first, as by everybody else, and with it the way to all its partitions: what is seen now stays so.
    connection.simple(&format!(
        "BEGIN; SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '200ms'; \
         LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE; \
         DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM {partition}) THEN DROP TABLE {partition}; END IF; END $$; COMMIT"
    ))?;
    Ok(Left::Nothing)
}

/// Whether it is a partition of ours, and ended so long ago that a rule can have left nothing in it.
fn is_past(table: &str, partition: &str, now: Timestamp) -> bool {
    let span = partition.strip_prefix(table).and_then(|rest| rest.strip_prefix('_'));
    let Some(span) = span.and_then(|span| span.parse::<i64>().ok()) else { return false };
    (span + 1) * SPAN + i64::from(SHORTEST_DAYS) * DAY <= now.as_millis()
}

/// Ends a transaction that failed. Where that fails, too, the connection is of no more use, and its owner makes another.
fn give_up(connection: &Connection) {
    let _ = connection.simple("ROLLBACK");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ended_before_the_shortest_time_to_keep_is_past() {
        let at = |millis| Timestamp::from_millis(millis);
        let end = 601 * SPAN;
        assert!(!is_past("events", "events_600", at(end)));
        assert!(!is_past("events", "events_600", at(end + 14 * DAY - 1)));
        assert!(is_past("events", "events_600", at(end + 14 * DAY)));
        for other in ["events_default", "events_", "events_600_old", "attempts_600", "events"] {
            assert!(!is_past("events", other, at(i64::MAX)), "{other}");
        }
    }
}
