//! Commits that the disk refuses. The kernel itself answers the writer's thread with the error, and no other thread: a
//! filter on its system calls, in force from the call on that asks for it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use abide_storage::suite::{Dice, masters};
use abide_storage::{Storage, StorageError, StorageResult};
use abide_storage_sql::database::Database as _;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use super::{futures_poll_once, mark, marks, write};
use crate::{SqliteOptions, SqliteStore};

fn open(data: &Path, seed: u64) -> Arc<SqliteStore> {
    let options = SqliteOptions {
        data,
        keys: masters(),
        chance: Arc::new(Dice::seeded(seed)),
        commit_delay: None,
    };
    crate::open(options).expect("a store")
}

/// From now on this thread's calls of these kinds fail.
fn refuse(calls: impl IntoIterator<Item = (i64, Vec<SeccompRule>)>, error: i32) {
    let filter = SeccompFilter::new(
        calls.into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(error.cast_unsigned()),
        std::env::consts::ARCH.try_into().expect("an architecture with filters"),
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
    apply_filter(&program).expect("a kernel with filters");
}

/// No sync of this thread succeeds any more.
fn refuse_syncs() {
    refuse([libc::SYS_fsync, libc::SYS_fdatasync].map(|call| (call, Vec::new())), libc::EIO);
}

/// No file of this thread's grows beyond `size` bytes: the disk is full.
fn refuse_beyond(size: u64) {
    let beyond = |argument| {
        let is_beyond =
            SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Gt, size);
        vec![SeccompRule::new(vec![is_beyond.expect("a condition")]).expect("a rule")]
    };
    // A write goes to the place sought before, or names its own.
    refuse([(libc::SYS_lseek, beyond(1)), (libc::SYS_pwrite64, beyond(3))], libc::ENOSPC);
}

/// What a machine that stops now would find on its disk at the next start, if the system had written all it was given.
fn copy_of(data: &Path) -> io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let copy = tempfile::tempdir()?;
    std::fs::set_permissions(copy.path(), std::fs::Permissions::from_mode(0o700))?;
    for file in ["abide.db", "abide.db-wal"] {
        std::fs::copy(data.join(file), copy.path().join(file))?;
    }
    Ok(copy)
}

async fn kept(store: &SqliteStore) -> StorageResult<Vec<i64>> {
    write(store, |tx| marks(tx)).await
}

/// Three calls in one batch, the second of which brings the disk to fail. Answers what they heard, and how often they
/// ran in all.
async fn failing_batch(
    store: &SqliteStore,
    fail: impl Fn(&mut abide_storage_sql::tx::Tx<'_>) -> StorageResult<()> + Send + 'static,
) -> ([StorageResult<()>; 3], u32) {
    let ran = Arc::new(AtomicU32::new(0));
    let run = || {
        let ran = Arc::clone(&ran);
        move || _ = ran.fetch_add(1, Ordering::Relaxed)
    };
    let (entered, at_gate) = mpsc::channel::<()>();
    let (queued, wait) = mpsc::channel::<()>();
    // Holds the writer up, alone in its batch, until the others wait behind it: they make the next one.
    let mut gate = Box::pin(write(store, move |_| {
        let _ = entered.send(());
        let _ = wait.recv();
        Ok(())
    }));
    assert!(futures_poll_once(gate.as_mut()).is_pending());
    at_gate.recv().expect("the gate is entered");
    let (first, second, third) = (run(), run(), run());
    let (gate, one, two, three, ()) = tokio::join!(
        gate,
        write(store, move |tx| {
            first();
            mark(tx, 1)
        }),
        write(store, move |tx| {
            second();
            fail(tx)?;
            mark(tx, 2)
        }),
        write(store, move |tx| {
            third();
            mark(tx, 3)
        }),
        async { drop(queued) }
    );
    assert_eq!(gate, Ok(()));
    ([one, two, three], ran.load(Ordering::Relaxed))
}

/// I1: when the sync of a commit fails, every caller hears that the outcome is not known, nothing runs twice, nothing is
/// written any more, and the next start finds the batch whole or not at all.
#[tokio::test]
async fn i1_a_failed_sync_is_of_unknown_outcome_and_the_last_write() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data, 1);
    write(&store, |tx| mark(tx, 0)).await.unwrap();
    assert_eq!(Storage::broken(&*store), None);
    let (heard, ran) = failing_batch(&store, |_| {
        refuse_syncs();
        Ok(())
    })
    .await;
    for answer in heard {
        assert!(matches!(answer, Err(StorageError::Unknown(_))), "{answer:?}");
    }
    assert_eq!(ran, 3, "nothing runs twice");
    let why = Storage::broken(&*store).expect("a reason");
    assert!(why.starts_with("a commit failed (disk I/O error)"), "{why}");
    for answer in [write(&store, |tx| mark(tx, 4)).await, kept(&store).await.map(drop)] {
        assert_eq!(answer, Err(StorageError::Unavailable(why.clone())));
    }
    let seen = store.database().read(|connection, _| {
        connection.sql("SELECT count(*) FROM leases").one((), |row| row.get(0))
    });
    assert_eq!(seen.await, Ok(1), "what was committed is read on");

    // This is why the answer cannot be that nothing was changed.
    let crashed = copy_of(&data).unwrap();
    assert_eq!(kept(&open(crashed.path(), 2)).await.unwrap(), [0, 1, 2, 3]);
    drop(store);
    let store = open(&data, 3);
    let found = kept(&store).await.unwrap();
    assert!(found == [0] || found == [0, 1, 2, 3], "{found:?}");
    assert_eq!(Storage::broken(&*store), None);
    write(&store, |tx| mark(tx, 4)).await.unwrap();
}

/// I1: when the disk is full at the commit, every caller hears that the outcome is not known and nothing runs twice;
/// what fits is written on, over what was left half written.
#[tokio::test]
async fn i1_a_full_disk_is_of_unknown_outcome_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data, 1);
    write(&store, |tx| mark(tx, 0)).await.unwrap();
    let size = std::fs::metadata(data.join("abide.db-wal")).unwrap().len();
    let (heard, ran) = failing_batch(&store, move |tx| {
        refuse_beyond(size + 128 * 1024);
        (10_000..50_000).try_for_each(|key| mark(tx, key))
    })
    .await;
    for answer in heard {
        assert!(matches!(answer, Err(StorageError::Unknown(_))), "{answer:?}");
    }
    assert_eq!(ran, 3, "nothing runs twice");
    assert_eq!(Storage::broken(&*store).as_deref(), Some("the disk is full"));
    write(&store, |tx| mark(tx, 4)).await.unwrap();
    assert_eq!(Storage::broken(&*store), None, "there is room again");
    assert_eq!(kept(&store).await.unwrap(), [0, 4]);
    let crashed = copy_of(&data).unwrap();
    assert_eq!(kept(&open(crashed.path(), 2)).await.unwrap(), [0, 4]);
}
