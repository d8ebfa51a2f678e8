//! The schema's versions: forward only, embedded, applied under a lock that one node holds at a time.

use abide_core::consent::hash::sha256;
use abide_storage::StorageResult;
use abide_storage_sql::params;
use abide_storage_sql::sql::{Sql, Turn};

use crate::connection::Connection;

/// Every migration, in order. A released one is never edited.
pub(crate) const EACH: &[(&str, &str)] = &[
    ("0001_begin.sql", include_str!("../migrations/0001_begin.sql")),
    ("0002_retention.sql", include_str!("../migrations/0002_retention.sql")),
    ("0003_closed_keys.sql", include_str!("../migrations/0003_closed_keys.sql")),
];

/// Why a database cannot be brought to this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It was written by a later version of Abide, which knew so many migrations.
    TooNew(usize),
    /// A migration was another one when it was applied here.
    Altered(&'static str),
}

/// Brings a database to the newest version, each migration in a transaction of its own. Answers what was applied here: of
/// two that do it at once each applies some.
pub(crate) fn migrate(connection: &Connection) -> StorageResult<Result<Vec<&'static str>, Unfit>> {
    let mut applied = Vec::new();
    loop {
        let step = connection.within(|sql| {
            // The turn ends with the transaction: behind a pooler the next one may have another server.
            sql.alone(Turn::Migrating)?;
            next_step(connection)
        });
        match step? {
            Ok(Step::Applied(name)) => applied.push(name),
            Ok(Step::Newest) => return Ok(Ok(applied)),
            Err(unfit) => return Ok(Err(unfit)),
        }
    }
}

/// How many migrations a database has, where they are those of this version. It changes nothing, not even where nothing is
/// there yet.
pub(crate) fn applied(sql: &dyn Sql) -> StorageResult<Result<usize, Unfit>> {
    let is_there: bool = sql
        .sql("SELECT to_regclass('migrations') IS NOT NULL AS is_there")
        .one((), |row| row.get("is_there"))?;
    if !is_there {
        return Ok(Ok(0));
    }
    let applied: Vec<Vec<u8>> = sql
        .sql("SELECT sha256 FROM migrations ORDER BY number")
        .all((), |row| row.get("sha256"))?;
    if applied.len() > EACH.len() {
        return Ok(Err(Unfit::TooNew(applied.len())));
    }
    for ((name, statements), noted) in EACH.iter().zip(&applied) {
        if sha256(statements.as_bytes()).as_slice() != noted.as_slice() {
            return Ok(Err(Unfit::Altered(name)));
        }
    }
    Ok(Ok(applied.len()))
}

/// What one transaction did.
enum Step {
    Applied(&'static str),
    Newest,
}

/// Applies the first migration that is missing.
fn next_step(connection: &Connection) -> StorageResult<Result<Step, Unfit>> {
    connection.simple(
        "CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, sha256 BYTEA NOT NULL)",
    )?;
    let sql: &dyn Sql = connection;
    let applied = match applied(sql)? {
        Ok(applied) => applied,
        Err(unfit) => return Ok(Err(unfit)),
    };
    let Some((name, statements)) = EACH.get(applied) else { return Ok(Ok(Step::Newest)) };
    connection.simple(statements)?;
    sql.sql("INSERT INTO migrations (number, sha256) VALUES (?, ?)")
        .execute(params![applied as i64, sha256(statements.as_bytes())])?;
    Ok(Ok(Step::Applied(name)))
}
