//! The nodes that work on a store, for whoever runs the installation.

use abide_core::Timestamp;
use abide_core::ids::LeaseId;
use async_trait::async_trait;

use crate::StorageResult;
use crate::leases::LEASE_MILLIS;

/// After so long without a word a node is late, in milliseconds: each says every second that it lives.
pub const LATE_AFTER_MILLIS: i64 = 4_000;
/// How many rows are looked at, at most, to count the deliveries of a lease.
pub const LOOKED_AT: u32 = 50_000;

/// Who works on the store. For operators: it answers no organization.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Every node that was heard of in the last hour and did not take its leave, lowest number first, with what it holds.
    /// Commands, which come and go, are none. Where one process alone can work on the store, it is that one.
    async fn nodes(&self, now: Timestamp) -> StorageResult<Vec<Node>>;
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number, which the ids it draws end in; others have it once it is gone.
    pub number: u16,
    /// How it is called.
    pub name: String,
    /// What it does: `all`, `api` or `deliver`.
    pub role: String,
    /// Its version of Abide.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it last said that it lives.
    pub heard_at: Timestamp,
    /// What that means now, by the time that all nodes go by.
    pub standing: Standing,
    /// Whether it does the chores of all nodes.
    pub does_chores: bool,
    /// The leases that it holds, oldest first. Those of a node that is gone are taken over by the next one that looks.
    pub leases: Vec<HeldLease>,
}

/// A lease that a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    /// Which; its id says when it was opened.
    pub lease: LeaseId,
    /// How many nodes have held it, this one included.
    pub epoch: u32,
    /// Deliveries under it that were read from the database to be sent.
    pub claimed: u32,
    /// Deliveries under it that the node took fresh from a call, into its memory. They stand in no index, among all that was
    /// written under the lease or meanwhile by others: the newest rows of that are looked at.
    pub hot: u32,
    /// Whether there may be more of them, since there was more to look at than [`LOOKED_AT`] rows.
    pub is_at_least: bool,
}

/// How a node stands by when it was last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It says that it lives.
    Alive,
    /// It has not for a while; what it holds is still its own.
    Late,
    /// It has not for so long that what it held is another's.
    Gone,
}

impl Standing {
    /// Each by its name.
    pub const NAMES: [&'static str; 3] = ["alive", "late", "gone"];

    /// Of a node that was heard of so many milliseconds ago.
    pub fn after(millis: i64) -> Self {
        if millis <= LATE_AFTER_MILLIS {
            Self::Alive
        } else if millis <= LEASE_MILLIS {
            Self::Late
        } else {
            Self::Gone
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Late => "late",
            Self::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node is called gone when its leases can be taken over, and not before.
    #[test]
    fn a_node_stands_by_when_it_was_heard_of() {
        for (millis, expected) in [
            (-5, "alive"),
            (4_000, "alive"),
            (4_001, "late"),
            (LEASE_MILLIS, "late"),
            (LEASE_MILLIS + 1, "gone"),
        ] {
            assert_eq!(Standing::after(millis).as_str(), expected, "{millis}");
        }
        let all = [Standing::Alive, Standing::Late, Standing::Gone];
        assert_eq!(all.map(Standing::as_str), Standing::NAMES);
    }
}
