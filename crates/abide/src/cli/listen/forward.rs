//! Passing verified webhooks on to one's own server: what it answers, the sender hears.

use std::fmt;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use bytes::Bytes;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};

use crate::outgoing;

/// Longer than any sender waits.
const PATIENCE: Duration = Duration::from_mins(1);

/// Headers of one connection, which the next one has its own of.
const OF_THE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Where to.
pub(super) struct Forwarding {
    client: Client,
    to: Url,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forwarded {
    /// The status that the server answered; none without an answer.
    pub(super) status: Option<u16>,
    /// How long it took, in milliseconds.
    pub(super) millis: u64,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

impl Forwarding {
    pub(super) fn new(to: Url) -> anyhow::Result<Self> {
        Ok(Self { client: outgoing::client(&to, PATIENCE)?, to })
    }

    /// Sends headers and body on as they came. Without an answer the sender hears 502, so that it tries again.
    pub(super) async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Forwarded {
        let mut headers = headers.clone();
        for name in OF_THE_CONNECTION {
            headers.remove(name);
        }
        let began = Instant::now();
        let sent = self.client.post(self.to.clone()).headers(headers).body(body).send().await;
        let millis = began.elapsed().as_millis() as u64;
        match sent {
            Ok(answer) => {
                Forwarded { status: Some(answer.status().as_u16()), millis, problem: None }
            }
            Err(error) => Forwarded { status: None, millis, problem: Some(outgoing::why(&error)) },
        }
    }
}

impl Forwarded {
    /// What the sender is answered.
    pub(super) fn answer(&self) -> u16 {
        self.status.unwrap_or(StatusCode::BAD_GATEWAY.as_u16())
    }
}

impl fmt::Display for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => write!(f, "NOT FORWARDED: {problem} ({} ms)", self.millis),
            None => write!(f, "forwarded in {} ms", self.millis),
        }
    }
}
