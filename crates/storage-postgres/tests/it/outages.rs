//! What becomes of calls whose server, connection or caller goes away, and of those that fail.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use abide_core::Refusal;
use abide_core::access::{Actor, Caller};
use abide_storage::suite::{at, grant};
use abide_storage::{Storage, StorageError, StorageResult};
use abide_storage_postgres::PostgresStore;
use abide_storage_sql::database::{Call, Database as _};
use abide_storage_sql::tx::Tx;

use crate::cluster::Cluster;
use crate::server::Database;

async fn write<T: Send + 'static>(
    store: &PostgresStore,
    work: impl FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
) -> StorageResult<T> {
    store.database().write(Call::of(1), work).await
}

fn mark(tx: &Tx<'_>, number: i64) -> StorageResult<()> {
    let text = "INSERT INTO feed_heads (organization) VALUES (?)";
    tx.connection().sql(text).execute([number]).map(drop)
}

async fn marks(store: &PostgresStore) -> Vec<i64> {
    let found = write(store, |tx| {
        let text = "SELECT organization FROM feed_heads ORDER BY organization";
        tx.connection().sql(text).all((), |row| row.get(0))
    });
    found.await.expect("whole")
}

/// I1: a call that went away before its answer is carried out all the same, whole, and what follows it happens.
#[tokio::test]
async fn i1_a_caller_that_leaves_loses_nothing() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let organization = store.accounts().create_organization("us", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    let mut leaving = store.consents().record(&by, grant("ada", "news"), at(1));
    let polled = Pin::new(&mut leaving).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending));
    drop(leaving);
    let begun = Instant::now();
    // What follows the commit follows.
    while store.metrics().accepted.get() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the call was lost");
        tokio::task::yield_now().await;
    }
    assert_eq!(store.history().decisions(organization, 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.history().events(organization, 0, 10).await.unwrap().len(), 1);
}

/// I1: a call that fails after it wrote leaves nothing, whatever the way, and the next one finds all well.
#[tokio::test]
async fn i1_a_call_that_fails_leaves_nothing() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let panics = write(&store, |tx| {
        mark(tx, 1)?;
        panic!("poison");
        #[expect(unreachable_code, reason = "gives the call its type")]
        Ok(())
    });
    assert!(matches!(panics.await, Err(StorageError::Damaged(_))));
    let errs = write(&store, |tx| {
        mark(tx, 2)?;
        Err::<(), _>(StorageError::Damaged("poison".to_owned()))
    });
    assert!(matches!(errs.await, Err(StorageError::Damaged(_))));
    let refuses = write(&store, |tx| {
        mark(tx, 3)?;
        Err::<(), _>(StorageError::Refused(Refusal::NotFound("it")))
    });
    assert!(matches!(refuses.await, Err(StorageError::Refused(_))));
    let breaks = write(&store, |tx| {
        mark(tx, 4)?;
        tx.connection().sql("SELECT lease FROM no_such_table").exists(()).map(drop)
    });
    let broken = breaks.await.unwrap_err();
    assert!(matches!(&broken, StorageError::Unavailable(why) if why.contains("42P01")), "{broken}");
    write(&store, |tx| mark(tx, 5)).await.unwrap();
    assert_eq!(marks(&store).await, [5]);
}

/// Connections that the server has cut cost nobody an error: the call had not been committed, and is made again.
#[tokio::test(flavor = "multi_thread")]
async fn calls_outlive_their_connections() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let organization = store.accounts().create_organization("us", at(0)).await.unwrap().id;
    for round in 0..3 {
        // All connections of both pools.
        let many: Vec<_> = (0..40)
            .map(|number| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let by = Caller::new(organization, Actor::Operator);
                    let new = grant(&format!("person-{round}-{number}"), "news");
                    store.consents().record(&by, new, at(number)).await.unwrap();
                    store.accounts().keys(organization).await.unwrap();
                })
            })
            .collect();
        for one in many {
            one.await.unwrap();
        }
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(database.ask(cut).await > 1);
        let by = Caller::new(organization, Actor::Operator);
        store
            .consents()
            .record(&by, grant(&format!("after-{round}"), "news"), at(100))
            .await
            .unwrap();
        store.accounts().keys(organization).await.unwrap();
    }
    assert_eq!(store.history().decisions(organization, 0, 1_000).await.unwrap().len(), 123);
}

