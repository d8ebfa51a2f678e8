//! `abide endpoints`: where events are told to, through the API of a running server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::agreeing::Agreement;
use super::format::Format;
use super::paging::Paging;
use super::shown::{Row, Table, field, record};
use crate::api_client::ApiSettings;
use crate::config::Usage;
use crate::exit::AnsweredNo;
use crate::terminal::complain;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List endpoints
    List(List),
    /// Show an endpoint
    Show(One),
    /// Create an endpoint, and show its signing secret, this once
    Create(Create),
    /// Change an endpoint: only what is named
    Update(Update),
    /// Send nothing to it until it is resumed
    Pause(One),
    /// Send to it again
    Resume(One),
    /// Give it a new signing secret, and show it, this once
    RotateSecret(RotateSecret),
    /// Let the newest secret alone sign, before the overlap of a rotation ends
    EndReplacedSecrets(One),
    /// Send it a sample event, once, and show what it answered; the exit code is 1 when it was not delivered
    Test(Test),
    /// Delete it: what waits for it is not sent
    Delete(Delete),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only endpoints of this dialect
    #[arg(long)]
    dialect: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct One {
    /// The endpoint's id, whk_...
    id: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    agreement: Agreement,
}

#[derive(Args)]
pub(crate) struct RotateSecret {
    /// How long the secrets before go on signing beside the new one; 0 for a secret that leaked [default: the server's]
    #[arg(long, value_name = "N")]
    overlap_seconds: Option<u32>,
    #[command(flatten)]
    secret: Secret,
    #[command(flatten)]
    one: One,
}

#[derive(Args)]
pub(crate) struct Test {
    /// What to send a sample of, such as consent.created [default: the first kind that the endpoint is told]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    #[command(flatten)]
    one: One,
}

#[derive(Args)]
pub(crate) struct Secret {
    /// File with a signing secret of your own; without it the server makes one
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// What the server makes: shared, which both sides hold, or key_pair, of which receivers hold the public key
    #[arg(long, value_name = "FORM", conflicts_with = "secret_file")]
    secret_form: Option<String>,
}

#[derive(Args)]
pub(crate) struct Facts {
    /// Which events: kinds such as consent.created, or * for all
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    events: Vec<String>,
    /// A note, up to 500 characters; an empty one removes it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Seconds before each further attempt, in place of the dialect's
    #[arg(long, value_name = "N", value_delimiter = ',')]
    retry_delays: Vec<u32>,
    /// How long one attempt may take, in place of the dialect's
    #[arg(long, value_name = "N")]
    deadline_seconds: Option<u32>,
    /// JSON file that says how Abide proves itself there beside its signature, as the API's `auth`; null removes it
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Create {
    /// Where to send
    #[arg(long, value_name = "URL")]
    to: String,
    /// The wire contract, such as standard_webhooks or consentproof [default: standard_webhooks]
    #[arg(long)]
    dialect: Option<String>,
    #[command(flatten)]
    secret: Secret,
    #[command(flatten)]
    facts: Facts,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Args)]
pub(crate) struct Update {
    /// The endpoint's id, whk_...
    id: String,
    /// Where to send from now on
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    #[command(flatten)]
    facts: Facts,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

const SHOWN_ONCE: &str = "The secret is shown this once: give it to whoever receives the webhooks.";

const PATH: &str = "endpoints";

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(options) => list(options).await,
        Command::Show(One { id, format, server }) => {
            let endpoint = server.settle()?.get(&[PATH, &id], &[]).await?;
            format.answer(&endpoint, record(&endpoint))
        }
        Command::Create(options) => create(options).await,
        Command::Update(options) => update(options).await,
        Command::Pause(one) => deed(one, "pause", Map::new()).await.map(drop),
        Command::Resume(one) => deed(one, "resume", Map::new()).await.map(drop),
        Command::EndReplacedSecrets(one) => {
            deed(one, "end-replaced-secrets", Map::new()).await.map(drop)
        }
        Command::RotateSecret(RotateSecret { overlap_seconds, secret, one }) => {
            let format = one.format;
            let mut body = secret.to_json()?;
            body.extend(overlap_seconds.map(|n| ("overlap_seconds".to_owned(), n.into())));
            deed(one, "rotate-secret", body).await?;
            format.advise(SHOWN_ONCE);
            Ok(())
        }
        Command::Test(Test { kind, one }) => {
            let body = kind.map(|kind| ("type".to_owned(), kind.into())).into_iter().collect();
            let sent = deed(one, "test", body).await?;
            let is_delivered = field(&sent, &["state"]) == "delivered";
            if is_delivered { Ok(()) } else { Err(AnsweredNo.into()) }
        }
        Command::Delete(Delete { one: One { id, format, server }, agreement }) => {
            let api = server.settle()?;
            agreement.ask(&format!("Delete {id}? What waits for it is not sent."))?;
            api.delete(&[PATH, &id]).await?;
            format.answer(&json!({"id": id, "deleted": true}), format_args!("{id} is deleted"))
        }
    }
}

