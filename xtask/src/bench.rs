//! `cargo xtask bench`: builds the program and its bench as they are shipped, and runs the latter.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Args;

#[derive(Args)]
pub(crate) struct Options {
    /// What the bench takes: `--only NAME`, `--rounds N`, `--seconds N`; see `--help` after a `--`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    // As packages are built; and both, so that the bench finds the program beside itself.
    let build = ["build", "--profile", "dist", "--package", "abide", "--package", "abide-bench"];
    cargo(root, &build)?;
    let run = ["run", "--quiet", "--profile", "dist", "--package", "abide-bench", "--"];
    let arguments = options.arguments.iter().map(String::as_str).filter(|word| *word != "--");
    cargo(root, &run.into_iter().chain(arguments).collect::<Vec<_>>())
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(arguments).current_dir(root).status();
    let status = status.context("cannot start cargo")?;
    ensure!(status.success(), "cargo {} ended with {status}", arguments.join(" "));
    Ok(())
}
