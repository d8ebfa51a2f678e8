//! The embedded answer to `abide-storage`: SQLite in WAL mode with `synchronous=FULL`, one writer thread with group
//! commit, readers beside it, checkpoints on a thread of their own.
//!
//! What is acknowledged survives power loss. An exclusive lock on the data folder sees to it that there is never a
//! second writer, and proves at start that every earlier one is dead.

mod accounts;
mod attempts;
mod checkpoint;
mod consent_search;
mod consents;
mod counts;
mod deletions;
mod deliveries;
mod delivery_list;
mod delivery_log;
mod endpoint_secrets;
mod endpoints;
mod examine;
mod exports;
mod failing;
mod feeds;
mod history;
mod idempotency;
mod imports;
mod job_walk;
mod jobs;
mod keys;
mod lanes;
mod leases;
mod ledger;
mod migrations;
mod open;
mod organizations;
mod originals;
mod people;
#[cfg(test)]
mod plans;
mod policies;
mod publish;
mod purposes;
mod readers;
mod rows;
mod said;
mod sessions;
mod shared;
mod statements;
mod stretches;
mod subjects;
mod tx;
mod users;
mod writer;

use std::sync::Arc;

use abide_storage::{
    Accounts, Committed, Consents, Counts, Deletions, Deliveries, DeliveryLog, Doorbell, Endpoints,
    Exports, FailingEndpoints, Feeds, History, Idempotency, Imports, Jobs, Keys, Leases, Metrics,
    Policies, Purposes, Room, Storage, StorageResult, Subjects, Users,
};
use rusqlite::Connection;

pub use examine::{Examined, Integrity, examine};
pub use open::{OpenError, SqliteOptions};

use crate::readers::Readers;
use crate::shared::Shared;
use crate::tx::Tx;
use crate::writer::Writer;

/// A store in a data folder, or in memory.
pub struct SqliteStore {
    shared: Arc<Shared>,
    writer: Arc<Writer>,
    readers: Option<Readers>,
    /// Who holds this process's leases.
    holder: i64,
    /// Ends the checkpoint thread when dropped.
    _checkpoints: Option<checkpoint::Checkpoints>,
    /// Keeps every other process out.
    _lock: Option<std::fs::File>,
}

impl SqliteStore {
    /// One transaction in the writer; `bytes` is about what the call holds while it waits.
    async fn write<T, F>(&self, bytes: usize, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_, '_>) -> StorageResult<T> + Send + 'static,
    {
        self.writer.call(bytes, work).await
    }

    /// A read beside the writer. In memory there is one connection, so the read goes through the writer too.
    async fn read<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&Connection, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        match &self.readers {
            Some(readers) => readers.read(Arc::clone(&self.shared), work).await,
            None => self.writer.call(64, move |tx| work(tx.connection(), tx.shared)).await,
        }
    }

    /// A read that may look through many rows: few are under way at a time, and one that finds no turn is told so.
    async fn search<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&Connection, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        match &self.readers {
            Some(readers) => readers.search(Arc::clone(&self.shared), work).await,
            None => self.read(work).await,
        }
    }

    /// Commits since the start.
    pub fn commits(&self) -> i64 {
        self.writer.commits()
    }
}

impl Storage for SqliteStore {
    fn accounts(&self) -> &dyn Accounts {
        self
    }

    fn consents(&self) -> &dyn Consents {
        self
    }

    fn counts(&self) -> &dyn Counts {
        self
    }

    fn delivery_log(&self) -> &dyn DeliveryLog {
        self
    }

    fn deletions(&self) -> &dyn Deletions {
        self
    }

    fn deliveries(&self) -> &dyn Deliveries {
        self
    }

    fn endpoints(&self) -> &dyn Endpoints {
        self
    }

    fn failing_endpoints(&self) -> &dyn FailingEndpoints {
        self
    }

    fn exports(&self) -> &dyn Exports {
        self
    }

    fn feeds(&self) -> &dyn Feeds {
        self
    }

    fn history(&self) -> &dyn History {
        self
    }

    fn idempotency(&self) -> &dyn Idempotency {
        self
    }

    fn imports(&self) -> &dyn Imports {
        self
    }

    fn jobs(&self) -> &dyn Jobs {
        self
    }

    fn keys(&self) -> &dyn Keys {
        self
    }

    fn leases(&self) -> &dyn Leases {
        self
    }

    fn policies(&self) -> &dyn Policies {
        self
    }

    fn purposes(&self) -> &dyn Purposes {
        self
    }

    fn subjects(&self) -> &dyn Subjects {
        self
    }

    fn users(&self) -> &dyn Users {
        self
    }

    fn doorbell(&self) -> &Doorbell {
        &self.shared.doorbell
    }

    fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    fn attach(&self, room: Arc<dyn Room>, committed: Arc<dyn Committed>) {
        self.shared.engine.store(Some(Arc::new((room, committed))));
    }

    fn broken(&self) -> Option<String> {
        self.writer.broken().map(str::to_owned)
    }

    fn close(&self) {
        self.writer.close();
        // The engine holds the store and the store holds the engine: let go.
        self.shared.engine.store(None);
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        Storage::close(self);
    }
}
