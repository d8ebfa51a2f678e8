//! `abide jobs`: work on many deliveries at once, which a running server does by itself.

mod follow;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

pub(super) use self::follow::follow;
use super::format::Format;
use super::paging::Paging;
use super::shown::{Row, Table, field, record};
use crate::api_client::ApiSettings;
use crate::terminal::complain;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List jobs, newest first
    List(List),
    /// Show a job and how far it has come
    Show(Show),
    /// Stop a job; what it has done stays done
    Cancel(Cancel),
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The job's id, job_...
    id: String,
    /// Wait until it has ended, and show how far it has come meanwhile
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct Cancel {
    /// The job's id, job_...
    id: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

/// Where jobs are.
pub(super) const PATH: &str = "jobs";

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(options) => list(options).await,
        Command::Show(Show { id, wait, format, server }) => {
            let api = server.settle()?;
            let job = api.get(&[PATH, &id], &[]).await?;
            if wait {
                return follow(&api, job, None, format).await;
            }
            format.answer(&job, record(&job))
        }
        Command::Cancel(Cancel { id, format, server }) => {
            let job = server.settle()?.post(&[PATH, &id, "cancel"], &json!({})).await?;
            format.answer(&job, record(&job))
        }
    }
}

async fn list(List { paging, format, server }: List) -> anyhow::Result<()> {
    let listed = paging.read(&server.settle()?, &[PATH], &[]).await?;
    let row = |job: &Value| Row {
        cells: vec![
            field(job, &["id"]),
            field(job, &["kind"]),
            field(job, &["state"]),
            count(job, "done").map_or_else(String::new, |done| done.to_string()),
        ],
        below: Some(format!("asked for {}", field(job, &["created_at"]))),
    };
    let rows = listed.items.iter().map(row).collect();
    format.list(&listed, &Table::new(&["id", "kind", "state", "done"], rows))?;
    if let Some(remark) = listed.remark("There are no jobs.") {
        complain(remark);
    }
    Ok(())
}

/// A count of a job's progress, or of an estimate's.
pub(super) fn count(job: &Value, name: &str) -> Option<u64> {
    let progress = job.get("progress").or_else(|| job.get("estimate")).unwrap_or(job);
    progress.get(name).and_then(Value::as_u64)
}
