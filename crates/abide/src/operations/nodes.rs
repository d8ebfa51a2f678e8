//! Nodes: who works on the data, and what each holds.

use abide_storage::nodes::Node;
use serde::{Deserialize, Serialize};

use super::Ground;

/// A node as lists show it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct NodeFacts {
    /// Its number, which the ids it draws end in.
    pub(crate) number: u16,
    /// How it is called.
    pub(crate) name: String,
    /// What it does: `all`, `api` or `deliver`.
    pub(crate) role: String,
    /// Its version of Abide.
    pub(crate) version: String,
    /// `alive`, `late` or `gone`.
    pub(crate) state: String,
    /// When it began.
    pub(crate) started_at: String,
    /// When it last said that it lives.
    pub(crate) heard_at: String,
    /// Whether it does the housekeeping of all nodes.
    pub(crate) does_housekeeping: bool,
    /// The leases that it holds, oldest first.
    pub(crate) leases: Vec<LeaseFacts>,
}

/// A lease that a node holds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LeaseFacts {
    /// Its id.
    pub(crate) id: String,
    /// How many nodes have held it.
    pub(crate) epoch: u32,
    /// When it was opened.
    pub(crate) opened_at: String,
    /// Deliveries under it that were read from the database to be sent.
    pub(crate) claimed: u32,
    /// Deliveries under it that the node took fresh from a call into its memory.
    pub(crate) hot: u32,
    /// Whether there may be more of both.
    pub(crate) at_least: bool,
}

/// Every node, lowest number first.
pub(super) async fn list(ground: &Ground) -> anyhow::Result<Vec<NodeFacts>> {
    let nodes = ground.storage.nodes().nodes(ground.clock.now()).await?;
    Ok(nodes.into_iter().map(facts).collect())
}

fn facts(node: Node) -> NodeFacts {
    let lease = |one: &abide_storage::nodes::HeldLease| LeaseFacts {
        id: one.lease.to_string(),
        epoch: one.epoch,
        opened_at: one.lease.drawn_at().to_seconds_text(),
        claimed: one.claimed,
        hot: one.hot,
        at_least: one.is_at_least,
    };
    NodeFacts {
        number: node.number,
        name: node.name,
        role: node.role,
        version: node.version,
        state: node.standing.as_str().to_owned(),
        started_at: node.started_at.to_seconds_text(),
        heard_at: node.heard_at.to_seconds_text(),
        does_housekeeping: node.does_chores,
        leases: node.leases.iter().map(lease).collect(),
    }
}
