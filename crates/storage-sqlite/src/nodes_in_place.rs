//! Several nodes on one database in this process' memory, for simulations: what nodes do to each other by the statements that
//! all databases share, on a clock and in an order that repeat themselves.
//!
//! No data folder is ever opened like this. Each call is a transaction of its own, one at a time over all nodes, so that
//! nobody waits for a row, and nothing is remembered from one to the next. What is PostgreSQL's own is not there: feeds get no
//! numbers.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use abide_core::ids::OrganizationId;
use abide_core::shell::{Chance, Clock};
use abide_storage::sealing::MasterKeys;
use abide_storage::{IdSource, StorageError, StorageResult};
use abide_storage_sql::after::{After, follow};
use abide_storage_sql::chunks::Chunks;
use abide_storage_sql::database::{Call, Database};
use abide_storage_sql::queued::{Queued, Ran, Waiting};
use abide_storage_sql::shared::{Nodes, Opening, Shared, draw_holder};
use abide_storage_sql::sql::Sql;
use abide_storage_sql::tx::{Caches, Tx};
use abide_storage_sql::{SqlStore, feeds};
use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::chunks::Place;
use crate::driver::{Transaction, View, in_sqlite};
use crate::in_place::connect;
use crate::open::{OpenError, broken, configure, highest_key, prepare};
use crate::statements::Statements;

/// Calls that may wait at a node.
const MOST_CALLS: usize = 8_192;

/// What SQLite's tables lack where several nodes write, and a clock that all of them go by.
const OF_SEVERAL: &str = "
    CREATE TABLE IF NOT EXISTS unnumbered_decisions (organization INTEGER, decision INTEGER) STRICT;
    CREATE TABLE IF NOT EXISTS unnumbered_events (organization INTEGER, event INTEGER) STRICT;
    DROP INDEX decisions_feed;
    CREATE INDEX decisions_feed ON decisions (organization, log_index);
    DROP INDEX events_feed;
    CREATE INDEX events_feed ON events (organization, log_index);
    INSERT OR IGNORE INTO leases (lease, holder, epoch, heartbeat_at) VALUES (0, 0, 0, 0);
    CREATE TEMP TABLE clock (now INTEGER NOT NULL) STRICT;
    INSERT INTO temp.clock VALUES (0);
";

/// What a node's store is opened with.
pub struct NodeInPlace<'a> {
    /// As [`crate::InPlace::database`].
    pub database: &'a str,
    /// Its number, which no other node of the database has or had.
    pub number: u16,
    /// For how long its leases last, in milliseconds.
    pub lease_millis: i64,
    /// The master keys.
    pub keys: MasterKeys,
    /// Where keys and salts come from.
    pub chance: Arc<dyn Chance>,
    /// The time that all nodes go by.
    pub clock: Arc<dyn Clock>,
    /// The way to the database.
    pub way: Box<dyn Way>,
}

/// The way from a node to its database, and what goes wrong on it.
pub trait Way {
    /// Ends when a transaction gets through, or the answer to one gets back.
    fn gets_through(&self) -> Pin<Box<dyn Future<Output = ()>>>;

    /// A transaction is about to be committed; whether it writes decisions.
    fn committing(&mut self, writes_decisions: bool) -> Passage;

    /// One is committed, and its node has not heard of it.
    fn committed(&mut self) -> Passage;
}

/// What becomes of a message on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It arrives.
    Arrives,
    /// It is lost: the node does not know whether its transaction was committed.
    IsLost,
    /// The node dies: none of its calls is answered any more.
    NodeDies,
}

/// A node's database.
pub struct SqliteNode {
    calls: mpsc::Sender<Waits>,
    waiting: Waiting,
    chunks: Place,
}

/// A call that waits.
struct Waits {
    call: Box<dyn Queued>,
    is: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Looks,
    Writes { decisions: bool },
}

/// Opens a node's store and what carries out its calls for as long as somebody polls it. Dropping that is the node's death.
pub fn open_node_in_place(
    options: NodeInPlace<'_>,
) -> Result<(Arc<SqlStore<SqliteNode>>, impl Future<Output = ()> + use<>), OpenError> {
    let NodeInPlace { database, number, lease_millis, keys, chance, clock, way } = options;
    let mut connection = connect(database)?;
    configure(&connection)?;
    prepare(&mut connection, &keys)?;
    connection.execute_batch(OF_SEVERAL).map_err(broken)?;
    let opening = Opening {
        holder: draw_holder(&*chance),
        ids: IdSource::of_node(number, highest_key(&connection)?),
        epoch: feeds::epoch(&View(&connection), &*chance)?,
        chance,
        masters: keys,
        nodes: Nodes::Several,
    };
    let shared = Shared::new(opening, Arc::default());
    let shared = Arc::new(shared.with_leases_of(lease_millis));
    let (calls, called) = mpsc::channel(MOST_CALLS);
    let node = SqliteNode { calls, waiting: Waiting::default(), chunks: Place::in_memory() };
    let works = works(connection, Arc::clone(&shared), clock, way, called);
    Ok((Arc::new(SqlStore::new(shared, node)), works))
}

