//! The target of a copy from an embedded database. A row of `copies` says from where and whether it is whole; until then no
//! node opens the database. Each batch of rows is a transaction, and what is there says where to go on.

use std::fmt::Write as _;

use abide_core::Timestamp;
use abide_storage::sealing::MasterKeys;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::copying::{COPIED, Copied, Key, KeyValue, Origin, Rows, Sum, Summing};
use abide_storage_sql::sql::{Sql, Turn, ValueKind};
use abide_storage_sql::{damaged, keys, params};

use crate::address::{Address, BadAddress};
use crate::connection::Connection;
use crate::open::{OpenError, prepared};
use crate::partitions;

/// A node that was heard of within this time, in milliseconds, is at work.
const AT_WORK: i64 = 60_000;
/// What a bulk copy begins and ends with.
const BEGINNING: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: &[u8] = &[0xff, 0xff];
/// Tables that an empty database has rows in, too, and with which a copy begins anew.
const DRAWN: [&str; 4] = ["master_keys", "feed_epoch", "noted_stretches", "leases"];
/// The lease of the chores, which no folder has: as the migrations leave it.
const CHORES: &str = "INSERT INTO leases (lease, holder, epoch, heartbeat_at) VALUES (0, 0, 0, 0)";

/// Why a database cannot be copied to.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A pooler stands before it.
    #[error(
        "what answers at {0} is a pooler, and a copy goes to the server itself: leave `pooler=transaction` out and name the \
         server's own host and port, or add `direct=HOST:PORT`"
    )]
    Pooler(String),
    /// It is not empty.
    #[error("the database at {0} holds an installation already; make an empty one to copy to")]
    Occupied(String),
    /// Somebody else is being copied there.
    #[error(
        "the database at {at} is being copied to from {from_folder}, another installation; finish that, or give it up with \
         --discard, or make an empty database"
    )]
    Another {
        /// Host, port and database.
        at: String,
        /// Where from.
        from_folder: String,
    },
    /// The source was written to since the copy began.
    #[error(
        "the data has changed since its copy to {0} began, so it cannot go on: give the copy up with --discard, and begin again"
    )]
    Changed(String),
    /// A node has it open.
    #[error("the node {name} is at work on the database at {at}: stop it first")]
    AtWork {
        /// Host, port and database.
        at: String,
        /// How the node is shown.
        name: String,
    },
    /// There is no copy that could be given up.
    #[error("no copy to the database at {0} is under way")]
    None(String),
    /// The copy is whole.
    #[error(
        "the copy to the database at {at} is whole since {since}, and is not given up: nodes may have served it. Where it is \
         never to be served, remove the database with PostgreSQL's own tools, and the file `copied-to` from the data folder"
    )]
    Whole {
        /// Host, port and database.
        at: String,
        /// Since when.
        since: String,
    },
}

impl From<StorageError> for TargetError {
    fn from(error: StorageError) -> Self {
        Self::Open(error.into())
    }
}

impl From<BadAddress> for TargetError {
    fn from(error: BadAddress) -> Self {
        Self::Open(error.into())
    }
}

/// How a copy begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    /// Nothing is there yet.
    Anew,
    /// Another process has copied some of it.
    Resumed,
    /// It is whole since then.
    Whole(Timestamp),
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    kind: ValueKind,
}

/// A database that is being copied to.
pub struct Target {
    connection: Connection,
    shown: String,
    epoch: i64,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("at", &self.shown).finish_non_exhaustive()
    }
}

impl Target {
    /// Begins the copy of an installation, or goes on with it. Blocks, as everything here does.
    pub fn begin(url: &str, of: Origin, from_folder: &str) -> Result<(Self, Began), TargetError> {
        let (connection, shown) = reach(url)?;
        let began = connection.within(|sql| {
            take_turns(sql)?;
            // The last batch of a process that was killed may still be on its way.
            sql.sql("SELECT 1 FROM copies FOR UPDATE").exists(())?;
            let known = known(sql)?;
            if let Some(known) = known.iter().find(|known| known.finished_at.is_none()) {
                if known.epoch != of.epoch {
                    let from_folder = known.from_folder.clone();
                    return Ok(Err(TargetError::Another { at: shown.clone(), from_folder }));
                }
                if known.newest_key != of.newest_key {
                    return Ok(Err(TargetError::Changed(shown.clone())));
                }
                return Ok(Ok(Began::Resumed));
            }
            // One that was served again since has other keys, and goes by what is found below.
            let is_this = |known: &&Known| {
                known.epoch == of.epoch && known.newest_key == of.newest_key
            };
            let whole = known.iter().find(is_this);
            if let Some(at) = whole.and_then(|known| known.finished_at) {
                return Ok(Ok(Began::Whole(Timestamp::from_millis(at))));
            }
            if let Some(name) = node_at_work(sql)? {
                return Ok(Err(TargetError::AtWork { at: shown.clone(), name }));
            }
            if !is_empty(&connection)? {
                return Ok(Err(TargetError::Occupied(shown.clone())));
            }
            connection.simple(&format!("TRUNCATE {}", DRAWN.join(", ")))?;
            sql.sql(
                "INSERT INTO copies (epoch, newest_key, from_folder, begun_at) VALUES (?, ?, ?, database_time(0))",
            )
            .execute(params![of.epoch, of.newest_key, from_folder])?;
            Ok(Ok(Began::Anew))
        })??;
        Ok((Self { connection, shown, epoch: of.epoch }, began))
    }

