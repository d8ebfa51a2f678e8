//! Read connections beside the writer: each sees the last committed state, and never waits for a write.

use std::sync::Arc;
use std::time::Duration;

use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::shared::Shared;
use abide_storage_sql::sql::Sql;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::driver::View;

/// A small pool; a read takes a connection for as long as it runs on a blocking thread.
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
    /// Turns of long searches, fewer: what the engine and pages read must not queue behind them (I8).
    long_turns: Semaphore,
}

/// How long a search waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        let turns = Arc::new(Semaphore::new(connections.len()));
        let long_turns = Semaphore::new((connections.len() / 2).max(1));
        Self { idle: Arc::new(Mutex::new(connections)), turns, long_turns }
    }

    /// A read that may look through many rows.
    pub(crate) async fn search<T, F>(&self, shared: Arc<Shared>, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Sql, &Shared) -> StorageResult<T> + Send + 'static,
    {
        let turn = timeout(PATIENCE, self.long_turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(StorageError::Busy)?;
        self.read(shared, work).await
    }

    pub(crate) async fn read<T, F>(&self, shared: Arc<Shared>, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Sql, &Shared) -> StorageResult<T> + Send + 'static,
    {
        let lost = |_| StorageError::Unavailable("a read was given up".to_owned());
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| StorageError::Unavailable("the store is closed".to_owned()))?;
        let idle = Arc::clone(&self.idle);
        tokio::task::spawn_blocking(move || {
            let Some(connection) = idle.lock().pop() else {
                return Err(StorageError::Unavailable("no read connection is left".to_owned()));
            };
            let connection = Returned { connection: Some(connection), idle };
            let result = match &connection.connection {
                Some(connection) => work(&View(connection), &shared),
                None => Err(StorageError::Unavailable("no read connection is left".to_owned())),
            };
            drop(connection);
            drop(turn);
            result
        })
        .await
        .map_err(lost)?
    }
}

/// Puts the connection back, also when the read panics.
struct Returned {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Returned {
    fn drop(&mut self) {
        self.idle.lock().extend(self.connection.take());
    }
}
