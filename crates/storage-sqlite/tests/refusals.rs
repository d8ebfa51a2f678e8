//! What a refused call leaves to its neighbours: nothing to do again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abide_core::access::{Actor, Caller};
use abide_core::consent::{MAX_CANDIDATES, NewDecision, Validity};
use abide_core::ids::OrganizationId;
use abide_storage::suite::{Dice, at, grant, masters};
use abide_storage::{Accounts as _, Consents as _, StorageResult};
use abide_storage_sql::SqlStore;
use abide_storage_sql::chunks::Chunks;
use abide_storage_sql::database::{Call, Database};
use abide_storage_sql::shared::Shared;
use abide_storage_sql::sql::Sql;
use abide_storage_sql::tx::Tx;
use abide_storage_sqlite::SqliteStore;

/// A database that counts the calls which had written something when they failed.
struct Watched {
    store: Arc<SqliteStore>,
    failed_late: Arc<AtomicU64>,
}

impl Database for Watched {
    async fn write<T, F>(&self, call: Call, mut work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        let failed_late = Arc::clone(&self.failed_late);
        let watched = move |tx: &mut Tx<'_>| {
            let before = tx.connection().changes();
            let done = work(tx);
            if done.is_err() && tx.connection().changes() != before {
                failed_late.fetch_add(1, Ordering::Relaxed);
            }
            done
        };
        self.store.database().write(call, watched).await
    }

    async fn read<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        self.store.database().read(work).await
    }

    async fn search<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        self.store.database().search(work).await
    }

    async fn number_feeds(&self, of: OrganizationId) -> StorageResult<()> {
        self.store.database().number_feeds(of).await
    }

    async fn synchronise(&self) -> StorageResult<()> {
        Ok(())
    }

    fn chunks(&self) -> &impl Chunks {
        self.store.database().chunks()
    }

    fn broken(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}

/// Somebody grants news until an instant.
fn until(email: Option<&str>, millis: i64) -> NewDecision {
    let mut new = grant("ada", "news");
    new.subject.email = email.map(str::to_owned);
    NewDecision { validity: Validity { from: None, until: Some(at(millis)) }, ..new }
}

/// P37: a record without room for one more decision given for a time refuses it before anything is written, so that the
/// calls beside it are not run again: alone and in a batch.
#[tokio::test]
async fn p37_a_record_without_room_refuses_before_it_writes() {
    let store = abide_storage_sqlite::open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    let failed_late = Arc::new(AtomicU64::new(0));
    let watched = Watched { store: Arc::clone(&store), failed_late: Arc::clone(&failed_late) };
    let store = SqlStore::new(store.shared(), watched);
    let organization: OrganizationId = store.create_organization("us", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    // Each shorter than the one before: all of them may come into force again.
    for now in 0..MAX_CANDIDATES as i64 {
        store.record(&by, until(None, 10_000 - now), at(now)).await.unwrap();
    }
    let new = until(Some("ada@example.org"), 5_000);
    let refused = [
        store.record(&by, new.clone(), at(300)).await.map(drop),
        store.record_batch(&by, vec![new], at(300)).await.map(drop),
    ];
    for refused in refused {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("valid_until") && refused.contains("200"), "{refused}");
    }
    assert_eq!(failed_late.load(Ordering::Relaxed), 0, "a refused call had written something");
    // One that outdoes what is there has room.
    store.record(&by, until(None, 20_000), at(301)).await.unwrap();
}