    /// Gives up the copy of an installation that is not whole: the database is empty afterwards.
    pub fn discard(url: &str, of: Origin) -> Result<String, TargetError> {
        let (connection, shown) = reach(url)?;
        connection.within(|sql| {
            take_turns(sql)?;
            let all = known(sql)?;
            match all.iter().find(|known| known.epoch == of.epoch) {
                Some(Known { finished_at: None, .. }) => {}
                Some(Known { finished_at: Some(at), .. }) => {
                    let since = Timestamp::from_millis(*at).to_seconds_text();
                    return Ok(Err(TargetError::Whole { at: shown.clone(), since }));
                }
                None => return Ok(Err(TargetError::None(shown.clone()))),
            }
            let tables: Vec<&str> = COPIED.iter().map(|copied| copied.table).collect();
            connection.simple(&format!(
                "TRUNCATE copies, {}; INSERT INTO noted_stretches (only_row, through) VALUES (1, 0); {CHORES}",
                tables.join(", ")
            ))?;
            Ok(Ok(()))
        })??;
        Ok(shown)
    }

    /// Host, port and database.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The columns of a table.
    pub fn columns(&self, table: &str) -> StorageResult<Vec<Column>> {
        let sql: &dyn Sql = &self.connection;
        let found = sql
            .sql(
                "SELECT CAST(attname AS TEXT) AS name, CAST(CAST(atttypid AS regtype) AS TEXT) AS kind FROM pg_attribute \
                 WHERE attrelid = CAST(CAST(? AS TEXT) AS regclass) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            )
            .all(params![table], |row| Ok((row.get("name")?, row.get("kind")?)))?;
        found
            .into_iter()
            .map(|(name, kind): (String, String)| {
                let kind = match kind.as_str() {
                    "bigint" => ValueKind::Integer,
                    "text" => ValueKind::Text,
                    "bytea" => ValueKind::Bytes,
                    _ => return Err(damaged(&format!("{table}.{name} has the type {kind}"))),
                };
                Ok(Column { name, kind })
            })
            .collect()
    }

    /// How many rows a table has.
    pub fn count(&self, copied: &Copied) -> StorageResult<u64> {
        let rows = self.connection.texts(&format!("SELECT count(*) FROM {}", copied.table))?;
        let count = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
        count.ok_or_else(|| damaged(copied.table))
    }

    /// The key of a table's last row.
    pub fn last(&self, copied: &Copied, columns: &[Column]) -> StorageResult<Option<Key>> {
        let order: Vec<String> = copied.key.iter().map(|name| format!("{name} DESC")).collect();
        let rows = self.connection.texts(&format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT 1",
            copied.key.join(", "),
            copied.table,
            order.join(", ")
        ))?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let values = copied.key.iter().zip(row).map(|(name, text)| {
            let column = columns.iter().find(|column| column.name == *name);
            let value = column.zip(text).and_then(|(column, text)| match column.kind {
                ValueKind::Integer => text.parse().ok().map(KeyValue::Integer),
                ValueKind::Text => Some(KeyValue::Text(text)),
                ValueKind::Bytes => bytes(&text).map(KeyValue::Bytes),
            });
            value.ok_or_else(|| damaged(copied.table))
        });
        values.collect::<StorageResult<_>>().map(Some)
    }

    /// Whether a table is partitioned by its key.
    pub fn is_partitioned(&self, table: &str) -> bool {
        partitions::TABLES.contains(&table)
    }

    /// Makes the partition in which a key of a table lies; answers the lowest key behind it.
    pub fn make_partition(&self, table: &str, key: i64) -> StorageResult<i64> {
        partitions::make_for(&self.connection, table, key)
    }

