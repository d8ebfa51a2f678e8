//! Blobs beside the database: files that are damaged, left behind, or cut off by a crash.

#![expect(clippy::unwrap_used, reason = "what a test sets up is meant to work")]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use abide_core::access::{Actor, Caller};
use abide_core::blob::{BROKEN_OFF_MILLIS, CHUNK, UNNAMED_MILLIS};
use abide_core::ids::BlobId;
use abide_storage::blobs::{BlobOwner, BlobWriter, Chunk};
use abide_storage::sealing::{End, SEALED_OVERHEAD};
use abide_storage::suite::blobs::{content, read, write};
use abide_storage::suite::{Dice, at, masters};
use abide_storage::{Storage, StorageError};
use abide_storage_sqlite::{OpenError, SqliteOptions, SqliteStore, blob_file, blob_files};
use proptest::prelude::*;
use rusqlite::Connection;

const SEALED: u64 = (CHUNK + SEALED_OVERHEAD) as u64;

/// Something that happens to a file, and what it is called.
type Damage<'a> = (&'a str, &'a dyn Fn(&File));

fn open(data: &Path) -> Arc<SqliteStore> {
    let options = SqliteOptions {
        data,
        keys: masters(),
        chance: Arc::new(Dice::default()),
        commit_delay: None,
    };
    abide_storage_sqlite::open(options).expect("a store")
}

async fn organization(store: &SqliteStore) -> Caller {
    let made = store.accounts().create_organization("default", at(0)).await.expect("one");
    Caller::new(made.id, Actor::Operator)
}

async fn whole(store: &SqliteStore, by: &Caller, bytes: &[u8]) -> BlobId {
    write(store, (by, BlobOwner::Organization), bytes, CHUNK, at(1)).await.expect("a blob").id
}

/// Every file of a blob.
fn files(data: &Path) -> BTreeSet<PathBuf> {
    let Ok(shards) = std::fs::read_dir(data.join("blobs")) else { return BTreeSet::new() };
    let shards = shards.map(|shard| shard.unwrap().path());
    shards
        .flat_map(|shard| std::fs::read_dir(shard).unwrap())
        .map(|file| file.unwrap().path())
        .collect()
}

/// I11: a blob's file holds nothing in the clear, is nobody else's to read, and is named by its id alone.
#[tokio::test]
async fn i11_a_blob_is_one_sealed_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    let by = organization(&store).await;
    let text = b"a voice that is nobody's business".repeat(40_000);
    let blob = whole(&store, &by, &text).await;
    let path = data.join(blob_file(blob));
    assert_eq!(files(&data), BTreeSet::from([path.clone()]));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), text.len() + 2 * SEALED_OVERHEAD);
    assert!(!bytes.windows(12).any(|part| part == b"nobody's bus"));
    for (of, mode) in
        [(&*path, 0o600), (path.parent().unwrap(), 0o700), (&data.join("blobs"), 0o700)]
    {
        assert_eq!(std::fs::metadata(of).unwrap().permissions().mode() & 0o777, mode);
    }
}

