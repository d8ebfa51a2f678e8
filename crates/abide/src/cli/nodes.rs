//! `abide nodes`: who works on the data, and what each holds.

use clap::Args;

use super::another_answer;
use super::format::Format;
use super::shown::{Row, Table};
use crate::config::DataSettings;
use crate::control::carry_out;
use crate::operations::{Done, LeaseFacts, NodeFacts, Operation};
use crate::terminal::complain;

#[derive(Args)]
#[command(
    after_help = "A node is alive while it says so every second, late after four seconds without a word, and gone after ten: \
    then others take over what it held. All times are the database's. A lease covers deliveries in a node's hands, hot ones \
    fresh from a call and claimed ones read from the database; its epoch says how many nodes have held it. The housekeeping that is done once for all is done by one of them."
)]
pub(crate) struct Options {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.data.settle()?;
    match carry_out(&place, Operation::ListNodes).await? {
        Done::Nodes { nodes } if nodes.is_empty() => {
            options.format.answer(&nodes, "")?;
            complain("No node is at work.");
            Ok(())
        }
        Done::Nodes { nodes } => {
            let head = &["number", "name", "role", "state", "last heard", "since", "version"];
            let table = Table::new(head, nodes.iter().map(row).collect());
            options.format.answer(&nodes, table.to_text())
        }
        other => Err(another_answer(other)),
    }
}

/// A lease, with what is under it.
fn lease(lease: &LeaseFacts) -> String {
    let LeaseFacts { id, epoch, claimed, hot, at_least, opened_at: _ } = lease;
    let counted = [(hot, "hot"), (claimed, "claimed")];
    let counted = counted.into_iter().filter(|(count, _)| **count > 0 || *at_least);
    let some = if *at_least { "at least " } else { "" };
    let counted = counted.map(|(count, what)| format!("{some}{count} {what}"));
    let facts: Vec<String> = [format!("epoch {epoch}")].into_iter().chain(counted).collect();
    format!("{id} ({})", facts.join(", "))
}

fn row(node: &NodeFacts) -> Row {
    let mut holds: Vec<String> = Vec::new();
    if node.does_housekeeping {
        holds.push("the housekeeping".to_owned());
    }
    holds.extend(node.leases.iter().map(lease));
    let holds = if holds.is_empty() { "nothing".to_owned() } else { holds.join(", ") };
    Row {
        cells: vec![
            node.number.to_string(),
            node.name.clone(),
            node.role.clone(),
            node.state.clone(),
            node.heard_at.clone(),
            node.started_at.clone(),
            node.version.clone(),
        ],
        below: Some(format!("holds {holds}")),
    }
}
