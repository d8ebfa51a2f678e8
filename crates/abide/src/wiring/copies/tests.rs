//! What is told of a copy while it runs.

use std::sync::{Arc, Mutex};

use abide_core::shell::Clock as _;
use abide_storage::Storage;
use abide_storage_sqlite::SqliteOptions;

use super::*;
use crate::clock::{OsChance, SystemClock};
use crate::folder;

#[expect(dead_code, reason = "not all that tests of servers want")]
#[path = "../../../../storage-postgres/tests/it/server.rs"]
mod postgres;

/// Reading the folder a second time takes about as long as the database: whoever watches sees both move.
#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_of_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().join("data"), folder.path().join("keys"));
    let keys = folder::prepare(&place, &OsChance).unwrap().keys;
    let chance = Arc::new(OsChance);
    let options = SqliteOptions { data: &place.data, keys, chance, commit_delay: None };
    let storage = abide_storage_sqlite::open(options).unwrap();
    storage.accounts().create_organization("default", SystemClock.now()).await.unwrap();
    Storage::close(&*storage);
    drop(storage);

    let database = postgres::Database::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let told = Box::new(move |progress: Progress| noted.lock().unwrap().push(progress));
    let keys = MasterKeys::read(&place.key_file).unwrap();
    let copied = copy(&place, keys, DatabaseUrl(database.url()), told).await.unwrap();
    let Outcome::Done { tables, .. } = copied.outcome else { panic!("{copied:?}") };
    let rows: u64 = tables.iter().map(|(_, sum)| sum.rows).sum();
    let seen = seen.lock().unwrap();
    let checking: Vec<&Progress> = seen.iter().filter(|told| told.step == "checking").collect();
    assert!(checking.iter().all(|told| told.total == 2 * rows), "{checking:?}");
    assert!(checking.is_sorted_by_key(|told| told.done), "{checking:?}");
    for (table, sum) in tables.iter().filter(|(_, sum)| sum.rows > 0) {
        let of_table: Vec<u64> =
            checking.iter().filter(|told| told.table == *table).map(|told| told.done).collect();
        let begun = of_table[0];
        assert!(of_table.contains(&(begun + sum.rows)), "{table} is read unseen: {of_table:?}");
    }
}
