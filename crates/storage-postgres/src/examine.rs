//! A look at a database, for an operator who asks whether it is sound. It changes nothing and migrates nothing, so it may be
//! taken beside any number of nodes, of any version.

use std::time::{Duration, Instant};

use abide_core::Timestamp;
use abide_core::shell::Clock;
use abide_storage::StorageResult;
use abide_storage::deliveries::Backlog;
use abide_storage::nodes::Node;
use abide_storage::sealing::MasterKeys;
use abide_storage_sql::sql::Sql;
use abide_storage_sql::{keys, nodes};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::address::{Address, Pooler};
use crate::connection::{Connection, why};
use crate::doorbell;
use crate::migrations::{self, EACH, Unfit};
use crate::open::{BEATS, OpenError, READERS, WRITERS, connect};
use crate::partitions;

/// Connections of one node: for writing, for reading, for its beat, and to listen.
const NEEDED: u32 = WRITERS as u32 + READERS as u32 + BEATS as u32 + 3;
/// Up to how many waiting deliveries of each state are counted.
const COUNTED: u32 = 100_000;
/// How long a notification may take to arrive.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// What was seen.
#[derive(Debug)]
pub struct Examined {
    /// Host, port and database, without user and password.
    pub at: String,
    /// The server's version, in its own words.
    pub version: String,
    /// The same as a number: 160_004 is 16.4.
    pub version_number: i64,
    /// Bytes of the database.
    pub bytes: u64,
    /// How it is reached.
    pub link: Link,
    /// How long the server took for the least that it can be asked.
    pub took: Duration,
    /// How far the server's clock is ahead of this machine's, in milliseconds; off by half of `took` at most.
    pub ahead_millis: i64,
    /// Settings of the server under which an answered call may be lost with the next power cut, by name and value.
    pub unsafe_settings: Vec<(String, String)>,
    /// Migrations that were applied.
    pub applied: usize,
    /// Migrations that this version knows.
    pub known: usize,
    /// The first applied migration that is another one than this version knows.
    pub altered: Option<&'static str>,
    /// What a node would lack that is to make and change tables; empty where it lacks nothing.
    pub lacks: Vec<String>,
    /// Connections that there are.
    pub connections: Connections,
    /// Whether what is rung at one connection is heard at another.
    pub ears: Ears,
    /// What only a database of this version can be asked; `None` for another.
    pub store: Option<Store>,
}

/// What a database of this version was asked.
pub type Store = (Result<(), String>, Partitions, Vec<Node>, Waiting);

/// How the server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Over TLS, and the server has proven who it is.
    Tls,
    /// In the clear, without leaving this machine.
    Local,
    /// In the clear, for whoever is on the way to read.
    Clear,
}

/// How many connections there are, and how many a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// What the server allows altogether, without those that it keeps for its administrators; of server, database and user
    /// the lowest limit.
    pub allowed: u32,
    /// Those of them that are in use now, by whomever.
    pub used: u32,
    /// What one node takes, at most.
    pub needed: u32,
    /// Whether a pooler stands between, which shares them out.
    pub pooled: bool,
}

/// Whether nodes hear each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ears {
    /// So long after it was rung.
    Hear(Duration),
    /// It was rung and nothing came, though it should.
    Deaf,
    /// The URL says that a pooler is before the server, and not where the server itself is.
    NoDirect,
    /// No connection to listen on could be made, for this reason.
    Refused(String),
}

/// Whether there are partitions for what will be written soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitions {
    /// Those that are missing, by name.
    pub missing: Vec<String>,
    /// Whether rows lie in the partition for what has none.
    pub in_default: bool,
}

/// What waits to be delivered, in all organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Due at a time.
    pub pending: u32,
    /// Due, while their endpoint has no room.
    pub parked: u32,
    /// Waiting for somebody.
    pub held: u32,
    /// Counting ended at its bound: there may be more.
    pub at_least: bool,
    /// How long the oldest pending one has been due, in milliseconds.
    pub overdue_millis: i64,
}

/// Looks at a database. Blocks.
pub fn examine(url: &str, masters: &MasterKeys, clock: &dyn Clock) -> Result<Examined, OpenError> {
    let address = Address::parse(url)?;
    let connection = connect(&address)?;
    let sql: &dyn Sql = &connection;
    let began = (Instant::now(), clock.now());
    let told: i64 = sql
        .sql("SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT) AS now")
        .one((), |row| row.get("now"))?;
    let took = began.0.elapsed();
    let ahead_millis = told - began.1.as_millis() - took.as_millis() as i64 / 2;
    let server = "SELECT current_setting('server_version') AS version, \
                  CAST(current_setting('server_version_num') AS BIGINT) AS number, \
                  pg_database_size(current_database()) AS bytes";
    let (version, version_number, bytes) = sql.sql(server).one((), |row| {
        Ok((row.get("version")?, row.get("number")?, row.get::<i64>("bytes")?.cast_unsigned()))
    })?;
    let (applied, altered) = match migrations::applied(sql)? {
        Ok(applied) => (applied, None),
        Err(Unfit::TooNew(applied)) => (applied, None),
        Err(Unfit::Altered(name)) => (EACH.len(), Some(name)),
    };
    let is_ours = applied == EACH.len() && altered.is_none();
    Ok(Examined {
        at: address.shown(),
        version,
        version_number,
        bytes,
        link: link(&address, sql)?,
        took,
        ahead_millis,
        unsafe_settings: unsafe_settings(sql)?,
        applied,
        known: EACH.len(),
        altered,
        lacks: lacks(sql)?,
        connections: connections(&address, sql)?,
        ears: ears(&address, &connection),
        store: is_ours.then(|| store(sql, masters, Timestamp::from_millis(told))).transpose()?,
    })
}

