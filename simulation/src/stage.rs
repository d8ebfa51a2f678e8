//! What every part of a run shares: the clock, the judge, the trace, and where the next death is to come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abide_core::shell::Clock as _;
use abide_storage::deliveries::Report;
use abide_storage_sqlite::{Batches, Fate};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::clock::SimulatedClock;
use crate::judge::Judge;
use crate::plan::Point;

/// Shared by driver, processes and network.
pub(crate) struct Stage {
    pub(crate) seed: u64,
    pub(crate) clock: Arc<SimulatedClock>,
    /// Where what is no process of ours runs: it goes on when one dies or stands still.
    pub(crate) outside: Handle,
    pub(crate) judge: Mutex<Judge>,
    trace: Mutex<Vec<String>>,
    /// Where the process dies next, and how often it passes there first.
    armed: Mutex<Option<(Point, u8)>>,
    /// Reports that processes sent to the store and heard nothing of. Those of a dead one may still get there.
    pub(crate) letters: Mutex<Vec<(u64, Report)>>,
}

impl Stage {
    pub(crate) fn new(seed: u64, clock: SimulatedClock, judge: Judge) -> Self {
        Self {
            seed,
            clock: Arc::new(clock),
            outside: Handle::current(),
            judge: Mutex::new(judge),
            trace: Mutex::default(),
            armed: Mutex::default(),
            letters: Mutex::default(),
        }
    }

    /// Notes something in the trace.
    pub(crate) fn note(&self, what: impl AsRef<str>) {
        let at = self.clock.elapsed_millis();
        let line = format!("{at:>8} {} {}", self.clock.now(), what.as_ref());
        self.trace.lock().push(line);
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.trace.lock())
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.judge.lock().broken.is_some()
    }

    pub(crate) fn arm(&self, crash: Option<(Point, u8)>) {
        *self.armed.lock() = crash;
    }

    /// A process comes by a point: whether it dies there.
    pub(crate) fn passes(&self, point: Point) -> Fate {
        let mut armed = self.armed.lock();
        match &mut *armed {
            Some((at, left)) if *at == point => {
                if let Some(fewer) = left.checked_sub(1) {
                    *left = fewer;
                    return Fate::Lives;
                }
                *armed = None;
                Fate::Dies
            }
            _ => Fate::Lives,
        }
    }
}

/// Whether a process lives. What a dead one still does reaches nobody.
#[derive(Debug, Default)]
pub(crate) struct Life {
    dead: AtomicBool,
    died: Notify,
    stands: watch::Sender<bool>,
}

impl Life {
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_waiters();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Waits for the end.
    pub(crate) async fn ends(&self) {
        let died = self.died.notified();
        if !self.is_over() {
            died.await;
        }
    }

    /// Comes by a point, and perhaps no further.
    pub(crate) async fn passes(&self, stage: &Stage, point: Point) {
        self.lives().await;
        if stage.passes(point) == Fate::Dies {
            stage.note(format!("dies: {point:?}"));
            self.end();
            self.lives().await;
        }
    }

    /// From now on nothing gets out of it, or to it, until [`Life::go_on`].
    pub(crate) fn stand_still(&self) {
        self.stands.send_replace(true);
    }

    pub(crate) fn go_on(&self) {
        self.stands.send_replace(false);
    }

    pub(crate) fn stands_still(&self) -> bool {
        *self.stands.borrow()
    }

    /// Goes on while the process lives and does not stand still, and never else.
    pub(crate) async fn lives(&self) {
        if self.stands_still() {
            // It is there for as long as this is.
            let _ = self.stands.subscribe().wait_for(|stands| !stands).await;
        }
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}

/// The batches of one process.
pub(crate) struct Watched {
    pub(crate) stage: Arc<Stage>,
    pub(crate) life: Arc<Life>,
    /// The moment of the last commit, and how many there were in it.
    pub(crate) since: (i64, u32),
}

impl Watched {
    fn passes(&self, point: Point) -> Fate {
        if self.life.is_over() {
            return Fate::Dies;
        }
        let fate = self.stage.passes(point);
        if fate == Fate::Dies {
            self.stage.note(format!("dies: {point:?}"));
            self.life.end();
        }
        fate
    }
}

/// Commits in one moment of time above which a process only turns round in itself.
const MOST_COMMITS: u32 = 1_000;

impl Batches for Watched {
    fn committing(&mut self, _calls: usize) -> Fate {
        let now = self.stage.clock.elapsed_millis();
        if self.since.0 != now {
            self.since = (now, 0);
        }
        self.since.1 += 1;
        if self.since.1 > MOST_COMMITS {
            let what = "commits without end, and time stands still";
            self.stage.judge.lock().breaks("standstill", what);
            self.life.end();
        }
        self.passes(Point::Committing)
    }

    fn committed(&mut self) -> Fate {
        self.stage.judge.lock().look(self.stage.clock.elapsed_millis());
        self.passes(Point::Committed)
    }
}
