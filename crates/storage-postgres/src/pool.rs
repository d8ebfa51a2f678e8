//! Connections that wait for their next call.

use std::sync::Arc;
use std::time::Duration;

use abide_storage::{StorageError, StorageResult};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::address::Address;
use crate::connection::Connection;

/// How long a call waits for a connection before it is told that the store is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// A bounded number of connections. One that was lost is replaced when it is wanted next, so that a restart of the server
/// costs the calls that were under way and no more.
pub(crate) struct Pool {
    address: Address,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(address: Address, size: usize) -> Self {
        Self { address, idle: Mutex::default(), turns: Arc::new(Semaphore::new(size)) }
    }

    /// A turn to use one connection.
    pub(crate) async fn turn(&self) -> StorageResult<OwnedSemaphorePermit> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| StorageError::Busy)?;
        turn.map_err(|_| StorageError::Unavailable("the store is closed".to_owned()))
    }

    /// A connection, by whoever has a turn. Blocks where it has to be made.
    pub(crate) fn take(&self) -> StorageResult<Connection> {
        loop {
            let idle = self.idle.lock().pop();
            match idle {
                Some(connection) if connection.is_sound() => return Ok(connection),
                Some(lost) => drop(lost),
                None => return Ok(Connection::open(&self.address)?),
            }
        }
    }

    /// Lets go of the idle ones: where one was lost, the others most likely went with it.
    pub(crate) fn doubt(&self) {
        self.idle.lock().clear();
    }

    /// Gives one back whose transaction is over.
    pub(crate) fn give_back(&self, connection: Connection) {
        if connection.is_sound() && !self.turns.is_closed() {
            self.idle.lock().push(connection);
        }
    }

    /// No more turns; idle connections are closed.
    pub(crate) fn close(&self) {
        self.turns.close();
        self.idle.lock().clear();
    }
}
