//! This node among the others: its number, and who else there is.

use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::params;
use abide_storage_sql::sql::{Sql, Turn};

/// Numbers there are.
const NUMBERS: i64 = 1 << abide_storage::id_source::NODE_BITS;
/// A number whose node has not been heard of for so long is free, in milliseconds.
const FREE_AFTER: i64 = 3_600_000;

/// How a node is shown to people.
#[derive(Debug, Clone)]
pub struct NodeName {
    /// Usually the machine's.
    pub name: String,
    /// What it does: `all`, `api`, `deliver`, or `command` for one that comes and goes.
    pub role: &'static str,
}

/// Takes the lowest free number.
pub(crate) fn take_number(sql: &dyn Sql, holder: i64, node: &NodeName) -> StorageResult<u16> {
    sql.alone(Turn::TakingNodeNumber)?;
    sql.sql("DELETE FROM nodes WHERE heartbeat_at < database_time(0) - ?").execute([FREE_AFTER])?;
    let number: Option<i64> = sql
        .sql(
            "SELECT number FROM generate_series(CAST(0 AS BIGINT), CAST(? AS BIGINT) - 1) AS free (number) \
             WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE node = free.number) ORDER BY number LIMIT 1",
        )
        .maybe([NUMBERS], |row| row.get("number"))?;
    let full = || StorageError::Unavailable(format!("{NUMBERS} nodes are at work already"));
    let number = number.ok_or_else(full)?;
    sql.sql(
        "INSERT INTO nodes (node, holder, name, role, version, started_at, heartbeat_at) \
         VALUES (?, ?, ?, ?, ?, database_time(0), database_time(0))",
    )
    .execute(params![number, holder, node.name, node.role, env!("CARGO_PKG_VERSION")])?;
    Ok(number as u16)
}

/// Says that this node lives. False where its number was given to another one, because it was not heard of for so long.
pub(crate) fn beat(sql: &dyn Sql, holder: i64) -> StorageResult<bool> {
    let beaten = sql
        .sql("UPDATE nodes SET heartbeat_at = database_time(0) WHERE holder = ?")
        .execute([holder])?;
    Ok(beaten == 1)
}

/// Says that it is gone.
pub(crate) fn leave(sql: &dyn Sql, holder: i64) -> StorageResult<()> {
    // Whoever looks next does the chores.
    sql.sql("UPDATE leases SET heartbeat_at = 0 WHERE lease = 0 AND holder = ?")
        .execute([holder])?;
    sql.sql("DELETE FROM nodes WHERE holder = ?").execute([holder]).map(drop)
}
