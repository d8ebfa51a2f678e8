//! The one thread that writes. It drains a bounded queue of calls and commits many at once.
//!
//! A call is a closure over the open transaction. One that fails before it has written anything fails alone. One that
//! fails after writing takes the batch with it: all is rolled back and the calls run again, each in a transaction of
//! its own, so that a bad call still fails alone. That is why calls can run twice, and why what they want done after
//! the commit is only noted while they run. No savepoints: they cost each good call more than the bad ones save.
//!
//! The batching window adapts: none while batches are small, 10 µs per call of the last batch up to 3 ms as they
//! grow; and none where enough has come together while the commit before ran. Answers leave after the commit is
//! durable (I1), those of refused calls too.
//!
//! A commit that fails half way is neither done nor undone: its frames may stand whole in the log, and the next opening
//! would find them there. Its calls are answered with [`StorageError::Unknown`] and run no second time. After a full
//! disk the writer goes on, and writes over those frames. After anything else, a failed sync above all, it writes
//! nothing more until the next start: the system may have dropped what it could not write, and a second sync would
//! report success.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::after::{After, follow};
use abide_storage_sql::database::Call;
use abide_storage_sql::queued::{Queued, Ran, Waiting};
use abide_storage_sql::shared::Shared;
use abide_storage_sql::tx::{Caches, Tx};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::mpsc;

use crate::driver::{Transaction, in_sqlite};
use crate::in_place::{Batches, Fate};
use crate::statements::Statements;

/// Calls that may wait.
const QUEUE_CALLS: usize = 8_192;
/// Calls per commit, at most.
const BATCH_CALLS: usize = 1_024;
/// After batches below this size nothing is waited for.
const SMALL_BATCH: usize = 8;
/// A batch of this size is worth its commit, and not waited for.
const WORTH_COMMITTING: usize = 64;
const WINDOW_PER_CALL: Duration = Duration::from_micros(10);
const LONGEST_WINDOW: Duration = Duration::from_millis(3);

/// The way to the writer.
pub(crate) struct Writer {
    calls: parking_lot::RwLock<Option<Calls>>,
    waiting: Waiting,
    commits: Arc<AtomicI64>,
    health: Arc<Health>,
    thread: parking_lot::Mutex<Option<thread::JoinHandle<()>>>,
}

/// Where calls wait.
enum Calls {
    /// For the writer's own thread.
    Thread(Sender<Box<dyn Queued>>),
    /// For a task of the runtime that its callers are in.
    InPlace(mpsc::Sender<Box<dyn Queued>>),
}

impl Calls {
    /// The error has the call back.
    fn try_send(&self, call: Box<dyn Queued>) -> Result<(), TrySendError<Box<dyn Queued>>> {
        match self {
            Self::Thread(calls) => calls.try_send(call),
            Self::InPlace(calls) => calls.try_send(call).map_err(|why| match why {
                mpsc::error::TrySendError::Full(call) => TrySendError::Full(call),
                mpsc::error::TrySendError::Closed(call) => TrySendError::Disconnected(call),
            }),
        }
    }
}

