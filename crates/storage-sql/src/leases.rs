//! Leases. The exclusive lock on the data folder proves every earlier holder dead, so takeover is immediate.

use crate::params;
use abide_core::Timestamp;
use abide_core::ids::{Id, Lease, LeaseId};
use abide_storage::leases::StartedLease;
use abide_storage::{Leases, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::rows::id;
use crate::store::SqlStore;
use crate::tx::Tx;

#[async_trait]
impl<D: Database> Leases for SqlStore<D> {
    async fn start(&self, now: Timestamp) -> StorageResult<StartedLease> {
        let holder = self.holder;
        self.write(64, move |tx| {
            let taken_over = tx
                .sql(
                    "UPDATE leases SET holder = ?, epoch = epoch + 1, heartbeat_at = ? WHERE holder != ? \
                     RETURNING lease",
                )
                .all(params![holder, now.as_millis(), holder], |row| id(row, "lease"))?;
            Ok(StartedLease { lease: open(tx, holder, now)?, taken_over })
        })
        .await
    }

    async fn open(&self, now: Timestamp) -> StorageResult<LeaseId> {
        let holder = self.holder;
        self.write(64, move |tx| open(tx, holder, now)).await
    }

    async fn heartbeat(&self, now: Timestamp) -> StorageResult<()> {
        let holder = self.holder;
        self.write(64, move |tx| {
            tx.sql("UPDATE leases SET heartbeat_at = ? WHERE holder = ?")
                .execute([now.as_millis(), holder])?;
            Ok(())
        })
        .await
    }

    async fn close(&self, lease: LeaseId) -> StorageResult<()> {
        self.write(64, move |tx| {
            tx.sql("DELETE FROM leases WHERE lease = ?").execute([lease.key()])?;
            Ok(())
        })
        .await
    }
}

fn open(tx: &Tx<'_>, holder: i64, now: Timestamp) -> StorageResult<LeaseId> {
    let lease: Id<Lease> = tx.id(now);
    // Hot rows are found by a scan of the keys written under their lease. The lease before the last has been out of
    // use since the last was opened, so its range can be closed; the last one may still be written under.
    tx.sql(
        "UPDATE leases SET last_key = ?1 WHERE holder = ?2 AND last_key IS NULL \
         AND lease < (SELECT max(lease) FROM leases WHERE holder = ?2)",
    )
    .execute([lease.key(), holder])?;
    tx.sql("INSERT INTO leases (lease, holder, epoch, heartbeat_at) VALUES (?, ?, 1, ?)")
        .execute([lease.key(), holder, now.as_millis()])?;
    Ok(lease)
}