fn link(address: &Address, sql: &dyn Sql) -> StorageResult<Link> {
    if address.demands_tls() {
        return Ok(Link::Tls);
    }
    // Behind a pooler the server speaks of the way from there.
    let asks_server = address.pooler() == Pooler::None;
    let encrypted = "SELECT 1 FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    Ok(match () {
        () if asks_server && sql.sql(encrypted).exists(())? => Link::Tls,
        () if address.is_near() => Link::Local,
        () => Link::Clear,
    })
}

fn unsafe_settings(sql: &dyn Sql) -> StorageResult<Vec<(String, String)>> {
    sql.sql(
        "SELECT name, setting FROM pg_settings \
         WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name",
    )
    .all((), |row| Ok((row.get("name")?, row.get("setting")?)))
}

/// Tables are made in the first schema of the path, and changed by their owner alone.
fn lacks(sql: &dyn Sql) -> StorageResult<Vec<String>> {
    let mut lacks = Vec::new();
    let may_create = "SELECT 1 WHERE has_schema_privilege(current_schema(), 'CREATE')";
    if !sql.sql(may_create).exists(())? {
        lacks.push("the right to create tables in the schema".to_owned());
    }
    let others: Vec<String> = sql
        .sql(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = current_schema() \
             AND tablename IN ('migrations', 'events', 'attempts') AND NOT pg_has_role(tableowner, 'USAGE')",
        )
        .all((), |row| row.get("tableowner"))?;
    lacks.extend(others.into_iter().map(|owner| format!("the tables, which are {owner}'s")));
    Ok(lacks)
}

fn connections(address: &Address, sql: &dyn Sql) -> StorageResult<Connections> {
    let counted = "SELECT least( \
        CAST(current_setting('max_connections') AS BIGINT) \
          - CAST(current_setting('superuser_reserved_connections') AS BIGINT) \
          - CAST(coalesce(current_setting('reserved_connections', true), '0') AS BIGINT), \
        (SELECT NULLIF(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user), \
        (SELECT NULLIF(datconnlimit, -1) FROM pg_database WHERE datname = current_database())) AS allowed, \
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used";
    sql.sql(counted).one((), |row| {
        Ok(Connections {
            allowed: row.get::<i64>("allowed")?.clamp(0, i64::from(u32::MAX)) as u32,
            used: row.get("used")?,
            needed: NEEDED,
            pooled: address.pooler() == Pooler::Transaction,
        })
    })
}

fn store(sql: &dyn Sql, masters: &MasterKeys, now: Timestamp) -> StorageResult<Store> {
    let keys = keys::compare_masters(sql, masters).map(drop).map_err(|why| why.to_string());
    let in_default = "SELECT 1 WHERE EXISTS (SELECT 1 FROM events_default) OR EXISTS (SELECT 1 FROM attempts_default)";
    let partitions = Partitions {
        missing: partitions::missing(sql, now)?,
        in_default: sql.sql(in_default).exists(())?,
    };
    Ok((keys, partitions, nodes::several(sql, now)?, waiting(sql, now)?))
}

fn waiting(sql: &dyn Sql, now: Timestamp) -> StorageResult<Waiting> {
    let Backlog { pending, parked, held, oldest_due_at } =
        abide_storage_sql::waiting(sql, COUNTED)?;
    Ok(Waiting {
        pending,
        parked,
        held,
        at_least: [pending, parked, held].contains(&COUNTED),
        overdue_millis: oldest_due_at.map_or(0, |at| now.millis_since(at).max(0)),
    })
}

/// Rings at one connection and listens at another, on a bell of its own that wakes no node.
fn ears(address: &Address, connection: &Connection) -> Ears {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return Ears::Refused(why.to_string()),
    };
    let listening = runtime.block_on(async {
        timeout(2 * HEARD_WITHIN, doorbell::listen(address, "abide_doctor")).await
    });
    let (_client, mut rings) = match listening {
        Ok(Some(Ok(listening))) => listening,
        Ok(Some(Err(error))) => return Ears::Refused(why(&error)),
        Ok(None) => return Ears::NoDirect,
        Err(_) => return Ears::Refused("no answer".to_owned()),
    };
    let rung = Instant::now();
    if let Err(why) = connection.simple("NOTIFY abide_doctor") {
        return Ears::Refused(why.to_string());
    }
    let heard = runtime.block_on(async { timeout(HEARD_WITHIN, rings.recv()).await });
    match heard {
        Ok(Some(_)) => Ears::Hear(rung.elapsed()),
        Ok(None) | Err(_) => Ears::Deaf,
    }
}
