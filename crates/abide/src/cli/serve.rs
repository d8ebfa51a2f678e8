//! `abide serve`: the server, until it is told to stop.

use std::process;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use tokio::net::TcpListener;

use super::Cli;
use crate::config::{
    ConfigFile, Place, PlaceSettings, Role, ServeSettings, Serving, Usage, unknown_variables,
};
use crate::node::Node;
use crate::signals::Signals;
use crate::terminal::{complain, say};
use crate::wiring::{self, NodeName};
use crate::{first_start, logging};

#[derive(Args)]
#[command(
    after_help = "A flag wins over its variable, that over the file, that over the default.\n\
    SIGTERM and SIGINT stop the server once open calls and sends have ended; a second one stops it at once."
)]
pub(crate) struct Options {
    #[command(flatten)]
    serving: ServeSettings,
    #[command(flatten)]
    place: PlaceSettings,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let serving = options.serving.settle(&options.config)?;
    let place = options.place.settle(&options.config)?;
    if serving.role != Role::All && place.database_url.is_none() {
        let why = "`--role` is for several nodes with one PostgreSQL database; name it with --database-url";
        return Err(Usage(why.to_owned()).into());
    }
    logging::start(&serving.log)?;
    let names = std::env::vars_os().map(|(name, _)| name);
    let unknown = unknown_variables(names, &Cli::command());
    if !unknown.is_empty() {
        tracing::warn!(variables = unknown.join(", "), "nothing reads these variables");
    }
    let mut signals = Signals::catch()?;
    let node = start(&serving, &place);
    let mut node = tokio::select! {
        node = node => node?,
        // Killed half-way is what the first start is built for.
        () = signals.next() => process::exit(1),
    };
    say(format_args!("listening on http://{}", node.address()));
    let ended = tokio::select! {
        () = signals.next() => Ok(()),
        why = node.must_stop() => Err(why),
    };
    say("stopping; once more stops at once");
    tokio::select! {
        result = node.stop(serving.drain) => result?,
        () = signals.next() => {
            complain("stopped at once; what was open is sent again after the next start");
            process::exit(1);
        }
    }
    say("stopped");
    ended
}

async fn start(serving: &Serving, place: &Place) -> anyhow::Result<Node> {
    // First of all, so that a taken port leaves no half-made folder behind.
    let listener = TcpListener::bind(serving.listen).await.with_context(|| {
        format!("cannot listen on {}: choose another address with --listen", serving.listen)
    })?;
    if serving.dev {
        say("DEVELOPMENT MODE: webhooks may go to plain http on this machine. Not for real data.");
        tracing::warn!("development mode: plain http to loopback is allowed");
    }
    let address = listener.local_addr().context("cannot ask for the bound address")?;
    let dashboard = wiring::dashboard(serving, address);
    if dashboard.needs_https() {
        tracing::warn!(
            "the dashboard is signed in to over https only: say where browsers find it with --public-url"
        );
    }
    let node = NodeName { name: serving.node_name.clone(), role: serving.role.as_str() };
    let ground = wiring::open_ground(place, serving.commit_delay, node).await?;
    first_start::warn_of_secret(&place.data);
    if serving.role != Role::Deliver {
        first_start::ensure_usable(&ground, &dashboard, &place.data, first_start::show_or_write)
            .await?;
    }
    Node::start(listener, ground, serving, dashboard, place).await
}