/// A server that was made a standby, or may write no more for another reason, costs no more than the calls that were under way:
/// when it may again, so does the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_outlives_a_server_that_may_not_write() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let may_not_write = async |setting: &str| {
        let name = "SELECT 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = ";
        let (client, connection) =
            tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
        let alter = format!("{name}{setting}'");
        let alter: String = client.query_one(&alter, &[]).await.unwrap().get(0);
        client.batch_execute(&alter).await.unwrap();
    };
    write(&store, |tx| mark(tx, 1)).await.unwrap();
    may_not_write("on").await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.ask(cut).await;
    for number in 2..5 {
        let refused = write(&store, move |tx| mark(tx, number)).await.unwrap_err();
        assert!(
            matches!(&refused, StorageError::Unavailable(why) if why.contains("25006")),
            "{refused}"
        );
    }
    may_not_write("off").await;
    // Nobody cuts the connections that were made meanwhile.
    write(&store, |tx| mark(tx, 5)).await.unwrap();
    assert_eq!(marks(&store).await, [1, 5]);
}

/// A value that cannot be sent is its call's own fault: that runs once, and costs nobody a connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_sent_fails_its_call_alone() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let connection = async || {
        write(&store, |tx| {
            let own = "SELECT CAST(pg_backend_pid() AS BIGINT) AS own";
            tx.connection().sql(own).one((), |row| row.get::<i64>("own"))
        })
        .await
        .unwrap()
    };
    let before = connection().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let bad = write(&store, move |tx| {
        counted.fetch_add(1, Ordering::Relaxed);
        tx.connection().sql("SELECT 1 WHERE ? = CAST(0 AS INTEGER)").exists([i64::MAX])
    });
    assert!(matches!(bad.await, Err(StorageError::Unavailable(_))));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!(connection().await, before, "the connection is as it was");
}

/// I1: while the server restarts calls are told so at once and write nothing by halves; what was answered well stays, and
/// when the server is back so is the store.
#[tokio::test(flavor = "multi_thread")]
async fn i1_a_store_outlives_its_servers_restart() {
    let mut cluster = Cluster::new();
    // This server may lose nothing.
    cluster.start(&["fsync=on"]);
    let url = cluster.url("");
    let store = tokio::task::spawn_blocking(move || crate::open(&url)).await.unwrap();
    let organization = store.accounts().create_organization("us", at(0)).await.unwrap().id;
    let recording = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let by = Caller::new(organization, Actor::Operator);
            let (mut good, mut unknown, mut bad) = (0, 0, 0);
            let mut recovered = 0;
            for number in 0.. {
                let new = grant(&format!("person-{number}"), "news");
                match store.consents().record(&by, new, at(number)).await {
                    Ok(_) => {
                        good += 1;
                        recovered += usize::from(bad + unknown > 0);
                    }
                    Err(StorageError::Unknown(_)) => unknown += 1,
                    Err(StorageError::Unavailable(_) | StorageError::Busy) => {
                        bad += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(other) => panic!("{other}"),
                }
                if recovered > 20 {
                    break;
                }
            }
            (good, unknown, bad)
        })
    };
    while store.history().decisions(organization, 0, 100).await.unwrap().len() < 20 {}
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.stop();
        #[expect(clippy::disallowed_methods, reason = "an outage lasts for a while")]
        std::thread::sleep(Duration::from_millis(500));
        cluster.start(&[]);
        cluster
    });
    let _cluster = cluster.await.unwrap();
    let (good, unknown, bad) = recording.await.unwrap();
    assert!(bad > 0, "the outage was not felt");
    let decisions = store.history().decisions(organization, 0, 100_000).await.unwrap().len();
    let events = store.history().events(organization, 0, 100_000).await.unwrap().len();
    assert_eq!(decisions, events, "nothing by halves");
    assert!((good..=good + unknown).contains(&decisions), "{good}, {unknown}: {decisions}");
}
