//! Years of work in a store, put there in a minute: events, their deliveries and attempts, straight into the tables, in the
//! columns that Abide writes, so that Abide reads them.
//!
//! Every row repeats one that Abide has written: the events of a store that has met its subjects, one attempt of theirs that
//! arrived. So what they refer to, people, records and decisions, is there. Keys are of the time at which each would have
//! happened, an event's delivery right after it, and feeds and lists find all of it.

use abide_core::ids::SEQUENCE_BITS;
use anyhow::{Context as _, ensure};
use rusqlite::Connection;

use crate::figures::now_nanos;
use crate::postgres::Session;
use crate::server::Folder;

/// What is to be put there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    /// How many events, each with a delivery.
    pub(crate) events: i64,
    /// How many of the deliveries, the newest ones, have not arrived.
    pub(crate) open: i64,
    /// What those are.
    pub(crate) standing: Standing,
    /// When the first event happened and the last, in milliseconds since 1970.
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// How deliveries stand that have not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Tried once in vain, by the endpoint that hangs; due again in some hours.
    Behind,
    /// Due, for the endpoints that answer.
    Due,
    /// In the memory of who holds that lease, for the endpoints that answer.
    Hot { lease: i64 },
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Until then nothing that is behind falls due: longer than a run.
const DUE_IN: i64 = 12 * HOUR;
/// What one partition holds in the PostgreSQL store.
const PARTITION: i64 = 30 * DAY;
/// Deliveries of one stretch, as many as a busy organization's has.
const STRETCH: i64 = 10_000;

/// Ten million rows: an event, a delivery and an attempt of each, a million of them pending, over the time from 400 days ago
/// to yesterday.
pub(crate) fn ten_million() -> History {
    let now = (now_nanos() / 1_000_000).cast_signed();
    History {
        events: 3_333_334,
        open: 1_000_000,
        standing: Standing::Behind,
        from: now - 400 * DAY,
        to: now - DAY,
    }
}

/// What runs the statements: the two databases read the same ones.
trait Tables {
    fn run(&mut self, statements: &str) -> anyhow::Result<()>;
    fn number(&mut self, statement: &str) -> anyhow::Result<i64>;
}

impl Tables for Connection {
    fn run(&mut self, statements: &str) -> anyhow::Result<()> {
        self.execute_batch(statements).with_context(|| format!("SQLite refused {statements}"))
    }

    fn number(&mut self, statement: &str) -> anyhow::Result<i64> {
        Ok(self.query_row(statement, [], |row| row.get(0))?)
    }
}

impl Tables for Session {
    fn run(&mut self, statements: &str) -> anyhow::Result<()> {
        Session::run(self, statements)
    }

    fn number(&mut self, statement: &str) -> anyhow::Result<i64> {
        Session::number(self, statement)?.context("a statement answered nothing")
    }
}

/// Puts a history into a store that nobody serves; one of just now, over PostgreSQL, also beside nodes at work.
pub(crate) fn put(folder: &Folder, history: &History) -> anyhow::Result<()> {
    if let Some(database) = folder.database() {
        let mut session = database.session()?;
        // What is flushed is flushed once, at the end.
        session.run("SET synchronous_commit = off; SET work_mem = '256MB'")?;
        session.run(&partitions(history))?;
        session.run("BEGIN")?;
        write(&mut session, history, Feed::Beside)?;
        session.run("COMMIT; SET synchronous_commit = on")?;
        if history.standing == Standing::Behind {
            session.run("CHECKPOINT")?;
            // As autovacuum would have left it, had all this come by and by.
            session.run("VACUUM (ANALYZE)")?;
        }
        Ok(())
    } else {
        let mut connection = Connection::open(folder.data().join("abide.db"))?;
        connection.run("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; BEGIN")?;
        write(&mut connection, history, Feed::Within)?;
        connection.run("COMMIT; PRAGMA synchronous = FULL")?;
        // The start is not to find it all in the log.
        let busy: i64 = connection.number("PRAGMA wal_checkpoint(TRUNCATE)")?;
        ensure!(busy == 0, "the log could not be emptied");
        Ok(())
    }
}

/// Where events have their number in the feed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feed {
    /// In their row.
    Within,
    /// In a table beside.
    Beside,
}

