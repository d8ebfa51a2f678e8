//! A running server: store, engine, API and control socket, started in that order and stopped in the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use abide_engine::Engine;
use abide_server::{Dashboard, Drained, Limits};
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::config::{Place, Role, Serving};
use crate::control::{ControlServer, RunsWith};
use crate::erasures::Journaling;
use crate::operations::Ground;
use crate::wiring;

/// A running server.
pub(crate) struct Node {
    address: SocketAddr,
    ground: Arc<Ground>,
    /// None where others deliver what this node takes.
    engine: Option<Arc<Engine>>,
    control: ControlServer,
    /// Ends where this node must.
    journaling: JoinHandle<anyhow::Error>,
    stop_serving: oneshot::Sender<()>,
    served: JoinHandle<Drained>,
}

/// What closing adds to the bound on draining, at most: outcomes that are still being recorded.
const CLOSING: Duration = Duration::from_secs(3);

impl Node {
    /// Starts delivering, then serving; neither on a database to which people came back who were erased.
    pub(crate) async fn start(
        listener: TcpListener,
        ground: Ground,
        serving: &Serving,
        dashboard: Dashboard,
        place: &Place,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("cannot ask for the bound address")?;
        let journaling = Journaling::begin(Arc::clone(&ground.storage), place).await?;
        let engine = match serving.role {
            Role::All | Role::Deliver => {
                Some(Arc::new(wiring::start_engine(&ground, serving).await?))
            }
            Role::Api => None,
        };
        let router = wiring::router(&ground, engine.as_ref(), serving, dashboard.clone());
        let ground = Ground { dashboard: Some(dashboard), ..ground };
        let ground = Arc::new(ground);
        let runs_with = RunsWith {
            listen: address,
            dev: serving.dev,
            allow_network: serving.allow_network.clone(),
            database: place.database_url.as_ref().map(wiring::postgres::shown).transpose()?,
        };
        let control = ControlServer::start(place.data.clone(), Arc::clone(&ground), runs_with)?;
        let (stop_serving, stopping) = oneshot::channel();
        // A send is worth more than a slow caller: those get half of the time at most.
        let limits = Limits { drain: serving.drain / 2, ..Limits::default() };
        let stopping = async move { drop(stopping.await) };
        let served = tokio::spawn(abide_server::serve(listener, router, limits, stopping));
        let journaling = tokio::spawn(journaling.go_on());
        tracing::info!(%address, "serving");
        Ok(Self { address, ground, engine, control, journaling, stop_serving, served })
    }

    /// The address really bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// For operations beside the API.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Answers once the node must not go on, and why. Nothing is sent any more then; it is still to be stopped.
    pub(crate) async fn must_stop(&mut self) -> anyhow::Error {
        let why = (&mut self.journaling).await;
        if let Some(engine) = &self.engine {
            engine.drain(Duration::ZERO).await;
        }
        why.unwrap_or_else(Into::into)
    }

    /// Stops: no new calls, then no new sends, both within the bound, and then the store.
    pub(crate) async fn stop(self, bound: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + bound;
        self.journaling.abort();
        drop(self.control);
        drop(self.stop_serving);
        let calls = self.served.await.context("the server broke down while it stopped")?;
        if calls.cut > 0 {
            tracing::warn!(calls = calls.cut, "cut off calls that did not end in time");
        }
        let left = until.saturating_duration_since(Instant::now());
        if let Some(engine) = &self.engine
            && timeout_at(until + CLOSING, engine.drain(left)).await.is_err()
        {
            tracing::warn!("not every send ended in time; they are repeated after the next start");
        }
        let storage = Arc::clone(&self.ground.storage);
        tokio::task::spawn_blocking(move || storage.close())
            .await
            .context("cannot close the store")?;
        tracing::info!("stopped");
        Ok(())
    }
}