    /// Takes the next rows in: all, or none.
    pub fn take(&self, copied: &Copied, columns: &[Column], rows: &Rows) -> StorageResult<()> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let statement =
            format!("COPY {} ({}) FROM STDIN (FORMAT binary)", copied.table, names.join(", "));
        self.connection.within(|sql| {
            sql.sql("SELECT 1 FROM copies WHERE epoch = ? FOR UPDATE").exists([self.epoch])?;
            // What a crash of the server takes, it takes from the end; the copy goes on from there.
            self.connection.simple("SET LOCAL synchronous_commit = off")?;
            let taken = self.connection.copy_in(&statement, &[BEGINNING, &rows.bytes, END])?;
            if taken == rows.count { Ok(()) } else { Err(damaged(copied.table)) }
        })
    }

    /// What all rows of a table come to, as they are read back; says now and then how many it has seen.
    pub fn sum(
        &self,
        copied: &Copied,
        columns: &[Column],
        told: &mut dyn FnMut(u64),
    ) -> StorageResult<Sum> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let statement = format!(
            "COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT (FORMAT binary)",
            names.join(", "),
            copied.table,
            copied.key.join(", ")
        );
        let mut summing = Summing::default();
        let mut is_begun = false;
        self.connection.copy_out(&statement, |message| {
            let rows = if is_begun {
                message
            } else {
                is_begun = true;
                message.strip_prefix(BEGINNING).ok_or_else(|| damaged("a bulk copy's beginning"))?
            };
            let (count, rows) = whole_rows(rows).ok_or_else(|| damaged(copied.table))?;
            summing.add(count, rows);
            told(summing.rows());
            Ok(())
        })?;
        Ok(summing.finish())
    }

    /// Ends the copy: everything opens under these master keys, and nodes may come.
    pub fn finish(&self, masters: &MasterKeys) -> StorageResult<()> {
        keys::compare_masters(&self.connection, masters)?;
        keys::open_each(&self.connection, masters)?;
        self.connection.simple("ANALYZE")?;
        let (connection, epoch) = (&self.connection, self.epoch);
        // The first that waits for the disk; what was committed before it is safe with it.
        connection.within(|sql| {
            let ended = sql
                .sql("UPDATE copies SET finished_at = database_time(0) WHERE epoch = ? AND finished_at IS NULL")
                .execute([epoch])?;
            if ended != 1 {
                return Err(damaged("copies"));
            }
            // Not compared: it was put aside while the others came.
            sql.sql(CHORES).execute(()).map(drop)
        })
    }
}

/// The folder that is being copied here, while that is not whole.
pub(crate) fn half_copied(sql: &dyn Sql) -> StorageResult<Option<String>> {
    let half = known(sql)?.into_iter().find(|known| known.finished_at.is_none());
    Ok(half.map(|known| known.from_folder))
}

/// The highest key of what was copied here; 0 where nothing was.
pub(crate) fn newest_key(sql: &dyn Sql) -> StorageResult<i64> {
    Ok(known(sql)?.iter().map(|known| known.newest_key).max().unwrap_or(0))
}

struct Known {
    epoch: i64,
    newest_key: i64,
    from_folder: String,
    finished_at: Option<i64>,
}

fn known(sql: &dyn Sql) -> StorageResult<Vec<Known>> {
    sql.sql("SELECT epoch, newest_key, from_folder, finished_at FROM copies ORDER BY epoch").all(
        (),
        |row| {
            Ok(Known {
                epoch: row.get("epoch")?,
                newest_key: row.get("newest_key")?,
                from_folder: row.get("from_folder")?,
                finished_at: row.get("finished_at")?,
            })
        },
    )
}

fn reach(url: &str) -> Result<(Connection, String), TargetError> {
    let address = Address::parse(url)?;
    let shown = address.shown();
    let server = address.of_the_server().ok_or_else(|| TargetError::Pooler(shown.clone()))?;
    Ok((prepared(&server)?, shown))
}

/// No node and no other copy begins until the transaction ends; one that was cut off a moment ago has ended.
fn take_turns(sql: &dyn Sql) -> StorageResult<()> {
    sql.alone(Turn::Migrating)?;
    sql.alone(Turn::TakingNodeNumber)
}

fn node_at_work(sql: &dyn Sql) -> StorageResult<Option<String>> {
    sql.sql(
        "SELECT name FROM nodes WHERE heartbeat_at > database_time(0) - ? ORDER BY node LIMIT 1",
    )
    .maybe([AT_WORK], |row| row.get("name"))
}

fn is_empty(connection: &Connection) -> StorageResult<bool> {
    let mut statement = "SELECT 1 WHERE FALSE".to_owned();
    for copied in COPIED.iter().filter(|copied| !DRAWN.contains(&copied.table)) {
        // Into a String, which cannot fail.
        let _ = write!(statement, " OR EXISTS (SELECT 1 FROM {})", copied.table);
    }
    Ok(connection.texts(&statement)?.is_empty())
}

/// The rows at the beginning of a message of a bulk copy, without its end, and how many they are; `None` where one is cut off.
fn whole_rows(message: &[u8]) -> Option<(u64, &[u8])> {
    let (mut at, mut rows) = (0, 0);
    while at < message.len() && message.get(at..)? != END {
        let columns = i16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
        at += 2;
        for _ in 0..columns {
            let length = i32::from_be_bytes(message.get(at..at + 4)?.try_into().ok()?);
            at += 4 + usize::try_from(length).unwrap_or(0);
        }
        rows += 1;
    }
    Some((rows, message.get(..at)?))
}

/// Bytes as the server writes them as text.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}
