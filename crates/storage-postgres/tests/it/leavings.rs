//! What is left in the server when rows have gone: partitions, and numbers in the feeds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abide_storage::Storage as _;
use abide_storage::suite::{self, Dice, at, masters};
use abide_storage_postgres::{PostgresOptions, PostgresStore};

use crate::server::Database;

/// A day in milliseconds.
const DAY: i64 = 24 * 3_600_000;
/// What one partition holds.
const SPAN: i64 = 30 * DAY;
/// The partition of the suite's beginning of time.
const BEGINNING: i64 = 1_705_314_600_000 / SPAN;

/// A node of its own, which looks after partitions at its start, and then every hour.
async fn node(database: &Database, seed: u64) -> Arc<PostgresStore> {
    let url = database.url();
    let opened = tokio::task::spawn_blocking(move || {
        let chance = Arc::new(Dice::seeded(seed));
        let (node, machine) = (crate::node(), Arc::new(crate::Machine::default()));
        let options = PostgresOptions { url: &url, keys: masters(), chance, node, machine };
        abide_storage_postgres::open(options).expect("a store")
    });
    opened.await.expect("a store")
}

/// Makes the partitions of a time, as they would have been made ahead of it.
async fn make(database: &Database, span: i64) {
    for table in ["events", "attempts"] {
        let key = |span: i64| (span * SPAN) << 21;
        let (from, to) = (key(span), key(span + 1));
        let bounds = format!("FOR VALUES FROM ({from}) TO ({to})");
        database.run(&format!("CREATE TABLE {table}_{span} PARTITION OF {table} {bounds}")).await;
    }
}

async fn partitions(database: &Database, span: i64) -> i64 {
    let names = format!("relname = 'events_{span}' OR relname = 'attempts_{span}'");
    database.ask(&format!("SELECT count(*) FROM pg_class WHERE {names}")).await
}

async fn is_dropped(database: &Database, span: i64) {
    for table in ["events", "attempts"] {
        is_dropped_of(database, table, span).await;
    }
}

