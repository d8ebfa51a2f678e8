//! Leases: the right of a node to work on deliveries. Hot and claimed rows name a lease, never a node, so that taking
//! over a dead node's work changes one row.

use abide_core::Timestamp;
use abide_core::ids::LeaseId;
use async_trait::async_trait;

use crate::StorageResult;

/// The leases of this node. For the engine.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Begins: takes over every lease of nodes that are proven dead, raising their epochs, and opens a new one.
    async fn start(&self, now: Timestamp) -> StorageResult<StartedLease>;

    /// Opens a new lease of this node; work goes on under the older ones until they are closed.
    async fn open(&self, now: Timestamp) -> StorageResult<LeaseId>;

    /// Confirms that this node lives.
    async fn heartbeat(&self, now: Timestamp) -> StorageResult<()>;

    /// Ends a lease under which no row is hot or claimed any more.
    async fn close(&self, lease: LeaseId) -> StorageResult<()>;
}

/// What a node finds when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedLease {
    /// Its first own lease.
    pub lease: LeaseId,
    /// Leases taken over; their rows are to be paged back with `deliveries.lose`.
    pub taken_over: Vec<LeaseId>,
}
