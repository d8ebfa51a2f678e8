//! Calls that share a transaction. A decision alone would cost as many round trips as it has statements, and a commit: so
//! those that come while others are under way wait for each other, are looked ahead for at once, and are written together.
//!
//! A call that is refused before it has written anything fails alone. Any other failure undoes them all, and they run again in
//! halves, until a bad call has failed alone. What another transaction holds is waited for aside, so that nobody who does not
//! need it waits, too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use abide_core::ids::OrganizationId;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::after::{After, follow};
use abide_storage_sql::database::{Ahead, Call};
use abide_storage_sql::look_ahead;
use abide_storage_sql::queued::{Queued, Ran, Waiting};
use abide_storage_sql::shared::Shared;
use abide_storage_sql::tx::{Caches, Tx};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::connection::{Connection, Failure};
use crate::feeds;
use crate::pool::Pool;
use crate::transaction::{Failed, keeping, of_calls, tried, within};

/// Calls that may wait.
const MOST_CALLS: usize = 8_192;
/// Calls per transaction, at most. Where one took all that there are, no other could run beside it.
const BATCH_CALLS: usize = 128;
/// Decisions per transaction, about: the call that passes this is the last.
const BATCH_DECISIONS: usize = 2_000;
/// Transactions of many calls that run at once.
const AT_ONCE: usize = 4;
/// So many calls are worth a transaction beside others that run; fewer wait for one of those to end. Each transaction costs
/// some twenty round trips, whatever it carries.
const WORTH_ANOTHER: usize = 48;
/// But no longer than that: what runs may be held up by something that those who wait do not need.
const LONGEST: Duration = Duration::from_millis(100);
/// Transactions that wait for what another one holds; calls beyond those are told that the store is busy.
const ASIDE: usize = 2;

/// Calls that wait for others, and go to the database with them.
pub(crate) struct Batches {
    /// Each with when it came.
    calls: Mutex<VecDeque<(Instant, Box<dyn Queued>)>>,
    /// Whether somebody looks after those that wait for too long.
    is_watched: AtomicBool,
    waiting: Waiting,
    turns: Semaphore,
    aside: Arc<Semaphore>,
    writers: Arc<Pool>,
    shared: Arc<Shared>,
}

