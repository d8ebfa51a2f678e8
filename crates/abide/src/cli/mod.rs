//! The command line: one module per command, each with its options and what it does with them.

mod agreeing;
mod backup;
mod completions;
mod copy;
mod deliveries;
mod demo;
mod doctor;
mod endpoints;
mod events;
mod export;
mod format;
mod import;
mod jobs;
mod keys;
mod listen;
mod master_key;
mod migrate;
mod nodes;
mod organizations;
mod paging;
mod restore;
mod serve;
mod shown;
mod subjects;
mod users;
mod verify;

use abide_dialects::Dialect;
use clap::{Parser, Subcommand};

use crate::config::Usage;
use crate::logging;
use crate::operations::Done;

/// Abide keeps the promises an organization makes to people about their data.
#[derive(Parser)]
#[command(
    version, about, max_term_width = 100, subcommand_required = true, after_help = crate::exit::HELP
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and deliver webhooks
    Serve(serve::Options),
    /// See it work: a server, a receiver and sample decisions
    Demo(demo::Options),
    /// Receive webhooks, verify them, and print a line for each
    Listen(listen::Options),
    /// Endpoints of a running server: where events are told to
    #[command(subcommand)]
    Endpoints(endpoints::Command),
    /// Events of a running server: what happened
    #[command(subcommand)]
    Events(events::Command),
    /// Deliveries of a running server: events on their way to endpoints
    #[command(subcommand)]
    Deliveries(deliveries::Command),
    /// Jobs of a running server: work on many deliveries at once
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Show which nodes work on the data, and what each holds
    Nodes(nodes::Options),
    /// Check data, keys, disk, clock and network, and say what to do
    Doctor(doctor::Options),
    /// Check one received webhook, and say in plain words what is wrong with it
    Verify(verify::Options),
    /// Write the completions of commands and flags for a shell
    Completions(completions::Options),
    /// API keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// The keys that everything at rest is sealed under
    #[command(subcommand)]
    MasterKey(master_key::Command),
    /// Copy the whole store into one file, while a server runs or while none does
    Backup(backup::Options),
    /// Put a backup in the place of a data folder, with everybody erased again who was erased since
    Restore(restore::Options),
    /// Copy a stopped installation into a PostgreSQL database, for nodes to serve it from there
    Copy(copy::Options),
    /// Bring a store of an earlier version to this one without serving it
    Migrate(migrate::Options),
    /// Export an organization of a running server into a file
    Export(export::Options),
    /// Bring endpoints, policies and consents along to a running server, with their ids and hashes
    Import(import::Options),
    /// The organizations of this installation
    #[command(subcommand)]
    Organizations(organizations::Command),
    /// People
    #[command(subcommand)]
    Subjects(subjects::Command),
    /// Who signs in to the dashboard
    #[command(subcommand)]
    Users(users::Command),
}

impl Cli {
    /// Does what was asked.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(options) => serve::run(options).await,
            Command::Demo(options) => demo::run(options).await,
            Command::Listen(options) => listen::run(options).await,
            Command::Verify(options) => verify::run(options),
            Command::Endpoints(command) => quietly(endpoints::run(command)).await,
            Command::Events(command) => quietly(events::run(command)).await,
            Command::Deliveries(command) => quietly(deliveries::run(command)).await,
            Command::Jobs(command) => quietly(jobs::run(command)).await,
            Command::Nodes(options) => quietly(nodes::run(options)).await,
            Command::Doctor(options) => quietly(doctor::run(options)).await,
            Command::Completions(options) => {
                completions::run(&options);
                Ok(())
            }
            Command::Keys(command) => quietly(keys::run(command)).await,
            Command::MasterKey(command) => quietly(master_key::run(command)).await,
            Command::Organizations(command) => quietly(organizations::run(command)).await,
            Command::Backup(options) => quietly(backup::run(options)).await,
            Command::Restore(options) => quietly(restore::run(options)).await,
            Command::Copy(options) => quietly(copy::run(options)).await,
            Command::Migrate(options) => quietly(migrate::run(options)).await,
            Command::Export(options) => quietly(export::run(options)).await,
            Command::Import(options) => quietly(import::run(options)).await,
            Command::Subjects(command) => quietly(subjects::run(command)).await,
            Command::Users(command) => quietly(users::run(command)).await,
        }
    }
}

/// Commands that answer and end log only what is wrong.
async fn quietly(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    logging::start("warn")?;
    command.await
}

/// The dialect of that name.
fn dialect_called(name: &str) -> Result<&'static dyn Dialect, Usage> {
    abide_dialects::by_name(name).ok_or_else(|| {
        let known: Vec<&str> = abide_dialects::all().iter().map(|dialect| dialect.name()).collect();
        Usage(format!("unknown dialect `{name}`; known are {}", known.join(", ")))
    })
}

/// A control socket answered something that fits another question.
fn another_answer(_: Done) -> anyhow::Error {
    anyhow::anyhow!("the running server is of another version: use its own `abide`")
}
