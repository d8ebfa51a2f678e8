//! Recording outcomes: one report under way at a time, while the next one gathers.
//!
//! What waits here is bounded: when too much does, workers start nothing more. A report that fails as a whole is
//! tried again; an attempt's id makes that harmless when its commit was in doubt (I5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::ids::EndpointId;
use abide_storage::StorageError;
use abide_storage::deliveries::{FinishedAttempt, GiveBack, GivenBack, Report, Sent};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::hub::Hub;
use crate::job::Job;
use crate::leases::Hold;
use crate::pulse::Loop;

/// Outcomes on their way into the store.
#[derive(Debug)]
pub(crate) struct Reporter {
    waiting: Mutex<Batch>,
    /// Outcomes not yet recorded, waiting or under way.
    count: AtomicUsize,
    limit: usize,
    failing: AtomicBool,
    bell: Notify,
    eased: Notify,
}

/// Outcomes recorded together.
#[derive(Debug, Default)]
struct Batch {
    report: Report,
    /// One per finished attempt, in order: the leases stay open until the rows are recorded.
    finished: Vec<Arc<Hold>>,
    /// The same for rows given back, with their endpoints.
    given_back: Vec<(Arc<Hold>, EndpointId)>,
}

/// From this size on a batch says that the node is busy, and that waiting a moment makes larger ones.
const BUSY: usize = 32;
const GATHERING: Duration = Duration::from_millis(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Reporter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            count: AtomicUsize::new(0),
            limit,
            failing: AtomicBool::new(false),
            bell: Notify::new(),
            eased: Notify::new(),
        }
    }

    /// An attempt ended.
    pub(crate) fn finished(&self, job: Job, finished: FinishedAttempt) {
        self.push(|batch| {
            batch.report.finished.push(finished);
            batch.finished.push(job.hold);
        });
    }

    /// A delivery is given back, and nothing was sent of it.
    pub(crate) fn give_back(&self, job: Job, endpoint: EndpointId, to: GiveBack) {
        self.give_back_sent(job, endpoint, Sent::Nothing, to);
    }

    /// A delivery is given back without an outcome.
    pub(crate) fn give_back_sent(&self, job: Job, endpoint: EndpointId, sent: Sent, to: GiveBack) {
        let Job { delivery, hold, .. } = job;
        self.push(|batch| {
            batch.report.given_back.push(GivenBack { delivery, lease: hold.id, sent, to });
            batch.given_back.push((hold, endpoint));
        });
    }

    fn push(&self, add: impl FnOnce(&mut Batch)) {
        add(&mut self.waiting.lock());
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bell.notify_one();
    }

    /// Whether so much waits that nothing more should start.
    pub(crate) fn is_overfull(&self) -> bool {
        self.count.load(Ordering::Relaxed) > self.limit
    }

    /// Whether the store does not take reports.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Waits until something may start.
    pub(crate) async fn has_room(&self) {
        self.until(|count| count <= self.limit).await;
    }

    /// Waits until everything is recorded.
    pub(crate) async fn flushed(&self) {
        self.until(|count| count == 0).await;
    }

    async fn until(&self, enough: impl Fn(usize) -> bool) {
        loop {
            let eased = self.eased.notified();
            if enough(self.count.load(Ordering::Relaxed)) {
                return;
            }
            eased.await;
        }
    }

    fn next(&self, at_most: usize) -> Batch {
        self.waiting.lock().split_off_front(at_most)
    }

    fn recorded(&self, size: usize) {
        self.count.fetch_sub(size, Ordering::Relaxed);
        self.eased.notify_waiters();
    }
}

impl Batch {
    fn len(&self) -> usize {
        self.report.finished.len() + self.report.given_back.len()
    }

    /// The first `at_most` outcomes.
    fn split_off_front(&mut self, at_most: usize) -> Batch {
        if self.len() <= at_most {
            return std::mem::take(self);
        }
        let finished = at_most.min(self.finished.len());
        let given_back = at_most - finished;
        Batch {
            report: Report {
                finished: self.report.finished.drain(..finished).collect(),
                given_back: self.report.given_back.drain(..given_back).collect(),
            },
            finished: self.finished.drain(..finished).collect(),
            given_back: self.given_back.drain(..given_back).collect(),
        }
    }

