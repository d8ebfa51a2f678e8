//! Checkpoints: the write-ahead log is copied back by a thread of its own, by size, so that no commit pays for it.
//!
//! While commits go on, a copy never reaches the log's end, and the log would only grow. So once nearly all is copied,
//! commits wait for the little that is left, and then write from the log's beginning again. Its file keeps its size: to
//! shorten it takes a file system far longer than to write over it, and commits would wait for that too.
//!
//! What a commit overwrites stands in the log until the log is cut. After a key was wiped the log is therefore cut at
//! once, and tried again until it is (I11).
//!
//! While somebody copies the store for a backup, neither can be done before they are: all they would do is hold up commits.
//! The log grows meanwhile, and is cut after it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::backup;

/// Size of what is not copied back yet from which it is, in bytes.
const WORTH_COPYING: u64 = 16 * 1024 * 1024;
/// What commits may be made to wait for, in bytes: some milliseconds of copying.
const WORTH_WAITING_FOR: u64 = 2 * 1024 * 1024;
/// Size from which the log's file is also cut: long readers kept it from beginning again for long.
const WORTH_CUTTING: u64 = 512 * 1024 * 1024;
/// About what a page takes in the log.
const FRAME: u64 = 4 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a new beginning or a cut waits for readers and the writer, who wait for it meanwhile.
const WAITS: Duration = Duration::from_millis(50);

/// The thread; ends when this is dropped.
pub(crate) struct Checkpoints {
    stop: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts looking after the log at `log` with a connection of its own; it is cut as soon as `wiped` is set.
    pub(crate) fn start(
        connection: Connection,
        log: PathBuf,
        wiped: Arc<AtomicBool>,
    ) -> rusqlite::Result<std::io::Result<Self>> {
        connection.busy_timeout(WAITS)?;
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("abide-checkpoint".to_owned()).spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = look(&connection, &log, &wiped) {
                    tracing::warn!(%error, "a checkpoint did not run");
                }
            }
        });
        Ok(thread.map(|thread| Self { stop: Some(stop), thread: Some(thread) }))
    }
}

fn look(connection: &Connection, log: &Path, wiped: &AtomicBool) -> rusqlite::Result<()> {
    let size = std::fs::metadata(log).map_or(0, |found| found.len());
    let is_idle = !wiped.load(Ordering::Acquire) && size < WORTH_COPYING;
    if is_idle || log.parent().is_some_and(backup::is_under_way) {
        return Ok(());
    }
    // Taken before the cut: what is wiped meanwhile asks for another one.
    if wiped.swap(false, Ordering::AcqRel) {
        let cut = cut(connection);
        if !matches!(cut, Ok(true)) {
            wiped.store(true, Ordering::Release);
        }
        return cut.map(drop);
    }
    // The file is used again from its start, not shortened: its size says only how much there may be.
    if size >= WORTH_CUTTING {
        cut(connection)?;
    } else if size >= WORTH_COPYING && checkpoint(connection, "NOOP")?.length >= WORTH_COPYING {
        begin_again(connection)?;
    }
    Ok(())
}

/// Copies everything back, most of it while writing goes on, and lets the next commit write from the beginning. Where
/// readers or the writer are in the way for long, the next look tries again.
fn begin_again(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint(connection, "PASSIVE")?;
    // The second copies what was written during the first.
    if checkpoint(connection, "PASSIVE")?.left <= WORTH_WAITING_FOR {
        checkpoint(connection, "RESTART")?;
    }
    Ok(())
}

/// Copies everything back and cuts the file; false when somebody was in the way. Most is copied while writing goes on.
fn cut(connection: &Connection) -> rusqlite::Result<bool> {
    checkpoint(connection, "PASSIVE")?;
    Ok(!checkpoint(connection, "TRUNCATE")?.busy)
}

/// What a checkpoint came to.
struct Came {
    busy: bool,
    /// Bytes in the log since it last began, about.
    length: u64,
    /// Bytes of them not copied back, about.
    left: u64,
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Came> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (frames, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        let bytes = |frames: i64| u64::try_from(frames).unwrap_or(0) * FRAME;
        Ok(Came { busy: row.get(0)?, length: bytes(frames), left: bytes(frames - copied) })
    })
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}
