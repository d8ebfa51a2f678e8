//! The suite of `abide-storage`, run against this store.

mod batches;
mod clock;
mod cluster;
mod leavings;
mod lists;
mod migrations;
mod nodes;
mod opening;
mod outages;
mod parts;
mod pooler;
mod reads;
mod server;
mod silence;
mod upkeep;
mod waits;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::shell::Clock;
use abide_storage::suite::{self, Dice, masters};
use abide_storage_postgres::{NodeName, PostgresOptions, PostgresStore};

use crate::server::Database;

/// A test per case, each in a database of its own.
macro_rules! conforms {
    ($($area:ident: $($case:ident),+;)+) => {
        $(mod $area { $(
            #[tokio::test]
            async fn $case() {
                let database = crate::Database::new().await;
                let store = crate::store(&database).await;
                crate::suite::$area::$case(&*store).await;
            }
        )+ })+
    };
}

abide_storage::for_every_case!(conforms);

async fn store(database: &Database) -> Arc<PostgresStore> {
    let url = database.url();
    tokio::task::spawn_blocking(move || open(&url)).await.expect("a store")
}

/// One of several stores on a database: each draws otherwise.
async fn another_store(database: &Database, seed: u64) -> Arc<PostgresStore> {
    let url = database.url();
    let opened = tokio::task::spawn_blocking(move || open_seeded(&url, seed));
    opened.await.expect("a store")
}

/// Opens a store; blocks.
fn open(url: &str) -> Arc<PostgresStore> {
    open_seeded(url, 0)
}

fn open_seeded(url: &str, seed: u64) -> Arc<PostgresStore> {
    let chance = Arc::new(Dice::seeded(seed));
    let machine = Arc::new(Machine::default());
    let options = PostgresOptions { url, keys: masters(), chance, node: node(), machine };
    abide_storage_postgres::open(options).expect("a store")
}

/// A machine that sleeps when the test says so.
#[derive(Default)]
struct Machine(AtomicU64);

impl Machine {
    fn sleep(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        suite::at(0)
    }

    fn slept(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// How a test's node is shown.
fn node() -> NodeName {
    NodeName { name: "test".to_owned(), role: "all" }
}