impl Writer {
    /// A writer without a thread: the future is it, and writes as long as it is polled.
    pub(crate) fn in_place(
        connection: Connection,
        shared: Arc<Shared>,
        batches: Box<dyn Batches>,
    ) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(QUEUE_CALLS);
        let writer = Self {
            calls: parking_lot::RwLock::new(Some(Calls::InPlace(sender))),
            waiting: Waiting::default(),
            commits: Arc::default(),
            health: Arc::default(),
            thread: parking_lot::Mutex::default(),
        };
        let (commits, health) = (Arc::clone(&writer.commits), Arc::clone(&writer.health));
        let works = async move {
            let statements = Statements::new(&connection, in_sqlite);
            let of = Loop {
                connection: &connection,
                statements: &statements,
                shared,
                caches: Caches::default(),
                commits,
                health,
                commit_delay: None,
                batches: Some(batches),
                unanswered: Vec::new(),
            };
            of.run_in_place(receiver).await;
        };
        (writer, works)
    }

    /// Starts the thread on a connection that nothing else writes through.
    pub(crate) fn start(
        connection: Connection,
        shared: Arc<Shared>,
        commit_delay: Option<Duration>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = bounded(QUEUE_CALLS);
        let commits = Arc::new(AtomicI64::new(0));
        let counted = Arc::clone(&commits);
        let health = Arc::new(Health::default());
        let told = Arc::clone(&health);
        let thread = thread::Builder::new().name("abide-writer".to_owned()).spawn(move || {
            let caches = Caches::default();
            let statements = Statements::new(&connection, in_sqlite);
            let of = Loop {
                connection: &connection,
                statements: &statements,
                shared,
                caches,
                commits: counted,
                health: told,
                commit_delay,
                batches: None,
                unanswered: Vec::new(),
            };
            of.run(&receiver);
        })?;
        Ok(Self {
            calls: parking_lot::RwLock::new(Some(Calls::Thread(sender))),
            waiting: Waiting::default(),
            commits,
            health,
            thread: parking_lot::Mutex::new(Some(thread)),
        })
    }

    /// Queues a call and waits for its commit. The call may run more than once.
    pub(crate) async fn call<T, F>(&self, call: Call, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        let (call, answered) = self.waiting.call(call, work)?;
        let sent = match &*self.calls.read() {
            Some(calls) => calls.try_send(call),
            None => Err(TrySendError::Disconnected(call)),
        };
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(call)) => call.settle(Some(StorageError::Busy)),
            Err(TrySendError::Disconnected(call)) => call.settle(Some(closed())),
        }
        answered.await.unwrap_or_else(|_| Err(StorageError::Unknown("the writer ended".to_owned())))
    }

    /// Commits since the start.
    pub(crate) fn commits(&self) -> i64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Why nothing is written, if so: for good, or until a call succeeds.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.health.broken()
    }

    /// Lets the queued calls finish, then ends the thread.
    pub(crate) fn close(&self) {
        drop(self.calls.write().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panicked writer has nothing left to say.
            let _ = thread.join();
        }
    }
}

fn closed() -> StorageError {
    StorageError::Unavailable("the store is closed".to_owned())
}

/// Whether the writer gets its work done.
#[derive(Default)]
struct Health {
    /// Set for good by a commit after which nothing can be trusted to be written.
    broken: OnceLock<String>,
    /// From a commit that found the disk full to the next that did not.
    disk_full: AtomicBool,
    /// Calls that the database failed, since the last that it did not.
    failed_in_a_row: AtomicU32,
}

/// A call may fail by a fault of its own; so many in a row, and nothing but failures, are the database's.
const FAILED_IN_A_ROW: u32 = 5;

impl Health {
    fn broken(&self) -> Option<&str> {
        if let Some(why) = self.broken.get() {
            return Some(why);
        }
        if self.disk_full.load(Ordering::Relaxed) {
            return Some("the disk is full");
        }
        (self.failed_in_a_row.load(Ordering::Relaxed) >= FAILED_IN_A_ROW)
            .then_some("the database fails every call; the log says how")
    }

    fn ran(&self, ran: Ran) {
        match ran {
            Ran::Failed => {
                self.failed_in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            Ran::Well => self.failed_in_a_row.store(0, Ordering::Relaxed),
            Ran::Refused => {}
        }
    }
}

struct Loop<'s, 'c> {
    connection: &'c Connection,
    statements: &'s Statements<'c>,
    shared: Arc<Shared>,
    caches: Caches,
    commits: Arc<AtomicI64>,
    health: Arc<Health>,
    commit_delay: Option<Duration>,
    /// Who says what happens to batches, where that is not left to the world.
    batches: Option<Box<dyn Batches>>,
    /// The calls that were there when the process died, as [`Batches`] wanted it. Nobody answers them.
    unanswered: Vec<Box<dyn Queued>>,
}

impl Loop<'_, '_> {
    fn run(mut self, calls: &Receiver<Box<dyn Queued>>) {
        let mut batch = Vec::with_capacity(BATCH_CALLS);
        let mut last = 0;
        while let Ok(first) = calls.recv() {
            batch.push(first);
            gather(calls, &mut batch, last);
            last = batch.len();
            self.commit(&mut batch);
        }
    }

