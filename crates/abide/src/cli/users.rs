//! `abide users`: who signs in to the dashboard.

use abide_core::user::Role;
use clap::{Args, Subcommand};

use super::another_answer;
use crate::config::{ConfigFile, DEFAULT_LISTEN, PlaceSettings, PublicSettings};
use crate::control::carry_out;
use crate::operations::{DEFAULT_ORGANIZATION, Done, Operation, UserFacts, UserLink};
use crate::terminal::say;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Invite somebody and print the one-time link with which they choose a password
    Create(Create),
    /// List an organization's users, disabled ones included
    List(List),
    /// Shut a user out: they are signed out everywhere and cannot sign in
    Disable(Chosen),
    /// Let a disabled user in again
    Enable(Chosen),
    /// Print a new one-time link with which a user chooses a password; the one before stops working
    Reset(Reset),
}

#[derive(Args)]
pub(crate) struct Create {
    /// What they sign in with
    #[arg(long)]
    email: String,
    /// What they are called
    #[arg(long)]
    name: String,
    /// What they may do: owner, privacy_officer, developer, read_only
    #[arg(long, value_parser = role)]
    role: Role,
    /// To whose dashboard, by the organization's short name
    #[arg(long, value_name = "ORGANIZATION", default_value = DEFAULT_ORGANIZATION)]
    organization: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    public: PublicSettings,
    #[command(flatten)]
    place: PlaceSettings,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Args)]
pub(crate) struct List {
    /// Whose users, by the organization's short name
    #[arg(long, value_name = "ORGANIZATION", default_value = DEFAULT_ORGANIZATION)]
    organization: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceSettings,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Args)]
pub(crate) struct Chosen {
    /// The user's id, as `users list` shows it, or their e-mail address
    user: String,
    /// Whose user, by the organization's short name
    #[arg(long, value_name = "ORGANIZATION", default_value = DEFAULT_ORGANIZATION)]
    organization: String,
    #[command(flatten)]
    place: PlaceSettings,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    chosen: Chosen,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    public: PublicSettings,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(options) => create(options).await,
        Command::List(options) => list(options).await,
        Command::Disable(Chosen { user, organization, place, config }) => {
            let operation = Operation::DisableUser { organization, user };
            changed(carry_out(&place.settle(&config)?, operation).await?)
        }
        Command::Enable(Chosen { user, organization, place, config }) => {
            let operation = Operation::EnableUser { organization, user };
            changed(carry_out(&place.settle(&config)?, operation).await?)
        }
        Command::Reset(options) => reset(options).await,
    }
}

async fn create(options: Create) -> anyhow::Result<()> {
    let place = options.place.settle(&options.config)?;
    let public_url = options.public.settle(&options.config)?;
    let Create { email, name, role, organization, .. } = options;
    let operation = Operation::CreateUser { organization, email, name, role };
    show_link(carry_out(&place, operation).await?, public_url, shape(options.json))
}

async fn reset(options: Reset) -> anyhow::Result<()> {
    let Reset { chosen: Chosen { user, organization, place, config }, json, public } = options;
    let public_url = public.settle(&config)?;
    let operation = Operation::ResetUser { organization, user };
    show_link(carry_out(&place.settle(&config)?, operation).await?, public_url, shape(json))
}

async fn list(options: List) -> anyhow::Result<()> {
    let place = options.place.settle(&options.config)?;
    let operation = Operation::ListUsers { organization: options.organization };
    match carry_out(&place, operation).await? {
        Done::Users { users } if options.json => say(serde_json::to_string(&users)?),
        Done::Users { users } => users.iter().for_each(|user| say(line(user))),
        other => return Err(another_answer(other)),
    }
    Ok(())
}

fn changed(done: Done) -> anyhow::Result<()> {
    match done {
        Done::UserChanged(user) => {
            say(line(&user));
            Ok(())
        }
        other => Err(another_answer(other)),
    }
}

/// How an answer is printed.
#[derive(Clone, Copy)]
enum Shape {
    Json,
    Lines,
}

fn shape(json: bool) -> Shape {
    if json { Shape::Json } else { Shape::Lines }
}

fn show_link(done: Done, public_url: Option<String>, shape: Shape) -> anyhow::Result<()> {
    let UserLink { user, path, public_url: serving_at, expires_at } = match done {
        Done::UserLinked(linked) => linked,
        other => return Err(another_answer(other)),
    };
    let base = public_url.or(serving_at).unwrap_or_else(|| format!("http://{DEFAULT_LISTEN}"));
    let link = format!("{base}{path}");
    match shape {
        Shape::Json => say(serde_json::json!({
            "id": user.id, "email": user.email, "name": user.name, "role": user.role,
            "state": user.state, "link": link, "expires_at": expires_at,
        })),
        Shape::Lines => {
            say(format_args!("id       {}", user.id));
            say(format_args!("link     {link}"));
            say(format_args!("expires  {expires_at}; it works once"));
        }
    }
    Ok(())
}

fn line(user: &UserFacts) -> String {
    let seen = match &user.last_sign_in_at {
        Some(at) => format!("signed in {at}"),
        None => "never signed in".to_owned(),
    };
    let (role, state) = (user.role.as_str(), user.state.as_str());
    format!("{}  {state}  {role}  {seen}  {}  {}", user.id, user.email, user.name)
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| {
        let known: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        format!("known roles are {}", known.join(", "))
    })
}