async fn is_dropped_of(database: &Database, table: &str, span: i64) {
    let begun = Instant::now();
    let named = format!("SELECT count(*) FROM pg_class WHERE relname = '{table}_{span}'");
    while database.ask(&named).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{table}_{span} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const UNTOLD: &str = "SELECT (SELECT count(*) FROM event_feed WHERE NOT EXISTS \
                      (SELECT 1 FROM events WHERE events.event = event_feed.event)) + (SELECT count(*) FROM decision_feed \
                      WHERE NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.decision = decision_feed.decision))";

/// I3: a partition goes once retention has left nothing in it, and not before; numbers of what went go with it.
#[tokio::test(flavor = "multi_thread")]
async fn i3_a_partition_goes_when_nothing_is_left_in_it() {
    let database = Database::new().await;
    node(&database, 2).await.close();
    let (empty, used) = (BEGINNING - 10, BEGINNING);
    make(&database, empty).await;
    make(&database, used).await;
    let key = (used * SPAN) << 21;
    database
        .run(&format!(
            "INSERT INTO events (event, organization, kind, created_at, render_version) VALUES ({key}, 1, 'stray', 0, 1); \
             INSERT INTO attempts (delivery, number, lease, started_at, trigger, object_version) \
             VALUES ({key}, 1, 1, 0, 'manual', 1)"
        ))
        .await;
    let store = node(&database, 3).await;
    is_dropped(&database, empty).await;
    suite::retention::i13_old_events_go_and_decisions_stay(&*store).await;
    assert_eq!(database.ask(UNTOLD).await, 0, "numbers are left of events that went");
    let in_use = format!("SELECT count(*) FROM events_{used}");
    assert_eq!(database.ask(&in_use).await, 6, "somebody keeps theirs for ever");
    make(&database, empty).await;
    store.close();

    let store = node(&database, 4).await;
    is_dropped(&database, empty).await;
    assert_eq!(partitions(&database, used).await, 2, "there is something in them");
    database
        .run(
            "DELETE FROM events WHERE organization = 1; DELETE FROM attempts WHERE lease = 1; \
             INSERT INTO retention (organization, events_days) SELECT organization, 14 FROM organizations WHERE true \
             ON CONFLICT (organization) DO UPDATE SET events_days = 14",
        )
        .await;
    let mut place = None;
    loop {
        place = store.retentions().remove_old(place, 50, at(1_000 * DAY)).await.expect("a page");
        if place.is_none() {
            break;
        }
    }
    assert_eq!(database.ask(&in_use).await, 0);
    assert_eq!(database.ask(UNTOLD).await, 0);
    store.close();
    let store = node(&database, 5).await;
    is_dropped(&database, used).await;
    let ahead = "SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('events' AS regclass)";
    assert_eq!(database.ask(ahead).await, 4, "today's, two more and what fits in none");
    store.close();
}

/// I3: rows that a store writes find a partition that a node made ahead of them; when retention has removed them, and their time
/// is past, it goes.
#[tokio::test(flavor = "multi_thread")]
async fn i3_a_partition_comes_and_goes_with_the_rows_of_its_time() {
    let database = Database::new().await;
    let url = database.url();
    let migrated = tokio::task::spawn_blocking(move || abide_storage_postgres::migrate(&url));
    migrated.await.unwrap().unwrap();
    let real = database.ask("SELECT database_time(0)").await;
    let it_is = async |time: i64| {
        let database_time = format!(
            "CREATE OR REPLACE FUNCTION database_time(BIGINT) RETURNS BIGINT LANGUAGE SQL VOLATILE AS \
             'SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT) + {}'",
            time - real
        );
        database.run(&database_time).await;
    };
    it_is(at(0).as_millis()).await;
    let store = node(&database, 10).await;
    let count = async |table: &str| database.ask(&format!("SELECT count(*) FROM {table}")).await;
    suite::retention::i13_old_events_go_and_decisions_stay(&*store).await;
    let (events, attempts) = (format!("events_{BEGINNING}"), format!("attempts_{BEGINNING}"));
    assert!(count(&events).await > 0 && count(&attempts).await > 0, "they hold what came");
    assert_eq!(count("events_default").await + count("attempts_default").await, 0);
    database
        .run(
            "INSERT INTO retention (organization, events_days) SELECT organization, 14 FROM organizations WHERE true \
             ON CONFLICT (organization) DO UPDATE SET events_days = 14",
        )
        .await;
    let mut place = None;
    loop {
        place = store.retentions().remove_old(place, 50, at(1_000 * DAY)).await.expect("a page");
        if place.is_none() {
            break;
        }
    }
    assert_eq!((count(&events).await, count(&attempts).await), (0, 0), "they went");
    assert_eq!(partitions(&database, BEGINNING).await, 2, "their time is not over");
    store.close();

    it_is((BEGINNING + 1) * SPAN + 14 * DAY).await;
    let store = node(&database, 11).await;
    is_dropped(&database, BEGINNING).await;
    assert_eq!(partitions(&database, BEGINNING + 1).await, 2, "that is now");
    store.close();
}

/// A partition that somebody reads stays, and is dropped by a later look.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_in_use_is_left_for_another_time() {
    let database = Database::new().await;
    node(&database, 6).await.close();
    let (first, second) = (BEGINNING - 10, BEGINNING - 9);
    make(&database, first).await;
    make(&database, second).await;
    let url = database.url();
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server");
    let driven = tokio::spawn(connection);
    client.batch_execute("BEGIN; SELECT 1 FROM attempts").await.expect("a reader");

    let store = node(&database, 7).await;
    is_dropped_of(&database, "events", first).await;
    is_dropped_of(&database, "events", second).await;
    assert_eq!(partitions(&database, first).await, 1, "somebody reads attempts");
    client.batch_execute("COMMIT").await.expect("an end");
    store.close();
    let store = node(&database, 8).await;
    is_dropped(&database, first).await;
    is_dropped(&database, second).await;
    store.close();
    drop(client);
    let _ = driven.await;
}

/// I13: nothing of a deleted organization is left in the feeds.
#[tokio::test(flavor = "multi_thread")]
async fn i13_a_deleted_organization_leaves_no_numbers() {
    let database = Database::new().await;
    let store = node(&database, 9).await;
    suite::deletions::i11_a_deleted_organization_is_unreadable_and_goes(&*store).await;
    for table in
        ["event_feed", "decision_feed", "feed_heads", "unnumbered_events", "unnumbered_decisions"]
    {
        let left = format!(
            "SELECT count(*) FROM {table} JOIN organizations ON organizations.organization = {table}.organization \
             WHERE emptied_at IS NOT NULL"
        );
        assert_eq!(database.ask(&left).await, 0, "{table}");
    }
    let gone = "SELECT count(*) FROM organizations WHERE emptied_at IS NOT NULL";
    assert!(database.ask(gone).await > 0);
    assert_eq!(database.ask(UNTOLD).await, 0);
}
