//! `abide export`: an organization's whole document into a file, through the API of a running server.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use abide_core::consent::hash::{RunningSha256, hex};
use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::format::Format;
use crate::api_client::{ApiSettings, Long};
use crate::exit::Refused;
use crate::terminal::complain;

#[derive(Args)]
pub(crate) struct Options {
    /// The file to write, readable by you alone; one that is there is not overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// Longer than any line: a policy has half a megabyte of text.
const LINE_LIMIT: usize = 16 * 1024 * 1024;

pub(super) async fn run(Options { out, format, server }: Options) -> anyhow::Result<()> {
    if fs::exists(&out).with_context(|| format!("cannot look at {}", out.display()))? {
        return Err(Refused(format!("{} is there already", out.display())).into());
    }
    let api = server.settle()?;
    let answer = api.open(&["export"]).await?;
    let draft = draft_of(&out);
    let counts = match write(&draft, answer).await.and_then(|counts| {
        // A link is never made over a file that came meanwhile.
        fs::hard_link(&draft, &out).with_context(|| format!("cannot write {}", out.display()))?;
        Ok(counts)
    }) {
        Ok(counts) => counts,
        Err(error) => {
            // What was written of it is no export.
            drop(fs::remove_file(&draft));
            return Err(error);
        }
    };
    fs::remove_file(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    let told: Vec<String> = counts
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let file = out.display().to_string();
    let text = format!("{file}: {}", told.join(", "));
    format.answer(&json!({"file": file, "counts": counts}), text)
}

fn draft_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(format!(".{}.draft", std::process::id()));
    PathBuf::from(name)
}

/// Writes the document and holds it against its trailer; answers the trailer's counts.
async fn write(draft: &Path, mut answer: Long) -> anyhow::Result<Value> {
    let cannot = || format!("cannot write {}", draft.display());
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)
        .with_context(cannot)?;
    let mut lines = Lines::default();
    let mut told = Instant::now();
    while let Some(bytes) = answer.next().await? {
        file.write_all(&bytes).with_context(cannot)?;
        lines.take(&bytes)?;
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            complain(format_args!("{} lines", lines.count));
        }
    }
    file.sync_all().with_context(cannot)?;
    lines.check()
}

/// The document as it comes in: all its lines but the last are hashed, which tells whether the last is right.
#[derive(Default)]
struct Lines {
    hash: RunningSha256,
    /// The last whole line.
    last: Vec<u8>,
    /// What came of the line after it.
    begun: Vec<u8>,
    count: u64,
}

impl Lines {
    fn take(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end + 1);
            self.begun.extend_from_slice(line);
            self.hash.update(&self.last);
            self.last = std::mem::take(&mut self.begun);
            self.count += 1;
            bytes = rest;
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() > LINE_LIMIT {
            bail!("the server does not answer with an export: is --url right?");
        }
        Ok(())
    }

    /// The counts of the trailer, where the document is whole.
    fn check(self) -> anyhow::Result<Value> {
        let trailer: Value = serde_json::from_slice(&self.last).unwrap_or_default();
        if trailer["type"] != "trailer" || !self.begun.is_empty() {
            bail!("the export was cut off: it has no trailer. Nothing was kept; ask again");
        }
        if trailer["data"]["sha256"] != hex(&self.hash.finish()) {
            bail!(
                "the export is not what the server sent: its hash is another. Nothing was kept; ask again"
            );
        }
        Ok(trailer["data"]["counts"].clone())
    }
}
