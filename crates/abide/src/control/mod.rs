//! The way from the command line to the data: through the control socket of a running server, else by opening the
//! stopped store. The store's exclusive lock holds the two apart, so there is never a second writer.

mod client;
mod server;
mod socket;

pub(crate) use client::{Found, carry_out, find};
pub(crate) use server::ControlServer;

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What a running server was started with, as far as somebody who examines it must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunsWith {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Whether it runs in development mode.
    pub(crate) dev: bool,
    /// The networks that were opened to webhooks.
    pub(crate) allow_network: Vec<IpNet>,
    /// The PostgreSQL database that it works on, without user and password; `None` where the data are in its folder.
    #[serde(default)]
    pub(crate) database: Option<String>,
}

/// What the socket answers instead of a result.
#[derive(Serialize, Deserialize)]
struct Problem {
    message: String,
}
