//! Master keys: which ones the store still needs, and re-wrapping under the current one.

use abide_core::Timestamp;
use async_trait::async_trait;

use crate::StorageResult;
use crate::sealing::MasterKeys;

/// Where a re-wrapping stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    /// Organization keys re-wrapped by this call.
    pub organizations: u32,
    /// Whether some are still wrapped under an older master key.
    pub more: bool,
}

/// The keys above the organizations. For the command line.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Takes over what the key file now holds. Refused when a key that the store still needs is not among them.
    async fn reload(&self, keys: MasterKeys) -> StorageResult<()>;

    /// Re-wraps up to `limit` organizations' keys under the current master key, in one transaction, each with an audit
    /// entry. Interrupted anywhere, it goes on with the next call.
    async fn rewrap(&self, limit: u32, now: Timestamp) -> StorageResult<Rewrapped>;

    /// Ids of the master keys under which organization keys are wrapped now.
    async fn in_use(&self) -> StorageResult<Vec<String>>;
}
