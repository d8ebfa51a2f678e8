//! `abide subjects`: erasing a person.

use std::io::Read as _;

use abide_core::Timestamp;
use abide_storage::erasures::{ErasureJournal, Repeated};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use super::another_answer;
use super::format::Format;
use crate::config::{DataSettings, Usage};
use crate::control::carry_out;
use crate::exit::Refused;
use crate::operations::{DEFAULT_ORGANIZATION, Done, Operation};
use crate::wiring::postgres::erase_again as erase_again_in;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Erase a person: what is known of them becomes unreadable, and what waits for them is not sent
    Erase(Erase),
    /// After a PostgreSQL database was restored: erase again everybody who was erased since, by the erasure journal
    EraseAgain(EraseAgain),
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

#[derive(Args)]
#[command(
    after_help = "To be run once, after the restoration and before the first node starts. Everybody signs in anew, and readers \
    of feeds are told that theirs began anew. A backup of the embedded database is restored by `abide restore`, which does the \
    same by itself."
)]
pub(crate) struct EraseAgain {
    /// The moment that the database was restored to: when its backup was taken
    #[arg(long, value_name = "TIME", value_parser = moment)]
    restored_to: Timestamp,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let wanted = "must be an RFC 3339 time, such as 2026-11-22T20:25:24Z";
    Timestamp::parse(text).map_err(|_| wanted.to_owned())
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Erase(options) => erase(options).await,
        Command::EraseAgain(options) => erase_again(options).await,
    }
}

async fn erase_again(options: EraseAgain) -> anyhow::Result<()> {
    let EraseAgain { restored_to, format, data } = options;
    let place = data.settle()?;
    let Some(url) = place.database_url.clone() else {
        let text = "say with --database-url which PostgreSQL database was restored; `abide restore` restores a data folder, and \
                    erases again by itself";
        return Err(Usage(text.to_owned()).into());
    };
    let Some(journal) = ErasureJournal::read(&place.journal)? else {
        return Err(Refused(format!(
            "there is no erasure journal {}: whoever was erased after the backup would be back. Say with --erasure-journal \
             where it is; every node has one, beside its master key file",
            place.journal.display()
        ))
        .into());
    };
    let Repeated { people, organizations, deliveries } =
        erase_again_in(&place, url, journal, restored_to).await?;
    format.answer(
        &json!({"people": people, "organizations": organizations, "deliveries": deliveries}),
        format_args!("erased again: people {people}, organizations {organizations}"),
    )?;
    format.advise(
        "What was changed after that moment is not in the database: keys that were revoked and users who were disabled since \
         are good again. Look through them before you start a node.",
    );
    Ok(())
}

async fn erase(options: Erase) -> anyhow::Result<()> {
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
