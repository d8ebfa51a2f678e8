//! The demo's own calls to the API, as any client makes them.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::http_call;

/// The server's API with a key to it.
pub(super) struct Api {
    address: SocketAddr,
    authorization: String,
}

impl Api {
    pub(super) fn new(address: SocketAddr, bearer_token: &str) -> Self {
        Self { address, authorization: format!("Bearer {bearer_token}") }
    }

    /// Posts, and answers status and text; anything but a 2xx is an error.
    pub(super) async fn post(&self, path: &str, json: &Value) -> anyhow::Result<(u16, Value)> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the demo calls its own server, not a webhook"
        )]
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.context("cannot reach the demo's own server")?;
        let headers = [("authorization", self.authorization.as_str())];
        let json = serde_json::to_vec(json)?;
        let (status, body) = http_call::call(stream, Method::POST, path, &headers, json).await?;
        if !status.is_success() {
            bail!("POST {path} was answered {status}: {}", String::from_utf8_lossy(&body));
        }
        let answer = serde_json::from_slice(&body)
            .with_context(|| format!("POST {path} was answered {status} without JSON"))?;
        Ok((status.as_u16(), answer))
    }
}
