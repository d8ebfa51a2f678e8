//! A running server: store, engine, API and control socket, started in that order and stopped in the other.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::Serving;
use crate::control::ControlServer;
use crate::operations::Ground;

/// A running server.
pub(crate) struct Node {
    address: SocketAddr,
    ground: Arc<Ground>,
    control: ControlServer,
}

impl Node {
    /// Starts delivering, then serving.
    pub(crate) async fn start(
        listener: TcpListener,
        ground: Ground,
        _serving: &Serving,
        data: &Path,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("cannot ask for the bound address")?;
        let ground = Arc::new(ground);
        let control = ControlServer::start(data.to_owned(), Arc::clone(&ground))?;
        Ok(Self { address, ground, control })
    }

    /// The address really bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// For operations beside the API.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Stops within the bound.
    pub(crate) async fn stop(self, _drain: Duration) -> anyhow::Result<()> {
        drop(self.control);
        let storage = Arc::clone(&self.ground.storage);
        tokio::task::spawn_blocking(move || storage.close()).await?;
        Ok(())
    }
}
