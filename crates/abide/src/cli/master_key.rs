//! `abide master-key`: the keys above everything sealed, and the way from an old one to a new one.

use clap::{Args, Subcommand};
use serde_json::json;

use super::another_answer;
use super::format::Format;
use crate::config::DataSettings;
use crate::control::carry_out;
use crate::operations::{Done, MasterKeyFacts, Operation};

/// To replace a master key: `add` a new one and copy the key file to where you keep it; `rotate`; and once no backup
/// needs the old key, `remove` it. Each may be repeated after a crash.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Append a new master key to the key file; it is current from then on
    Add(Options),
    /// Re-wrap every organization's keys under the current master key
    Rotate(Options),
    /// Take a master key out of the key file; refused while the data needs it
    Remove(Remove),
    /// List the master keys, oldest first
    List(Options),
}

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// Its id, as `master-key list` shows it
    id: String,
    #[command(flatten)]
    options: Options,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let (options, operation) = match command {
        Command::Add(options) => (options, Operation::AddMasterKey),
        Command::Rotate(options) => (options, Operation::RotateMasterKey),
        Command::Remove(Remove { id, options }) => (options, Operation::RemoveMasterKey { id }),
        Command::List(options) => (options, Operation::ListMasterKeys),
    };
    let format = options.format;
    let place = options.data.settle()?;
    match carry_out(&place, operation).await? {
        Done::MasterKeyAdded { id } => {
            format.answer(&json!({"id": id}), format_args!("{id} is the current master key"))?;
            format.advise(
                "Copy the key file to where you keep it, then run `abide master-key rotate`.",
            );
        }
        Done::MasterKeyRotated { current, organizations } => {
            let text = format_args!(
                "{organizations} organizations re-wrapped; all are under {current} now"
            );
            format.answer(&json!({"current": current, "organizations": organizations}), text)?;
            format.advise("Backups taken before now still need the older master keys.");
        }
        Done::MasterKeyRemoved { id } => {
            let text = format_args!("{id} is no longer in the key file");
            format.answer(&json!({"id": id}), text)?;
            format.advise(
                "Backups taken before the last `rotate` can be opened with your copy of it only.",
            );
        }
        Done::MasterKeys { keys } => {
            let lines: Vec<String> = keys.iter().map(line).collect();
            format.answer(&keys, lines.join("\n"))?;
        }
        other => return Err(another_answer(other)),
    }
    Ok(())
}

fn line(key: &MasterKeyFacts) -> String {
    let current = if key.current { "  current" } else { "" };
    let in_use = if key.in_use { "  in use" } else { "" };
    format!("{}{current}{in_use}", key.id)
}
