//! The time that nodes go by, while the database's clock is wrong.

use std::time::{Duration, Instant};

use abide_storage_postgres::PostgresStore;
use abide_storage_sql::database::Database as _;

use crate::server::Database;

const HOUR: i64 = 3_600_000;
/// By so much a time may be off, with what a test takes to ask for it.
const OFF: i64 = 2_000;

async fn set(database: &Database, ahead: i64) {
    database
        .run(&format!(
            "CREATE OR REPLACE FUNCTION database_time(BIGINT) RETURNS BIGINT LANGUAGE SQL VOLATILE AS \
             'SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT) + {ahead}'"
        ))
        .await;
}

/// How far a node's time is ahead of the machine's.
async fn ahead(database: &Database, store: &PostgresStore) -> i64 {
    let now = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";
    let now = database.ask(now).await;
    store.database().clock().now().as_millis() - now
}

fn is_at(ahead: i64, expected: i64) -> bool {
    (ahead - expected).abs() < OFF
}

/// I15: a database whose clock slips by an hour for a moment moves nobody's time: nodes stop meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn i15_a_slip_of_the_databases_clock_moves_nobodys_time() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    for ahead_by in [HOUR, -HOUR] {
        set(&database, ahead_by).await;
        let begun = Instant::now();
        let mut stopped = false;
        while begun.elapsed() < Duration::from_millis(2_500) {
            stopped |= store.database().broken().is_some();
            let ahead = ahead(&database, &store).await;
            assert!(is_at(ahead, 0), "{ahead} ms ahead");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(stopped, "it noticed nothing");
        set(&database, 0).await;
        let begun = Instant::now();
        while store.database().broken().is_some() {
            assert!(begun.elapsed() < Duration::from_secs(4), "it does not go on");
            let ahead = ahead(&database, &store).await;
            assert!(is_at(ahead, 0), "{ahead} ms ahead");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// I15: a clock that was set, or another server's, is the one that all go by after a while; and back again, also backwards.
#[tokio::test(flavor = "multi_thread")]
async fn i15_a_clock_that_was_set_is_gone_by_after_a_while() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    for ahead_by in [HOUR, 0] {
        let before = ahead(&database, &store).await;
        set(&database, ahead_by).await;
        let begun = Instant::now();
        let mut stopped = false;
        loop {
            let is_broken = store.database().broken().is_some();
            stopped |= is_broken;
            let ahead = ahead(&database, &store).await;
            if stopped && !is_broken {
                assert!(is_at(ahead, ahead_by), "{ahead} ms ahead");
                break;
            }
            assert!(is_at(ahead, before) || is_at(ahead, ahead_by), "{ahead} ms ahead");
            assert!(begun.elapsed() < Duration::from_secs(15), "it is never believed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
