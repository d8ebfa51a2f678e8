//! The suite of `abide-storage`, run against this store.

mod migrations;
mod server;

use std::sync::Arc;

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
    let opened = tokio::task::spawn_blocking(move || {
        let options = PostgresOptions {
            url: &url,
            keys: masters(),
            chance: Arc::new(Dice::default()),
            node: node(),
        };
        abide_storage_postgres::open(options).expect("a store")
    });
    opened.await.expect("a store")
}

/// How a test's node is shown.
fn node() -> NodeName {
    NodeName { name: "test".to_owned(), role: "all" }
}
