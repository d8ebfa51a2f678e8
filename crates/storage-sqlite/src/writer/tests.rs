//! The writer: which calls share a fate, and which do not.

#[cfg(target_os = "linux")]
mod disk;

use std::sync::Arc;
use std::sync::mpsc;

use abide_core::Refusal;
use abide_storage::suite::{Dice, masters};
use abide_storage::{Storage, StorageError, StorageResult};

use abide_storage_sql::database::{Call, Database as _};
use abide_storage_sql::tx::Tx;

use crate::{SqliteOptions, SqliteStore, open, open_in_memory};

/// A call in the writer.
async fn write<T: Send + 'static>(
    store: &SqliteStore,
    work: impl FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
) -> StorageResult<T> {
    store.database().write(Call::of(1), work).await
}

fn refused<T>(refusal: Refusal) -> StorageResult<T> {
    Err(StorageError::Refused(refusal))
}

/// Ways in which a call can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poison {
    Panics,
    Errs,
    Refuses,
}

fn mark(tx: &Tx<'_>, key: i64) -> StorageResult<()> {
    tx.connection()
        .sql("INSERT INTO leases (lease, holder, epoch, heartbeat_at) VALUES (?, 1, 1, 1)")
        .execute([key])
        .map(drop)
}

fn marks(tx: &Tx<'_>) -> StorageResult<Vec<i64>> {
    tx.connection().sql("SELECT lease FROM leases ORDER BY lease").all((), |row| row.get(0))
}

/// I1: a call that fails, before or after it has written, fails alone; its neighbours in the batch commit, once.
#[tokio::test]
async fn i1_a_bad_call_fails_alone() {
    for poison in [Poison::Panics, Poison::Errs, Poison::Refuses] {
        for writes_first in [false, true] {
            let store = open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
            let (queued, wait) = mpsc::channel::<()>();
            // Holds the writer up until the others wait behind it: they make one batch.
            let gate = write(&store, move |_| {
                let _ = wait.recv();
                Ok(())
            });
            let bad = write(&store, move |tx| {
                if writes_first {
                    mark(tx, 2)?;
                }
                match poison {
                    Poison::Panics => panic!("poison"),
                    Poison::Errs => Err::<(), _>(StorageError::Damaged("poison".to_owned())),
                    Poison::Refuses => refused(Refusal::NotFound("poison")),
                }
            });
            // Open for good: the gate runs again when its batch is undone.
            let open_gate = async { drop(queued) };
            let (_, before, bad, after, ()) = tokio::join!(
                gate,
                write(&store, |tx| mark(tx, 1)),
                bad,
                write(&store, |tx| mark(tx, 3)),
                open_gate
            );
            let way = format!("{poison:?}, writes first: {writes_first}");
            assert_eq!((before, after), (Ok(()), Ok(())), "{way}");
            let bad = bad.unwrap_err();
            assert_eq!(
                matches!(bad, StorageError::Refused(_)),
                poison == Poison::Refuses,
                "{way}: {bad}"
            );
            let kept = write(&store, |tx| marks(tx)).await.unwrap();
            assert_eq!(kept, [1, 3], "{way}");
        }
    }
}

/// I1: a call that went away before its answer is carried out all the same, whole.
#[tokio::test]
async fn i1_a_caller_that_leaves_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        data: folder.path(),
        keys: masters(),
        chance: Arc::new(Dice::default()),
        commit_delay: Some(std::time::Duration::from_millis(3)),
    };
    let store = open(options).unwrap();
    let mut leaving = Box::pin(write(&store, |tx| mark(tx, 7)));
    let polled = futures_poll_once(leaving.as_mut());
    assert!(polled.is_pending());
    drop(leaving);
    assert_eq!(write(&store, |tx| marks(tx)).await.unwrap(), [7]);
}

fn futures_poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

/// I1: a closed store refuses calls and loses none that it took before.
#[tokio::test]
async fn i1_a_closed_store_refuses() {
    let store = open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    Storage::close(&*store);
    let answer = write(&store, |tx| mark(tx, 1)).await;
    assert!(matches!(answer, Err(StorageError::Unavailable(_))), "{answer:?}");
}

/// A store whose every call fails says so, until one succeeds. A refused call proves nothing.
#[tokio::test]
async fn a_store_that_fails_every_call_says_so() {
    let store = open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    let failing = || {
        write(&store, |tx| {
            tx.connection().sql("SELECT lease FROM no_such_table").exists(()).map(drop)
        })
    };
    for failed in 0..super::FAILED_IN_A_ROW {
        assert_eq!(Storage::broken(&*store), None, "after {failed}");
        failing().await.unwrap_err();
        let refused = write(&store, |_| refused::<()>(Refusal::NotFound("it"))).await;
        assert!(matches!(refused, Err(StorageError::Refused(_))));
    }
    assert!(Storage::broken(&*store).is_some());
    write(&store, |tx| mark(tx, 1)).await.unwrap();
    assert_eq!(Storage::broken(&*store), None);
}
