//! The demo's own calls to the API, as any client makes them.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use http::Method;
use tokio::net::TcpStream;

use super::Voice;
use crate::http_call;

/// The server's API with a key to it.
pub(super) struct Api {
    address: SocketAddr,
    authorization: String,
    /// To whom its calls are told.
    pub(super) voice: Voice,
}

impl Api {
    pub(super) fn new(address: SocketAddr, bearer_token: &str, voice: Voice) -> Self {
        Self { address, authorization: format!("Bearer {bearer_token}"), voice }
    }

    /// Posts, and answers status and text; anything but a 2xx is an error.
    pub(super) async fn post(&self, path: &str, json: &str) -> anyhow::Result<(u16, String)> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the demo calls its own server, not a webhook"
        )]
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.context("cannot reach the demo's own server")?;
        let headers = [("authorization", self.authorization.as_str())];
        let (status, body) =
            http_call::call(stream, Method::POST, path, &headers, json.as_bytes().to_vec()).await?;
        if !status.is_success() {
            bail!("POST {path} was answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok((status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }
}