/// Damage to a blob's file, of whatever kind, is found when the part is read, and never read as something else.
#[tokio::test]
async fn a_damaged_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    let by = organization(&store).await;
    let text = content(2 * CHUNK + 100);
    let (blob, other) = (whole(&store, &by, &text).await, whole(&store, &by, &text).await);
    let path = data.join(blob_file(blob));
    let sound = std::fs::read(&path).unwrap();
    let [first, second] =
        [0, 1].map(|part| sound[part * SEALED as usize..][..SEALED as usize].to_vec());
    let change = |work: &dyn Fn(&File)| {
        std::fs::write(&path, &sound).unwrap();
        work(&OpenOptions::new().write(true).open(&path).unwrap());
    };
    let cases: [Damage<'_>; 7] = [
        ("a flipped bit", &|file| file.write_all_at(&[sound[5_000] ^ 1], 5_000).unwrap()),
        ("an end cut off", &|file| file.set_len(sound.len() as u64 - 1).unwrap()),
        ("a last part cut off", &|file| file.set_len(2 * SEALED).unwrap()),
        ("all cut off", &|file| file.set_len(0).unwrap()),
        ("parts exchanged", &|file| {
            file.write_all_at(&second, 0).unwrap();
            file.write_all_at(&first, SEALED).unwrap();
        }),
        ("another blob's file", &|_| {
            std::fs::copy(data.join(blob_file(other)), &path).unwrap();
        }),
        ("no file", &|_| std::fs::remove_file(&path).unwrap()),
    ];
    for (what, damage) in cases {
        change(damage);
        let found = read(&*store, &by, blob, at(2)).await;
        assert!(matches!(found, Err(StorageError::Damaged(_))), "{what}");
    }
    change(&|_| {});
    assert!(read(&*store, &by, blob, at(2)).await.unwrap().as_ref() == Some(&text));
    // A row that says less than was written.
    let beside = Connection::open(data.join("abide.db")).unwrap();
    for length in [CHUNK, 2 * CHUNK, 2 * CHUNK + 99] {
        let change = "UPDATE blobs SET length = ? WHERE blob = ?";
        beside.execute(change, [length as i64, blob.key()]).unwrap();
        let found = read(&*store, &by, blob, at(2)).await;
        assert!(matches!(found, Err(StorageError::Damaged(_))), "{length}");
    }
}

/// Files of no blob go a day after they were begun; what is not ours stays.
#[tokio::test]
async fn files_of_no_blob_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    let by = organization(&store).await;
    let blob = whole(&store, &by, b"kept").await;
    let kept = data.join(blob_file(blob));
    let stray = data.join(blob_file(BlobId::from_key(blob.key() + 77)));
    let foreign = kept.with_file_name("README");
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    let unfinished = stray.with_extension("part");
    for file in [&stray, &unfinished, &foreign] {
        std::fs::write(file, b"x").unwrap();
    }
    let sweep = async |now| {
        let mut removed = 0;
        for turn in 5_000..6_024 {
            removed += store.blobs().sweep_strays(turn, now).await.unwrap();
        }
        removed
    };
    assert_eq!(sweep(at(UNNAMED_MILLIS - 1)).await, 0, "it may be new");
    assert!(sweep(at(UNNAMED_MILLIS + 1_000)).await >= 1);
    assert_eq!(files(&data), BTreeSet::from([kept, foreign]));
}

/// A disk that takes no more is told of, and the store goes on; what was begun can be given up.
#[tokio::test]
async fn a_disk_that_takes_no_part_harms_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    let by = organization(&store).await;
    std::fs::write(data.join("blobs"), b"in the way").unwrap();
    let blobs = store.blobs();
    let mut writer = BlobWriter::begin(blobs, &by, BlobOwner::Organization, at(1)).await.unwrap();
    let failed = writer.write(blobs, &content(CHUNK + 1), at(1)).await;
    assert!(matches!(failed, Err(StorageError::Unavailable(_))), "{failed:?}");
    writer.discard(blobs, at(1)).await.unwrap();
    std::fs::remove_file(data.join("blobs")).unwrap();
    assert_eq!(blobs.sweep(9, at(1)).await, Ok(1));
    let blob = whole(&store, &by, b"after it").await;
    assert_eq!(read(&*store, &by, blob, at(2)).await.unwrap().as_deref(), Some(&b"after it"[..]));
}

