//! The raw client: requests signed and sent with the HTTP library that Abide sends with, and nothing else. It says what
//! one hop of that library costs, so that the two-hop limit cannot be low by being slow.

use std::net::SocketAddr;

use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::{control, signing};

#[derive(Args)]
pub(crate) struct Options {
    /// Whom to call
    #[arg(long)]
    to: SocketAddr,
    /// Connections kept open
    #[arg(long, default_value_t = 64)]
    connections: u32,
}

/// Bytes of a body: as many as of an event.
const BODY: usize = 600;

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    control::answer(|_| serde_json::Value::Null);
    let mut connections = JoinSet::new();
    for _ in 0..options.connections {
        connections.spawn(drive(options.to));
    }
    while let Some(ended) = connections.join_next().await {
        ended??;
    }
    Ok(())
}

/// One request after the other over one connection.
#[expect(clippy::disallowed_methods, reason = "the bench calls its own sink, not a webhook")]
async fn drive(to: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let key = signing::key();
    let host = HeaderValue::try_from(to.to_string())?;
    let body = Bytes::from(vec![b'x'; BODY]);
    loop {
        sender.ready().await?;
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(header::HOST, host.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("x-signature"), signing::sign(&key, &body));
        let answer = sender.send_request(request).await?;
        answer.into_body().collect().await?;
    }
}
