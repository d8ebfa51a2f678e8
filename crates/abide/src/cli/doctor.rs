//! `abide doctor`: whether everything that a server stands on is sound, one line per check, and what to do where not.
//!
//! It changes nothing and may be run beside a server. What it reports is about machine and files, never about people.

mod data;
mod machine;
mod network;
mod postgres;

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use self::data::Seen;
use super::format::Format;
use crate::config::{ConfigFile, PlaceSettings, ServeSettings, Serving};
use crate::exit::AnsweredNo;
use crate::outgoing::PlainHttp;

#[derive(Args)]
#[command(
    after_help = "A server that runs on the data folder is asked what it runs with. Where none runs, the settings are \
    those of `serve`: give the flags, variables and file that it will have. With a database URL the PostgreSQL database \
    is looked at in place of the folder. The exit code is 1 when a check found a \
    problem; warnings do not change it."
)]
pub(crate) struct Options {
    /// Where the running server answers [default: http:// and the address that it listens on]
    #[arg(long, env = "ABIDE_URL", value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    plain_http: PlainHttp,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    serving: ServeSettings,
    #[command(flatten)]
    place: PlaceSettings,
    #[command(flatten)]
    config: ConfigFile,
}

/// How a check ended. The order is that of how bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Problem,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was seen.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), todo: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into(), todo: Some(todo.into()) }
    }

    fn problem(name: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Problem, found: found.into(), todo: Some(todo.into()) }
    }
}

#[derive(Serialize)]
struct Report {
    verdict: Verdict,
    checks: Vec<Check>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let serving = options.serving.settle(&options.config)?;
    let place = options.place.settle(&options.config)?;
    let url = match &options.url {
        Some(url) => Some(options.plain_http.judge("--url", url)?),
        None => None,
    };
    let clock = machine::Clock::begin();
    let mut checks = Vec::new();
    let seen = match &place.database_url {
        Some(url) => postgres::examine(&place, url, &mut checks).await,
        None => {
            let seen = data::examine(&place, &mut checks).await;
            checks.extend(data::disk(&place).await);
            seen
        }
    };
    let serving = match &seen.runs_with {
        Some(runs) => Serving {
            listen: runs.listen,
            dev: runs.dev,
            allow_network: runs.allow_network.clone(),
            ..serving
        },
        None => serving,
    };
    checks.push(settings(&seen, &serving));
    checks.extend(network::guard(&serving));
    checks.push(network::roots(&serving));
    checks.push(network::resolver().await);
    checks.push(network::listening(&serving, url, seen.served).await);
    checks.push(clock.end(seen.newest));
    let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    let report = Report { verdict, checks };
    options.format.answer(&report, report.to_text())?;
    if verdict == Verdict::Problem { Err(AnsweredNo.into()) } else { Ok(()) }
}

/// By which settings guard, roots and address are judged.
fn settings(seen: &Seen, serving: &Serving) -> Check {
    let name = "settings";
    let mode = if serving.dev { "development mode" } else { "no development mode" };
    match (&seen.runs_with, seen.served) {
        (Some(_), _) => Check::ok(name, format!("as the running server has them: {mode}")),
        (None, true) => Check::warning(
            name,
            format!("the running server does not say what it runs with; assumed: {mode}"),
            "use the server's own `abide`, or give the settings that it has",
        ),
        (None, false) => {
            Check::ok(name, format!("assumed, since no server runs: as given here, {mode}"))
        }
    }
}

impl Report {
    fn to_text(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let verdict = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Problem => "PROBLEM",
            };
            // Into a String, which cannot fail.
            let _ = writeln!(text, "{verdict:<8} {:<11} {}", check.name, check.found);
            if let Some(todo) = &check.todo {
                let _ = writeln!(text, "{:<20} -> {todo}", "");
            }
        }
        let of = |verdict| self.checks.iter().filter(|check| check.verdict == verdict).count();
        let _ = match (of(Verdict::Problem), of(Verdict::Warning)) {
            (0, 0) => write!(text, "\nEverything is sound."),
            (problems, warnings) => write!(text, "\nproblems: {problems}, warnings: {warnings}"),
        };
        text
    }
}

/// `12.3 MB`.
fn size(bytes: u64) -> String {
    let units: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} bytes"),
    }
}
