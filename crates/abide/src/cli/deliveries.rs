//! `abide deliveries`: events on their way to endpoints, through the API of a running server.

mod many;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::many::Many;
use super::format::Format;
use super::paging::Paging;
use super::shown::{Row, Table, field, record};
use crate::api_client::ApiSettings;
use crate::terminal::complain;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List deliveries, newest first
    List(List),
    /// Show a delivery with its attempts
    Show(Show),
    /// Try one delivery again
    Retry(Retry),
    /// Try all failed deliveries again, or some of them: a job, which goes on by itself
    RetryFailed(Many),
    /// Send an endpoint what it wants and was not sent: a job
    ReplayMissing(Many),
    /// Give up deliveries that wait: a job
    Discard(Many),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only to this endpoint, whk_...
    #[arg(long, value_name = "ID")]
    endpoint: Option<String>,
    /// Only in these states, such as failed, held, pending
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only of this event, evt_...
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Only of events of this type, such as consent.created
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only those made at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only those made before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The delivery's id, dlv_...
    id: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct Retry {
    /// The delivery's id, dlv_...
    id: String,
    /// single for one attempt, series for a whole schedule [default: the dialect's]
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

const PATH: &str = "deliveries";

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(options) => list(options).await,
        Command::Show(Show { id, format, server }) => {
            let delivery = server.settle()?.get(&[PATH, &id], &[]).await?;
            format.answer(&delivery, record(&delivery))
        }
        Command::Retry(Retry { id, run, format, server }) => {
            let body = run.map_or_else(|| json!({}), |run| json!({"run": run}));
            let delivery = server.settle()?.post(&[PATH, &id, "retry"], &body).await?;
            format.answer(&delivery, record(&delivery))
        }
        Command::RetryFailed(many) => many.start("retry_failed", "Try again").await,
        Command::ReplayMissing(many) => many.start("replay_missing", "Send").await,
        Command::Discard(many) => many.start("discard", "Give up").await,
    }
}

async fn list(options: List) -> anyhow::Result<()> {
    let List { endpoint, state, event, kind, from, until, paging, format, server } = options;
    let state = (!state.is_empty()).then(|| state.join(","));
    let filters = [
        ("endpoint", endpoint),
        ("state", state),
        ("event", event),
        ("type", kind),
        ("from", from),
        ("until", until),
    ];
    let filters: Vec<_> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let listed = paging.read(&server.settle()?, &[PATH], &filters).await?;
    let rows = listed.items.iter().map(row).collect();
    format.list(&listed, &Table::new(&["id", "state", "type", "why"], rows))?;
    if let Some(remark) = listed.remark("There are no such deliveries.") {
        complain(remark);
    }
    Ok(())
}

fn row(delivery: &Value) -> Row {
    let count = field(delivery, &["attempt_count"]);
    let attempts = if count == "1" { "attempt" } else { "attempts" };
    let (made, endpoint) = (field(delivery, &["created_at"]), field(delivery, &["endpoint_id"]));
    Row {
        cells: vec![
            field(delivery, &["id"]),
            field(delivery, &["state"]),
            field(delivery, &["event_type"]),
            field(delivery, &["reason"]),
        ],
        below: Some(format!("{made}  {endpoint}  {count} {attempts}")),
    }
}
