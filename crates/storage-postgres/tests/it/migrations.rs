//! The schema's versions.

use std::sync::Arc;

use abide_storage::suite::{Dice, masters};
use abide_storage_postgres::{OpenError, PostgresOptions};
use abide_storage_sql::copying::{COPIED, LEFT};

use crate::server::Database;
use crate::{Machine, node};

fn open(url: &str, seed: u64) -> Result<(), OpenError> {
    let chance = Arc::new(Dice::seeded(seed));
    let machine = Arc::new(Machine::default());
    let options = PostgresOptions { url, keys: masters(), chance, node: node(), machine };
    abide_storage_postgres::open(options).map(drop)
}

/// From empty, again, and by two nodes at once.
#[tokio::test(flavor = "multi_thread")]
async fn every_migration_applies_from_empty_and_once() {
    let database = Database::new().await;
    let openings = (0..3).map(|seed| {
        let url = database.url();
        tokio::task::spawn_blocking(move || open(&url, seed))
    });
    for opened in openings.collect::<Vec<_>>() {
        opened.await.unwrap().unwrap();
    }
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let applied = database.ask("SELECT count(*) FROM migrations").await;
    assert_eq!(applied, folder.count() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_later_or_another_version_is_refused() {
    let database = Database::new().await;
    let again = || {
        let url = database.url();
        tokio::task::spawn_blocking(move || open(&url, 1))
    };
    again().await.unwrap().unwrap();
    database.run("INSERT INTO migrations (number, sha256) VALUES (999, '')").await;
    let refused = again().await.unwrap().unwrap_err();
    assert!(matches!(refused, OpenError::TooNew(_)), "{refused}");
    database
        .run("DELETE FROM migrations WHERE number = 999; UPDATE migrations SET sha256 = ''")
        .await;
    let refused = again().await.unwrap().unwrap_err();
    assert!(matches!(refused, OpenError::Altered("0001_begin.sql")), "{refused}");
}

/// Whatever table is added, somebody says whether a copy out of the embedded database fills it.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_copied_or_says_why_not() {
    let database = Database::new().await;
    let url = database.url();
    tokio::task::spawn_blocking(move || open(&url, 0)).await.unwrap().unwrap();
    let known: Vec<String> = COPIED
        .iter()
        .map(|copied| copied.table)
        .chain(LEFT.iter().map(|(table, _)| *table))
        .map(|table| format!("'{table}'"))
        .collect();
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                  AND relkind IN ('r', 'p') AND NOT relispartition";
    assert_eq!(
        database.ask(&format!("{tables} AND relname IN ({})", known.join(", "))).await,
        known.len() as i64,
        "a list names what is not there"
    );
    let others = format!("{tables} AND relname NOT IN ({})", known.join(", "));
    let forgotten = database.ask(&others);
    assert_eq!(forgotten.await, 0, "a copy forgets a table: see `copying.rs` of abide-storage-sql");
}

/// The order of text depends neither on how the database was made nor on the libraries of its machine.
#[tokio::test(flavor = "multi_thread")]
async fn indexed_text_has_one_order_everywhere() {
    let database = Database::new().await;
    let url = database.url();
    tokio::task::spawn_blocking(move || open(&url, 0)).await.unwrap().unwrap();
    let others = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid, unnest(indcollation) AS has \
                  WHERE relnamespace = 'public'::regnamespace \
                  AND has NOT IN (0, (SELECT oid FROM pg_collation WHERE collname = 'C'))";
    assert_eq!(database.ask(others).await, 0);
}
