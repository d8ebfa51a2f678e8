//! The receiver: answers 204 and counts, or never answers on paths that begin with `/hang`.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use clap::Args;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::control;
use crate::figures::{Delays, now_nanos};
use crate::http::{Messages, find};

/// What stands before the moment of sending in a body.
pub(crate) const STAMP: &str = "\"sent_ns\":\"";
/// Its digits.
pub(crate) const STAMP_DIGITS: usize = 19;

#[derive(Args)]
pub(crate) struct Options {
    /// Read from each body when it was sent
    #[arg(long)]
    stamps: bool,
    /// Count which events came to an endpoint more than once
    #[arg(long)]
    ids: bool,
    /// Certificate chain, PEM; with it the sink speaks TLS
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long)]
    key: Option<PathBuf>,
}

/// What the sink has seen.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Requests answered since the start.
    pub(crate) count: u64,
    /// Of these, events that had come to the same endpoint before.
    pub(crate) again: u64,
    /// Requests left hanging since the start.
    pub(crate) hung: u64,
    /// When the first answered request came, since the last reset.
    pub(crate) first_at: Option<u64>,
    /// From sending to arrival, since the last reset.
    pub(crate) delays: Delays,
}

#[derive(Default)]
struct Tally {
    stamps: bool,
    count: AtomicU64,
    again: AtomicU64,
    hung: AtomicU64,
    first_at: AtomicU64,
    micros: Mutex<Vec<u32>>,
    /// What came, where that is wanted: endpoint and event.
    came: Option<Came>,
}

/// Hashes of what came: of a million the chance that any two are the same is one in thirty million.
#[derive(Default)]
struct Came {
    hasher: RandomState,
    hashes: Mutex<HashSet<u64>>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let tls = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
        _ => None,
    };
    let came = options.ids.then(Came::default);
    let tally = Arc::new(Tally { stamps: options.stamps, came, ..Tally::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    control::say(&serde_json::to_value(listener.local_addr()?)?);
    let asked = Arc::clone(&tally);
    control::answer(move |word| {
        if word == "reset" {
            asked.micros.lock().clear();
            asked.first_at.store(0, Ordering::Relaxed);
        }
        serde_json::json!(asked.seen())
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tally, tls) = (Arc::clone(&tally), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, &tally).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, &tally).await;
                    }
                }
            }
        });
    }
}

fn acceptor(certificate: &PathBuf, key: &PathBuf) -> anyhow::Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)?.collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, PrivateKeyDer::from_pem_file(key)?)
        .context("the certificate does not fit")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, tally: &Tally) {
    let mut messages = Messages::new();
    while let Ok(Some((head, body))) = messages.next(&mut stream).await {
        if head.starts_with(b"GET ") {
            let count = format!("{:020}", tally.count.load(Ordering::Relaxed));
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{count}");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        if head.starts_with(b"POST /hang") {
            tally.hung.fetch_add(1, Ordering::Relaxed);
            // It neither answers nor closes; the other end may.
            while let Ok(Some(_)) = messages.next(&mut stream).await {}
            return;
        }
        tally.arrived(head, body);
        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
            return;
        }
    }
}

impl Tally {
    fn arrived(&self, head: &[u8], body: &[u8]) {
        if let Some(Came { hasher, hashes }) = &self.came
            && !hashes.lock().insert(hasher.hash_one((path(head), event_id(body))))
        {
            self.again.fetch_add(1, Ordering::Relaxed);
        }
        if self.stamps {
            let now = now_nanos();
            if let Some(sent) = sent_at(body) {
                self.micros.lock().push((now.saturating_sub(sent) / 1_000) as u32);
            }
        }
        if self.first_at.load(Ordering::Relaxed) == 0 {
            self.first_at.store(now_nanos(), Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn seen(&self) -> Seen {
        let first_at = self.first_at.load(Ordering::Relaxed);
        Seen {
            count: self.count.load(Ordering::Relaxed),
            again: self.again.load(Ordering::Relaxed),
            hung: self.hung.load(Ordering::Relaxed),
            first_at: (first_at > 0).then_some(first_at),
            delays: Delays::of(&mut self.micros.lock().clone()),
        }
    }
}

/// What a request's first line names.
fn path(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

/// The event's id, with which each body begins: all that is answered 204 is taken as delivered under it.
fn event_id(body: &[u8]) -> &[u8] {
    body.split(|byte| *byte == b'"').nth(3).unwrap_or_default()
}

fn sent_at(body: &[u8]) -> Option<u64> {
    let at = find(body, STAMP.as_bytes())? + STAMP.len();
    str::from_utf8(body.get(at..at + STAMP_DIGITS)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_told_by_endpoint_and_event() {
        let tally = Tally { came: Some(Came::default()), ..Tally::default() };
        for (path, id) in [(0, "evt_a"), (0, "evt_b"), (1, "evt_a"), (0, "evt_a")] {
            let head = format!("POST /{path} HTTP/1.1\r\n\r\n");
            tally.arrived(head.as_bytes(), format!("{{\"id\":\"{id}\"}}").as_bytes());
        }
        let seen = tally.seen();
        assert_eq!((seen.count, seen.again), (4, 1));
    }

    #[test]
    fn the_moment_of_sending_is_found_in_a_body() {
        let body = br#"{"data":{"metadata":{"sent_ns":"1700000000000000001","a":1}}}"#;
        assert_eq!(sent_at(body), Some(1_700_000_000_000_000_001));
        assert_eq!(sent_at(br#"{"sent_ns":"17"}"#), None);
    }
}
