//! Calls that share a transaction. A decision alone would cost as many round trips as it has statements, and a commit: so
//! those that come while others are under way wait for each other, are looked ahead for at once, and are written together.
//!
//! A call that is refused before it has written anything fails alone. Any other failure undoes them all, and each runs again
//! in a transaction of its own, so that a bad call still fails alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::after::{After, follow};
use abide_storage_sql::database::{Ahead, Call};
use abide_storage_sql::look_ahead;
use abide_storage_sql::queued::{Queued, Ran, Waiting};
use abide_storage_sql::shared::Shared;
use abide_storage_sql::tx::{Caches, Tx};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::connection::{Connection, Failure};
use crate::pool::Pool;
use crate::transaction::{Failed, again, keeping, within};

/// Calls that may wait.
const MOST_CALLS: usize = 8_192;
/// Calls per transaction, at most.
const BATCH_CALLS: usize = 256;
/// Transactions of many calls that run at once.
const AT_ONCE: usize = 2;
/// How long a transaction of many calls waits for a row that another one holds, before each call goes on alone: two that wait
/// for each other would wait for the server to notice.
const PATIENCE: &str = "SET LOCAL lock_timeout = '250ms'";

/// Calls that wait for others, and go to the database with them.
pub(crate) struct Batches {
    calls: Mutex<VecDeque<Box<dyn Queued>>>,
    waiting: Waiting,
    turns: Semaphore,
    writers: Arc<Pool>,
    shared: Arc<Shared>,
}

impl Batches {
    pub(crate) fn new(writers: Arc<Pool>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            waiting: Waiting::default(),
            turns: Semaphore::new(AT_ONCE),
            writers,
            shared,
        })
    }

    /// Carries a call out together with others, and waits for the commit.
    pub(crate) async fn call<T, F>(self: &Arc<Self>, call: Call, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        let (call, answered) = self.waiting.call(call, work)?;
        let refused = {
            let mut calls = self.calls.lock();
            if calls.len() < MOST_CALLS {
                calls.push_back(call);
                None
            } else {
                Some(call)
            }
        };
        if let Some(call) = refused {
            call.settle(Some(StorageError::Busy));
        } else if self.turns.available_permits() > 0 {
            // The calls go on also where their callers have gone away: what follows the commit must happen.
            tokio::spawn(Arc::clone(self).carry_out());
        }
        answered
            .await
            .unwrap_or_else(|_| Err(StorageError::Unknown("a call was given up".to_owned())))
    }

    /// Carries out what waits, as long as something does.
    async fn carry_out(self: Arc<Self>) {
        loop {
            let Ok(turn) = self.turns.try_acquire() else { return };
            while let Some(batch) = self.next() {
                self.commit(batch).await;
            }
            drop(turn);
            // Whoever came in between saw the turn taken.
            if self.calls.lock().is_empty() {
                return;
            }
        }
    }

    fn next(&self) -> Option<Vec<Box<dyn Queued>>> {
        let mut calls = self.calls.lock();
        let count = calls.len().min(BATCH_CALLS);
        (count > 0).then(|| calls.drain(..count).collect())
    }

    async fn commit(&self, batch: Vec<Box<dyn Queued>>) {
        let turn = match self.writers.turn().await {
            Ok(turn) => turn,
            Err(why) => return settle(batch, &why),
        };
        let (writers, shared) = (Arc::clone(&self.writers), Arc::clone(&self.shared));
        let done = tokio::task::spawn_blocking(move || {
            let done = together(&writers, &shared, batch);
            drop(turn);
            done
        });
        // Where the task is gone, its calls are, and with them their answers.
        let Ok((after, answers)) = done.await else { return };
        follow(&self.shared, after);
        for (call, failure) in answers {
            call.settle(failure);
        }
    }
}

fn settle(batch: Vec<Box<dyn Queued>>, failure: &StorageError) {
    for call in batch {
        call.settle(Some(failure.clone()));
    }
}

/// What is done after the commits, and how the calls are answered.
type Done = (Vec<After>, Vec<(Box<dyn Queued>, Option<StorageError>)>);

/// Carries calls out in one transaction, or else each in one of its own.
fn together(writers: &Pool, shared: &Arc<Shared>, batch: Vec<Box<dyn Queued>>) -> Done {
    let metrics = &shared.metrics;
    metrics.batch_size.observe(batch.len() as f64);
    let begun = Instant::now();
    let done = match batch.len() {
        1 => one_by_one(writers, shared, batch),
        _ => at_once(writers, shared, batch),
    };
    metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
    done
}

fn at_once(writers: &Pool, shared: &Arc<Shared>, mut batch: Vec<Box<dyn Queued>>) -> Done {
    let done = writers.take().map_err(|error| (error, None)).and_then(|connection| {
        let done = transaction(&connection, shared, &mut batch);
        writers.give_back(connection);
        done
    });
    match done {
        Ok(after) => (after, batch.into_iter().map(|call| (call, None)).collect()),
        Err((error @ StorageError::Unknown(_), _)) => {
            let answer = |call| (call, Some(error.clone()));
            (Vec::new(), batch.into_iter().map(answer).collect())
        }
        Err((error, failure)) => {
            if failure == Some(Failure::Lost) {
                writers.doubt();
            }
            tracing::debug!(%error, calls = batch.len(), "calls are run again one by one");
            one_by_one(writers, shared, batch)
        }
    }
}

fn one_by_one(writers: &Pool, shared: &Arc<Shared>, batch: Vec<Box<dyn Queued>>) -> Done {
    let (mut after, mut answers) = (Vec::new(), Vec::new());
    for mut call in batch {
        let done = again(writers, |connection| {
            transaction(connection, shared, std::slice::from_mut(&mut call))
        });
        match done {
            Ok(more) => {
                after.extend(more);
                answers.push((call, None));
            }
            Err(error) => answers.push((call, Some(error))),
        }
    }
    (after, answers)
}

/// Looks ahead for all calls and runs each, in one transaction.
fn transaction(
    connection: &Connection,
    shared: &Arc<Shared>,
    batch: &mut [Box<dyn Queued>],
) -> Result<Vec<After>, Failed> {
    let ahead: Vec<Ahead> = batch.iter().filter_map(|call| call.ahead().cloned()).collect();
    let mut begin = keeping(&ahead.iter().map(|one| one.organization).collect());
    if batch.len() > 1 {
        begin = format!("{PATIENCE}; {begin}");
    }
    let (mut caches, mut after) = (Caches::default(), Vec::new());
    within(connection, &begin, || {
        let mut tx = Tx::new(connection, shared, &mut caches, &mut after);
        if ahead.iter().map(|one| one.decisions.len()).sum::<usize>() > 1 {
            look_ahead(&mut tx, &ahead)?;
        }
        batch.iter_mut().try_for_each(|call| run(&mut tx, call.as_mut()))
    })?;
    Ok(after)
}

/// Runs a call within the transaction. An error undoes all of it; a refusal before anything was written is none.
fn run(tx: &mut Tx<'_>, call: &mut dyn Queued) -> StorageResult<()> {
    let (changes, noted) = (tx.connection().changes(), tx.noted());
    if call.run(tx) == Ran::Well {
        return Ok(());
    }
    tx.forget_noted(noted);
    match call.failure() {
        Some(failure) if tx.connection().changes() != changes => Err(failure),
        Some(failure @ (StorageError::Unavailable(_) | StorageError::Damaged(_))) => Err(failure),
        _ => Ok(()),
    }
}
