//! Copying an installation from the embedded database into PostgreSQL: table by table, then both sides are compared.

use abide_core::Timestamp;
use abide_core::consent::hash::hex;
use abide_storage::StorageError;
use abide_storage::sealing::MasterKeys;
pub(crate) use abide_storage_postgres::Began;
use abide_storage_postgres::{Column, Target, TargetError};
use abide_storage_sql::copying::{COPIED, Copied, Origin, Sum};
use abide_storage_sqlite::{OpenError, Source, SourceError};
use anyhow::{Context as _, bail, ensure};

use super::postgres;
use crate::config::{DatabaseUrl, Place};
use crate::exit::{Refused, Unavailable};

/// How far a copy is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// What is done now: `copying`, `checking`.
    pub(crate) step: &'static str,
    /// With which table.
    pub(crate) table: &'static str,
    /// Rows of all tables that are done.
    pub(crate) done: u64,
    /// All rows; where both sides are compared, those of both.
    pub(crate) total: u64,
}

/// Where progress is told.
pub(crate) type Told = Box<dyn FnMut(Progress) + Send>;

/// A copy that is whole.
#[derive(Debug)]
pub(crate) struct Copy {
    /// Host, port and database.
    pub(crate) to: String,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// What came of a copy.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is whole now.
    Done {
        /// Whether an earlier process had begun it.
        began: Began,
        /// Each table, and what both sides came to.
        tables: Vec<(&'static str, Sum)>,
    },
    /// It was whole before, since then.
    Before(Timestamp),
}

/// Copies the data of a place that nobody serves, or goes on with that.
pub(crate) async fn copy(
    place: &Place,
    keys: MasterKeys,
    to: DatabaseUrl,
    told: Told,
) -> anyhow::Result<Copy> {
    let data = place.data.clone();
    let work = move || {
        let source = open(&data)?;
        source.check_keys(&keys).map_err(source_judged)?;
        let origin = origin(&source)?;
        let folder = data.canonicalize().context("the data folder cannot be found any more")?;
        let (target, began) =
            Target::begin(&to.0, origin, &folder.display().to_string()).map_err(target_judged)?;
        source.mark(target.shown()).context("cannot note in the data folder that it is copied")?;
        let to = target.shown().to_owned();
        if let Began::Whole(since) = began {
            return Ok(Copy { to, outcome: Outcome::Before(since) });
        }
        let tables = Running { source, target, done: 0, total: 0, told }.run(&keys)?;
        Ok(Copy { to, outcome: Outcome::Done { began, tables } })
    };
    tokio::task::spawn_blocking(work).await?
}

/// Gives up a copy that is not whole: the database is empty afterwards, and the folder can be served. Answers where it was.
pub(crate) async fn discard(place: &Place, to: DatabaseUrl) -> anyhow::Result<String> {
    let data = place.data.clone();
    let work = move || {
        let source = open(&data)?;
        let shown = Target::discard(&to.0, origin(&source)?).map_err(target_judged)?;
        source.unmark().context("cannot remove the file `copied-to` from the data folder")?;
        Ok(shown)
    };
    tokio::task::spawn_blocking(work).await?
}

fn open(data: &std::path::Path) -> anyhow::Result<Source> {
    Source::open(data).map_err(source_judged)
}

fn origin(source: &Source) -> anyhow::Result<Origin> {
    let none = || Refused("there is nothing to copy: the folder was never served".to_owned());
    Ok(source.origin().map_err(source_judged)?.ok_or_else(none)?)
}

/// A table with its columns, as both sides have them.
struct Table {
    copied: &'static Copied,
    columns: Vec<Column>,
    names: Vec<String>,
    rows: u64,
}

struct Running {
    source: Source,
    target: Target,
    done: u64,
    total: u64,
    told: Told,
}

impl Running {
    fn run(mut self, keys: &MasterKeys) -> anyhow::Result<Vec<(&'static str, Sum)>> {
        let tables = COPIED.iter().map(|copied| self.table(copied));
        let tables = tables.collect::<anyhow::Result<Vec<Table>>>()?;
        self.total = tables.iter().map(|table| table.rows).sum();
        for table in &tables {
            self.copy(table)?;
        }
        // Both sides are read whole.
        (self.done, self.total) = (0, 2 * self.total);
        let mut sums = Vec::with_capacity(tables.len());
        let mut different = Vec::new();
        for table in &tables {
            let (theirs, ours) = self.compare(table)?;
            if theirs != ours {
                different.push(format!(
                    "{} ({} rows, {}; read back {} rows, {})",
                    table.copied.table,
                    theirs.rows,
                    short(&theirs),
                    ours.rows,
                    short(&ours)
                ));
            }
            sums.push((table.copied.table, ours));
        }
        if !different.is_empty() {
            bail!(
                "what was read back from the database is not what the data folder holds: {}. Nothing is served from it; give \
                 the copy up with --discard, and begin again",
                different.join("; ")
            );
        }
        self.target.finish(keys).map_err(storage_judged)?;
        Ok(sums)
    }

