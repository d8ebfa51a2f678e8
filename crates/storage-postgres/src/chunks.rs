//! Where the sealed parts of blobs lie: rows beside the others. A part needs its blob's row, and goes with it at the latest.

use abide_core::ids::BlobId;
use abide_storage::StorageResult;
use abide_storage_sql::chunks::{Chunks, Removed, TurnToRemove};
use abide_storage_sql::database::{Call, Database as _};
use abide_storage_sql::params;

use crate::Postgres;

/// Parts that go in one transaction.
const AT_ONCE: usize = 32;

impl Chunks for Postgres {
    async fn put(&self, blob: BlobId, index: u32, sealed: Vec<u8>) -> StorageResult<()> {
        self.write(Call::of(sealed.len()), move |tx| {
            tx.connection()
                .sql("INSERT INTO blob_chunks (blob, place, sealed) VALUES (?, ?, ?)")
                .execute(params![blob.key(), index, sealed])?;
            Ok(())
        })
        .await
    }

    async fn settle(&self, _: BlobId) -> StorageResult<()> {
        // Each was committed.
        Ok(())
    }

    async fn get(&self, blob: BlobId, index: u32) -> StorageResult<Option<Vec<u8>>> {
        self.read(move |sql, _| {
            sql.sql("SELECT sealed FROM blob_chunks WHERE blob = ? AND place = ?")
                .maybe(params![blob.key(), index], |row| row.get("sealed"))
        })
        .await
    }

    async fn turn_to_remove(&self) -> StorageResult<Option<TurnToRemove>> {
        // Whoever copies sees the rows of one moment.
        Ok(Some(TurnToRemove::always()))
    }

    async fn remove(&self, blob: BlobId) -> StorageResult<Removed> {
        let gone = self
            .write(Call::of(64), move |tx| {
                tx.connection()
                    .sql(
                        "DELETE FROM blob_chunks WHERE blob = ?1 AND place IN \
                         (SELECT place FROM blob_chunks WHERE blob = ?1 ORDER BY place LIMIT ?2)",
                    )
                    .execute(params![blob.key(), AT_ONCE as u32])
            })
            .await?;
        Ok(if gone < AT_ONCE { Removed::All } else { Removed::Part })
    }

    async fn strays(&self, _: u64) -> StorageResult<Vec<BlobId>> {
        Ok(Vec::new())
    }
}
