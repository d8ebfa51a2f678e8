//! What may take its time beside all calls, on a thread and a connection of its own, so that the node's beat never waits for it:
//! numbers for feeds that nobody reads, and partitions ahead of their time and after it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use abide_core::ids::{Id, OrganizationId};
use abide_core::shell::Clock as _;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::sql::Sql;

use crate::address::Address;
use crate::connection::{Connection, Failure};
use crate::time::DatabaseClock;
use crate::transaction::within;
use crate::{feeds, partitions};

/// How often feeds are numbered.
const EVERY: Duration = Duration::from_secs(1);
/// Feeds of so many organizations at a time.
const FEEDS: usize = 100;
/// How often partitions are looked after.
const PARTITIONS_EVERY: Duration = Duration::from_hours(1);
/// How soon again where one could not be made.
const PARTITIONS_AGAIN: Duration = Duration::from_mins(1);

/// The thread; ends when this is dropped.
pub(crate) struct Upkeep {
    stop: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Upkeep {
    pub(crate) fn start(address: Address, clock: Arc<DatabaseClock>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("abide-upkeep".to_owned()).spawn(move || {
            let round = Round { numbered: None, look_at: Instant::now() };
            Keeper { address, clock, stopped }.run(round);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

struct Keeper {
    address: Address,
    clock: Arc<DatabaseClock>,
    /// Says something once nobody wants any more.
    stopped: Receiver<()>,
}

/// Where the work has come to.
struct Round {
    /// The organization whose feed was looked at last, where others were left for the next time.
    numbered: Option<i64>,
    /// When partitions are looked after next.
    look_at: Instant,
}

impl Keeper {
    fn run(self, mut round: Round) {
        let mut kept: Option<Connection> = None;
        loop {
            let connection = match kept.take() {
                Some(connection) => Ok(connection),
                None => Connection::open(&self.address).map_err(StorageError::from),
            };
            match connection {
                Ok(connection) => match self.go_round(&connection, &mut round) {
                    Ok(()) => kept = Some(connection),
                    Err(why) => tracing::warn!(%why, "upkeep was broken off"),
                },
                // The node's beat says so.
                Err(why) => tracing::debug!(%why, "upkeep did not reach the database"),
            }
            match self.stopped.recv_timeout(EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn go_round(&self, connection: &Connection, round: &mut Round) -> StorageResult<()> {
        self.number_feeds(connection, &mut round.numbered)?;
        if round.look_at <= Instant::now() {
            let are_there = partitions::look_ahead(connection, self.clock.now());
            let again = if are_there { PARTITIONS_EVERY } else { PARTITIONS_AGAIN };
            round.look_at = Instant::now() + again;
            partitions::look_back(connection, self.clock.now(), &|| self.is_over());
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stopped.try_recv() != Err(TryRecvError::Empty)
    }

    /// Numbers feeds that wait for it. One that cannot be numbered now, because somebody else is at it or stands still there,
    /// keeps no other waiting.
    fn number_feeds(
        &self,
        connection: &Connection,
        numbered: &mut Option<i64>,
    ) -> StorageResult<()> {
        let sql: &dyn Sql = connection;
        let waiting: Vec<i64> = sql
            .sql(
                "SELECT organization FROM (SELECT organization FROM unnumbered_decisions \
                 UNION SELECT organization FROM unnumbered_events) AS waiting \
                 WHERE organization > ? ORDER BY organization LIMIT ?",
            )
            .all([numbered.unwrap_or(0), FEEDS as i64], |row| row.get("organization"))?;
        *numbered = waiting.last().copied().filter(|_| waiting.len() == FEEDS);
        for of in waiting {
            if self.is_over() {
                return Ok(());
            }
            let of: OrganizationId = Id::from_key(of);
            let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '200ms'";
            match within(connection, begin, || feeds::number(sql, of)) {
                Ok(()) | Err((_, Some(Failure::Blocked))) => {}
                Err((why, _)) if connection.is_sound() => {
                    tracing::warn!(%why, organization = %of, "a feed could not be numbered");
                }
                Err((why, _)) => return Err(why),
            }
        }
        Ok(())
    }
}
