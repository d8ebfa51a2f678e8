//! `cargo xtask openapi`: writes the OpenAPI document of Abide's own API to `docs/openapi.json`, out of the code.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::say;

const DOCUMENT: &str = "docs/openapi.json";

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["run", "--quiet", "--package", "abide-server", "--example", "openapi"];
    let printed = Command::new(cargo).args(arguments).current_dir(root).output();
    let printed = printed.context("cannot start cargo")?;
    let complaint = String::from_utf8_lossy(&printed.stderr);
    ensure!(printed.status.success(), "the document was not printed:\n{complaint}");
    fs::write(root.join(DOCUMENT), printed.stdout)
        .with_context(|| format!("cannot write {DOCUMENT}"))?;
    say(format!("wrote {DOCUMENT}"));
    Ok(())
}