/// A shared statement as it is put here: by the clock that all nodes go by, and without what one writer knows of its keys.
fn among_nodes(statement: &str) -> Cow<'_, str> {
    let others = [
        ("database_time(", "(SELECT now FROM temp.clock WHERE 1 OR "),
        ("is_right_after(", "(1 OR "),
    ];
    let mut text = statement.to_owned();
    for (shared, here) in others {
        text = text.replace(shared, here);
    }
    Cow::Owned(in_sqlite(&text).into_owned())
}

async fn works(
    connection: Connection,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    mut way: Box<dyn Way>,
    mut called: mpsc::Receiver<Waits>,
) {
    let statements = Statements::new(&connection, among_nodes);
    while let Some(Waits { mut call, is }) = called.recv().await {
        way.gets_through().await;
        let now = clock.now().as_millis();
        let done = connection
            .execute("UPDATE temp.clock SET now = ?", [now])
            .map_err(Undone::from)
            .and_then(|_| transaction(&statements, &shared, is, call.as_mut(), way.as_mut()));
        match done {
            Ok((after, Passage::Arrives)) => {
                way.gets_through().await;
                follow(&shared, after);
                call.settle(None);
            }
            // What follows a commit that nobody knows of does not follow.
            Ok((_, Passage::IsLost)) | Err(Undone::IsLost) => {
                let why = StorageError::Unknown("the connection was lost".to_owned());
                call.settle(Some(why));
            }
            Ok((_, Passage::NodeDies)) | Err(Undone::NodeDies) => {
                // For as long as nobody drops what is left of it.
                std::future::pending::<()>().await;
            }
            // It knows itself how it failed.
            Err(Undone::ByItself) => call.settle(None),
            Err(Undone::ByDatabase(why)) => {
                call.settle(Some(StorageError::Unavailable(why.to_string())));
            }
        }
    }
}

/// Why nothing of a call stands.
enum Undone {
    ByItself,
    ByDatabase(rusqlite::Error),
    IsLost,
    NodeDies,
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Self {
        Self::ByDatabase(error)
    }
}

fn transaction(
    statements: &Statements<'_>,
    shared: &Arc<Shared>,
    is: Kind,
    call: &mut dyn Queued,
    way: &mut dyn Way,
) -> Result<(Vec<After>, Passage), Undone> {
    let connection = statements.connection();
    let done = try_transaction(statements, shared, is, call, way);
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    let after = done?;
    let passage = if is == Kind::Looks { Passage::Arrives } else { way.committed() };
    Ok((after, passage))
}

fn try_transaction(
    statements: &Statements<'_>,
    shared: &Arc<Shared>,
    is: Kind,
    call: &mut dyn Queued,
    way: &mut dyn Way,
) -> Result<Vec<After>, Undone> {
    let connection = statements.connection();
    connection.execute_batch(if is == Kind::Looks { "BEGIN" } else { "BEGIN IMMEDIATE" })?;
    let (mut caches, mut after) = (Caches::default(), Vec::new());
    let sql = Transaction(statements);
    let mut tx = Tx::new(&sql, shared, &mut caches, &mut after);
    if call.run(&mut tx) != Ran::Well {
        return Err(Undone::ByItself);
    }
    if let Kind::Writes { decisions } = is {
        match way.committing(decisions) {
            Passage::Arrives => connection.execute_batch("COMMIT")?,
            Passage::IsLost => return Err(Undone::IsLost),
            Passage::NodeDies => return Err(Undone::NodeDies),
        }
    }
    Ok(after)
}

impl SqliteNode {
    async fn call<T, F>(&self, is: Kind, call: Call, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        let (call, answered) = self.waiting.call(call, work)?;
        let gone = || Err(StorageError::Unavailable("the node is gone".to_owned()));
        if self.calls.try_send(Waits { call, is }).is_err() {
            return gone();
        }
        answered.await.unwrap_or_else(|_| gone())
    }
}

impl Database for SqliteNode {
    async fn write<T, F>(&self, call: Call, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        self.call(Kind::Writes { decisions: call.ahead.is_some() }, call, work).await
    }

    async fn read<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        self.call(Kind::Looks, Call::of(64), move |tx| work(tx.connection(), tx.shared())).await
    }

    async fn search<T, F>(&self, work: F) -> StorageResult<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static,
    {
        self.read(work).await
    }

    async fn number_feeds(&self, _: OrganizationId) -> StorageResult<()> {
        Ok(())
    }

    async fn synchronise(&self) -> StorageResult<()> {
        Ok(())
    }

    fn chunks(&self) -> &impl Chunks {
        &self.chunks
    }

    fn broken(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_go_by_the_clock_of_all_nodes() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TEMP TABLE clock (now); INSERT INTO clock VALUES (7)")
            .unwrap();
        let ask = |text: &str, value: i64| -> i64 {
            connection.query_row(&among_nodes(text), [value], |row| row.get(0)).unwrap()
        };
        assert_eq!(ask("SELECT database_time(?) + 1 FOR UPDATE", 0), 8);
        assert_eq!(ask("SELECT database_time(?1) - ?1", 3), 4);
        assert_eq!(ask("SELECT 1 WHERE is_right_after(?1)", 0), 1);
    }
}
