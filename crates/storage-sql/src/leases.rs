//! Leases. Where one process alone has the database, every earlier holder is dead, and takeover is immediate at the start.
//! Of several nodes one is dead when its heartbeat is too old by the database's own time; a transaction that relies on a
//! lease keeps its holder from changing until it has committed.

use std::collections::hash_map::Entry;

use abide_core::ids::{DeliveryId, Id, Lease, LeaseId};
use abide_core::{Refusal, Timestamp};
use abide_storage::leases::{Chores, StartedLease};
use abide_storage::{Leases, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::deliveries::still_leased;
use crate::params;
use crate::rows::{damaged, id};
use crate::shared::Nodes;
use crate::store::SqlStore;
use crate::tx::Tx;

// The lease with the key 0 is no node's from its beginning and covers no rows: whoever holds it does the chores. It is
// there where there can be several nodes, is never closed, and is taken over by itself alone.

#[async_trait]
impl<D: Database> Leases for SqlStore<D> {
    async fn start(&self, now: Timestamp) -> StorageResult<StartedLease> {
        self.database().synchronise().await?;
        self.write_vital(move |tx| {
            let taken_over = match tx.shared().nodes {
                Nodes::One => tx
                    .sql(
                        "UPDATE leases SET holder = ?1, epoch = epoch + 1, heartbeat_at = ?2 WHERE holder != ?1 \
                         RETURNING lease",
                    )
                    .all([tx.shared().holder, now.as_millis()], |row| id(row, "lease"))?,
                Nodes::Several => take_over(tx, now)?,
            };
            Ok(StartedLease { lease: open(tx, now)?, taken_over })
        })
        .await
    }

    async fn open(&self, now: Timestamp) -> StorageResult<LeaseId> {
        self.write_vital(move |tx| open(tx, now)).await
    }

    async fn heartbeat(&self, now: Timestamp) -> StorageResult<Vec<LeaseId>> {
        self.database().synchronise().await?;
        self.write_vital(move |tx| {
            tx.sql("UPDATE leases SET heartbeat_at = database_time(?) WHERE holder = ? RETURNING lease")
                .all([now.as_millis(), tx.shared().holder], |row| id(row, "lease"))
        })
        .await
    }

    async fn take_over(&self, now: Timestamp) -> StorageResult<Vec<LeaseId>> {
        if self.shared.nodes == Nodes::One {
            return Ok(Vec::new());
        }
        let someone = self.read(move |connection, shared| {
            connection
                .sql("SELECT 1 FROM leases WHERE holder != ? AND lease > 0 AND heartbeat_at < database_time(?) - ? LIMIT 1")
                .exists([shared.holder, now.as_millis(), shared.lease_millis])
        });
        if !someone.await? {
            return Ok(Vec::new());
        }
        self.write_vital(move |tx| take_over(tx, now)).await
    }

    async fn chores(&self, now: Timestamp) -> StorageResult<Chores> {
        if self.shared.nodes == Nodes::One {
            return Ok(Chores::Ours);
        }
        // Looked at beside the writers: at every node but one, and there too as a rule, there is nothing to write.
        let looked = self.read(move |connection, shared| {
            connection
                .sql(
                    "SELECT holder, CASE WHEN heartbeat_at < database_time(?) - ? THEN 1 ELSE 0 END AS is_free \
                     FROM leases WHERE lease = 0",
                )
                .maybe([now.as_millis(), shared.lease_millis], |row| {
                    Ok((row.get::<i64>("holder")? == shared.holder, row.get::<bool>("is_free")?))
                })
        });
        match looked.await? {
            Some((true, false)) => Ok(Chores::Ours),
            Some((false, false)) => Ok(Chores::Anothers),
            Some((_, true)) => self.write_vital(move |tx| take_chores(tx, now)).await,
            None => Err(damaged("the lease of the chores is missing")),
        }
    }

    async fn close(&self, lease: LeaseId) -> StorageResult<()> {
        self.write_vital(move |tx| {
            if tx.shared().nodes == Nodes::Several {
                // A transaction whose answer was lost may have held it until now: what it wrote shows only afterwards.
                tx.sql("SELECT 1 FROM leases WHERE lease = ? FOR UPDATE").exists([lease.key()])?;
                if is_relied_on(tx, lease)? {
                    let why = "deliveries are still under this lease".to_owned();
                    return Err(Refusal::Conflict(why).into());
                }
            }
            tx.sql("DELETE FROM leases WHERE lease = ? AND holder = ?")
                .execute([lease.key(), tx.shared().holder])?;
            Ok(())
        })
        .await
    }
}

fn take_over(tx: &Tx<'_>, now: Timestamp) -> StorageResult<Vec<LeaseId>> {
    tx.sql(
        "UPDATE leases SET holder = ?1, epoch = epoch + 1, heartbeat_at = database_time(?2) \
         WHERE holder != ?1 AND lease > 0 AND heartbeat_at < database_time(?2) - ?3 RETURNING lease",
    )
    .all([tx.shared().holder, now.as_millis(), tx.shared().lease_millis], |row| id(row, "lease"))
}

/// Whether a row that no end was recorded of stands under a lease.
fn is_relied_on(tx: &Tx<'_>, lease: LeaseId) -> StorageResult<bool> {
    let first = DeliveryId::from_key(0);
    Ok(!still_leased(tx.connection(), lease, first, 1)?.is_empty())
}

/// Of several that ask at once one gets them: the others find a heartbeat of just now.
fn take_chores(tx: &mut Tx<'_>, now: Timestamp) -> StorageResult<Chores> {
    let taken = tx
        .sql(
            "UPDATE leases SET holder = ?1, epoch = epoch + 1, heartbeat_at = database_time(?2) \
             WHERE lease = 0 AND heartbeat_at < database_time(?2) - ?3",
        )
        .execute([tx.shared().holder, now.as_millis(), tx.shared().lease_millis])?;
    Ok(if taken == 1 { Chores::Ours } else { Chores::Anothers })
}

/// Refuses a chore where another node does them by now, and keeps this node doing them until the transaction ends. Where
/// nobody ever took them, as in a tool that works alone, anybody may.
pub(crate) fn must_do_chores(tx: &Tx<'_>) -> StorageResult<()> {
    if tx.shared().nodes == Nodes::One {
        return Ok(());
    }
    let holder: Option<i64> = tx
        .sql("SELECT holder FROM leases WHERE lease = 0 FOR KEY SHARE")
        .maybe((), |row| row.get("holder"))?;
    if [Some(NOBODY), Some(tx.shared().holder)].contains(&holder) {
        return Ok(());
    }
    Err(Refusal::Conflict("another node does the chores by now".to_owned()).into())
}

/// Who holds the lease of the chores in a new database: no node, which would be drawn among 2^63.
const NOBODY: i64 = 0;

fn open(tx: &Tx<'_>, now: Timestamp) -> StorageResult<LeaseId> {
    let holder = tx.shared().holder;
    let lease: Id<Lease> = tx.id(now);
    // Hot rows are found by a scan of the keys written under their lease. The lease before the last has been out of
    // use since the last was opened, so its range can be closed; the last one may still be written under.
    tx.sql(
        "UPDATE leases SET last_key = ?1 WHERE holder = ?2 AND last_key IS NULL \
         AND lease < (SELECT max(lease) FROM leases WHERE holder = ?2)",
    )
    .execute([lease.key(), holder])?;
    tx.sql(
        "INSERT INTO leases (lease, holder, epoch, heartbeat_at) VALUES (?, ?, 1, database_time(?))",
    )
    .execute(params![lease.key(), holder, now.as_millis()])?;
    Ok(lease)
}

/// Whether this node holds a lease, and will until the transaction ends. Asked before a row is written under it, and before
/// one moves because of it: a node that was only slow writes nothing under what it has lost.
pub(crate) fn is_held(tx: &mut Tx<'_>, lease: LeaseId) -> StorageResult<bool> {
    if tx.shared.nodes == Nodes::One {
        return Ok(true);
    }
    #[cfg(feature = "faults")]
    if abide_core::fault::is_planted(abide_core::fault::Fault::LeaseNotChecked) {
        return Ok(true);
    }
    let connection = tx.connection();
    match tx.caches.leases.entry(lease) {
        Entry::Occupied(known) => Ok(*known.get()),
        Entry::Vacant(place) => {
            let held = connection
                .sql("SELECT 1 FROM leases WHERE lease = ? AND holder = ? FOR KEY SHARE")
                .exists([lease.key(), tx.shared.holder])?;
            Ok(*place.insert(held))
        }
    }
}
