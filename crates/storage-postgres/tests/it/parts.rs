//! The parts of blobs, as rows.

use abide_core::access::{Actor, Caller};
use abide_core::blob::CHUNK;
use abide_core::ids::BlobId;
use abide_storage::blobs::{BlobOwner, Chunk};
use abide_storage::sealing::End;
use abide_storage::suite::at;
use abide_storage::suite::blobs::{content, read, write};
use abide_storage::{Storage, StorageError};
use abide_storage_postgres::PostgresStore;

use crate::server::Database;

async fn organization(store: &PostgresStore) -> Caller {
    let made = store.accounts().create_organization("default", at(0)).await.expect("one");
    Caller::new(made.id, Actor::Operator)
}

async fn whole(store: &PostgresStore, by: &Caller, bytes: &[u8]) -> BlobId {
    write(store, (by, BlobOwner::Organization), bytes, CHUNK, at(1)).await.expect("a blob").id
}

/// Parts that were exchanged, lost, or taken from another blob are not read as something else.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_parts_are_not_read() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let by = organization(&store).await;
    let text = content(2 * CHUNK + 100);
    let (blob, other) = (whole(&store, &by, &text).await, whole(&store, &by, &text).await);
    let here = format!("WHERE blob = {}", blob.key());
    database.run("CREATE TABLE sound AS SELECT * FROM blob_chunks").await;
    for (what, damage) in [
        (
            "exchanged",
            format!(
                "UPDATE blob_chunks SET place = (ARRAY[7, 8, 2])[place + 1] {here}; UPDATE blob_chunks SET place = 8 - place {here} AND place > 6"
            ),
        ),
        ("lost", format!("DELETE FROM blob_chunks {here} AND place = 1")),
        ("cut off", format!("DELETE FROM blob_chunks {here} AND place = 2")),
        (
            "another's",
            format!(
                "UPDATE blob_chunks SET sealed = (SELECT sealed FROM sound WHERE blob = {} AND place = 0) {here} AND place = 0",
                other.key()
            ),
        ),
        ("a row that says less", format!("UPDATE blobs SET length = {CHUNK} {here}")),
    ] {
        database.run(&damage).await;
        let found = read(&*store, &by, blob, at(2)).await;
        assert!(matches!(found, Err(StorageError::Damaged(_))), "{what}");
        let mend = format!(
            "DELETE FROM blob_chunks {here}; INSERT INTO blob_chunks SELECT * FROM sound {here}; \
             UPDATE blobs SET length = {} {here}",
            text.len()
        );
        database.run(&mend).await;
        assert!(read(&*store, &by, blob, at(2)).await.unwrap().as_ref() == Some(&text), "{what}");
    }
}

/// Parts go in pages, and with the row at the latest; none is there without it.
#[tokio::test(flavor = "multi_thread")]
async fn parts_go_in_pages_and_never_outlive_their_row() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let by = organization(&store).await;
    let blobs = store.blobs();
    let blob = blobs.begin(&by, BlobOwner::Organization, at(1)).await.unwrap();
    let small = |index, end| Chunk { index, end, bytes: vec![7; 10] };
    for index in 0..40 {
        blobs.put(by.organization, blob, small(index, End::More), at(1)).await.unwrap();
    }
    blobs.discard(by.organization, blob, at(2)).await.unwrap();
    let rows = async |table: &str| database.ask(&format!("SELECT count(*) FROM {table}")).await;
    let mut left = Vec::new();
    while blobs.sweep(9, at(2)).await.unwrap() > 0 {
        left.push((rows("blob_chunks").await, rows("blobs").await));
    }
    assert_eq!(left, [(8, 1), (0, 0)]);
    let late = format!("INSERT INTO blob_chunks VALUES ({}, 40, '')", blob.key());
    let kept = format!(
        "DO $$ BEGIN {late}; RAISE 'it was taken'; EXCEPTION WHEN foreign_key_violation THEN NULL; END $$"
    );
    database.run(&kept).await;
}
