//! `abide events`: what happened, through the API of a running server.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::format::Format;
use super::paging::Paging;
use super::shown::{Row, Table, field, record};
use crate::api_client::{Api, ApiSettings};
use crate::exit::Unavailable;
use crate::signals::Signals;
use crate::terminal::{complain, say};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List events, oldest first
    List(List),
    /// Show an event with its data
    Show(Show),
    /// Print events as they happen, until Ctrl-C
    Tail(Tail),
}

#[derive(Args)]
pub(crate) struct Filter {
    /// Only events of this type, such as consent.created
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The event's id, evt_...
    id: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    filter: Filter,
    /// Begin with the oldest event instead of the next one
    #[arg(long)]
    from_start: bool,
    /// Print JSON lines: each event whole
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ApiSettings,
}

const PATH: &[&str] = &["events"];
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PAGE: u32 = 100;

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(options) => list(options).await,
        Command::Show(Show { id, format, server }) => {
            let event = server.settle()?.get(&["events", &id], &[]).await?;
            format.answer(&event, record(&event))
        }
        Command::Tail(options) => {
            let mut signals = Signals::catch()?;
            tokio::select! {
                ended = tail(options) => ended,
                () = signals.next() => Ok(()),
            }
        }
    }
}

async fn list(List { filter, paging, format, server }: List) -> anyhow::Result<()> {
    let listed = paging.read(&server.settle()?, PATH, &filter.query()).await?;
    let row = |event: &Value| Row { cells: cells(event).to_vec(), below: None };
    let rows = listed.items.iter().map(row).collect();
    format.list(&listed, &Table::new(&["id", "time", "type"], rows))?;
    if let Some(remark) = listed.remark("There are no such events.") {
        complain(remark);
    }
    Ok(())
}

/// Follows the feed. A server that is away for a while is waited for: the feed loses nothing.
async fn tail(Tail { filter, from_start, json, server }: Tail) -> anyhow::Result<()> {
    let api = server.settle()?;
    let filters = filter.query();
    let mut place = if from_start { None } else { end_of_feed(&api, &filters).await? };
    complain("following the feed; Ctrl-C ends it");
    let mut is_away = false;
    loop {
        match api_page(&api, &filters, place.clone()).await {
            Ok(found) => {
                if is_away {
                    complain("the server answers again");
                    is_away = false;
                }
                found.items.iter().for_each(|event| print(event, json));
                place = found.resume.or(place);
                if found.more {
                    continue;
                }
            }
            Err(error) if error.is::<Unavailable>() => {
                if !is_away {
                    complain(format_args!("{error:#}; waiting for it"));
                    is_away = true;
                }
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A page of the feed, and where to go on.
struct Found {
    items: Vec<Value>,
    resume: Option<String>,
    more: bool,
}

async fn api_page(
    api: &Api,
    filters: &[(&str, String)],
    cursor: Option<String>,
) -> anyhow::Result<Found> {
    let mut query = filters.to_vec();
    query.push(("limit", PAGE.to_string()));
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    let mut answer = api.get(PATH, &query).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let (next, resume) = (text("next_cursor"), text("resume_cursor"));
    let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) else {
        anyhow::bail!("the server answers no feed: it may be of another version")
    };
    Ok(Found { items, more: next.is_some(), resume: resume.or(next) })
}

/// Behind the newest event. The API has no shorter way there than through the feed.
async fn end_of_feed(api: &Api, filters: &[(&str, String)]) -> anyhow::Result<Option<String>> {
    let mut place = None;
    loop {
        let found = api_page(api, filters, place.clone()).await?;
        place = found.resume.or(place);
        if !found.more {
            return Ok(place);
        }
    }
}

fn print(event: &Value, json: bool) {
    if json {
        say(event);
    } else {
        let [id, time, kind] = cells(event);
        say(format_args!("{id}  {time}  {kind}"));
    }
}

/// Id, time and type: the widest of them fill 80 columns exactly.
fn cells(event: &Value) -> [String; 3] {
    let erased = event.get("erased").and_then(Value::as_bool) == Some(true);
    let kind = field(event, &["type"]);
    [
        field(event, &["id"]),
        field(event, &["timestamp", "created_at"]),
        if erased { format!("{kind} (erased)") } else { kind },
    ]
}

impl Filter {
    fn query(&self) -> Vec<(&'static str, String)> {
        self.kind.iter().map(|kind| ("type", kind.clone())).collect()
    }
}
