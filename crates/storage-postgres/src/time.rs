//! The time that all nodes go by: the database's, measured at each beat of a node (I15).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use abide_core::Timestamp;
use abide_core::shell::Clock;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::sql::Sql;
use parking_lot::Mutex;

use crate::jumps::{Jumps, SETTLED};

/// A clock that runs on this machine's steady one, and on what that leaves out, from the last time the database told.
pub(crate) struct DatabaseClock {
    /// Says how long the machine was suspended.
    machine: Arc<dyn Clock>,
    measured: Mutex<Measured>,
    /// Taken after `measured`.
    jumps: Mutex<Jumps>,
    /// Set when another node draws keys under this one's number.
    is_replaced: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    /// When the database was asked, by this machine.
    at: Instant,
    /// For how long the machine had been suspended by then.
    slept: Duration,
    /// What it was then by the database, somewhere within the bound.
    time: i64,
    /// How far off that can be.
    bound: Duration,
    /// The last time that was told: it does not go back by what a new measurement corrects, but where the clock was set.
    told: i64,
}

impl std::fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseClock")
            .field("measured", &*self.measured.lock())
            .finish_non_exhaustive()
    }
}

/// How far off the time may be before a node stops claiming and signing.
const WIDEST_BOUND: Duration = Duration::from_secs(1);
/// A measurement older than this is none.
const OLDEST: Duration = Duration::from_secs(6);
/// What two clocks may drift apart by in a measurement's time, at most: far more than quartz does.
const DRIFT: u32 = 1_000;

/// Why a node does no more.
pub(crate) const REPLACED: &str =
    "another node has this one's number, which was not heard of for long; start it again";

impl DatabaseClock {
    /// As a database tells it now.
    pub(crate) fn measured(sql: &dyn Sql, machine: Arc<dyn Clock>) -> StorageResult<Self> {
        let first = measure(sql, &*machine)?;
        let measured = Mutex::new(Measured { told: first.time, ..first });
        let (jumps, is_replaced) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { machine, measured, jumps, is_replaced })
    }

    /// How long ago that was.
    fn age(&self, known: &Measured) -> Duration {
        known.at.elapsed() + self.machine.slept().saturating_sub(known.slept)
    }

    /// This node's number is another's: nothing is claimed, signed or beaten any more until it starts again.
    pub(crate) fn replaced(&self) {
        self.is_replaced.store(true, Ordering::Relaxed);
    }

    /// Asks the database again.
    pub(crate) fn measure(&self, sql: &dyn Sql) -> StorageResult<()> {
        let new = measure(sql, &*self.machine)?;
        let mut known = self.measured.lock();
        let age =
            new.at.saturating_duration_since(known.at) + new.slept.saturating_sub(known.slept);
        let off = new.time - (known.time + age.as_millis() as i64);
        let leeway = WIDEST_BOUND + known.bound + new.bound + age / DRIFT;
        if self.jumps.lock().believes(new.at, off, leeway) {
            *known = Measured { told: known.told, ..new };
        }
        Ok(())
    }

    /// Whether the time is known well enough to claim and to sign.
    pub(crate) fn check(&self) -> StorageResult<()> {
        if self.is_replaced.load(Ordering::Relaxed) {
            return Err(StorageError::Unavailable(REPLACED.to_owned()));
        }
        let known = *self.measured.lock();
        if let Some(off) = self.jumps.lock().in_doubt() {
            let problem = format!(
                "the database's clock was set by {off} ms, which is believed once it has run evenly for {} s",
                SETTLED.as_secs()
            );
            return Err(StorageError::Unavailable(problem));
        }
        let age = self.age(&known);
        let bound = known.bound + age / DRIFT;
        if age <= OLDEST && bound <= WIDEST_BOUND {
            return Ok(());
        }
        let problem = format!(
            "the database's time is not known well enough: it was asked {} ms ago and answered within {} ms",
            age.as_millis(),
            known.bound.as_millis() * 2
        );
        Err(StorageError::Unavailable(problem))
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let mut known = self.measured.lock();
        let now = known.time + self.age(&known).as_millis() as i64;
        let corrected = known.told - now;
        if corrected <= 0 || corrected > WIDEST_BOUND.as_millis() as i64 {
            known.told = now;
        }
        Timestamp::from_millis(known.told)
    }

    fn slept(&self) -> Duration {
        self.machine.slept()
    }
}

fn measure(sql: &dyn Sql, machine: &dyn Clock) -> StorageResult<Measured> {
    let (before, slept) = (Instant::now(), machine.slept());
    let time: i64 = sql.sql("SELECT database_time(0)").one((), |row| row.get(0))?;
    // One that was suspended meanwhile does not know when it was answered.
    let took = before.elapsed() + machine.slept().saturating_sub(slept);
    Ok(Measured {
        at: before,
        slept,
        time: time - (took / 2).as_millis() as i64,
        bound: took / 2,
        told: 0,
    })
}
