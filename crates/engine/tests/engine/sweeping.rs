//! Blobs go with whom they are about, and nobody has to ask.

use std::path::Path;
use std::time::Duration;

use abide_core::shell::Clock as _;
use abide_engine::Options;
use abide_storage::Storage;
use abide_storage::blobs::{BlobOwner, BlobWriter};

use crate::world::{Folder, PATIENT, World};

fn files(data: &Path) -> usize {
    let Ok(shards) = std::fs::read_dir(data.join("blobs")) else { return 0 };
    shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

/// I11: the files of an erased person's blobs are removed in housekeeping; those of others stay.
#[tokio::test(flavor = "multi_thread")]
async fn i11_an_erased_persons_files_go_by_themselves() {
    let folder = Folder::new();
    let options = Options { housekeeping_every: Duration::from_millis(20), ..Options::default() };
    let world = World::on(folder.open().await, options).await;
    let blobs = world.store.blobs();
    for person in ["ada", "bea"] {
        let subject = world.record(person, "marketing").await.subject;
        let now = world.clock.now();
        let owner = BlobOwner::Subject(subject);
        let mut writer = BlobWriter::begin(blobs, &world.by, owner, now).await.unwrap();
        writer.write(blobs, b"a voice", now).await.unwrap();
        writer.finish(blobs, now).await.unwrap();
    }
    let data = folder.path().join("data");
    assert_eq!(files(&data), 2);
    world.store.subjects().erase(&world.by, "ada", world.clock.now()).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENT;
    while files(&data) > 1 {
        assert!(tokio::time::Instant::now() < deadline, "it is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(files(&data), 1, "bea's");
}
