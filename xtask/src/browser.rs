//! The dashboard in a real browser: the tests of `browser/`, and `cargo xtask screenshots`.
//!
//! Debian's Chromium, and two libraries of npm's that lie in the target folder by the hash of their lock file: a checkout
//! that has a target folder elsewhere stays as it was, and nothing is fetched twice.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::say;

const FOLDER: &str = "browser";
const PICTURES: &str = "docs/screenshots";

/// Runs every `browser/*.test.mjs` against the program as built.
pub(crate) fn test(root: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER)).context("cannot list `browser`")? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path.into_os_string());
        }
    }
    ensure!(!files.is_empty(), "there is no test in `{FOLDER}`");
    files.sort();
    // One file at a time: the machine's cores are for the browser.
    let words = ["--test", "--test-concurrency=1", "--test-reporter=spec"].map(OsString::from);
    node(root, words.into_iter().chain(files).collect())
}

/// Writes pictures of the main pages.
pub(crate) fn screenshots(root: &Path) -> anyhow::Result<()> {
    let script = root.join(FOLDER).join("screenshots.mjs");
    node(root, vec![script.into_os_string(), root.join(PICTURES).into_os_string()])?;
    say(format!("wrote {PICTURES}"));
    Ok(())
}

fn node(root: &Path, words: Vec<OsString>) -> anyhow::Result<()> {
    let program = built(root)?;
    let target = program.ancestors().nth(2).context("the program lies in no target folder")?;
    let libraries = libraries(root, target)?;
    let mut command = Command::new("node");
    command.args(words).current_dir(root);
    command.env("ABIDE_PROGRAM", &program).env("NODE_PATH", libraries);
    finish(command)
}

/// Builds the program and answers where it lies.
fn built(root: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["build", "--package", "abide"]).current_dir(root).stderr(io::stdout());
    finish(command)?;
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
    let told = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    let told: serde_json::Value = serde_json::from_slice(&told.stdout)?;
    let target = told["target_directory"].as_str().context("cargo names no target folder")?;
    let program = Path::new(target).join("debug").join("abide");
    ensure!(program.is_file(), "there is no {}", program.display());
    Ok(program)
}

/// Where the libraries of the lock file lie; fetches them where they do not.
fn libraries(root: &Path, target: &Path) -> anyhow::Result<PathBuf> {
    let lock = fs::read(root.join(FOLDER).join("package-lock.json"))?;
    let mut hash = DefaultHasher::new();
    lock.hash(&mut hash);
    let folder = target.join(format!("browser-{:016x}", hash.finish()));
    let modules = folder.join("node_modules");
    // Written by npm when it is done.
    if modules.join(".package-lock.json").is_file() {
        return Ok(modules);
    }
    fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(root.join(FOLDER).join(file), folder.join(file))?;
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
    command.stderr(io::stdout());
    finish(command)?;
    Ok(modules)
}

fn finish(mut command: Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