/// A backup: deletions are paused, the database is copied, then the files that the copy names; what went meanwhile is in it.
#[tokio::test]
async fn a_copy_names_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    let by = organization(&store).await;
    let (kept, goes) = (whole(&store, &by, b"kept").await, whole(&store, &by, b"goes").await);
    let begun = store.blobs().begin(&by, BlobOwner::Organization, at(1)).await.unwrap();
    let late = at(UNNAMED_MILLIS + 10);
    let pause = store.blobs().pause_deletions(late.plus_millis(1_000), at(2)).await.unwrap();
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let beside = Connection::open(data.join("abide.db")).unwrap();
    beside.execute("VACUUM INTO ?", [copy.join("abide.db").to_str().unwrap()]).unwrap();
    assert_eq!(store.blobs().sweep(9, late).await, Ok(0));
    let later = whole(&store, &by, b"later").await;
    let mut named = Vec::new();
    blob_files(&copy.join("abide.db"), |file| {
        named.push(file.to_owned());
        std::fs::create_dir_all(copy.join(file).parent().unwrap()).unwrap();
        std::fs::copy(data.join(file), copy.join(file)).unwrap();
        Ok::<(), OpenError>(())
    })
    .unwrap();
    assert_eq!(named, [kept, goes].map(blob_file));
    store.blobs().resume_deletions(pause).await.unwrap();
    while store.blobs().sweep(9, late).await.unwrap() > 0 {}
    assert_eq!(files(&data), BTreeSet::new(), "{begun} and {later}, too: their day is over");

    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o700)).unwrap();
    let restored = open(&copy);
    for (blob, bytes) in [(kept, &b"kept"[..]), (goes, b"goes")] {
        assert_eq!(read(&*restored, &by, blob, at(3)).await.unwrap().as_deref(), Some(bytes));
    }
    assert_eq!(read(&*restored, &by, later, at(3)).await, Ok(None));
}

/// Where the child of the next test works.
const CHILD: &str = "ABIDE_TEST_BLOBS_OF";

/// I3: a process that is killed while it writes blobs has lost none that it called whole, and what it had begun is nameless
/// and goes.
#[tokio::test]
async fn i3_a_killed_writer_leaves_what_was_whole() {
    if let Some(data) = std::env::var_os(CHILD) {
        return write_for_ever(Path::new(&data)).await;
    }
    for kill_after in [1, 4] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "i3_a_killed_writer_leaves_what_was_whole", "--nocapture"])
            .env(CHILD, &data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let whole = lines.filter_map(|line| line.split("whole ").nth(1)?.parse::<i64>().ok());
        let known: Vec<BlobId> = whole.take(kill_after).map(BlobId::from_key).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(known.len(), kill_after);

        let store = open(&data);
        let by = Caller::new(
            store.accounts().organization("default").await.unwrap().unwrap().id,
            Actor::Operator,
        );
        for blob in &known {
            let found = read(&*store, &by, *blob, at(2)).await.unwrap();
            assert!(found == Some(content(2 * CHUNK + 5)), "{blob}");
        }
        let before = files(&data);
        assert!(before.len() > known.len(), "one was under way");
        while store.blobs().sweep(9, at(BROKEN_OFF_MILLIS + 1)).await.unwrap() > 0 {}
        let mut left = files(&data);
        assert!(left.iter().all(|file| file.extension().is_none()), "{left:?}");
        for blob in known {
            assert!(left.remove(&data.join(blob_file(blob))), "{blob}");
        }
        // It may have finished another one that was not heard of.
        while store.blobs().sweep(9, at(UNNAMED_MILLIS + 1)).await.unwrap() > 0 {}
        assert_eq!(files(&data), BTreeSet::new());
    }
}

async fn write_for_ever(data: &Path) {
    let store = open(data);
    let by = organization(&store).await;
    let blobs = store.blobs();
    let text = content(2 * CHUNK + 5);
    let mut out = std::io::stdout();
    loop {
        // One that stays unfinished, whenever the end comes.
        let begun = blobs.begin(&by, BlobOwner::Organization, at(1)).await.unwrap();
        let chunk = Chunk { index: 0, end: End::More, bytes: text[..CHUNK].to_vec() };
        blobs.put(by.organization, begun, chunk, at(1)).await.unwrap();
        writeln!(out, "whole {}", whole(&store, &by, &text).await.key()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Whatever the size, and however it comes: out comes what went in.
    #[test]
    fn sizes_around_the_borders(chunks in 0..3_usize, beside in -2..=2_i64, pieces in 1_000..3_000_000_usize) {
        let length = (chunks * CHUNK).saturating_add_signed(beside as isize);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let same = runtime.block_on(async {
            let store = abide_storage_sqlite::open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
            let by = organization(&store).await;
            let text = content(length);
            let owner = BlobOwner::Organization;
            let blob = write(&*store, (&by, owner), &text, pieces, at(1)).await.unwrap();
            blob.length == length as u64 && read(&*store, &by, blob.id, at(2)).await.unwrap() == Some(text)
        });
        prop_assert!(same);
    }
}
