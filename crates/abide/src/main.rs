//! Abide, the program: the command line, configuration, and the wiring of store, engine and server.
//!
//! One module per command under [`cli`]. What a command does to the data stands in [`operations`], so that it is the
//! same whether a running server carries it out (asked through [`control`]) or the command itself does.

mod api_client;
mod cli;
mod clock;
mod config;
mod control;
mod erasures;
mod exit;
mod first_start;
mod folder;
mod http_call;
mod logging;
mod node;
mod operations;
mod outgoing;
mod signals;
mod terminal;
mod wiring;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use rustix::fs::Mode;
use rustix::process::umask;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Nothing that this process makes is for anybody but its owner.
    umask(Mode::RWXG | Mode::RWXO);
    let command = cli::Cli::parse();
    let runtime = match abide_server::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("cannot start threads")),
    };
    let result = runtime.block_on(command.run());
    // Whatever still runs holds nothing that matters: the store is closed by now.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Says what went wrong, unless the answer said it already.
fn failed(error: &anyhow::Error) -> ExitCode {
    if !error.is::<exit::AnsweredNo>() {
        terminal::complain(format_args!("error: {error:#}"));
    }
    exit::code(error)
}
