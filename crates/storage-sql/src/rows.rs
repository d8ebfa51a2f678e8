//! Between rows and types: reading columns back, and naming damage by table and column only.

use abide_core::Timestamp;
use abide_core::access::Actor;
use abide_core::ids::{Id, Kind};
use abide_storage::{StorageError, StorageResult};

use crate::params;
use crate::sql::{Place, Row, Sql, Value};

/// A column that cannot be what it claims.
pub fn damaged(place: &str) -> StorageError {
    StorageError::Damaged(place.to_owned())
}

/// An id column.
pub(crate) fn id<K: Kind>(row: &dyn Row, column: impl Place) -> StorageResult<Id<K>> {
    row.get(column).map(Id::from_key)
}

/// An id column that may be null.
pub(crate) fn maybe_id<K: Kind>(row: &dyn Row, column: impl Place) -> StorageResult<Option<Id<K>>> {
    Ok(row.get::<Option<i64>>(column)?.map(Id::from_key))
}

/// An instant column.
pub(crate) fn at(row: &dyn Row, column: impl Place) -> StorageResult<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// An instant column that may be null.
pub(crate) fn maybe_at(row: &dyn Row, column: impl Place) -> StorageResult<Option<Timestamp>> {
    Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A column holding one of an enum's names.
pub(crate) fn named<T>(
    row: &dyn Row,
    column: impl Place,
    parse: impl Fn(&str) -> Option<T>,
) -> StorageResult<T> {
    let place = column.in_row(row)?;
    maybe_named(row, place, parse)?.ok_or_else(|| row.misshapen(place))
}

/// A column holding one of an enum's names, or null.
pub(crate) fn maybe_named<T>(
    row: &dyn Row,
    column: impl Place,
    parse: impl Fn(&str) -> Option<T>,
) -> StorageResult<Option<T>> {
    let place = column.in_row(row)?;
    match row.value(place)? {
        Value::Null => Ok(None),
        Value::Text(text) => parse(text).map(Some).ok_or_else(|| row.misshapen(place)),
        Value::Integer(_) | Value::Bytes(_) => Err(row.misshapen(place)),
    }
}

/// A page of ids behind a cursor, by a statement that answers `place` and `id` in order; and the place of its last.
pub(crate) fn news<K: Kind>(
    connection: &dyn Sql,
    statement: &'static str,
    cursor: i64,
    limit: u32,
) -> StorageResult<(i64, Vec<Id<K>>)> {
    let rows: Vec<(i64, Id<K>)> = connection
        .sql(statement)
        .all(params![cursor, limit], |row| Ok((row.get("place")?, id(row, "id")?)))?;
    let next = rows.last().map_or(cursor, |(place, _)| *place);
    Ok((next, rows.into_iter().map(|(_, id)| id).collect()))
}

/// The newest place, by a statement that answers it alone; 0 where there is none.
pub(crate) fn newest(connection: &dyn Sql, statement: &'static str) -> StorageResult<i64> {
    let newest: Option<i64> = connection.sql(statement).one((), |row| row.get(0))?;
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
pub(crate) fn count(row: &dyn Row) -> StorageResult<u64> {
    row.get::<i64>(0).map(i64::cast_unsigned)
}
