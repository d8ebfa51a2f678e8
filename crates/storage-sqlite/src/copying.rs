//! The source of a copy into another database: a data folder that nobody serves, read table by table.
//!
//! Whoever copies holds the folder's lock. A mark in the folder keeps it from being served afterwards, and while a copy that
//! was cut off waits to go on: from two places at once everything that waits would be delivered twice.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use abide_core::ids::BlobId;
use abide_storage::StorageError;
use abide_storage::sealing::MasterKeys;
use abide_storage_sql::copying::{Copied, Key, KeyValue, Origin, PARTS, Rows, Sum, Summing};
use abide_storage_sql::sql::Value;
use abide_storage_sql::{damaged, keys};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::chunks::Folder;
use crate::driver::{Bound, View, database, value_of};
use crate::migrations::{self, Standing};
use crate::open::{DATABASE, OpenError, connect, highest_key, lock_folder};

/// The mark: where the data was copied to.
const MARK: &str = "copied-to";
/// About how many bytes are read at once; one row more than fits is no more than a blob's part.
const BATCH: usize = 4 * 1024 * 1024;

/// Why a data folder cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was made by an earlier version; so many migrations are missing.
    #[error("the store in {} is of an earlier version: {missing} migrations are missing", .data.display())]
    Older {
        /// The folder.
        data: PathBuf,
        /// How many.
        missing: usize,
    },
    /// A text holds what the other database cannot.
    #[error(
        "{table}.{column} of the row with the key {key} has a NUL character, which the database cannot hold"
    )]
    Nul {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
        /// The row.
        key: String,
    },
    /// A part of a blob is not there, or not all of it.
    #[error("the file of blob {blob} is damaged: part {part} is missing or cut off")]
    Blob {
        /// Which.
        blob: BlobId,
        /// From 0.
        part: u32,
    },
}

impl From<StorageError> for SourceError {
    fn from(error: StorageError) -> Self {
        Self::Open(error.into())
    }
}

impl From<rusqlite::Error> for SourceError {
    fn from(error: rusqlite::Error) -> Self {
        database(error).into()
    }
}

