//! `abide keys`: API keys, created, listed, revoked.

use abide_core::access::Scope;
use abide_core::ids::KeyId;
use abide_core::rate::RateLimit;
use clap::{Args, Subcommand};

use super::another_answer;
use super::format::Format;
use crate::config::DataSettings;
use crate::control::carry_out;
use crate::operations::{DEFAULT_ORGANIZATION, Done, KeyFacts, Operation};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a key and print it, this once
    Create(Create),
    /// List an organization's keys, revoked ones included
    List(List),
    /// Revoke a key: from the answer on it opens nothing
    Revoke(Revoke),
}

#[derive(Args)]
pub(crate) struct Create {
    /// What its holder is called
    #[arg(long)]
    name: String,
    /// Whose key it is, by the organization's short name
    #[arg(long, value_name = "ORGANIZATION", default_value = DEFAULT_ORGANIZATION)]
    organization: String,
    /// What it may do: admin, consent:read, consent:write, policies:write, webhooks:read, webhooks:write, audit:read; and
    /// organizations:write, which admin does not cover
    #[arg(long, value_delimiter = ',', default_value = "admin", value_parser = scope)]
    scopes: Vec<Scope>,
    /// How many requests it may make in a minute, 1 to 1000000000; what exceeds it is answered 429
    #[arg(long, value_name = "PER_MINUTE", default_value_t = RateLimit::DEFAULT)]
    rate_limit: RateLimit,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

#[derive(Args)]
pub(crate) struct List {
    /// Whose keys, by the organization's short name
    #[arg(long, value_name = "ORGANIZATION", default_value = DEFAULT_ORGANIZATION)]
    organization: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// The key's id, as `keys list` shows it
    #[arg(value_parser = KeyId::parse)]
    id: KeyId,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(options) => create(options).await,
        Command::List(options) => list(options).await,
        Command::Revoke(options) => revoke(options).await,
    }
}

async fn create(options: Create) -> anyhow::Result<()> {
    let place = options.data.settle()?;
    let Create { organization, name, scopes, rate_limit, format, .. } = options;
    let operation = Operation::CreateKey { organization, name, scopes, rate_limit };
    match carry_out(&place, operation).await? {
        Done::KeyCreated(key) => format.answer(
            &key,
            format_args!(
                "id            {}\napi_key       {}\napi_secret    {}\nbearer_token  {}",
                key.id, key.api_key, key.api_secret, key.bearer_token
            ),
        ),
        other => Err(another_answer(other)),
    }
}

async fn list(options: List) -> anyhow::Result<()> {
    let place = options.data.settle()?;
    let operation = Operation::ListKeys { organization: options.organization };
    match carry_out(&place, operation).await? {
        Done::Keys { keys } => {
            let lines: Vec<String> = keys.iter().map(line).collect();
            options.format.answer(&keys, lines.join("\n"))
        }
        other => Err(another_answer(other)),
    }
}

async fn revoke(options: Revoke) -> anyhow::Result<()> {
    let place = options.data.settle()?;
    match carry_out(&place, Operation::RevokeKey { key: options.id }).await? {
        Done::KeyRevoked(key) => options.format.answer(&key, line(&key)),
        other => Err(another_answer(other)),
    }
}

fn line(key: &KeyFacts) -> String {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let state = match &key.revoked_at {
        Some(at) => format!("revoked {at}"),
        None => format!("created {}", key.created_at),
    };
    let limit = key.rate_limit;
    format!("{}  {state}  {}  {limit}/min  {}", key.id, scopes.join(","), key.name)
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| {
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("known scopes are {}", known.join(", "))
    })
}
