//! Chores as code: `cargo xtask <chore>`. One file per chore, no shell scripts.
//!
//! - `test`: the project's test command, from formatting to house rules.
//! - `contracts`: which requirement of `docs/contracts/` is named by which tests.
//! - `tidy`: house rules that the compiler does not hold.
//! - `openapi`: `docs/openapi.json`, out of the code.
//! - `book`: the parts of the book that are made of the program.
//! - `screenshots`: pictures of the dashboard in `docs/screenshots`.
//! - `simulate`: seeds of the simulation, as many as wanted.
//! - `bench`: the figures of `docs/performance.md`.
//! - `postgres`: a private PostgreSQL server around a command.

mod bench;
mod book;
mod browser;
mod contracts;
mod openapi;
mod postgres;
mod simulate;
mod source;
mod test;
mod tidy;

use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Chores of the Abide workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check everything: format, lints, tests, docs, requirement lists, house rules.
    Test(test::Options),
    /// Show the tests behind each requirement; fail where one in scope has none.
    Contracts(contracts::Options),
    /// Hold the house rules: module docs, sizes, imports, names, migrations.
    Tidy,
    /// Write `docs/openapi.json` anew, out of the code.
    Openapi,
    /// Write the parts of the book that are made of the program anew.
    Book,
    /// Take pictures of the dashboard's main pages, for `docs/screenshots`.
    Screenshots,
    /// Run seeds of the simulation; what breaks is made small and shown with how to run it again.
    Simulate(simulate::Options),
    /// Measure the released program against the machine's limits; prints one table.
    Bench(bench::Options),
    /// Run a command beside a private PostgreSQL server, named to it in ABIDE_TEST_POSTGRES.
    Postgres(postgres::Options),
}

/// A failed check is told in a line; a backtrace through this file would say nothing more.
fn main() -> ExitCode {
    match run(&Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: &Chore) -> anyhow::Result<()> {
    let root = workspace_root()?;
    match chore {
        Chore::Test(options) => test::run(&root, *options),
        Chore::Contracts(options) => contracts::run(&root, options),
        Chore::Tidy => tidy::run(&root),
        Chore::Screenshots => browser::screenshots(&root),
        Chore::Openapi => openapi::run(&root),
        Chore::Book => book::run(&root),
        Chore::Simulate(options) => simulate::run(&root, options),
        Chore::Bench(options) => bench::run(&root, options),
        Chore::Postgres(options) => postgres::run(&root, options),
    }
}

/// Asked at run time: a binary from a shared target folder must serve the checkout that called it.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("start this as `cargo xtask`")?;
    let xtask = PathBuf::from(xtask);
    Ok(xtask.parent().context("xtask has no parent folder")?.to_owned())
}

/// Prints a line. A reader that closed the pipe (`| head`) is no failure of the chore.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
