//! `abide master-key`: the keys above everything sealed, and the way from an old one to a new one.

use clap::{Args, Subcommand};

use super::another_answer;
use crate::config::{ConfigFile, PlaceSettings};
use crate::control::carry_out;
use crate::operations::{Done, MasterKeyFacts, Operation};
use crate::terminal::say;

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
    List(List),
}

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: PlaceSettings,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// Its id, as `master-key list` shows it
    id: String,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
pub(crate) struct List {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add(options) => match ask(options, Operation::AddMasterKey).await? {
            Done::MasterKeyAdded { id } => {
                say(format_args!("{id} is the current master key"));
                say("Copy the key file to where you keep it, then run `abide master-key rotate`.");
            }
            other => return Err(another_answer(other)),
        },
        Command::Rotate(options) => match ask(options, Operation::RotateMasterKey).await? {
            Done::MasterKeyRotated { current, organizations } => {
                say(format_args!(
                    "{organizations} organizations re-wrapped; all are under {current} now"
                ));
                say("Backups taken before now still need the older master keys.");
            }
            other => return Err(another_answer(other)),
        },
        Command::Remove(Remove { id, options }) => {
            match ask(options, Operation::RemoveMasterKey { id }).await? {
                Done::MasterKeyRemoved { id } => {
                    say(format_args!("{id} is no longer in the key file"));
                    say(
                        "Backups taken before the last `rotate` can be opened with your copy of it only.",
                    );
                }
                other => return Err(another_answer(other)),
            }
        }
        Command::List(List { json, options }) => {
            match ask(options, Operation::ListMasterKeys).await? {
                Done::MasterKeys { keys } if json => say(serde_json::to_string(&keys)?),
                Done::MasterKeys { keys } => keys.iter().for_each(|key| say(line(key))),
                other => return Err(another_answer(other)),
            }
        }
    }
    Ok(())
}

async fn ask(options: Options, operation: Operation) -> anyhow::Result<Done> {
    let place = options.place.settle(&options.config)?;
    carry_out(&place, operation).await
}

fn line(key: &MasterKeyFacts) -> String {
    let current = if key.current { "  current" } else { "" };
    let in_use = if key.in_use { "  in use" } else { "" };
    format!("{}{current}{in_use}", key.id)
}