fn write(tables: &mut impl Tables, history: &History, feed: Feed) -> anyhow::Result<()> {
    let History { events, open, from, to, .. } = *history;
    tables.run(
        "CREATE TEMPORARY TABLE samples AS SELECT row_number() OVER (ORDER BY event) - 1 AS place, organization, kind, \
         subject, render_version, batch, consent, decision, version, state, withdrawn_at, sealed FROM events \
         WHERE subject IS NOT NULL; \
         CREATE INDEX samples_by_place ON samples (place); \
         CREATE TEMPORARY TABLE tried AS SELECT attempts.*, deliveries.organization AS of FROM attempts \
         JOIN deliveries ON deliveries.delivery = attempts.delivery WHERE status = 204 LIMIT 1; \
         CREATE TEMPORARY TABLE receivers AS SELECT row_number() OVER (ORDER BY endpoint) - 1 AS place, endpoint \
         FROM endpoints WHERE url NOT LIKE '%/hang%'; \
         CREATE TEMPORARY TABLE hanging AS SELECT endpoint FROM endpoints WHERE url LIKE '%/hang%' LIMIT 1",
    )?;
    let samples = tables.number("SELECT count(*) FROM samples")?;
    let receivers = tables.number("SELECT count(*) FROM receivers")?;
    let tried = tables.number("SELECT count(*) FROM tried")?;
    ensure!(samples > 0 && receivers > 0 && tried > 0, "nothing to repeat");
    let at = format!("({from} + n * {} / {events})", to - from);
    // Two keys of each time's own, an event's and its delivery's.
    let key = |more: i64| format!("({at} * {} + n % 500000 * 4 + {more})", 1_i64 << SEQUENCE_BITS);
    let (event, delivery) = (key(1), key(2));
    let numbers = |from: i64, below: i64| {
        format!(
            "WITH RECURSIVE numbers (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {below}) "
        )
    };
    let of_samples = format!("FROM numbers CROSS JOIN samples WHERE samples.place = n % {samples}");
    let number = if feed == Feed::Within {
        tables.run(&format!(
            "UPDATE events SET log_index = log_index + {events} WHERE log_index IS NOT NULL"
        ))?;
        "n + 1"
    } else if history.standing != Standing::Behind {
        // As Abide leaves them: whoever reads the feed next numbers them.
        tables.run(&format!(
            "INSERT INTO unnumbered_events (organization, event) {} SELECT samples.organization, {event} {of_samples}",
            numbers(0, events)
        ))?;
        "0"
    } else {
        tables.run(&format!(
            "UPDATE event_feed SET log_index = log_index + {events}; \
             UPDATE feed_heads SET events = events + {events}; \
             INSERT INTO event_feed (organization, log_index, event) {} SELECT samples.organization, n + 1, {event} {of_samples}",
            numbers(0, events)
        ))?;
        "0"
    };
    tables.run(&format!(
        "INSERT INTO events (event, organization, kind, subject, created_at, render_version, batch, log_index, consent, \
         decision, version, state, withdrawn_at, sealed) {} \
         SELECT {event}, organization, kind, subject, {at}, render_version, batch, {number}, consent, decision, version, \
         state, withdrawn_at, sealed {of_samples}",
        numbers(0, events)
    ))?;
    let now = (now_nanos() / 1_000_000).cast_signed();
    let receiver = format!("(SELECT endpoint FROM receivers WHERE place = n % {receivers})");
    let (state, lease, due_at, attempts, endpoint) = match history.standing {
        Standing::Behind => (
            "pending",
            "NULL".to_owned(),
            format!("{} + n * 61 % {DAY}", now + DUE_IN),
            1,
            "(SELECT endpoint FROM hanging)".to_owned(),
        ),
        Standing::Due => ("pending", "NULL".to_owned(), now.to_string(), 0, receiver.clone()),
        Standing::Hot { lease } => {
            ("hot", lease.to_string(), "NULL".to_owned(), 0, receiver.clone())
        }
    };
    let deliveries = "INSERT INTO deliveries (delivery, organization, event, endpoint, subject, state, lease, due_at, \
                      attempts, attempts_in_run) ";
    let arrived = events - open;
    if arrived > 0 {
        tables.run(&format!(
            "{deliveries} {} SELECT {delivery}, organization, {event}, {receiver}, subject, 'delivered', NULL, NULL, 1, 1 \
             {of_samples}",
            numbers(0, arrived)
        ))?;
    }
    tables.run(&format!(
        "{deliveries} {} SELECT {delivery}, organization, {event}, {endpoint}, subject, '{state}', {lease}, {due_at}, \
         {attempts}, {attempts} {of_samples}",
        numbers(arrived, events)
    ))?;
    let tried = if attempts == 0 { arrived } else { events };
    if tried > 0 {
        tables.run(&format!(
            "INSERT INTO attempts (delivery, number, lease, started_at, signed_at, duration_millis, ending, trigger, token, \
             body_sha256, body_length, object_version, endpoint_version, status, error, answer, late) {} \
             SELECT {delivery}, number, lease, {at} + 1, {at} + 1, \
             CASE WHEN n < {arrived} THEN duration_millis ELSE 10000 END, \
             CASE WHEN n < {arrived} THEN ending ELSE 'unknown' END, \
             trigger, token, body_sha256, body_length, object_version, endpoint_version, \
             CASE WHEN n < {arrived} THEN status END, CASE WHEN n < {arrived} THEN error ELSE 'timeout' END, answer, late \
             FROM numbers CROSS JOIN tried",
            numbers(0, tried)
        ))?;
    }
    note_stretches(tables, history, &key(2), &numbers)
}

/// Notes for lists where the deliveries stand: each owner has some everywhere.
fn note_stretches(
    tables: &mut impl Tables,
    history: &History,
    delivery: &str,
    numbers: &impl Fn(i64, i64) -> String,
) -> anyhow::Result<()> {
    // What is made anew is noted by Abide itself.
    if history.standing != Standing::Behind {
        return Ok(());
    }
    let each = |owner: &str, from: i64, below: i64| {
        format!(
            "INSERT INTO delivery_stretches (owner, first, last) {} \
             SELECT owner, min({delivery}), max({delivery}) FROM numbers CROSS JOIN {owner} \
             WHERE n >= {from} GROUP BY owner, n / {STRETCH}",
            numbers(from, below)
        )
    };
    let arrived = history.events - history.open;
    tables.run(&each("(SELECT of AS owner FROM tried) AS owners", 0, history.events))?;
    tables.run(&each("(SELECT endpoint AS owner FROM receivers) AS owners", 0, arrived))?;
    tables.run(&each("(SELECT endpoint AS owner FROM hanging) AS owners", arrived, history.events))
}

/// The partitions that Abide would have made in time.
fn partitions(history: &History) -> String {
    let spans = history.from / PARTITION..=history.to / PARTITION;
    let key = |span: i64| (span * PARTITION) << SEQUENCE_BITS;
    let each = spans.flat_map(|span| {
        ["events", "attempts"].map(|table| {
            format!(
                "CREATE TABLE IF NOT EXISTS {table}_{span} PARTITION OF {table} FOR VALUES FROM ({}) TO ({});",
                key(span),
                key(span + 1)
            )
        })
    });
    each.collect()
}
