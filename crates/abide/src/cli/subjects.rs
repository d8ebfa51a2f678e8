//! `abide subjects`: erasing a person.

use std::io::Read as _;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use super::another_answer;
use super::format::Format;
use crate::config::DataSettings;
use crate::control::carry_out;
use crate::operations::{DEFAULT_ORGANIZATION, Done, Operation};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Erase a person: what is known of them becomes unreadable, and what waits for them is not sent
    Erase(Erase),
}

#[derive(Args)]
pub(crate) struct Erase {
    /// The reference under which the organization knows the person; `-` reads it from standard input, so that it does
    /// not stand in the shell's history
    #[arg(long, value_name = "REF", allow_hyphen_values = true)]
    reference: String,
    /// Whose person, by the organization's short name
    #[arg(long, value_name = "ORGANIZATION", default_value = DEFAULT_ORGANIZATION)]
    organization: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Erase(options) = command;
    let place = options.data.settle()?;
    let reference = match options.reference.as_str() {
        "-" => from_standard_input()?,
        _ => options.reference,
    };
    let operation = Operation::EraseSubject { organization: options.organization, reference };
    match carry_out(&place, operation).await? {
        Done::SubjectErased { subject, deliveries } => {
            options.format.answer(
                &json!({"subject": subject, "deliveries": deliveries}),
                format_args!("{subject} is erased; {deliveries} waiting deliveries ended"),
            )?;
            options.format.advise("Backups hold the person's wrapped key until they expire; `abide restore` erases the person again.");
            Ok(())
        }
        other => Err(another_answer(other)),
    }
}

/// One line, without its end.
fn from_standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(64 << 10);
    input.read_to_string(&mut text).context("cannot read the reference from standard input")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
