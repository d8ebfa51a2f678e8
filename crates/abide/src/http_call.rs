//! One HTTP call to a program of ours: to the control socket of a running server, or from `demo` to the API.
//!
//! Webhooks never go this way; they go through the guard (I10).

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// More than any answer of ours; a listing of keys comes closest.
const ANSWER_LIMIT: usize = 64 << 20;

/// Sends JSON over a fresh connection and reads the whole answer.
pub(crate) async fn call(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    json: Vec<u8>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Full::new(Bytes::from(json)))?).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
    let body = body.map_err(anyhow::Error::from_boxed).context("cannot read the answer")?;
    driver.abort();
    Ok((status, body.to_bytes()))
}
