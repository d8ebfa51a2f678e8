//! The runtime that serving and sending share.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// A runtime with a thread for each core but one: under load the store's writer has work for a whole core, and a thread
/// more than there are cores would only be woken across them. On one or two cores all runs on the calling thread, which
/// spares every task the work of being ready to move.
pub fn runtime() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    match cores.saturating_sub(1) {
        0 | 1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}
