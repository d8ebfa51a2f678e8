//! Checkpoints: the write-ahead log is copied back by a thread of its own, by size, so that no commit pays for it.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

/// Size of the log from which it is copied back, in bytes.
const WORTH_COPYING: u64 = 16 * 1024 * 1024;
/// Size from which the log's file is also cut when nobody reads it.
const WORTH_CUTTING: u64 = 256 * 1024 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The thread; ends when this is dropped.
pub(crate) struct Checkpoints {
    stop: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts looking after the log at `log` with a connection of its own.
    pub(crate) fn start(connection: Connection, log: PathBuf) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread =
            thread::Builder::new().name("abide-checkpoint".to_owned()).spawn(move || {
                while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                    look(&connection, &log);
                }
            })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn look(connection: &Connection, log: &PathBuf) {
    let size = std::fs::metadata(log).map_or(0, |found| found.len());
    let step = match size {
        WORTH_CUTTING.. => "PRAGMA wal_checkpoint(TRUNCATE)",
        WORTH_COPYING.. => "PRAGMA wal_checkpoint(PASSIVE)",
        _ => return,
    };
    if let Err(error) = connection.query_row(step, [], |_| Ok(())) {
        tracing::warn!(%error, "a checkpoint did not run");
    }
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
