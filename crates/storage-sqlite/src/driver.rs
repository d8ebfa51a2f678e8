//! SQLite under the statements that all databases share.

use std::borrow::Cow;
use std::ops::ControlFlow;

use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::damaged;
use abide_storage_sql::sql::{Bind, Row, Sql, Turn, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};

use crate::statements::Statements;

/// The writer's open transaction.
pub(crate) struct Transaction<'s, 'c>(pub(crate) &'s Statements<'c>);

impl Sql for Transaction<'_, '_> {
    fn execute(&self, statement: &'static str, values: &[&dyn Bind]) -> StorageResult<usize> {
        let mut statement = self.0.take(statement).map_err(database)?;
        bind(&mut statement, values).map_err(database)?;
        statement.raw_execute().map_err(database)
    }

    fn each(
        &self,
        statement: &'static str,
        values: &[&dyn Bind],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        each(&mut *self.0.take(statement).map_err(database)?, values, look)
    }

    fn changes(&self) -> u64 {
        self.0.connection().total_changes()
    }

    fn alone(&self, _: Turn) -> StorageResult<()> {
        Ok(())
    }
}

/// A reader's view, or a connection on which a store is being opened.
pub(crate) struct View<'c>(pub(crate) &'c Connection);

impl Sql for View<'_> {
    fn execute(&self, statement: &'static str, values: &[&dyn Bind]) -> StorageResult<usize> {
        let mut statement = self.0.prepare_cached(&in_sqlite(statement)).map_err(database)?;
        bind(&mut statement, values).map_err(database)?;
        statement.raw_execute().map_err(database)
    }

    fn each(
        &self,
        statement: &'static str,
        values: &[&dyn Bind],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        let mut statement = self.0.prepare_cached(&in_sqlite(statement)).map_err(database)?;
        each(&mut statement, values, look)
    }

    fn changes(&self) -> u64 {
        self.0.total_changes()
    }

    fn alone(&self, _: Turn) -> StorageResult<()> {
        Ok(())
    }
}

/// A shared statement as SQLite reads it: without locks of rows, since there is one writer, with its own names for the
/// greater and the lesser of two, with the caller's time in place of a clock of its own, and with the range of keys in which
/// an event's deliveries stand.
pub(crate) fn in_sqlite(statement: &str) -> Cow<'_, str> {
    let locks = [" FOR UPDATE", " FOR SHARE", " FOR KEY SHARE"];
    let end = locks.iter().filter_map(|lock| statement.rfind(lock)).min();
    let statement = &statement[..end.unwrap_or(statement.len())];
    let others = [
        ("greatest(", "max("),
        ("least(", "min("),
        ("database_time(", "("),
        // Nobody writes beside the one writer.
        ("closed_keys()", "0"),
    ];
    let mut text = Cow::Borrowed(statement);
    // Deliveries of an event have the keys right after its own, as the one writer draws them.
    while let Some((before, (event, after))) = text
        .split_once("is_right_after(")
        .and_then(|(before, rest)| Some((before, rest.split_once(')')?)))
    {
        text = Cow::Owned(format!(
            "{before}delivery > {event} AND delivery < (SELECT coalesce(min(event), 9223372036854775807) FROM events \
             WHERE event > {event}){after}"
        ));
    }
    for (shared, here) in others {
        if text.contains(shared) {
            text = Cow::Owned(text.replace(shared, here));
        }
    }
    text
}

fn each(
    statement: &mut Statement<'_>,
    values: &[&dyn Bind],
    look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
) -> StorageResult<()> {
    bind(statement, values).map_err(database)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(database)? {
        if look(&Found(row))?.is_break() {
            break;
        }
    }
    Ok(())
}

fn bind(statement: &mut Statement<'_>, values: &[&dyn Bind]) -> rusqlite::Result<()> {
    if statement.parameter_count() != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(
            values.len(),
            statement.parameter_count(),
        ));
    }
    for (place, value) in (1..).zip(values) {
        statement.raw_bind_parameter(place, Bound(value.value()))?;
    }
    Ok(())
}

/// A value for a statement.
pub(crate) struct Bound<'v>(pub(crate) Value<'v>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What a column holds; `None` for what no column of Abide's holds.
pub(crate) fn value_of(value: ValueRef<'_>) -> Option<Value<'_>> {
    Some(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => Value::Text(std::str::from_utf8(text).ok()?),
        ValueRef::Blob(bytes) => Value::Bytes(bytes),
        ValueRef::Real(_) => return None,
    })
}

struct Found<'r, 's>(&'r rusqlite::Row<'s>);

impl Row for Found<'_, '_> {
    fn value(&self, place: usize) -> StorageResult<Value<'_>> {
        let value = self.0.get_ref(place).map_err(database)?;
        value_of(value).ok_or_else(|| damaged(self.name(place)))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.as_ref().column_index(name).ok()
    }

    fn name(&self, place: usize) -> &str {
        self.0.as_ref().column_name(place).unwrap_or_default()
    }
}

/// A database error as a storage error. Statements hold no values, so the text names no content.
pub(crate) fn database(error: rusqlite::Error) -> StorageError {
    match error {
        rusqlite::Error::SqliteFailure(code, _) => {
            // The words for the number alone: the message beside it may repeat what a statement was given.
            let words = rusqlite::ffi::code_to_str(code.extended_code);
            StorageError::Unavailable(format!("SQLite error {}: {words}", code.extended_code))
        }
        other => StorageError::Unavailable(format!("SQLite: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_sqlite_lacks_are_put_otherwise() {
        assert_eq!(
            in_sqlite("SELECT 1 FROM a WHERE b = ? FOR UPDATE"),
            "SELECT 1 FROM a WHERE b = ?"
        );
        assert_eq!(in_sqlite("SELECT 1 FROM a FOR UPDATE SKIP LOCKED"), "SELECT 1 FROM a");
        assert_eq!(in_sqlite("SELECT 1 FROM a FOR SHARE"), "SELECT 1 FROM a");
        assert_eq!(in_sqlite("SELECT ' FOR '"), "SELECT ' FOR '");
        assert_eq!(in_sqlite("SELECT greatest(1, 2), least(1, 2)"), "SELECT max(1, 2), min(1, 2)");
    }
}
