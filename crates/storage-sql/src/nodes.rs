//! Who works on the database. Where there can be several nodes, each has a row in `nodes`; a process that is alone knows itself.

use std::collections::HashMap;

use abide_core::Timestamp;
use abide_storage::nodes::{HeldLease, LOOKED_AT, Node, Standing};
use abide_storage::{Nodes, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::params;
use crate::rows::{at, id};
use crate::shared;
use crate::sql::Sql;
use crate::store::SqlStore;

/// How a process that is alone is shown.
#[derive(Debug)]
pub(crate) struct OneNode {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) since: Timestamp,
}

/// The role of a process that carries out one command.
const COMMAND: &str = "command";

#[async_trait]
impl<D: Database> Nodes for SqlStore<D> {
    async fn nodes(&self, now: Timestamp) -> StorageResult<Vec<Node>> {
        match self.shared.nodes {
            shared::Nodes::One => {
                let (name, role, since) = match self.alone.get() {
                    Some(OneNode { role, .. }) if *role == COMMAND => return Ok(Vec::new()),
                    Some(OneNode { name, role, since }) => (name.clone(), *role, *since),
                    None => ("this process".to_owned(), "all", now),
                };
                let holder = self.shared.holder;
                let held = self.read(move |sql, _| held(sql)).await?.remove(&holder);
                Ok(vec![Node {
                    number: 0,
                    name,
                    role: role.to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    started_at: since,
                    // It answers.
                    heard_at: now,
                    standing: Standing::Alive,
                    does_chores: true,
                    leases: held.unwrap_or_default(),
                }])
            }
            shared::Nodes::Several => self.read(move |sql, _| several(sql, now)).await,
        }
    }
}

/// Those that share a database.
pub fn several(sql: &dyn Sql, now: Timestamp) -> StorageResult<Vec<Node>> {
    let chores: Option<i64> =
        sql.sql("SELECT holder FROM leases WHERE lease = 0").maybe((), |row| row.get("holder"))?;
    let mut held = held(sql)?;
    sql.sql("SELECT *, database_time(?) AS now FROM nodes WHERE role <> ? ORDER BY node").all(
        params![now.as_millis(), COMMAND],
        |row| {
            let (holder, heard_at): (i64, Timestamp) =
                (row.get("holder")?, at(row, "heartbeat_at")?);
            Ok(Node {
                number: row.get("node")?,
                name: row.get("name")?,
                role: row.get("role")?,
                version: row.get("version")?,
                started_at: at(row, "started_at")?,
                heard_at,
                standing: Standing::after(at(row, "now")?.millis_since(heard_at)),
                does_chores: chores == Some(holder),
                leases: held.remove(&holder).unwrap_or_default(),
            })
        },
    )
}

/// What each holds.
fn held(sql: &dyn Sql) -> StorageResult<HashMap<i64, Vec<HeldLease>>> {
    // One statement for all leases; claimed rows stand in an index of their own, hot ones are looked for by their keys.
    let leases: Vec<(i64, HeldLease)> = sql
        .sql(
            "SELECT lease, holder, epoch, \
             (SELECT count(*) FROM (SELECT 1 AS one FROM deliveries \
              WHERE deliveries.lease = held.lease AND state = 'claimed' LIMIT ?1) AS few) AS claimed, \
             (SELECT count(*) FROM (SELECT state, lease FROM deliveries WHERE delivery > held.lease \
              AND delivery <= coalesce(held.last_key, 9223372036854775807) ORDER BY delivery DESC LIMIT ?1) AS few \
              WHERE few.state = 'hot' AND few.lease = held.lease) AS hot, \
             (SELECT count(*) FROM (SELECT 1 AS one FROM deliveries WHERE delivery > held.lease \
              AND delivery <= coalesce(held.last_key, 9223372036854775807) LIMIT ?1) AS few) AS written \
             FROM leases AS held WHERE lease > 0 ORDER BY lease",
        )
        .all([LOOKED_AT], |row| {
            let (claimed, written): (u32, u32) = (row.get("claimed")?, row.get("written")?);
            let lease = HeldLease {
                lease: id(row, "lease")?,
                epoch: row.get("epoch")?,
                claimed,
                hot: row.get("hot")?,
                is_at_least: claimed == LOOKED_AT || written == LOOKED_AT,
            };
            Ok((row.get("holder")?, lease))
        })?;
    let mut held: HashMap<i64, Vec<HeldLease>> = HashMap::new();
    for (holder, lease) in leases {
        held.entry(holder).or_default().push(lease);
    }
    Ok(held)
}
