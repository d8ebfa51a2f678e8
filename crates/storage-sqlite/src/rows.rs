//! Between rows and types: reading columns back, and naming damage by table and column only.

use abide_core::Timestamp;
use abide_core::access::Actor;
use abide_core::ids::{Id, Kind};
use abide_storage::{StorageError, StorageResult};
use rusqlite::{Connection, Row, RowIndex, params};

/// A database error as a storage error. Statements hold no values, so the text names no content.
pub(crate) fn database(error: rusqlite::Error) -> StorageError {
    match error {
        rusqlite::Error::SqliteFailure(code, _) => {
            // The words for the number alone: the message beside it may repeat what a statement was given.
            let words = rusqlite::ffi::code_to_str(code.extended_code);
            StorageError::Unavailable(format!("SQLite error {}: {words}", code.extended_code))
        }
        rusqlite::Error::InvalidColumnType(_, column, _) => {
            StorageError::Damaged(format!("column {column} has the wrong type"))
        }
        other => StorageError::Unavailable(format!("SQLite: {other}")),
    }
}

/// A column that cannot be what it claims.
pub(crate) fn damaged(place: &str) -> StorageError {
    StorageError::Damaged(place.to_owned())
}

/// An id column.
pub(crate) fn id<K: Kind>(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Id<K>> {
    row.get(column).map(Id::from_key)
}

/// An id column that may be null.
pub(crate) fn maybe_id<K: Kind>(
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<Option<Id<K>>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Id::from_key))
}

/// An instant column.
pub(crate) fn at(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// An instant column that may be null.
pub(crate) fn maybe_at(
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A column holding one of an enum's names.
pub(crate) fn named<T>(
    row: &Row<'_>,
    column: impl RowIndex,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let column = column.idx(row.as_ref())?;
    let text = row.get_ref(column)?.as_str()?;
    parse(text).ok_or_else(|| {
        let name = row.as_ref().column_name(column).unwrap_or_default().to_owned();
        rusqlite::Error::InvalidColumnType(column, name, rusqlite::types::Type::Text)
    })
}

/// A column holding one of an enum's names, or null.
pub(crate) fn maybe_named<T>(
    row: &Row<'_>,
    column: impl RowIndex,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    if row.get_ref(column)? == rusqlite::types::ValueRef::Null {
        return Ok(None);
    }
    named(row, column, parse).map(Some)
}

/// A page of ids behind a cursor, by a statement that answers `place` and `id` in order; and the place of its last.
pub(crate) fn news<K: Kind>(
    connection: &Connection,
    statement: &str,
    cursor: i64,
    limit: u32,
) -> StorageResult<(i64, Vec<Id<K>>)> {
    let rows: Vec<(i64, Id<K>)> = connection
        .prepare_cached(statement)
        .and_then(|mut statement| {
            statement
                .query_map(params![cursor, limit], |row| Ok((row.get("place")?, id(row, "id")?)))?
                .collect()
        })
        .map_err(database)?;
    let next = rows.last().map_or(cursor, |(place, _)| *place);
    Ok((next, rows.into_iter().map(|(_, id)| id).collect()))
}

/// The newest place, by a statement that answers it alone; 0 where there is none.
pub(crate) fn newest(connection: &Connection, statement: &str) -> StorageResult<i64> {
    let newest: Option<i64> = connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(database)?;
    Ok(newest.unwrap_or(0))
}

/// How the audit log and decisions name who acted.
pub(crate) fn actor_text(actor: Actor) -> String {
    match actor {
        Actor::Key(key) => key.to_string(),
        Actor::User(user) => user.to_string(),
        Actor::Operator => "operator".to_owned(),
        Actor::System => "system".to_owned(),
    }
}

/// The one column of a `count(*)`.
pub(crate) fn count(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, i64>(0).map(i64::cast_unsigned)
}
