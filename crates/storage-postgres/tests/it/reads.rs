//! Reads of which more is there than is looked at.

use std::ops::ControlFlow;
use std::sync::Arc;

use abide_storage::StorageResult;
use abide_storage_postgres::PostgresStore;
use abide_storage_sql::database::{Call, Database as _};
use abide_storage_sql::sql::Sql;

use crate::server::Database;

/// Two stores, one of which has its statements sent without a name.
async fn stores(database: &Database) -> [Arc<PostgresStore>; 2] {
    let open = async |options: &str, seed| {
        let url = format!("{}{options}", database.url());
        let opened = tokio::task::spawn_blocking(move || crate::open_seeded(&url, seed));
        opened.await.expect("a store")
    };
    [open("", 1).await, open("?pooler=transaction", 2).await]
}

const DRAWN: &str = "SELECT last_value FROM drawn";

/// I9: of many rows no more are made and held than are looked at, about.
#[tokio::test(flavor = "multi_thread")]
async fn i9_rows_that_nobody_looks_at_are_not_read() {
    let database = Database::new().await;
    database.run("CREATE SEQUENCE drawn").await;
    for store in stores(&database).await {
        database.run("ALTER SEQUENCE drawn RESTART").await;
        // 100 MB altogether.
        let seen = store.database().write(Call::of(1), |tx| {
            let (sql, mut seen) = (tx.connection(), 0);
            sql.sql(
                "SELECT nextval('drawn') AS number, repeat('x', ?) AS text FROM generate_series(1, 100000)",
            )
            .each_of_many([1_000_i64], |row| {
                let (number, text): (i64, String) = (row.get("number")?, row.get("text")?);
                seen += 1;
                assert_eq!((number, text.len()), (seen, 1_000));
                // The connection is free for other questions between.
                let other: i64 = sql.sql("SELECT CAST(? AS BIGINT) + 1 AS next").one([seen], |row| row.get("next"))?;
                assert_eq!(other, seen + 1);
                Ok(if seen == 30 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            Ok(seen)
        });
        assert_eq!(seen.await.unwrap(), 30);
        let drawn = database.ask(DRAWN).await;
        assert!((30..1_000).contains(&drawn), "{drawn} rows were made");
    }
}

fn counted(sql: &dyn Sql, last: i64) -> StorageResult<i64> {
    let mut sum = 0;
    let statement = sql.sql(
        "SELECT number FROM generate_series(CAST(1 AS BIGINT), CAST(? AS BIGINT)) AS numbers (number)",
    );
    statement.each_of_many([last], |row| {
        sum += row.get::<i64>("number")?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(sum)
}

/// All rows come, once each, however many; also within another such read, after one that failed, and in a transaction that
/// writes.
#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_given_once() {
    let database = Database::new().await;
    for store in stores(&database).await {
        let read = store.database().read(|sql, _| {
            for last in [0, 1, 15, 16, 17, 1_015, 1_016, 1_017, 10_000] {
                assert_eq!(counted(sql, last)?, last * (last + 1) / 2, "{last}");
            }
            let mut within = 0;
            sql.sql("SELECT 1 AS one FROM generate_series(1, 20)").each_of_many((), |_| {
                within += counted(sql, 2_000)?;
                Ok(ControlFlow::Continue(()))
            })?;
            assert_eq!(within, 20 * 2_001_000);
            let failed = sql
                .sql("SELECT 1 AS one FROM generate_series(1, 100)")
                .each_of_many((), |row| row.get::<i64>("none").map(|_| ControlFlow::Break(())));
            assert!(failed.is_err());
            counted(sql, 3)
        });
        assert_eq!(read.await.unwrap(), 6);
    }
}
