//! PostgreSQL under `abide-storage-sql`, for many nodes: connections, transactions with their locks, feeds numbered after
//! the commit.

mod address;
mod chunks;
mod companion;
mod connection;
mod feeds;
mod migrations;
mod node;
mod open;
mod partitions;
mod pool;
mod time;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use abide_core::ids::OrganizationId;
use abide_core::shell::Clock;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::SqlStore;
use abide_storage_sql::after::follow;
use abide_storage_sql::chunks::Chunks;
use abide_storage_sql::database::{Alone, Call, Database};
use abide_storage_sql::shared::Shared;
use abide_storage_sql::sql::Sql;
use abide_storage_sql::tx::{Caches, Tx};
use parking_lot::Mutex;

pub use address::BadAddress;
pub use node::NodeName;
pub use open::{OpenError, PostgresOptions, open};

use crate::companion::Companion;
use crate::connection::{Connection, Failure};
use crate::pool::Pool;
use crate::time::DatabaseClock;

/// A store in a PostgreSQL database.
pub type PostgresStore = SqlStore<Postgres>;

/// How often a call runs while others are in its way.
const TRIES: u32 = 8;

/// A PostgreSQL database.
pub struct Postgres {
    shared: Arc<Shared>,
    writers: Arc<Pool>,
    readers: Arc<Pool>,
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
        writers: Pool,
        readers: Pool,
        clock: Arc<DatabaseClock>,
        companion: Companion,
    ) -> Self {
        let companion = Mutex::new(Some(companion));
        Self { shared, writers: Arc::new(writers), readers: Arc::new(readers), clock, companion }
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
        let turn = self.writers.turn().await?;
        let (writers, shared) = (Arc::clone(&self.writers), Arc::clone(&self.shared));
        // The call goes on also where its caller has gone away: what follows the commit must happen.
        let done = tokio::task::spawn_blocking(move || {
            let done = again(&writers, |connection| {
                transaction(connection, &shared, call.alone, &mut work)
            });
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
    }
}

/// Carries a call out on a connection, again while others are in its way or where its connection had been lost.
fn again<T>(
    pool: &Pool,
    mut carry_out: impl FnMut(&Connection) -> Result<T, (StorageError, Option<Failure>)>,
) -> StorageResult<T> {
    let mut tries = 0;
    loop {
        tries += 1;
        let connection = pool.take()?;
        let done = carry_out(&connection);
        pool.give_back(connection);
        if matches!(done, Err((_, Some(Failure::Lost)))) {
            pool.doubt();
        }
        match done {
            Ok(done) => return Ok(done),
            Err((_, Some(Failure::InTheWay | Failure::Lost))) if tries < TRIES => {}
            Err((error, _)) => return Err(error),
        }
    }
}

/// One transaction, and what follows its commit.
fn transaction<T>(
    connection: &Connection,
    shared: &Arc<Shared>,
    alone: Alone,
    work: &mut impl FnMut(&mut Tx<'_>) -> StorageResult<T>,
) -> Result<T, (StorageError, Option<Failure>)> {
    let begin = match alone {
        Alone::Rows => "BEGIN".to_owned(),
        Alone::Organization(of) => format!(
            "BEGIN; SELECT FROM organizations WHERE organization = {} FOR NO KEY UPDATE",
            of.key()
        ),
        Alone::People(of) => {
            format!("BEGIN; SELECT FROM organizations WHERE organization = {} FOR SHARE", of.key())
        }
    };
    let failed = |error| (error, connection.failure());
    connection.simple(&begin).map_err(failed)?;
    let (mut caches, mut after) = (Caches::default(), Vec::new());
    let mut tx = Tx::new(connection, shared, &mut caches, &mut after);
    let result = catch_unwind(AssertUnwindSafe(|| work(&mut tx)))
        .unwrap_or_else(|_| Err(StorageError::Damaged("a call panicked".to_owned())));
    match result {
        Ok(done) => {
            if let Err(error) = connection.simple("COMMIT") {
                return Err(match connection.failure() {
                    // Whether the server committed before the connection was lost, nobody knows.
                    Some(Failure::Lost) | None => (StorageError::Unknown(error.to_string()), None),
                    failure => (error, failure),
                });
            }
            follow(shared, after);
            Ok(done)
        }
        Err(error) => {
            let failure = connection.failure();
            // Where that fails, the connection is of no more use, and says so.
            let _ = connection.simple("ROLLBACK");
            Err((error, failure))
        }
    }
}

/// One look at one moment.
fn look<T>(
    connection: &Connection,
    shared: &Shared,
    work: &impl Fn(&dyn Sql, &Shared) -> StorageResult<T>,
) -> Result<T, (StorageError, Option<Failure>)> {
    let failed = |error| (error, connection.failure());
    connection.simple("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").map_err(failed)?;
    let found = catch_unwind(AssertUnwindSafe(|| work(connection, shared)))
        .unwrap_or_else(|_| Err(StorageError::Damaged("a read panicked".to_owned())));
    let failure = connection.failure();
    let _ = connection.simple("ROLLBACK");
    found.map_err(|error| (error, failure))
}
