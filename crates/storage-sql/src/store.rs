//! The store's face: a database under all the statements of this crate.

use std::sync::{Arc, OnceLock};

use abide_core::Timestamp;
use abide_storage::erasures::ErasureJournal;
use abide_storage::{
    Accounts, Blobs, Committed, Consents, Counts, Deletions, Deliveries, DeliveryLog, Doorbell,
    Endpoints, Erasures, Exports, FailingEndpoints, Feeds, History, Idempotency, Imports, Jobs,
    Keys, Leases, Metrics, Nodes, Policies, Purposes, Retentions, Room, Storage, StorageResult,
    Subjects, Users,
};

use crate::database::{Alone, Call, Database, Haste};
use crate::nodes::OneNode;
use crate::shared::Shared;
use crate::sql::Sql;
use crate::tx::Tx;

/// A store on a database.
#[derive(Debug)]
pub struct SqlStore<D: Database> {
    pub(crate) shared: Arc<Shared>,
    database: D,
    /// Where erasures are noted beside the master keys, where they are.
    pub(crate) journal: OnceLock<Arc<ErasureJournal>>,
    /// How this process is shown as a node, where it is the only one.
    pub(crate) alone: OnceLock<OneNode>,
}

impl<D: Database> SqlStore<D> {
    /// On an opened database.
    pub fn new(shared: Arc<Shared>, database: D) -> Self {
        Self { shared, database, journal: OnceLock::new(), alone: OnceLock::new() }
    }

    /// What all its calls share.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Says how this process is shown as a node. For a store on which it works alone; where there can be several, the database
    /// knows.
    pub fn call_node(&self, name: String, role: &'static str, since: Timestamp) {
        // Called what it was called first.
        let _ = self.alone.set(OneNode { name, role, since });
    }

    /// The database, for what it alone can do.
    pub fn database(&self) -> &D {
        &self.database
    }

    /// One transaction that locks the rows it changes by itself; `bytes` is about what the call holds while it waits.
    pub(crate) async fn write<T, F>(&self, bytes: usize, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        self.database.write(Call::of(bytes), work).await
    }

    /// One transaction that says that this node is alive.
    pub(crate) async fn write_vital<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        self.database.write(Call { haste: Haste::Vital, ..Call::of(64) }, work).await
    }

    /// One transaction for which no other of its organization runs.
    pub(crate) async fn write_alone<T, F>(
        &self,
        bytes: usize,
        of: abide_core::ids::OrganizationId,
        work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        self.database.write(Call { alone: Alone::Organization(of), ..Call::of(bytes) }, work).await
    }

    /// A read beside the writers.
    pub(crate) async fn read<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        self.database.read(work).await
    }

    /// A read that may look through many rows: few are under way at a time, and one that finds no turn is told so.
    pub(crate) async fn search<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        self.database.search(work).await
    }
}

impl<D: Database> Storage for SqlStore<D> {
    fn accounts(&self) -> &dyn Accounts {
        self
    }

    fn blobs(&self) -> &dyn Blobs {
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

    fn erasures(&self) -> &dyn Erasures {
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

    fn nodes(&self) -> &dyn Nodes {
        self
    }

    fn policies(&self) -> &dyn Policies {
        self
    }

    fn purposes(&self) -> &dyn Purposes {
        self
    }

    fn retentions(&self) -> &dyn Retentions {
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
        self.database.broken()
    }

    fn close(&self) {
        self.database.close();
        // The engine holds the store and the store holds the engine: let go.
        self.shared.engine.store(None);
    }
}

impl<D: Database> Drop for SqlStore<D> {
    fn drop(&mut self) {
        Storage::close(self);
    }
}
