//! `cargo xtask bench`: builds the program and its bench as they are shipped, and runs the latter beside a private PostgreSQL
//! server that flushes every commit.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::postgres::{self, Flushing, Server};

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
    let arguments: Vec<_> = arguments.collect();
    let is_named = std::env::var_os(postgres::VARIABLE).is_some();
    // Where there is none the rows that need it say so.
    let server = match postgres::programs() {
        Some(_) if !is_named => {
            let folder = folder(&arguments).unwrap_or_else(std::env::temp_dir);
            Some(Server::start_in(&std::path::absolute(folder)?, Flushing::On)?)
        }
        _ => None,
    };
    let mut command = command(root, &run.into_iter().chain(arguments).collect::<Vec<_>>());
    if let Some(server) = &server {
        command.env(postgres::VARIABLE, server.url());
    }
    let done = succeed(command);
    drop(server);
    done
}

/// Where the bench is told to make data folders: its database lies on the same disk.
fn folder(arguments: &[&str]) -> Option<PathBuf> {
    let at = arguments.iter().position(|word| word.starts_with("--folder"))?;
    match arguments[at].strip_prefix("--folder=") {
        Some(folder) => Some(folder.into()),
        None => arguments.get(at + 1).map(Into::into),
    }
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    succeed(command(root, arguments))
}

fn command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root);
    command
}

fn succeed(mut command: Command) -> anyhow::Result<()> {
    let status = command.status().context("cannot start cargo")?;
    let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    ensure!(status.success(), "cargo {} ended with {status}", words.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_lies_where_the_bench_is_told_to_work() {
        assert_eq!(folder(&["--only", "raw"]), None);
        assert_eq!(folder(&["--rounds", "1", "--folder", "/d", "--only"]), Some("/d".into()));
        assert_eq!(folder(&["--folder=/e"]), Some("/e".into()));
        assert_eq!(folder(&["--folder"]), None);
    }
}