/// A data folder that is being copied. Nobody else has it meanwhile.
pub struct Source {
    connection: Connection,
    blobs: Folder,
    data: PathBuf,
    _lock: File,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Source {
    /// Takes a folder whose store is of this version.
    pub fn open(data: &Path) -> Result<Self, SourceError> {
        let file = data.join(DATABASE);
        let lock = lock_folder(data)?;
        if !file.exists() {
            let source = io::Error::from(ErrorKind::NotFound);
            return Err(OpenError::Io { path: file, source }.into());
        }
        // Not for reading alone: the log of a process that was killed is taken in.
        let connection = connect(&file)?;
        connection.pragma_update(None, "query_only", true)?;
        let Standing { applied, known, altered } = migrations::standing(&connection)?;
        if applied > known {
            return Err(OpenError::TooNew(applied).into());
        }
        if let Some(name) = altered {
            return Err(OpenError::Altered(name).into());
        }
        if applied < known {
            return Err(SourceError::Older { data: data.to_owned(), missing: known - applied });
        }
        let blobs = Folder::beside(data);
        Ok(Self { connection, blobs, data: data.to_owned(), _lock: lock })
    }

    /// Whether the master keys are those that opened everything here.
    pub fn check_keys(&self, masters: &MasterKeys) -> Result<(), SourceError> {
        keys::compare_masters(&View(&self.connection), masters)?;
        Ok(())
    }

    /// What tells this installation from others; `None` where nothing was ever served from it.
    pub fn origin(&self) -> Result<Option<Origin>, SourceError> {
        let epoch = self.maybe_number("SELECT epoch FROM feed_epoch")?;
        let mut newest_key = highest_key(&self.connection)?;
        for statement in [
            "SELECT max(call) FROM idempotency",
            "SELECT max(secret) FROM endpoint_secrets",
            "SELECT max(suppression) FROM suppressions",
            "SELECT max(ask) FROM asks",
        ] {
            newest_key = newest_key.max(self.maybe_number(statement)?.unwrap_or(0));
        }
        Ok(epoch.map(|epoch| Origin { epoch, newest_key }))
    }

    fn maybe_number(&self, statement: &str) -> rusqlite::Result<Option<i64>> {
        let mut statement = self.connection.prepare(statement)?;
        let mut rows = statement.query([])?;
        rows.next()?.map_or(Ok(None), |row| row.get(0))
    }

    /// The columns of a table; none where there is no such table.
    pub fn columns(&self, table: &str) -> Result<Vec<String>, SourceError> {
        let mut statement =
            self.connection.prepare("SELECT name FROM pragma_table_info(?) ORDER BY cid")?;
        let names = statement.query_map([table], |row| row.get(0))?;
        Ok(names.collect::<rusqlite::Result<_>>()?)
    }

    /// How many rows a table has that are copied.
    pub fn count(&self, copied: &Copied) -> Result<u64, SourceError> {
        if copied.table == PARTS.table {
            let parts = "SELECT sum(chunks) FROM blobs WHERE state = 'whole'";
            return Ok(self.maybe_number(parts)?.unwrap_or(0).unsigned_abs());
        }
        let only = copied.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
        let count = format!("SELECT count(*) FROM {}{only}", copied.from);
        Ok(self.maybe_number(&count)?.unwrap_or(0).unsigned_abs())
    }

    /// The lowest key of a table that is not below a bound.
    pub fn first_key(&self, copied: &Copied, from: i64) -> Result<Option<i64>, SourceError> {
        let [key, ..] = copied.key else { return Ok(None) };
        let statement = format!("SELECT min({key}) FROM {} WHERE {key} >= {from}", copied.from);
        Ok(self.maybe_number(&statement)?)
    }

    /// The next rows of a table; none behind its end.
    pub fn rows(
        &self,
        copied: &Copied,
        columns: &[String],
        after: Option<&Key>,
    ) -> Result<Rows, SourceError> {
        if copied.table == PARTS.table {
            return self.parts(after);
        }
        let mut statement = self.connection.prepare(&reading(copied, columns, after))?;
        for (place, value) in (1..).zip(after.into_iter().flatten()) {
            statement.raw_bind_parameter(place, Bound(value.value()))?;
        }
        let places = key_places(copied, columns)?;
        let mut found = Rows::default();
        let mut rows = statement.raw_query();
        while found.bytes.len() < BATCH {
            let Some(row) = rows.next()? else { break };
            found.begin(columns.len())?;
            for (place, column) in columns.iter().enumerate() {
                let value = value_in(row.get_ref(place)?, copied, column)?;
                if matches!(value, Value::Text(text) if text.contains('\0')) {
                    let key = key_of(row, &places, copied)?;
                    return Err(SourceError::Nul {
                        table: copied.table,
                        column: column.clone(),
                        key: shown(&key),
                    });
                }
                found.add(value)?;
            }
            // Where there may be more: a key is wanted of the last row alone.
            if found.bytes.len() >= BATCH {
                found.last = Some(key_of(row, &places, copied)?);
            }
        }
        Ok(found)
    }

    /// What all rows of a table come to; says now and then how many it has seen.
    pub fn sum(
        &self,
        copied: &Copied,
        columns: &[String],
        told: &mut dyn FnMut(u64),
    ) -> Result<Sum, SourceError> {
        let mut summing = Summing::default();
        let mut after = None;
        loop {
            let rows = self.rows(copied, columns, after.as_ref())?;
            summing.add(rows.count, &rows.bytes);
            told(summing.rows());
            match rows.last {
                Some(last) => after = Some(last),
                None => return Ok(summing.finish()),
            }
        }
    }

    /// The next parts of blobs that are whole.
    fn parts(&self, after: Option<&Key>) -> Result<Rows, SourceError> {
        let (mut blob, mut next) = match after.map(Vec::as_slice) {
            Some([KeyValue::Integer(blob), KeyValue::Integer(place)]) => (*blob, *place + 1),
            _ => (0, 0),
        };
        let mut found = Rows::default();
        let mut statement = self.connection.prepare(
            "SELECT blob, chunks FROM blobs WHERE blob >= ? AND state = 'whole' ORDER BY blob LIMIT 1",
        )?;
        loop {
            let mut rows = statement.query([blob])?;
            let Some(row) = rows.next()? else { return Ok(found) };
            let (of, parts): (i64, i64) = (row.get(0)?, row.get(1)?);
            if of != blob {
                (blob, next) = (of, 0);
            }
            while next < parts {
                let id = BlobId::from_key(blob);
                let part = u32::try_from(next).map_err(|_| damaged("blobs.chunks"))?;
                let sealed = self.blobs.part(id, part).map_err(|source| OpenError::Io {
                    path: self.data.join(crate::blob_file(id)),
                    source,
                })?;
                let sealed = sealed.ok_or(SourceError::Blob { blob: id, part })?;
                found.begin(3)?;
                found.add(Value::Integer(blob))?;
                found.add(Value::Integer(next))?;
                found.add(Value::Bytes(&sealed))?;
                if found.bytes.len() >= BATCH {
                    found.last = Some(vec![KeyValue::Integer(blob), KeyValue::Integer(next)]);
                    return Ok(found);
                }
                next += 1;
            }
            (blob, next) = (blob + 1, 0);
        }
    }

    /// Notes durably where the data is being copied: from here on the folder is not served.
    pub fn mark(&self, to: &str) -> io::Result<()> {
        let path = self.data.join(MARK);
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
        file.write_all(format!("{to}\n").as_bytes())?;
        file.sync_all()?;
        File::open(&self.data)?.sync_all()
    }

    /// The folder is served again.
    pub fn unmark(&self) -> io::Result<()> {
        match fs::remove_file(self.data.join(MARK)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => File::open(&self.data)?.sync_all(),
        }
    }
}

/// Whether a folder may be served.
pub(crate) fn must_not_be_copied(data: &Path) -> Result<(), OpenError> {
    let mark = data.join(MARK);
    match fs::read_to_string(&mark) {
        Ok(text) => {
            Err(OpenError::Copied { data: data.to_owned(), to: text.trim_end().to_owned(), mark })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(OpenError::Io { path: mark, source }),
    }
}

fn reading(copied: &Copied, columns: &[String], after: Option<&Key>) -> String {
    let expressions: Vec<&str> = columns.iter().map(|column| copied.expression(column)).collect();
    let key = copied.key.join(", ");
    let behind = after
        .map(|key| format!("({}) > ({})", copied.key.join(", "), vec!["?"; key.len()].join(", ")));
    let only: Vec<String> = copied.only.map(str::to_owned).into_iter().chain(behind).collect();
    let only =
        if only.is_empty() { String::new() } else { format!(" WHERE {}", only.join(" AND ")) };
    format!("SELECT {} FROM {}{only} ORDER BY {key}", expressions.join(", "), copied.from)
}

fn key_places(copied: &Copied, columns: &[String]) -> Result<Vec<usize>, SourceError> {
    let place = |name: &&str| columns.iter().position(|column| column == name);
    let places: Option<Vec<usize>> = copied.key.iter().map(place).collect();
    Ok(places.ok_or_else(|| damaged(copied.table))?)
}

fn key_of(row: &rusqlite::Row<'_>, places: &[usize], copied: &Copied) -> Result<Key, SourceError> {
    places
        .iter()
        .map(|place| {
            let value = value_in(row.get_ref(*place)?, copied, "key")?;
            Ok(KeyValue::of(value)?)
        })
        .collect()
}

fn value_in<'v>(
    value: ValueRef<'v>,
    copied: &Copied,
    column: &str,
) -> Result<Value<'v>, SourceError> {
    Ok(value_of(value).ok_or_else(|| damaged(&format!("{}.{column}", copied.table)))?)
}

/// A key as an operator can look for it. No column of a key holds what a person is known by.
fn shown(key: &Key) -> String {
    let mut text = String::new();
    for value in key {
        let between = if text.is_empty() { "" } else { ", " };
        // Into a String, which cannot fail.
        let _ = match value {
            KeyValue::Integer(number) => write!(text, "{between}{number}"),
            KeyValue::Text(name) => write!(text, "{between}{name}"),
            KeyValue::Bytes(_) => write!(text, "{between}(bytes)"),
        };
    }
    text
}
