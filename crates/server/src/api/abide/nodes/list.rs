//! `GET /abide/v1/nodes`: who works on the data, and what each holds.

use abide_core::access::Scope;
use abide_core::ids::{Lease, LeaseId};
use abide_storage::nodes::{HeldLease, LOOKED_AT, Node, Standing};
use axum::extract::State;
use serde::Serialize;

use crate::api::abide::answer::{Answer, Time, whole_list};
use crate::api::abide::describe::{
    Operation, count, field, flag, id, list, named, number, object, one_of, page_of, text, time,
};
use crate::caller::{By, OrganizationsWrite};
use crate::router::Shared;

#[derive(Serialize)]
struct NodeObject {
    number: u16,
    name: String,
    role: String,
    version: String,
    state: &'static str,
    started_at: Time,
    heard_at: Time,
    does_housekeeping: bool,
    leases: Vec<LeaseObject>,
}

#[derive(Serialize)]
struct LeaseObject {
    id: LeaseId,
    epoch: u32,
    opened_at: Time,
    claimed: u32,
    hot: u32,
    at_least: bool,
}

impl From<Node> for NodeObject {
    fn from(node: Node) -> Self {
        let lease = |one: HeldLease| LeaseObject {
            id: one.lease,
            epoch: one.epoch,
            opened_at: Time(one.lease.drawn_at()),
            claimed: one.claimed,
            hot: one.hot,
            at_least: one.is_at_least,
        };
        Self {
            number: node.number,
            name: node.name,
            role: node.role,
            version: node.version,
            state: node.standing.as_str(),
            started_at: Time(node.started_at),
            heard_at: Time(node.heard_at),
            does_housekeeping: node.does_chores,
            leases: node.leases.into_iter().map(lease).collect(),
        }
    }
}

pub(crate) fn about() -> Operation {
    let lease = object(vec![
        field("id", id::<Lease>(), "Its id."),
        field("epoch", count(), "How many nodes have held it, this one included."),
        field("opened_at", time(), "When it was opened."),
        field(
            "claimed",
            number(0, LOOKED_AT.into()),
            "Deliveries under it that were read from the database to be sent.",
        ),
        field(
            "hot",
            number(0, LOOKED_AT.into()),
            "Deliveries under it that the node took fresh from a call into its memory.",
        ),
        field(
            "at_least",
            flag(),
            "Whether there may be more of both: to count them 50000 rows are looked at, the newest ones.",
        ),
    ]);
    let node = named(
        "Node",
        object(vec![
            field("number", number(0, 1023), "Its number; others have it once it is gone."),
            field("name", text(), "How it is called."),
            field("role", one_of(["all", "api", "deliver"]), "What it does."),
            field("version", text(), "Its version of Abide."),
            field(
                "state",
                one_of(Standing::NAMES),
                "`alive`; `late`, when it has not said for 4 seconds that it lives; `gone` after 10, when others take over \
                 what it held.",
            ),
            field("started_at", time(), "When it began."),
            field("heard_at", time(), "When it last said that it lives, by the database's time."),
            field("does_housekeeping", flag(), "Whether it does what is done once for all nodes."),
            field("leases", list(lease), "The leases on deliveries that it holds, oldest first."),
        ]),
    );
    Operation::new("list_nodes", "Nodes", "List the nodes", page_of(node))
        .says(
            "Lowest number first, all on one page: every node that was heard of in the last hour and did not take its leave. \
             On the embedded database that is the one that answers.",
        )
        .scope(Scope::OrganizationsWrite)
}

pub(crate) async fn handler(State(shared): State<Shared>, _by: By<OrganizationsWrite>) -> Answer {
    let nodes = shared.app.storage.nodes().nodes(shared.app.clock.now()).await?;
    whole_list(nodes.into_iter().map(NodeObject::from).collect())
}
