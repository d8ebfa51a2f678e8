//! `cargo xtask simulate`: runs seeds of the simulation, or of two nodes, with `--nodes` in memory and with `--postgres` on a
//! private server; `--faults` writes how soon the planted faults are found.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::{postgres, say};

#[derive(Args)]
pub(crate) struct Options {
    /// Plant the faults one after the other, and write into docs/reliability.md how many seeds it takes to find each.
    #[arg(long)]
    faults: bool,
    /// Two nodes on PostgreSQL in real time, on the server that ABIDE_TEST_POSTGRES names or on a private one.
    #[arg(long)]
    postgres: bool,
    /// What the simulation takes: `--nodes`, `--seeds N`, `--from S`, `--seed S`; see `--help` after a `--`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What finds the planted faults. The whole workspace is named so that its dependencies are built as for every other
/// test; the features are asked for in one place, and built anew is only what has them.
pub(crate) const FAULTS: [&str; 8] = [
    "test",
    "--workspace",
    "--features",
    "abide-simulation/faults",
    "--test",
    "faults",
    "--test",
    "nodes_faults",
];

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    if options.faults {
        command.args(FAULTS).env("ABIDE_WRITE_BOOK", "1");
    } else {
        // Many seeds want a quick build.
        command.args(["run", "--quiet", "--release", "--package", "abide-simulation", "--"]);
        command.args(options.postgres.then_some("--postgres"));
        command.args(options.arguments.iter().filter(|word| *word != "--"));
    }
    let wants_server = options.faults || options.postgres;
    let server = if wants_server { postgres::Server::unless_named()? } else { None };
    if let Some(server) = &server {
        command.env(postgres::VARIABLE, server.url());
    }
    let status = command.status().context("cannot start cargo")?;
    drop(server);
    ensure!(status.success(), "the simulation ended with {status}");
    if options.faults {
        say("docs/reliability.md says how soon the faults are found");
    }
    Ok(())
}
