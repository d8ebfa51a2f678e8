//! Opening a store: the server, the migrations, the key check, this node's number.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use abide_core::shell::{Chance, Clock};
use abide_storage::leases::LEASE_MILLIS;
use abide_storage::sealing::MasterKeys;
use abide_storage::{IdSource, StorageError};
use abide_storage_sql::shared::{Nodes, Opening, Shared, draw_holder};
use abide_storage_sql::sql::{Sql, Turn};
use abide_storage_sql::{feeds, keys};

use crate::address::{Address, BadAddress, Bounds};
use crate::companion::Companion;
use crate::connection::Connection;
use crate::migrations::{self, Unfit};
use crate::node::{self, NodeName};
use crate::pool::Pool;
use crate::time::DatabaseClock;
use crate::{Postgres, PostgresStore, copying, partitions};

/// Connections for calls that write.
pub(crate) const WRITERS: usize = 8;
/// Connections for what says that a node is alive.
pub(crate) const BEATS: usize = 2;
/// Connections for reads.
pub(crate) const READERS: usize = 6;

/// How long a call waits for an answer, in leases: a statement that takes longer stands still, or waits for one that does.
const ANSWER: u32 = 3;
/// How long a transaction may take that nobody hears of: its node stands still. In leases.
const TRANSACTION: u32 = 6;
/// For so much of a lease what says that a node is alive waits for an answer: another connection may still do in time.
const VITAL: f64 = 0.4;

/// What a store is opened with.
pub struct PostgresOptions<'a> {
    /// `postgres://...`; the book says which options it may have.
    pub url: &'a str,
    /// The master keys.
    pub keys: MasterKeys,
    /// Where keys and salts come from.
    pub chance: Arc<dyn Chance>,
    /// How this node is shown.
    pub node: NodeName,
    /// The machine's own clock, which is asked for how long the machine was suspended, and nothing else.
    pub machine: Arc<dyn Clock>,
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no server.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The server cannot be reached, or does not let us in.
    #[error("the database at {at} cannot be opened: {why}")]
    Connect {
        /// Host, port and database.
        at: String,
        /// What came back, without what was sent.
        why: String,
    },
    /// It was written by a later version of Abide.
    #[error(
        "the database has schema version {0}, which this version of Abide does not know; use a newer one"
    )]
    TooNew(usize),
    /// It was made by a version of Abide that was never released.
    #[error(
        "the database was made by an unreleased version of Abide: its migration {0} was another one"
    )]
    Altered(&'static str),
    /// The server keeps text in another encoding.
    #[error("the database keeps text as {0}; Abide needs UTF8")]
    Encoding(String),
    /// It holds half a copy of an installation.
    #[error(
        "the database at {at} is being copied to from {from_folder}, and is not whole: nothing is served from it. The same \
         `abide copy --from {from_folder} --to URL` goes on where it ended; with --discard it gives the copy up and empties \
         the database"
    )]
    HalfCopied {
        /// Host, port and database.
        at: String,
        /// The data folder that it is copied from.
        from_folder: String,
    },
    /// The key file does not fit, or the database is broken.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Opens the store in a database, making its tables where there are none. Blocks.
pub fn open(options: PostgresOptions<'_>) -> Result<Arc<PostgresStore>, OpenError> {
    open_with_leases_of(options, LEASE_MILLIS)
}