    async fn run_in_place(mut self, mut calls: mpsc::Receiver<Box<dyn Queued>>) {
        let mut batch = Vec::new();
        while let Some(first) = calls.recv().await {
            batch.push(first);
            while batch.len() < BATCH_CALLS
                && let Ok(call) = calls.try_recv()
            {
                batch.push(call);
            }
            self.commit(&mut batch);
            if !self.unanswered.is_empty() {
                // Dead, for as long as nobody drops what is left of it.
                std::future::pending::<()>().await;
            }
        }
    }

    fn commit(&mut self, batch: &mut Vec<Box<dyn Queued>>) {
        if !self.unanswered.is_empty() {
            self.unanswered.append(batch);
            return;
        }
        if let Some(why) = self.health.broken.get() {
            return settle_all(batch, &StorageError::Unavailable(why.clone()));
        }
        let begun = Instant::now();
        let metrics = Arc::clone(&self.shared.metrics);
        metrics.batch_size.observe(batch.len() as f64);
        match self.transaction(batch) {
            Ok(_) if self.dies(|batches| batches.committed()) => self.unanswered.append(batch),
            Err(Undone::Died) => self.unanswered.append(batch),
            Ok(after) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                self.health.disk_full.store(false, Ordering::Relaxed);
                finish(&self.shared, after, std::mem::take(batch));
            }
            Err(Undone::InDoubt(error)) => self.leave_in_doubt(batch, &error),
            Err(failure) if batch.len() == 1 => {
                // One that failed by itself is told to its caller, who knows what to log of it.
                let failed_by_itself = matches!(failure, Undone::Call);
                if !failed_by_itself {
                    tracing::error!(error = %failure, "a call could not be committed");
                    self.health.ran(Ran::Failed);
                }
                for call in batch.drain(..) {
                    call.settle((!failed_by_itself).then(|| failure.as_error()));
                }
            }
            Err(failure) => {
                tracing::warn!(error = %failure, calls = batch.len(), "a batch is run again one by one");
                for call in batch.drain(..) {
                    self.commit(&mut vec![call]);
                }
            }
        }
        metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
    }

