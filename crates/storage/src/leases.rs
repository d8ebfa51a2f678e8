//! Leases: the right of a node to work on deliveries. Hot and claimed rows name a lease, never a node, so that taking
//! over a dead node's work changes one row.

use abide_core::Timestamp;
use abide_core::ids::LeaseId;
use async_trait::async_trait;

use crate::StorageResult;

/// For how long a lease is its node's after a heartbeat, in milliseconds.
pub const LEASE_MILLIS: i64 = 10_000;

/// The leases of this node. For the engine.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Begins: takes over every lease of nodes that are proven dead, raising their epochs, and opens a new one. Where one
    /// process alone can work on the store, whoever held a lease before it is dead.
    async fn start(&self, now: Timestamp) -> StorageResult<StartedLease>;

    /// Opens a new lease of this node; work goes on under the older ones until they are closed.
    async fn open(&self, now: Timestamp) -> StorageResult<LeaseId>;

    /// Confirms that this node lives. Answers the leases that it holds: any other was taken over, and what is in memory
    /// under it is another node's by now. Fails where the node cannot know the time well enough to sign (I15).
    async fn heartbeat(&self, now: Timestamp) -> StorageResult<Vec<LeaseId>>;

    /// Takes over the leases of nodes that have not been heard of for [`LEASE_MILLIS`], by the database's time, raising
    /// their epochs. Their rows are to be paged back with `deliveries.lose`.
    async fn take_over(&self, now: Timestamp) -> StorageResult<Vec<LeaseId>>;

    /// Whether this node does the chores: what is to be done once over all nodes, beside deliveries. Whoever does them goes
    /// on for as long as it lives; where nobody does, or who did has not been heard of for [`LEASE_MILLIS`], this node does
    /// from now on. A heartbeat confirms that with all else. What does a chore is refused at a node that has lost them.
    async fn chores(&self, now: Timestamp) -> StorageResult<Chores>;

    /// Ends a lease under which no row is hot or claimed any more.
    async fn close(&self, lease: LeaseId) -> StorageResult<()>;
}

/// Who does the chores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chores {
    /// This node.
    Ours,
    /// Another one.
    Anothers,
}

/// What a node finds when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedLease {
    /// Its first own lease.
    pub lease: LeaseId,
    /// Leases taken over; their rows are to be paged back with `deliveries.lose`.
    pub taken_over: Vec<LeaseId>,
}
