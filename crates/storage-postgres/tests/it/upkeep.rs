//! What a node does beside all calls: it takes its time, and keeps nobody waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abide_storage::Storage as _;
use abide_storage_postgres::PostgresStore;
use abide_storage_sql::database::Database as _;

use crate::server::Database;
use crate::waits::beside;

/// What one partition holds, in milliseconds.
const SPAN: i64 = 30 * 24 * 3_600_000;

/// A database whose tables are there, and that no node has opened.
async fn with_tables() -> Database {
    let database = Database::new().await;
    let url = database.url();
    let migrated = tokio::task::spawn_blocking(move || abide_storage_postgres::migrate(&url));
    migrated.await.expect("a task").expect("whole");
    database
}

async fn opened(database: &Database) -> Arc<PostgresStore> {
    crate::store(database).await
}

/// The span of now, by the database.
async fn today(database: &Database) -> i64 {
    database.ask("SELECT database_time(0)").await / SPAN
}

/// I15: a feed that cannot be numbered, because a node stands still that was at it, keeps neither the clock nor another
/// organization's feed waiting.
#[tokio::test(flavor = "multi_thread")]
async fn i15_the_clock_goes_on_beside_a_feed_that_stands_still() {
    let database = with_tables().await;
    let other = beside(&database).await;
    other.batch_execute("INSERT INTO feed_heads (organization) VALUES (1)").await.unwrap();
    let still = "BEGIN; SELECT 1 FROM feed_heads WHERE organization = 1 FOR UPDATE";
    other.batch_execute(still).await.unwrap();
    database.run("INSERT INTO unnumbered_events (organization, event) VALUES (1, 1), (2, 2)").await;
    let store = opened(&database).await;
    let begun = Instant::now();
    let left = "SELECT count(*) FROM unnumbered_events WHERE organization = 2";
    let (mut numbered_after, mut broken) = (None, None);
    // Longer than a measurement of the time is good for.
    while begun.elapsed() < Duration::from_secs(8) {
        if numbered_after.is_none() && database.ask(left).await == 0 {
            numbered_after = Some(begun.elapsed());
        }
        broken = broken.or_else(|| store.database().broken());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(broken, None);
    assert!(
        numbered_after < Some(Duration::from_secs(5)) && numbered_after.is_some(),
        "{numbered_after:?}"
    );
    let left = "SELECT count(*) FROM unnumbered_events";
    while database.ask(left).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(15), "it is never numbered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A partition for now is there before anything can be written.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_row_finds_its_partition() {
    let database = with_tables().await;
    let other = beside(&database).await;
    let today = today(&database).await;
    let store = opened(&database).await;
    let there = "SELECT count(*) FROM pg_inherits \
                 WHERE inhparent IN (CAST('events' AS regclass), CAST('attempts' AS regclass))";
    let there: i64 = other.query_one(there, &[]).await.unwrap().get(0);
    assert_eq!(there, 2 * 4, "today's, two more and the default");
    let named = format!("SELECT count(*) FROM pg_class WHERE relname = 'events_{today}'");
    assert_eq!(database.ask(&named).await, 1);
    store.close();
}

/// Rows that came before their partition go over into it, and no row stands in the way of later partitions.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_came_before_their_partition_move_into_it() {
    let database = with_tables().await;
    let today = today(&database).await;
    let key = |span: i64| (span * SPAN) << 21;
    let (first, last, later) = (key(today), key(today + 1) - 1, key(today + 40));
    database
        .run(&format!(
            "INSERT INTO events (event, organization, kind, created_at, render_version, sealed) \
             VALUES ({first}, 1, 'stray', 7, 1, 'sealed'), ({last}, 1, 'stray', 0, 1, NULL), ({later}, 1, 'other', 0, 1, NULL); \
             INSERT INTO attempts (delivery, number, lease, started_at, trigger, object_version) \
             VALUES ({first}, 1, 1, 0, 'manual', 1)"
        ))
        .await;
    let store = opened(&database).await;
    for (table, count) in [("events", 2), ("attempts", 1)] {
        let moved = format!("SELECT count(*) FROM {table}_{today}");
        assert_eq!(database.ask(&moved).await, count, "{table}");
    }
    assert_eq!(database.ask("SELECT count(*) FROM attempts_default").await, 0);
    assert_eq!(database.ask("SELECT count(*) FROM events_default").await, 1, "of another time");
    let whole = format!(
        "SELECT count(*) FROM events WHERE event = {first} AND created_at = 7 AND sealed = 'sealed'"
    );
    assert_eq!(database.ask(&whole).await, 1);
    // As those that are made empty: there is one row of a key.
    let again = format!(
        "INSERT INTO events (event, organization, kind, created_at, render_version) \
         VALUES ({first}, 1, 'again', 0, 1) ON CONFLICT (event) DO NOTHING"
    );
    database.run(&again).await;
    assert_eq!(database.ask("SELECT count(*) FROM events").await, 3);
    store.close();
}

/// Many rows are not moved while everybody waits: they stay where they are, and are found there.
#[tokio::test(flavor = "multi_thread")]
async fn many_rows_without_a_partition_stay() {
    let database = with_tables().await;
    let today = today(&database).await;
    let first = (today * SPAN) << 21;
    database
        .run(&format!(
            "INSERT INTO events (event, organization, kind, created_at, render_version) \
             SELECT {first} + number, 1, 'stray', 0, 1 FROM generate_series(1, 10001) AS number"
        ))
        .await;
    let store = opened(&database).await;
    let there = |table| format!("SELECT count(*) FROM pg_class WHERE relname = '{table}_{today}'");
    assert_eq!(database.ask(&there("events")).await, 0);
    assert_eq!(database.ask(&there("attempts")).await, 1, "the others are made");
    assert_eq!(database.ask("SELECT count(*) FROM events_default").await, 10_001);
    store.close();
}