/// [`open`] with leases that last for so many milliseconds, at every node of the database. For simulations, which take a node's
/// work over often.
pub fn open_with_leases_of(
    options: PostgresOptions<'_>,
    lease_millis: i64,
) -> Result<Arc<PostgresStore>, OpenError> {
    let address = Address::parse(options.url)?;
    let lease = Duration::from_millis(lease_millis.cast_unsigned());
    // A node that stands still must not keep its lease's rows from whoever takes them over, nor its turn from others that start.
    // What is done at the start may take long, and who waits for it sees that.
    let at_first = Bounds { silence: lease / 2, transaction: None, answer: None };
    let connection = prepared(&address.clone().within(at_first))?;
    let sql: &dyn Sql = &connection;
    let half = |from_folder| OpenError::HalfCopied { at: address.shown(), from_folder };
    if let Some(from) = copying::half_copied(sql)? {
        return Err(half(from));
    }
    keys::check_masters(sql, &options.keys)?;
    let epoch = feeds::epoch(sql, &*options.chance)?;
    let clock = Arc::new(DatabaseClock::measured(sql, options.machine)?);
    let holder = draw_holder(&*options.chance);
    let number = connection.within(|sql| {
        sql.alone(Turn::TakingNodeNumber)?;
        // A copy begins in the same turn, and not while there is a node.
        match copying::half_copied(sql)? {
            Some(from) => Ok(Err(half(from))),
            None => node::take_number(sql, holder, &options.node).map(Ok),
        }
    })??;
    // Before the first row comes: one that has no partition would stand in its way.
    partitions::look_ahead(&connection, clock.now());
    let last = copying::newest_key(sql)?;
    let opening = Opening {
        holder,
        ids: IdSource::of_node(number, last),
        chance: options.chance,
        masters: options.keys,
        epoch,
        nodes: Nodes::Several,
    };
    let shared = Shared::new(opening, Arc::new(AtomicBool::new(false)));
    let shared = Arc::new(shared.with_leases_of(lease_millis));
    let version: i64 = sql
        .sql("SELECT CAST(current_setting('server_version_num') AS BIGINT) AS number")
        .one((), |row| row.get("number"))?;
    let transaction = (version >= 170_000).then_some(TRANSACTION * lease);
    let usual = Bounds { transaction, answer: Some(ANSWER * lease), ..at_first };
    let in_time = lease.mul_f64(VITAL);
    let vital = Bounds { answer: Some(in_time), ..usual };
    let calls = address.clone().within(usual);
    let companion =
        Companion::start(calls.clone(), in_time, Arc::clone(&shared), Arc::clone(&clock));
    let companion =
        companion.map_err(|error| StorageError::Unavailable(format!("no thread: {error}")))?;
    let (writers, readers) = (Pool::new(calls.clone(), WRITERS), Pool::new(calls, READERS));
    let pools = (writers, readers, Pool::new(address.within(vital), BEATS));
    let database = Postgres::new(Arc::clone(&shared), pools, clock, companion);
    Ok(Arc::new(PostgresStore::new(shared, database)))
}

/// The names of the migrations that this version would apply to a database. Changes nothing. Blocks.
pub fn pending_migrations(url: &str) -> Result<Vec<&'static str>, OpenError> {
    let connection = connect(&Address::parse(url)?)?;
    let applied = migrations::applied(&connection)?.map_err(unfit)?;
    Ok(migrations::EACH[applied..].iter().map(|(name, _)| name.trim_end_matches(".sql")).collect())
}

/// Brings a database to this version without opening the store; answers the names of the migrations that it applied. Needs
/// no keys: no migration reads what is sealed. Blocks, also while another process does the same.
pub fn migrate(url: &str) -> Result<Vec<&'static str>, OpenError> {
    let connection = connect(&Address::parse(url)?)?;
    let applied = migrations::migrate(&connection)?.map_err(unfit)?;
    Ok(applied.into_iter().map(|name| name.trim_end_matches(".sql")).collect())
}

/// The database that a URL names as it may be shown: host, port and name, without user and password.
pub fn shown(url: &str) -> Result<String, BadAddress> {
    Ok(Address::parse(url)?.shown())
}

/// Connects to a database, and makes or brings its tables to this version.
pub(crate) fn prepared(address: &Address) -> Result<Connection, OpenError> {
    let connection = connect(address)?;
    migrations::migrate(&connection)?.map_err(unfit)?;
    Ok(connection)
}

/// A connection to a database that can hold the store.
pub(crate) fn connect(address: &Address) -> Result<Connection, OpenError> {
    let connection = Connection::open(address)
        .map_err(|error| OpenError::Connect { at: address.shown(), why: error.to_string() })?;
    let sql: &dyn Sql = &connection;
    let encoding: String = sql
        .sql("SELECT setting FROM pg_settings WHERE name = 'server_encoding'")
        .one((), |row| row.get("setting"))?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding));
    }
    Ok(connection)
}

fn unfit(unfit: Unfit) -> OpenError {
    match unfit {
        Unfit::TooNew(found) => OpenError::TooNew(found),
        Unfit::Altered(name) => OpenError::Altered(name),
    }
}
