//! `abide demo`: the whole of it at work. A server in this process, a receiver in another, sample decisions through
//! the API, and the signed webhooks arriving.

mod api;
mod folder;
mod receiver;
mod samples;

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use abide_core::access::Scope;
use abide_core::rate::RateLimit;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;

use self::api::Api;
use self::folder::Folder;
use self::receiver::Receiver;
use super::another_answer;
use crate::config::{DEFAULT_LISTEN, Role, Serving, address, this_machine};
use crate::first_start::Handed;
use crate::node::Node;
use crate::operations::{self, DEFAULT_ORGANIZATION, Done, MintedKey, Operation};
use crate::signals::Signals;
use crate::terminal::{complain, say};
use crate::wiring::{self, NodeName};
use crate::{first_start, logging};

/// How long the sample deliveries may take, all of them.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long stopping waits for what is open.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct Options {
    /// Address of the server [default: 127.0.0.1:8420, or a free port where that is taken]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Address of the receiver [default: 127.0.0.1:8421, or a free port where that is taken]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    receiver: Option<SocketAddr>,
    /// Folder of the data, kept afterwards [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// End once the sample webhooks have arrived and verified; fail when they do not within 30 seconds
    #[arg(long)]
    once: bool,
    /// Print JSON lines: where it runs and with which key, each call, each webhook; the rest goes to standard error
    #[arg(long)]
    json: bool,
    /// How much to log: off, error, warn, info, debug, trace, or a filter
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: String,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    logging::start(&options.log)?;
    let voice = if options.json { Voice::Programs } else { Voice::People };
    let mut signals = Signals::catch()?;
    // Outlives the server: the folder goes when its files are closed.
    let folder = Folder::choose(options.data)?;
    let listener = match options.listen {
        Some(address) => TcpListener::bind(address).await,
        None => match TcpListener::bind(DEFAULT_LISTEN).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
        },
    };
    let listener = listener.context("cannot listen: choose another address with --listen")?;
    let (node, key, owner_link) = start(listener, &folder).await?;
    let shown = tokio::select! {
        biased;
        () = signals.next() => Ok(()),
        shown = show(voice, &node, &key, owner_link, options.receiver, options.once) => shown,
    };
    voice.tell("stopping");
    node.stop(DRAIN).await?;
    voice.tell(folder.remove());
    shown
}

/// The server with a key to use it: the first start's, or one of the demo's own; and the first owner's link.
async fn start(
    listener: TcpListener,
    folder: &Folder,
) -> anyhow::Result<(Node, MintedKey, Option<String>)> {
    let serving = Serving {
        listen: listener.local_addr()?,
        dev: true,
        allow_network: Vec::new(),
        public_url: None,
        trusted_proxies: this_machine(),
        drain: DRAIN,
        role: Role::All,
        node_name: String::new(),
        log: String::new(),
        commit_delay: None,
    };
    let dashboard = wiring::dashboard(&serving, serving.listen);
    let data = folder.place().data;
    let node = NodeName { name: "demo".to_owned(), role: Role::All.as_str() };
    let ground = wiring::open_ground(&folder.place(), None, node).await?;
    let write =
        |first: &Handed, data: &std::path::Path| first_start::write_files(first, data).map(drop);
    let first = first_start::ensure_usable(&ground, &dashboard, &data, write).await?;
    let (key, owner_link) = match first {
        Some(Handed { key, owner_link }) => (key, owner_link),
        None => (mint(&ground).await?, None),
    };
    let node = Node::start(listener, ground, &serving, dashboard, &folder.place()).await?;
    Ok((node, key, owner_link))
}

async fn mint(ground: &operations::Ground) -> anyhow::Result<MintedKey> {
    let create = Operation::CreateKey {
        organization: DEFAULT_ORGANIZATION.to_owned(),
        name: "demo".to_owned(),
        scopes: vec![Scope::Admin],
        rate_limit: RateLimit::DEFAULT,
    };
    match operations::run(create, ground).await? {
        Done::KeyCreated(key) => Ok(key),
        other => Err(another_answer(other)),
    }
}

/// Shows everything, and with `once` ends there; else stays until the future is dropped.
async fn show(
    voice: Voice,
    node: &Node,
    key: &MintedKey,
    owner_link: Option<String>,
    receiver: Option<SocketAddr>,
    once: bool,
) -> anyhow::Result<()> {
    voice.tell(
        "DEVELOPMENT MODE: webhooks may go to plain http on this machine. Not for real data.",
    );
    let mut receiver = Receiver::start(receiver, voice, node.ground()).await?;
    let (server, at) =
        (format!("http://{}", node.address()), format!("http://{}", receiver.address()));
    voice.tell(format_args!("\nserver    {server}"));
    voice.tell(format_args!("receiver  {at}, another process"));
    let token = &key.bearer_token;
    voice.note(&json!({"started": {"server": server, "receiver": at, "bearer_token": token}}));
    let api = Api::new(node.address(), token, voice);
    tokio::time::timeout(PATIENCE, samples::play(&api, &mut receiver)).await.with_context(
        || format!("the sample webhooks did not all arrive within {} s", PATIENCE.as_secs()),
    )??;
    voice.tell("\nEvery webhook arrived and verified.");
    if once {
        return Ok(());
    }
    voice.tell(format_args!("\n{}", try_it_yourself(node.address(), key)));
    if let Some(link) = owner_link {
        voice.tell(format_args!("Open the dashboard and become its owner, once:\n\n{link}\n"));
    }
    receiver.print_for_ever().await
}

/// Whom the demo speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    People,
    Programs,
}

impl Voice {
    /// A line for people.
    fn tell(self, line: impl Display) {
        match self {
            Self::People => say(line),
            Self::Programs => complain(line),
        }
    }

    /// A line for programs.
    fn note(self, line: &impl Serialize) {
        if self == Self::Programs {
            say(serde_json::to_string(line).unwrap_or_default());
        }
    }
}

fn try_it_yourself(server: SocketAddr, key: &MintedKey) -> String {
    format!(
        "Server and receiver stay up until Ctrl-C. Record a decision yourself:\n\n\
         curl http://{server}/v1/consent \\\n  \
         -H 'Authorization: Bearer {}' \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{{\"subject_id\": \"user_42\", \"consent_type\": \"newsletter\", \"granted\": true}}'\n",
        key.bearer_token
    )
}
