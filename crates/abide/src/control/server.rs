//! The server's end of the control socket: one route that takes an operation and answers what came of it, and one that
//! says what the server runs with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::{Problem, RunsWith, socket};
use crate::exit::{self, Refused, Unavailable};
use crate::folder::my_user;
use crate::operations::{self, Ground, Operation};

/// Listens until dropped, and then takes its name out of the folder.
pub(crate) struct ControlServer {
    task: JoinHandle<io::Result<()>>,
    data: PathBuf,
}

impl ControlServer {
    /// Starts listening in the data folder whose lock the ground's store holds.
    pub(crate) fn start(
        data: PathBuf,
        ground: Arc<Ground>,
        runs_with: RunsWith,
    ) -> anyhow::Result<Self> {
        let listener = socket::bind(&data)
            .with_context(|| format!("cannot open the control socket in {}", data.display()))?;
        let listener = OwnersOnly { listener, owner: my_user()? };
        let router = Router::new()
            .route("/operations", post(answer))
            .with_state(ground)
            .route("/runs-with", get(async move || Json(runs_with.clone())));
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { task, data })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.task.abort();
        socket::remove(&self.data);
    }
}

async fn answer(State(ground): State<Arc<Ground>>, Json(operation): Json<Operation>) -> Response {
    match operations::run(operation, &ground).await {
        Ok(done) => Json(done).into_response(),
        Err(error) => {
            let error = exit::judged(error);
            let status = if error.is::<Refused>() {
                StatusCode::UNPROCESSABLE_ENTITY
            } else if error.is::<Unavailable>() {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            (status, Json(Problem { message: format!("{error:#}") })).into_response()
        }
    }
}

/// Accepts the folder's owner and root; the file's mode says the same, this holds it where modes are not looked at.
struct OwnersOnly {
    listener: UnixListener,
    owner: u32,
}

impl OwnersOnly {
    fn may_ask(&self, stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|peer| peer.uid() == self.owner || peer.uid() == 0)
    }
}

impl axum::serve::Listener for OwnersOnly {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) if self.may_ask(&stream) => return (stream, address),
                Ok(_) => tracing::warn!("a stranger at the control socket was turned away"),
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
