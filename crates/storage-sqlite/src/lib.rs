//! The embedded database under `abide-storage-sql`: SQLite in WAL mode with `synchronous=FULL`, one writer thread with
//! group commit, readers beside it, checkpoints on a thread of their own.
//!
//! What is acknowledged survives power loss. An exclusive lock on the data folder sees to it that there is never a
//! second writer, and proves at start that every earlier one is dead.

mod backup;
mod checkpoint;
mod chunks;
mod copying;
mod driver;
mod examine;
mod in_place;
mod migrations;
mod nodes_in_place;
mod open;
#[cfg(test)]
mod plans;
mod readers;
mod statements;
mod writer;

use std::sync::Arc;

use abide_core::ids::OrganizationId;
use abide_storage::StorageResult;
use abide_storage_sql::SqlStore;
use abide_storage_sql::chunks::Chunks;
use abide_storage_sql::database::{Call, Database};
use abide_storage_sql::shared::Shared;
use abide_storage_sql::sql::Sql;
use abide_storage_sql::tx::Tx;

pub use backup::{
    BackUp, BackedUp, BackupError, Counts as BackupCounts, Existing, Head as BackupHead,
    MasterKeyFact, Occupied, Progress, RestoreError, RestoreFrom, Restored, Unpacked, back_up,
    unpack,
};
pub use chunks::{blob_file, blob_files};
pub use copying::{Source, SourceError};
pub use examine::{Examined, Integrity, examine, pending_migrations};
pub use in_place::{Batches, Fate, InPlace, keep, open_in_place};
pub use nodes_in_place::{NodeInPlace, Passage, SqliteNode, Way, open_node_in_place};
pub use open::{OpenError, SqliteOptions, open, open_in_memory};

use crate::chunks::Place;
use crate::readers::Readers;
use crate::writer::Writer;

/// A store in a data folder, or in memory.
pub type SqliteStore = SqlStore<Sqlite>;

/// An open SQLite database.
pub struct Sqlite {
    shared: Arc<Shared>,
    writer: Arc<Writer>,
    /// In memory there is one connection, so reads go through the writer.
    readers: Option<Readers>,
    /// Where the parts of blobs lie.
    chunks: Place,
    /// Ends the checkpoint thread when dropped.
    _checkpoints: Option<checkpoint::Checkpoints>,
    /// Keeps every other process out.
    _lock: Option<std::fs::File>,
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Commits since the start.
    pub fn commits(&self) -> i64 {
        self.writer.commits()
    }
}

impl Database for Sqlite {
    async fn write<T, F>(&self, call: Call, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        self.writer.call(call, work).await
    }

    async fn read<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        match &self.readers {
            Some(readers) => readers.read(Arc::clone(&self.shared), work).await,
            None => {
                self.writer.call(Call::of(64), move |tx| work(tx.connection(), tx.shared())).await
            }
        }
    }

    async fn search<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        match &self.readers {
            Some(readers) => readers.search(Arc::clone(&self.shared), work).await,
            None => self.read(work).await,
        }
    }

    async fn number_feeds(&self, _: OrganizationId) -> StorageResult<()> {
        // The one writer numbers as it writes.
        Ok(())
    }

    async fn synchronise(&self) -> StorageResult<()> {
        Ok(())
    }

    fn chunks(&self) -> &impl Chunks {
        &self.chunks
    }

    fn broken(&self) -> Option<String> {
        self.writer.broken().map(str::to_owned)
    }

    fn close(&self) {
        self.writer.close();
    }
}