    /// Endpoints that have parked rows once this is recorded.
    fn parked(&self) -> Vec<EndpointId> {
        let rows = self.report.given_back.iter().zip(&self.given_back);
        let mut endpoints: Vec<_> = rows
            .filter(|(row, _)| row.to == GiveBack::Parked)
            .map(|(_, (_, endpoint))| *endpoint)
            .collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints
    }

    /// When the first of these deliveries falls due again.
    fn next_due(&self) -> Option<Timestamp> {
        let retried = self.report.finished.iter().filter_map(|one| one.decided.due_at);
        let returned = self.report.given_back.iter().filter_map(|one| match one.to {
            GiveBack::Due(at) => Some(at),
            GiveBack::Parked | GiveBack::Stopped | GiveBack::Unreadable => None,
        });
        retried.chain(returned).min()
    }

    /// Each outcome in a report of its own.
    fn one_by_one(&self) -> impl Iterator<Item = Report> {
        let finished = self.report.finished.iter();
        let given_back = self.report.given_back.iter();
        finished
            .map(|one| Report { finished: vec![one.clone()], given_back: Vec::new() })
            .chain(given_back.map(|one| Report { finished: Vec::new(), given_back: vec![*one] }))
    }
}

/// Records what waits, for ever.
pub(crate) async fn record(hub: Arc<Hub>) {
    let mut last = 0;
    loop {
        hub.pulse.ticked(Loop::Reporter);
        if last >= BUSY && last < hub.options.report_batch {
            sleep(GATHERING).await;
        }
        let batch = hub.reporter.next(hub.options.report_batch);
        last = batch.len();
        if last == 0 {
            // The bell keeps one ring for later, so nothing that was pushed meanwhile is missed.
            let _ = timeout(LOOK_EVERY, hub.reporter.bell.notified()).await;
            continue;
        }
        let due = batch.next_due();
        record_batch(&hub, &batch).await;
        for endpoint in batch.parked() {
            hub.registry.find_or_add(endpoint).note_parked(&hub);
        }
        if let Some(at) = due {
            hub.due.falls_due(at);
        }
        drop(batch);
        hub.reporter.recorded(last);
    }
}

async fn record_batch(hub: &Hub, batch: &Batch) {
    match try_recording(hub, &batch.report).await {
        Ok(()) => {}
        Err(why) if batch.len() == 1 => dropped(&why),
        Err(why) => {
            tracing::warn!(%why, "a report was refused; its outcomes are recorded one by one");
            for report in batch.one_by_one() {
                if let Err(why) = try_recording(hub, &report).await {
                    dropped(&why);
                }
            }
        }
    }
}

/// The row stays under its lease and is sent again when that is worked off.
fn dropped(why: &StorageError) {
    tracing::error!(%why, "an outcome could not be recorded; its delivery will be sent again");
}

/// Tries until the store has taken the report, or will never take it.
async fn try_recording(hub: &Hub, report: &Report) -> Result<(), StorageError> {
    let mut wait = SHORTEST_WAIT;
    loop {
        let answer = hub.storage.deliveries().report(report.clone(), hub.clock.now()).await;
        match answer {
            Ok(()) => {
                hub.reporter.failing.store(false, Ordering::Relaxed);
                return Ok(());
            }
            Err(
                why @ (StorageError::Refused(_)
                | StorageError::Replayed(_)
                | StorageError::Damaged(_)),
            ) => return Err(why),
            Err(StorageError::Busy) => {}
            Err(why @ (StorageError::Unavailable(_) | StorageError::Unknown(_))) => {
                if !hub.reporter.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%why, "outcomes cannot be recorded");
                }
            }
        }
        hub.pulse.ticked(Loop::Reporter);
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