impl Batches {
    pub(crate) fn new(writers: Arc<Pool>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            is_watched: AtomicBool::new(false),
            waiting: Waiting::default(),
            turns: Semaphore::new(AT_ONCE),
            aside: Arc::new(Semaphore::new(ASIDE)),
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
                calls.push_back((Instant::now(), call));
                None
            } else {
                Some(call)
            }
        };
        if let Some(call) = refused {
            call.settle(Some(StorageError::Busy));
        } else if self.is_worth_it(0) {
            // The calls go on also where their callers have gone away: what follows the commit must happen.
            tokio::spawn(Arc::clone(self).carry_out(false));
        } else if !self.is_watched.swap(true, Ordering::AcqRel) {
            tokio::spawn(Arc::clone(self).watch());
        }
        answered
            .await
            .unwrap_or_else(|_| Err(StorageError::Unknown("a call was given up".to_owned())))
    }

    /// Carries out what has waited for too long, until nothing waits.
    async fn watch(self: Arc<Self>) {
        loop {
            let oldest = self.calls.lock().front().map(|(came, _)| *came);
            let Some(came) = oldest else {
                self.is_watched.store(false, Ordering::Release);
                // Whoever came in between saw somebody watching.
                if self.calls.lock().is_empty() || self.is_watched.swap(true, Ordering::AcqRel) {
                    return;
                }
                continue;
            };
            let left = LONGEST.saturating_sub(came.elapsed());
            if left.is_zero() {
                tokio::spawn(Arc::clone(&self).carry_out(true));
                sleep(LONGEST).await;
            } else {
                sleep(left).await;
            }
        }
    }

    /// Carries out what waits, as long as something does that is worth it, and once also what is not.
    async fn carry_out(self: Arc<Self>, mut must: bool) {
        loop {
            let Ok(turn) = self.turns.try_acquire() else { return };
            while (std::mem::take(&mut must) || self.is_worth_it(1))
                && let Some(batch) = self.next()
            {
                for blocked in self.commit(batch, Patience::Brief).await {
                    Arc::clone(&self).wait_aside(blocked);
                }
            }
            drop(turn);
            // Whoever came in between saw the turn taken.
            if !self.is_worth_it(0) {
                return;
            }
        }
    }

    /// Whether what waits is to be carried out now, `mine` turns being the asker's own: where nobody else carries anything
    /// out, who would come to it next, or where enough has come together.
    fn is_worth_it(&self, mine: usize) -> bool {
        let waiting = self.calls.lock().len();
        let taken = AT_ONCE - self.turns.available_permits();
        let others = taken.saturating_sub(mine);
        waiting >= WORTH_ANOTHER || (waiting > 0 && others == 0)
    }

    fn next(&self) -> Option<Part> {
        let mut calls = self.calls.lock();
        let (mut batch, mut decisions) = (Vec::new(), 0);
        while batch.len() < BATCH_CALLS
            && decisions < BATCH_DECISIONS
            && let Some((_, call)) = calls.pop_front()
        {
            decisions += call.ahead().map_or(1, |ahead| ahead.decisions.len());
            batch.push(call);
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Lets calls wait for what another transaction holds, beside those that need not.
    fn wait_aside(self: Arc<Self>, part: Part) {
        let Ok(turn) = Arc::clone(&self.aside).try_acquire_owned() else {
            return settle(part, &StorageError::Busy);
        };
        tokio::spawn(async move {
            for blocked in self.commit(part, Patience::Long).await {
                settle(blocked, &StorageError::Busy);
            }
            drop(turn);
        });
    }

    /// Carries calls out, in as many transactions as it takes; answers those, each of one organization, that another
    /// transaction kept from it for too long.
    async fn commit(&self, batch: Part, patience: Patience) -> Vec<Part> {
        let metrics = &self.shared.metrics;
        metrics.batch_size.observe(batch.len() as f64);
        let begun = Instant::now();
        let (mut parts, mut blocked) = (vec![batch], Vec::new());
        while let Some(part) = parts.pop() {
            match self.transaction(part, patience).await {
                Ok(()) => {}
                Err(Undone { calls, was_blocked: true }) => match by_organization(calls) {
                    mut one if one.len() == 1 => blocked.append(&mut one),
                    mut several => parts.append(&mut several),
                },
                Err(Undone { mut calls, was_blocked: false }) => {
                    tracing::debug!(calls = calls.len(), "a batch is run again in halves");
                    parts.push(calls.split_off(calls.len() / 2));
                    parts.push(calls);
                }
            }
        }
        metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
        blocked
    }

    /// One transaction of calls, what follows its commit, and their answers; else the calls, to be carried out in another way.
    async fn transaction(&self, calls: Part, patience: Patience) -> Result<(), Undone> {
        let turn = match self.writers.turn().await {
            Ok(turn) => turn,
            Err(why) => {
                settle(calls, &why);
                return Ok(());
            }
        };
        let (writers, shared) = (Arc::clone(&self.writers), Arc::clone(&self.shared));
        let done = tokio::task::spawn_blocking(move || {
            let mut calls = calls;
            let done = tried(&writers, calls.len(), |connection| {
                transaction(connection, &shared, &mut calls, patience)
            });
            drop(turn);
            (calls, done)
        });
        // Where the task is gone, its calls are, and with them their answers.
        let Ok((calls, done)) = done.await else { return Ok(()) };
        match done {
            Ok(after) => {
                follow(&self.shared, after);
                for call in calls {
                    call.settle(None);
                }
            }
            Err((_, Some(Failure::Blocked))) => return Err(Undone { calls, was_blocked: true }),
            // In halves they would wait as long again, and again.
            Err((error, Some(Failure::Late | Failure::Silent))) => settle(calls, &error),
            Err((error, _)) if calls.len() == 1 || matches!(error, StorageError::Unknown(_)) => {
                settle(calls, &error);
            }
            Err(_) => return Err(Undone { calls, was_blocked: false }),
        }
        Ok(())
    }
}

/// Calls that go to the database together.
type Part = Vec<Box<dyn Queued>>;

/// Calls of which nothing was done.
struct Undone {
    calls: Part,
    /// Whether that is because of a row that another transaction held for too long.
    was_blocked: bool,
}

/// How long a transaction waits for what another one holds. Two that wait for each other find out by that, too.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// While others wait behind it.
    Brief,
    /// Beside the others.
    Long,
}

impl Patience {
    fn words(self) -> &'static str {
        match self {
            Self::Brief => "SET LOCAL lock_timeout = '250ms'",
            Self::Long => "SET LOCAL lock_timeout = '5s'",
        }
    }
}

fn settle(calls: Part, failure: &StorageError) {
    for call in calls {
        call.settle(Some(failure.clone()));
    }
}

fn by_organization(calls: Part) -> Vec<Part> {
    let mut parts: BTreeMap<Option<OrganizationId>, Part> = BTreeMap::new();
    for call in calls {
        parts.entry(call.ahead().map(|ahead| ahead.organization)).or_default().push(call);
    }
    parts.into_values().collect()
}

/// Looks ahead for all calls and runs each, in one transaction.
fn transaction(
    connection: &Connection,
    shared: &Arc<Shared>,
    calls: &mut [Box<dyn Queued>],
    patience: Patience,
) -> Result<Vec<After>, Failed> {
    let ahead: Vec<Ahead> = calls.iter().filter_map(|call| call.ahead().cloned()).collect();
    let keeping = keeping(&ahead.iter().map(|one| one.organization).collect());
    let begin = format!("{}; {keeping}", patience.words());
    let (mut caches, mut after) = (Caches::default(), Vec::new());
    within(connection, &of_calls(&begin), || {
        let mut tx = Tx::new(connection, shared, &mut caches, &mut after);
        if ahead.iter().map(|one| one.decisions.len()).sum::<usize>() > 1 {
            look_ahead(&mut tx, &ahead)?;
        }
        calls.iter_mut().try_for_each(|call| run(&mut tx, call.as_mut()))?;
        feeds::number_own(connection)
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
