//! The way from the command line to the data: through the control socket of a running server, else by opening the
//! stopped store. The store's exclusive lock holds the two apart, so there is never a second writer.

mod client;
mod server;
mod socket;

pub(crate) use client::{carry_out, is_served};
pub(crate) use server::ControlServer;

use serde::{Deserialize, Serialize};

/// What the socket answers instead of a result.
#[derive(Serialize, Deserialize)]
struct Problem {
    message: String,
}