    fn leave_in_doubt(&mut self, batch: &mut Vec<Box<dyn Queued>>, error: &rusqlite::Error) {
        let calls = batch.len();
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            self.health.disk_full.store(true, Ordering::Relaxed);
            tracing::error!(
                calls,
                "a commit failed: the disk is full; what became of its calls is not known"
            );
        } else {
            let why = format!("a commit failed ({error}); look after the disk and start again");
            tracing::error!(
                calls, %error,
                "a commit failed; what became of its calls is not known, and nothing is written until the next start"
            );
            // Only this thread sets it, once.
            let _ = self.health.broken.set(why);
        }
        settle_all(batch, &StorageError::Unknown(error.to_string()));
    }

    /// One transaction over the batch; on an error the caches are empty and nothing of it stands, unless it is in doubt.
    fn transaction(&mut self, batch: &mut [Box<dyn Queued>]) -> Result<Vec<After>, Undone> {
        let done = self.try_transaction(batch);
        if done.is_err() {
            self.caches = Caches::default();
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a rollback failed");
            }
        }
        done
    }

    fn dies(&mut self, ask: impl FnOnce(&mut dyn Batches) -> Fate) -> bool {
        self.batches.as_mut().is_some_and(|batches| ask(&mut **batches) == Fate::Dies)
    }

    /// The fault of answering before the commit: three batches of four are committed with a later one.
    #[cfg(feature = "faults")]
    fn commits_later(&self) -> bool {
        let planted = abide_core::fault::is_planted(abide_core::fault::Fault::AnsweredBeforeCommit);
        planted && self.commits.load(Ordering::Relaxed) % 4 != 3
    }

    fn run_alone(&self, statement: &'static str) -> rusqlite::Result<()> {
        self.statements.take(statement)?.execute([]).map(drop)
    }

    fn try_transaction(&mut self, batch: &mut [Box<dyn Queued>]) -> Result<Vec<After>, Undone> {
        // A transaction of its own per batch, but for a fault.
        if cfg!(not(feature = "faults")) || self.connection.is_autocommit() {
            self.run_alone("BEGIN IMMEDIATE")?;
        }
        let mut after = Vec::new();
        for call in batch.iter_mut() {
            let before = self.connection.total_changes();
            let noted = after.len();
            let sql = Transaction(self.statements);
            let mut tx = Tx::new(&sql, &self.shared, &mut self.caches, &mut after);
            let ran = call.run(&mut tx);
            self.health.ran(ran);
            if ran != Ran::Well {
                // SQLite may have rolled all back by itself, and then counts no change.
                if self.connection.is_autocommit() || self.connection.total_changes() != before {
                    return Err(Undone::Call);
                }
                after.truncate(noted);
            }
        }
        if let Some(delay) = self.commit_delay {
            injected_delay(delay);
        }
        let calls = batch.len();
        if self.dies(|batches| batches.committing(calls)) {
            return Err(Undone::Died);
        }
        #[cfg(feature = "faults")]
        if self.commits_later() {
            return Ok(after);
        }
        match self.run_alone("COMMIT") {
            Ok(()) => Ok(after),
            // Still open: it had not begun to write.
            Err(error) if !self.connection.is_autocommit() => Err(Undone::Database(error)),
            Err(error) => Err(Undone::InDoubt(error)),
        }
    }
}

fn settle_all(batch: &mut Vec<Box<dyn Queued>>, failure: &StorageError) {
    for call in batch.drain(..) {
        call.settle(Some(failure.clone()));
    }
}

/// What follows a commit: hot deliveries to the engine, caches, then the answers. It runs in the callers' runtime, in
/// one task per batch: waking each caller and worker from the writer's thread would cost a system call for each.
fn finish(shared: &Arc<Shared>, after: Vec<After>, batch: Vec<Box<dyn Queued>>) {
    let Some(caller) = batch.first().map(|call| call.caller().clone()) else { return };
    let shared = Arc::clone(shared);
    caller.spawn(async move {
        follow(&shared, after);
        for call in batch {
            call.settle(None);
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark's stand-in for a slow disk; off unless asked for"
)]
fn injected_delay(delay: Duration) {
    thread::sleep(delay);
}

fn gather(calls: &Receiver<Box<dyn Queued>>, batch: &mut Vec<Box<dyn Queued>>, last: usize) {
    let mut deadline = None;
    while batch.len() < BATCH_CALLS {
        if let Ok(call) = calls.try_recv() {
            batch.push(call);
            continue;
        }
        if last < SMALL_BATCH || batch.len() >= WORTH_COMMITTING {
            return;
        }
        let window = (WINDOW_PER_CALL * last as u32).min(LONGEST_WINDOW);
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + window);
        match calls.recv_deadline(deadline) {
            Ok(call) => batch.push(call),
            Err(_) => return,
        }
    }
}

/// Why a transaction was undone, or may be.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error("a call failed after it had written")]
    Call,
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// The commit failed half way.
    #[error("the commit failed: {0}")]
    InDoubt(rusqlite::Error),
    /// The process died before the commit, as [`Batches`] wanted it.
    #[error("the process died")]
    Died,
}

impl Undone {
    fn as_error(&self) -> StorageError {
        StorageError::Unavailable(self.to_string())
    }
}

#[cfg(test)]
mod tests;