async fn list(List { dialect, paging, format, server }: List) -> anyhow::Result<()> {
    let filters: Vec<_> = dialect.into_iter().map(|dialect| ("dialect", dialect)).collect();
    let listed = paging.read(&server.settle()?, &[PATH], &filters).await?;
    let row = |endpoint: &Value| Row {
        cells: vec![
            field(endpoint, &["id"]),
            state(endpoint),
            field(endpoint, &["dialect"]),
            field(endpoint, &["url"]),
        ],
        below: None,
    };
    let rows = listed.items.iter().map(row).collect();
    format.list(&listed, &Table::new(&["id", "state", "dialect", "url"], rows))?;
    if let Some(remark) =
        listed.remark("There are no endpoints: `abide endpoints create` makes one.")
    {
        complain(remark);
    }
    Ok(())
}

/// The state, and that it fails for long or was stopped for it.
fn state(endpoint: &Value) -> String {
    let state = field(endpoint, &["state"]);
    if endpoint["failing"].is_object() { format!("{state}, failing") } else { state }
}

async fn create(options: Create) -> anyhow::Result<()> {
    let Create { to, dialect, secret, facts, format, server } = options;
    let api = server.settle()?;
    let mut body = facts.to_json()?;
    body.extend(secret.to_json()?);
    body.insert("url".to_owned(), to.into());
    body.extend(dialect.map(|dialect| ("dialect".to_owned(), dialect.into())));
    let endpoint = api.post(&[PATH], &body.into()).await?;
    format.answer(&endpoint, record(&endpoint))?;
    format.advise(SHOWN_ONCE);
    Ok(())
}

async fn update(Update { id, to, facts, format, server }: Update) -> anyhow::Result<()> {
    let api = server.settle()?;
    let mut body = facts.to_json()?;
    body.extend(to.map(|to| ("url".to_owned(), to.into())));
    if body.is_empty() {
        let text = "nothing to change: name --to, --events, --description or another of the flags";
        return Err(Usage(text.to_owned()).into());
    }
    let endpoint = api.patch(&[PATH, &id], &body.into()).await?;
    format.answer(&endpoint, record(&endpoint))
}

/// Has something done with an endpoint, shows the answer, and answers it.
async fn deed(
    One { id, format, server }: One,
    deed: &str,
    body: Map<String, Value>,
) -> anyhow::Result<Value> {
    let answer = server.settle()?.post(&[PATH, &id, deed], &body.into()).await?;
    format.answer(&answer, record(&answer))?;
    Ok(answer)
}

impl Facts {
    fn to_json(&self) -> anyhow::Result<Map<String, Value>> {
        let mut body = Map::new();
        let mut put = |name: &str, value| body.insert(name.to_owned(), value);
        if !self.events.is_empty() {
            put("events", self.events.clone().into());
        }
        if let Some(text) = &self.description {
            put("description", if text.is_empty() { Value::Null } else { text.clone().into() });
        }
        if !self.retry_delays.is_empty() {
            put("retry_delays", self.retry_delays.clone().into());
        }
        if let Some(seconds) = self.deadline_seconds {
            put("deadline_seconds", seconds.into());
        }
        if let Some(file) = &self.auth_file {
            // The parser's own message shows none of the text.
            let auth = serde_json::from_str(&secret_in(file)?)
                .map_err(|error| Usage(format!("{}: {error}", file.display())))?;
            put("auth", auth);
        }
        Ok(body)
    }
}

impl Secret {
    fn to_json(&self) -> anyhow::Result<Map<String, Value>> {
        let mut body = Map::new();
        if let Some(file) = &self.secret_file {
            body.insert("secret".to_owned(), secret_in(file)?.into());
        }
        body.extend(self.secret_form.clone().map(|form| ("secret_form".to_owned(), form.into())));
        Ok(body)
    }
}

fn secret_in(path: &Path) -> anyhow::Result<String> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
