//! `abide verify`: one received request, checked as a receiver of the dialect checks it, and in plain words what is
//! wrong with it. What it prints names headers, lengths and times, and nothing of bodies and secrets.

mod doubts;
mod request;

use std::fs;
use std::path::{Path, PathBuf};

use abide_core::Timestamp;
use abide_core::shell::Clock as _;
use abide_dialects::Dialect;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use self::doubts::Finding;
use self::request::{Given, Input};
use super::dialect_called;
use super::format::Format;
use crate::clock::SystemClock;
use crate::config::Usage;
use crate::exit::AnsweredNo;

#[derive(Args)]
#[command(
    after_help = "Without --headers and --body a whole request is read from standard input, as it came over the wire: \
    request line, headers, an empty line, the body. With one of them the other is read from standard input.\n\
    The body must be the bytes that were received: not a text that was parsed and written again."
)]
pub(crate) struct Options {
    /// The wire contract to verify by, such as consentproof
    #[arg(long)]
    dialect: String,
    /// File with the webhook's signing secret, which wins over `--secret`; a line break at its end is left out
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The signing secret itself: better in the variable, since arguments can be read by everybody on the machine
    #[arg(long, env = "ABIDE_VERIFY_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// File with the headers, `Name: value` line by line, or one JSON object
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    /// File with the body's bytes
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// When it was received, to judge its age by: RFC 3339 or Unix seconds [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    #[command(flatten)]
    format: Format,
}

const NO_SECRET: &str =
    "no secret, or an empty one: name its file with --secret-file, or set ABIDE_VERIFY_SECRET";

/// What the check came to.
#[derive(Serialize)]
struct Report {
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    body_bytes: usize,
    /// Why not, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// What was found on looking closer, and what to do about it.
    findings: Vec<Finding>,
}

pub(super) fn run(options: Options) -> anyhow::Result<()> {
    let dialect = dialect_called(&options.dialect)?;
    let secret = secret(&options)?;
    let given = Input { headers: options.headers, body: options.body }.read()?;
    let at = options.at.unwrap_or_else(|| SystemClock.now());
    let report = judge(dialect, &given, &secret, at);
    options.format.answer(&report, report.to_text())?;
    if report.verified { Ok(()) } else { Err(AnsweredNo.into()) }
}

fn judge(dialect: &dyn Dialect, given: &Given, secret: &str, at: Timestamp) -> Report {
    let body_bytes = given.request.body.len();
    match dialect.verify(&given.request, secret, at) {
        Ok(verified) => Report {
            verified: true,
            event_type: Some(verified.event_type),
            event_id: Some(verified.event_id),
            body_bytes,
            problem: None,
            findings: Vec::new(),
        },
        Err(rejection) => Report {
            verified: false,
            event_type: None,
            event_id: None,
            body_bytes,
            problem: Some(rejection.to_string()),
            findings: doubts::look_closer(dialect, given, secret, at, &rejection),
        },
    }
}

impl Report {
    fn to_text(&self) -> String {
        let (kind, id) = (self.event_type.as_deref(), self.event_id.as_deref());
        if let (Some(kind), Some(id)) = (kind, id) {
            return format!("verified: {} {}", printable(kind), printable(id));
        }
        let problem = self.problem.as_deref().unwrap_or_default();
        let findings = self.findings.iter().map(|finding| format!("\n  {}", finding.text));
        format!("NOT VERIFIED: {problem}{}", findings.collect::<String>())
    }
}

/// What comes from outside cannot begin another line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn secret(options: &Options) -> anyhow::Result<String> {
    let secret = match (&options.secret_file, &options.secret) {
        (Some(path), _) => secret_in(path)?,
        (None, Some(secret)) => secret.clone(),
        (None, None) => String::new(),
    };
    if secret.is_empty() {
        return Err(Usage(NO_SECRET.to_owned()).into());
    }
    Ok(secret)
}

fn secret_in(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Usage(format!("{} holds no text: is it the secret's file?", path.display()))
    })?;
    Ok(text.strip_suffix('\n').map_or(&*text, |line| line.trim_end_matches('\r')).to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(Timestamp::from_millis(seconds.saturating_mul(1000)));
    }
    Timestamp::parse(text).map_err(|problem| format!("{problem}, or Unix seconds"))
}
