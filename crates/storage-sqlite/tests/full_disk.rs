//! A disk that is really full: a small file system of this test's own, in a name space of its own.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what a test sets up is meant to work")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use abide_core::access::{Actor, Caller};
use abide_core::blob::{BROKEN_OFF_MILLIS, CHUNK};
use abide_storage::blobs::{BlobOwner, BlobWriter};
use abide_storage::feeds::FeedStart;
use abide_storage::suite::blobs::{content, read, write};
use abide_storage::suite::{Dice, at, grant, masters};
use abide_storage::{Storage, StorageError};
use abide_storage_sqlite::{Integrity, SqliteOptions, SqliteStore, examine};

/// Set for the process that has the file system: where it is.
const CHILD: &str = "ABIDE_TEST_FULL_DISK_AT";
const SIZE: &str = "size=16m";
/// Decisions that are enough to find the end of the log's room.
const MANY: u32 = 5_000;

fn open(data: &Path, seed: u64) -> Arc<SqliteStore> {
    let chance = Arc::new(Dice::seeded(seed));
    let options = SqliteOptions { data, keys: masters(), chance, commit_delay: None };
    abide_storage_sqlite::open(options).expect("a store")
}

async fn decisions(store: &SqliteStore, by: &Caller) -> u64 {
    store.feeds().decisions_start(by.organization, FeedStart::End).await.unwrap()
}

/// Takes all room that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let mut block = vec![0; 1024 * 1024];
    while !block.is_empty() {
        if file.write_all(&block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
}

/// I1, I3: on a full disk blobs and decisions are refused with what is the matter; nothing of them is there by halves; and
/// with room again all goes on without a restart.
#[test]
fn i3_a_full_disk_is_said_and_harms_nothing() {
    if let Some(place) = std::env::var_os(CHILD) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(on_a_small_disk(Path::new(&place)));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let mut said = String::new();
    // As whoever may make a user's name space, and else as one who may mount.
    for spaces in [&["--user", "--map-root-user", "--mount"][..], &["--mount"]] {
        let script = format!("mount -t tmpfs -o {SIZE} tmpfs \"${CHILD}\" && exec \"$0\" \"$@\"");
        let ran = Command::new("unshare")
            .args(spaces)
            .args(["sh", "-c", &script])
            .arg(&program)
            .args(["--exact", "i3_a_full_disk_is_said_and_harms_nothing", "--nocapture"])
            .env(CHILD, folder.path())
            .output()
            .unwrap();
        said = format!(
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
        if said.contains("1 passed") {
            return;
        }
        assert!(!said.contains("running 1 test"), "{said}");
    }
    panic!("no file system can be mounted for this test: {said}");
}

async fn on_a_small_disk(place: &Path) {
    let (data, filler) = (place.join("data"), place.join("filler"));
    let store = open(&data, 1);
    let made = store.accounts().create_organization("default", at(0)).await.unwrap();
    let by = Caller::new(made.id, Actor::Operator);
    let (blobs, owner) = (store.blobs(), BlobOwner::Organization);
    let text = content(CHUNK + 100);
    let kept = write(&*store, (&by, owner), &text, CHUNK, at(1)).await.unwrap().id;
    store.consents().record(&by, grant("person-0", "news"), at(1)).await.unwrap();
    let mut begun = BlobWriter::begin(blobs, &by, owner, at(1)).await.unwrap();
    begun.write(blobs, &content(CHUNK + 1), at(1)).await.unwrap();

    fill(&filler);
    let broken = begun.write(blobs, &content(2 * CHUNK), at(2)).await;
    let Err(StorageError::Unavailable(why)) = broken else { panic!("{broken:?}") };
    assert!(why.contains("No space left"), "{why}");
    let mut answered = 1;
    let mut refused = None;
    for number in 1..MANY {
        match store.consents().record(&by, grant(&format!("person-{number}"), "news"), at(3)).await
        {
            Ok(_) => answered += 1,
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let (why, most) = match refused {
        Some(StorageError::Unavailable(why)) => (why, answered),
        // Said to be so: whole or not at all.
        Some(StorageError::Unknown(why)) => (why, answered + 1),
        other => panic!("{other:?}"),
    };
    assert!(why.contains("full"), "{why}");
    // What is there is read.
    assert_eq!(read(&*store, &by, kept, at(3)).await.unwrap().as_deref(), Some(&text[..]));
    let now = decisions(&store, &by).await;
    assert!((answered..=most).contains(&now), "{answered} {now} {most}");

    fs::remove_file(&filler).unwrap();
    store.consents().record(&by, grant(&format!("person-{MANY}"), "news"), at(4)).await.unwrap();
    assert_eq!(decisions(&store, &by).await, now + 1);
    let again = write(&*store, (&by, owner), &text, CHUNK, at(4)).await.unwrap().id;
    assert_eq!(store.blobs().sweep(9, at(5 + BROKEN_OFF_MILLIS)).await, Ok(1), "what broke off");
    drop(begun);
    Storage::close(&*store);
    drop(store);

    let examined = examine(&data, &masters(), Duration::from_mins(1)).unwrap();
    assert_eq!(examined.integrity, Integrity::Sound);
    let store = open(&data, 2);
    assert_eq!(decisions(&store, &by).await, now + 1);
    for blob in [kept, again] {
        assert_eq!(read(&*store, &by, blob, at(6)).await.unwrap().as_deref(), Some(&text[..]));
    }
    let files: usize = fs::read_dir(data.join("blobs"))
        .unwrap()
        .map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count())
        .sum();
    assert_eq!(files, 2, "nothing of the third is left");
}
