//! `cargo xtask book`: writes those parts of the book that are made of the program: the command line, the error classes.
//!
//! The tests that hold these parts write them when told to, so that what is written and what is held come of one place.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::say;

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["test", "--quiet", "--package", "abide", "--test", "it", "book::reference"];
    let mut tests = Command::new(cargo);
    tests.args(arguments).env("ABIDE_WRITE_BOOK", "1").current_dir(root);
    let status = tests.status().context("cannot start cargo")?;
    ensure!(status.success(), "the book was not written");
    say("the book says what the program says");
    Ok(())
}