    fn table(&self, copied: &'static Copied) -> anyhow::Result<Table> {
        let columns = self.target.columns(copied.table).map_err(storage_judged)?;
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        if copied.from == copied.table && copied.table != PARTS {
            let mut here = self.source.columns(copied.from).map_err(source_judged)?;
            let mut there = names.clone();
            here.sort_unstable();
            there.sort_unstable();
            ensure!(here == there, "the two databases have other columns in {}", copied.table);
        }
        let rows = self.source.count(copied).map_err(source_judged)?;
        Ok(Table { copied, columns, names, rows })
    }

    fn copy(&mut self, table: &Table) -> anyhow::Result<()> {
        let copied = table.copied;
        let mut after = self.target.last(copied, &table.columns).map_err(storage_judged)?;
        if after.is_some() {
            self.done += self.target.count(copied).map_err(storage_judged)?;
        }
        self.make_partitions(copied)?;
        loop {
            self.tell("copying", copied);
            let rows =
                self.source.rows(copied, &table.names, after.as_ref()).map_err(source_judged)?;
            if rows.count > 0 {
                self.target.take(copied, &table.columns, &rows).map_err(storage_judged)?;
                self.done += rows.count;
            }
            match rows.last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// For all times that the source has rows of.
    fn make_partitions(&self, copied: &Copied) -> anyhow::Result<()> {
        if !self.target.is_partitioned(copied.table) {
            return Ok(());
        }
        let mut from = 0;
        while let Some(key) = self.source.first_key(copied, from).map_err(source_judged)? {
            from = self.target.make_partition(copied.table, key).map_err(storage_judged)?;
        }
        Ok(())
    }

    fn compare(&mut self, table: &Table) -> anyhow::Result<(Sum, Sum)> {
        let copied = table.copied;
        self.tell("checking", copied);
        let Self { source, target, told, done, total } = self;
        let mut before = *done;
        let mut tell = |read| {
            let done = before + read;
            told(Progress { step: "checking", table: copied.table, done, total: *total });
        };
        let theirs = source.sum(copied, &table.names, &mut tell).map_err(source_judged)?;
        before += theirs.rows;
        // A sign for each row would cost more than reading it, except where one is a part of a blob.
        let every = if copied.table == PARTS { 1 } else { 4_096 };
        let mut tell = |read| {
            if read % every == 0 {
                let done = before + read;
                told(Progress { step: "checking", table: copied.table, done, total: *total });
            }
        };
        let ours = target.sum(copied, &table.columns, &mut tell).map_err(storage_judged)?;
        *done = before + ours.rows;
        Ok((theirs, ours))
    }

    fn tell(&mut self, step: &'static str, copied: &Copied) {
        let Self { done, total, .. } = *self;
        (self.told)(Progress { step, table: copied.table, done, total });
    }
}

/// Its rows are files, and have no columns.
const PARTS: &str = abide_storage_sql::copying::PARTS.table;

fn short(sum: &Sum) -> String {
    hex(&sum.sha256[..4])
}

fn source_judged(error: SourceError) -> anyhow::Error {
    match &error {
        SourceError::Open(OpenError::InUse(_)) => {
            Refused(format!("{error}: stop the server before you copy")).into()
        }
        SourceError::Older { data, .. } => {
            Refused(format!("{error}: run `abide migrate --data {}` first", data.display())).into()
        }
        SourceError::Open(OpenError::Io { path, source })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Refused(format!("there is nothing to copy: {} is not there", path.display())).into()
        }
        SourceError::Nul { .. }
        | SourceError::Open(
            OpenError::TooNew(_)
            | OpenError::Altered(_)
            | OpenError::Exposed(_)
            | OpenError::Copied { .. },
        ) => Refused(error.to_string()).into(),
        SourceError::Blob { .. }
        | SourceError::Open(OpenError::Io { .. } | OpenError::Storage(_)) => error.into(),
    }
}

fn target_judged(error: TargetError) -> anyhow::Error {
    use abide_storage_postgres::OpenError as Open;
    match error {
        TargetError::Open(Open::Storage(error)) => storage_judged(error),
        TargetError::Open(Open::Address(_)) => {
            crate::config::Usage(format!("--to: {error}")).into()
        }
        TargetError::Open(error) => postgres::judged(error),
        TargetError::Pooler(_)
        | TargetError::Occupied(_)
        | TargetError::Another { .. }
        | TargetError::Changed(_)
        | TargetError::AtWork { .. }
        | TargetError::None(_)
        | TargetError::Whole { .. } => Refused(error.to_string()).into(),
    }
}

/// The same command goes on where this one ended.
fn storage_judged(error: StorageError) -> anyhow::Error {
    match error {
        StorageError::Busy | StorageError::Unavailable(_) | StorageError::Unknown(_) => {
            Unavailable(format!("{error}; the same command goes on from here")).into()
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
