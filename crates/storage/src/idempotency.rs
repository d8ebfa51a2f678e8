//! Calls that were carried out under an `Idempotency-Key`. What notes and answers them are the methods that change
//! something, in their own transactions: each of them heeds [`Caller::once`](abide_core::access::Caller::once).

use abide_core::Timestamp;
use async_trait::async_trait;

use crate::StorageResult;

/// Forgetting.
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// For the engine's housekeeping: forgets up to `limit` calls, of any organization, that were carried out at `before`
    /// or earlier. Answers how many.
    async fn forget_calls(&self, before: Timestamp, limit: u32) -> StorageResult<u32>;
}
