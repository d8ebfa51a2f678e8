//! The command line's end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{Method, StatusCode};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::{Problem, RunsWith, socket};
use crate::config::Place;
use crate::exit::{Refused, Unavailable};
use crate::operations::{self, Done, Operation};
use crate::terminal::complain;
use crate::{exit, http_call, wiring};

/// How long a folder may be locked by a server that does not listen yet, or that drains and listens no more.
const IN_BETWEEN: Duration = Duration::from_secs(30);

/// Has an operation carried out by the folder's running server, or carries it out on the stopped store.
pub(crate) async fn carry_out(place: &Place, operation: Operation) -> anyhow::Result<Done> {
    let give_up = Instant::now() + IN_BETWEEN;
    let mut told = false;
    loop {
        if let Some(server) = server_of(place).await? {
            return ask(server, operation).await;
        }
        match wiring::open_stopped(place).await {
            Ok(ground) => {
                let done = operations::run(operation, &ground).await;
                let storage = Arc::clone(&ground.storage);
                tokio::task::spawn_blocking(move || storage.close()).await?;
                return done.map_err(exit::judged);
            }
            Err(error) if wiring::is_in_use(&error) && Instant::now() < give_up => {
                if !told {
                    complain("a server is starting or stopping; waiting for it");
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// How long a server may take to say what it runs with, which it has at hand.
const PATIENCE: Duration = Duration::from_secs(5);
const WENT_AWAY: &str = "the server went away before it answered; ask again to see what was done";

/// What is found where a server's control socket would be.
pub(crate) enum Found {
    /// No server runs on the folder.
    Nobody,
    /// One runs, and says with what; `None` where it does not say, as one of another version.
    Server(Option<RunsWith>),
}

/// Looks for a server that runs on the folder.
pub(crate) async fn find(data: &Path) -> anyhow::Result<Found> {
    let Some(server) = find_server(data).await? else { return Ok(Found::Nobody) };
    let asked = http_call::call(server, Method::GET, "/runs-with", &[], Vec::new());
    let runs_with = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((StatusCode::OK, body))) => serde_json::from_slice(&body).ok(),
        Ok(_) | Err(_) => None,
    };
    Ok(Found::Server(runs_with))
}

/// The server that runs on the data of a place. One that runs on the folder and keeps its data elsewhere than the place says
/// is none of its.
async fn server_of(place: &Place) -> anyhow::Result<Option<UnixStream>> {
    if let Some(url) = &place.database_url {
        let wanted = Some(wiring::postgres::shown(url)?);
        match find(&place.data).await? {
            Found::Server(Some(runs_with)) if runs_with.database == wanted => {}
            Found::Server(_) | Found::Nobody => return Ok(None),
        }
    }
    find_server(&place.data).await
}

async fn find_server(data: &Path) -> anyhow::Result<Option<UnixStream>> {
    let found = socket::connect(data).await;
    found.with_context(|| {
        format!("cannot reach the server of {}; are you its owner?", data.display())
    })
}

async fn ask(server: UnixStream, operation: Operation) -> anyhow::Result<Done> {
    let json = serde_json::to_vec(&operation)?;
    let (status, body) = http_call::call(server, Method::POST, "/operations", &[], json)
        .await
        .map_err(|_| Unavailable(WENT_AWAY.to_owned()))?;
    if status == StatusCode::OK {
        return serde_json::from_slice(&body)
            .context("the running server is of another version: use its own `abide`");
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if status.is_client_error() => Err(Refused(problem.message).into()),
        Ok(problem) if status == StatusCode::SERVICE_UNAVAILABLE => {
            Err(Unavailable(problem.message).into())
        }
        Ok(problem) => bail!(problem.message),
        Err(_) => bail!("the running server answered {status}: it may be of another version"),
    }
}
