//! `abide events`: what happened, through the API of a running server.

use std::time::Duration;

use abide_core::Timestamp;
use abide_core::shell::Clock as _;
use clap::{Args, Subcommand};
use jiff::{Span, SpanRelativeTo};
use serde_json::Value;

use super::format::Format;
use super::paging::Paging;
use super::shown::{Row, Table, field, record};
use crate::api_client::{Api, ApiSettings};
use crate::clock::SystemClock;
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
    #[arg(long, conflicts_with = "since")]
    from_start: bool,
    /// Begin with the events since a time (RFC 3339), or for so long (10m, 2h, 1d)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
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
async fn tail(Tail { filter, from_start, since, json, server }: Tail) -> anyhow::Result<()> {
    let api = server.settle()?;
    let filters = filter.query();
    let from = match since {
        Some(time) => Some(time.to_millis_text()),
        None if from_start => None,
        None => Some("end".to_owned()),
    };
    // Asked before anything is printed, so that a wrong key or type is heard of at once.
    let begin: Vec<_> = filters.iter().cloned().chain(from.map(|from| ("from", from))).collect();
    let mut found = api_page(&api, &begin, None).await?;
    complain("following the feed; Ctrl-C ends it");
    let mut place = None;
    let mut is_away = false;
    loop {
        found.items.iter().for_each(|event| print(event, json));
        place = found.resume.or(place);
        if !found.more {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        found = loop {
            match api_page(&api, &filters, place.clone()).await {
                Ok(found) => break found,
                Err(error) if error.is::<Unavailable>() => {
                    if !is_away {
                        complain(format_args!("{error:#}; waiting for it"));
                        is_away = true;
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        if is_away {
            complain("the server answers again");
            is_away = false;
        }
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

fn print(event: &Value, json: bool) {
    if json {
        say(event);
    } else {
        let [id, time, kind] = cells(event);
        say(format_args!("{id}  {time}  {kind}"));
    }
}

/// A time, or how long before now.
fn since(text: &str) -> Result<Timestamp, String> {
    since_at(text, SystemClock.now())
}

fn since_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = Timestamp::parse(text) {
        return Ok(time);
    }
    let bad = || {
        "say a time such as 2026-01-31T12:00:00Z, or how long before now: 10m, 2h, 1d".to_owned()
    };
    let span: Span = text.parse().map_err(|_| bad())?;
    let long = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
    let millis = i64::try_from(long.as_millis()).ok().filter(|millis| *millis >= 0);
    let millis = millis.filter(|millis| *millis <= now.as_millis()).ok_or_else(bad)?;
    Ok(now.plus_millis(-millis))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_time_or_how_long_ago() {
        let now = Timestamp::parse("2026-06-01T12:00:00Z").unwrap();
        for (text, expected) in [
            ("2026-05-31T12:00:00Z", "2026-05-31T12:00:00Z"),
            ("2026-05-31T14:00:00+02:00", "2026-05-31T12:00:00Z"),
            ("10m", "2026-06-01T11:50:00Z"),
            ("1h30m", "2026-06-01T10:30:00Z"),
            ("2d", "2026-05-30T12:00:00Z"),
            ("0s", "2026-06-01T12:00:00Z"),
        ] {
            assert_eq!(since_at(text, now), Ok(Timestamp::parse(expected).unwrap()), "{text}");
        }
        for bad in ["", "10", "x", "yesterday", "-10m", "1mo", "9999999d", "2026-05-31"] {
            assert!(since_at(bad, now).unwrap_err().contains("10m, 2h, 1d"), "{bad}");
        }
    }
}
