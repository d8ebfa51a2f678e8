//! PostgreSQL under `abide-storage-sql`, for many nodes: connections, transactions with their locks, feeds numbered after
//! the commit.

mod address;
mod batches;
mod chunks;
mod companion;
mod connection;
mod copying;
mod doorbell;
mod examine;
mod feeds;
mod jumps;
mod later;
mod lists;
mod migrations;
mod node;
mod open;
mod partitions;
mod pool;
mod time;
mod transaction;
mod upkeep;
mod words;

use std::sync::Arc;

use abide_core::ids::OrganizationId;
use abide_core::shell::Clock;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::SqlStore;
use abide_storage_sql::chunks::Chunks;
use abide_storage_sql::database::{Call, Database, Haste};
use abide_storage_sql::shared::Shared;
use abide_storage_sql::sql::Sql;
use abide_storage_sql::tx::Tx;
use parking_lot::Mutex;

pub use address::BadAddress;
pub use copying::{Began, Column, Target, TargetError};
pub use examine::{Connections, Ears, Examined, Link, Partitions, Store, Waiting, examine};
pub use node::NodeName;
pub use open::{
    OpenError, PostgresOptions, migrate, open, open_with_leases_of, pending_migrations, shown,
};

use crate::batches::Batches;
use crate::companion::Companion;
use crate::pool::Pool;
use crate::time::DatabaseClock;
use crate::transaction::{again, look, one_call};

/// A store in a PostgreSQL database.
pub type PostgresStore = SqlStore<Postgres>;

/// A PostgreSQL database.
pub struct Postgres {
    shared: Arc<Shared>,
    writers: Arc<Pool>,
    readers: Arc<Pool>,
    /// For what says that this node is alive.
    beats: Arc<Pool>,
    batches: Arc<Batches>,
    clock: Arc<DatabaseClock>,
    /// Ends with the store.
    companion: Mutex<Option<Companion>>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    fn new(
        shared: Arc<Shared>,
        (writers, readers, beats): (Pool, Pool, Pool),
        clock: Arc<DatabaseClock>,
        companion: Companion,
    ) -> Self {
        let companion = Mutex::new(Some(companion));
        let (writers, readers, beats) = (Arc::new(writers), Arc::new(readers), Arc::new(beats));
        let batches = Batches::new(Arc::clone(&writers), Arc::clone(&shared));
        Self { shared, writers, readers, beats, batches, clock, companion }
    }

    /// The time that all nodes go by.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::<DatabaseClock>::clone(&self.clock)
    }
}

impl Database for Postgres {
    async fn write<T, F>(&self, call: Call, mut work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        if call.ahead.is_some() {
            return self.batches.call(call, work).await;
        }
        let writers = match call.haste {
            Haste::Usual => Arc::clone(&self.writers),
            Haste::Vital => Arc::clone(&self.beats),
        };
        let (turn, shared) = (writers.turn().await?, Arc::clone(&self.shared));
        // The call goes on also where its caller has gone away: what follows the commit must happen.
        let done = tokio::task::spawn_blocking(move || {
            let done =
                again(&writers, |connection| one_call(connection, &shared, call.alone, &mut work));
            drop(turn);
            done
        });
        done.await.map_err(|_| StorageError::Unavailable("a call was given up".to_owned()))?
    }

    async fn read<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        let turn = self.readers.turn().await?;
        let (readers, shared) = (Arc::clone(&self.readers), Arc::clone(&self.shared));
        let done = tokio::task::spawn_blocking(move || {
            let done = again(&readers, |connection| look(connection, &shared, &work));
            drop(turn);
            done
        });
        done.await.map_err(|_| StorageError::Unavailable("a read was given up".to_owned()))?
    }

    async fn search<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        self.read(work).await
    }

    async fn number_feeds(&self, of: OrganizationId) -> StorageResult<()> {
        if self.read(move |sql, _| feeds::is_numbered(sql, of)).await? {
            return Ok(());
        }
        self.write(Call::of(64), move |tx| feeds::number(tx.connection(), of)).await
    }

    async fn synchronise(&self) -> StorageResult<()> {
        self.clock.check()
    }

    fn chunks(&self) -> &impl Chunks {
        self
    }

    fn broken(&self) -> Option<String> {
        self.clock.check().err().map(|why| why.to_string())
    }

    fn close(&self) {
        drop(self.companion.lock().take());
        self.writers.close();
        self.readers.close();
        self.beats.close();
    }
}
