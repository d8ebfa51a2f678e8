//! A receiver that misbehaves on purpose: raw sockets on loopback, one script per connection.
//!
//! Include it in a test binary with `#[path = "../support/receiver.rs"] mod receiver;`.

#![expect(clippy::unwrap_used, reason = "what a test sets up is meant to work")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedKey, DnType, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// One thing a receiver does. A script that ends closes the connection.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Reads one whole request and remembers it.
    Read,
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes one byte after another for ever, each after a pause.
    Drip(u8, Duration),
    /// Writes this over and over until the other side closes.
    Flood(Vec<u8>),
    /// Waits until the other side closes.
    AwaitClose,
    /// Keeps the connection open and does nothing.
    Hang,
    /// Breaks the connection with a TCP reset.
    Reset,
}

/// A request as it stood on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Request line and headers, with the line ends.
    pub(crate) head: String,
    /// As many bytes as its Content-Length says.
    pub(crate) body: Vec<u8>,
}

/// A running receiver; dropping it closes every connection.
pub(crate) struct Receiver {
    addr: SocketAddr,
    seen: watch::Receiver<Log>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Log {
    accepted: usize,
    ended: usize,
    requests: Vec<Seen>,
}

impl Receiver {
    /// Plain TCP. The nth connection runs the nth script, later ones the last.
    pub(crate) async fn start(scripts: Vec<Vec<Act>>) -> Receiver {
        Receiver::listen(scripts, None).await
    }

    /// The same over TLS with this identity.
    pub(crate) async fn start_tls(identity: &Identity, scripts: Vec<Vec<Act>>) -> Receiver {
        Receiver::listen(scripts, Some(identity.acceptor(None))).await
    }

    /// The same, for clients alone that show `client`'s certificate.
    pub(crate) async fn start_mutual(
        identity: &Identity,
        client: &Identity,
        scripts: Vec<Vec<Act>>,
    ) -> Receiver {
        Receiver::listen(scripts, Some(identity.acceptor(Some(client)))).await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.borrow().accepted
    }

    /// Requests read so far, over all connections.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.borrow().requests.clone()
    }

    /// Waits until `n` connections have been accepted.
    pub(crate) async fn accepted(&self, n: usize) {
        self.seen.clone().wait_for(|log| log.accepted >= n).await.unwrap();
    }

    /// Waits until `n` scripts have run to their end and closed their connection.
    pub(crate) async fn ended(&self, n: usize) {
        self.seen.clone().wait_for(|log| log.ended >= n).await.unwrap();
    }

    async fn listen(scripts: Vec<Vec<Act>>, tls: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (log, seen) = watch::channel(Log::default());
        let task = tokio::spawn(serve(listener, scripts, tls, log));
        Receiver { addr, seen, task }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A self-signed certificate and its key.
pub(crate) struct Identity(CertifiedKey<KeyPair>);

impl Identity {
    /// An identity for one DNS name or address.
    pub(crate) fn of(name: &str) -> Identity {
        Identity::made(name, |_| {})
    }

    /// One that ended long ago.
    pub(crate) fn expired(name: &str) -> Identity {
        Identity::made(name, |params| params.not_after = date_time_ymd(2001, 1, 1))
    }

    fn made(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        // As its own issuer it goes by its own name, or it would pass for the issuer of every other.
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let signing_key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        Identity(CertifiedKey { cert, signing_key })
    }

    /// What a client must trust to accept it.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }

    /// The certificate in PEM.
    pub(crate) fn chain(&self) -> String {
        self.0.cert.pem()
    }

    /// The key in PEM.
    pub(crate) fn key(&self) -> String {
        self.0.signing_key.serialize_pem()
    }

    fn acceptor(&self, client: Option<&Identity>) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.0.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let mut roots = RootCertStore::empty();
                roots.add(client.certificate()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = builder.with_single_cert(vec![self.certificate()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// `HTTP/1.1 <status>` with a body and its length.
pub(crate) fn answer(status: &str, body: &str) -> Act {
    let length = body.len();
    Act::Write(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
}

/// Exactly these bytes.
pub(crate) fn raw(text: &str) -> Act {
    Act::Write(text.as_bytes().to_vec())
}

/// The same acts again and again, over one connection.
pub(crate) fn repeat(times: usize, acts: &[Act]) -> Vec<Act> {
    acts.iter().cycle().take(times * acts.len()).cloned().collect()
}

async fn serve(
    listener: TcpListener,
    scripts: Vec<Vec<Act>>,
    tls: Option<TlsAcceptor>,
    log: watch::Sender<Log>,
) {
    let log = Arc::new(log);
    let mut open = tokio::task::JoinSet::new();
    for turn in 0.. {
        let (tcp, _) = listener.accept().await.unwrap();
        log.send_modify(|log| log.accepted += 1);
        let script = scripts[turn.min(scripts.len() - 1)].clone();
        let (tls, log) = (tls.clone(), Arc::clone(&log));
        open.spawn(async move {
            match tls {
                None => run_clear(tcp, script, &log).await,
                Some(tls) => {
                    if let Ok(mut stream) = tls.accept(tcp).await {
                        run(&mut stream, script, &log).await;
                        let _ = stream.shutdown().await;
                    }
                }
            }
            log.send_modify(|log| log.ended += 1);
        });
    }
}

async fn run_clear(mut tcp: TcpStream, script: Vec<Act>, log: &watch::Sender<Log>) {
    if let End::Reset = run(&mut tcp, script, log).await {
        tcp.set_zero_linger().unwrap();
    }
}

enum End {
    Close,
    Reset,
}

async fn run<S>(stream: &mut S, script: Vec<Act>, log: &watch::Sender<Log>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for act in script {
        let gone = match act {
            Act::Read => match read_request(stream).await {
                Some(request) => {
                    log.send_modify(|log| log.requests.push(request));
                    false
                }
                None => true,
            },
            Act::Write(bytes) => write(stream, &bytes).await.is_none(),
            Act::Drip(byte, pause) => {
                while write(stream, &[byte]).await.is_some() {
                    tokio::time::sleep(pause).await;
                }
                true
            }
            Act::Flood(bytes) => {
                while write(stream, &bytes).await.is_some() {}
                true
            }
            Act::AwaitClose => {
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
                true
            }
            Act::Hang => std::future::pending().await,
            Act::Reset => return End::Reset,
        };
        if gone {
            break;
        }
    }
    End::Close
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// `None` if the other side closed before the request was whole.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { head, body })
}

/// Each test binary uses its own part of this module; named here, nothing of it counts as dead.
const _: fn(&Receiver, &Seen) = |receiver, seen| {
    let _ = (Receiver::start_mutual, Identity::expired, Identity::chain, Identity::key);
    let _ = (Receiver::start, Receiver::start_tls, Receiver::accepted, Receiver::ended);
    let _ = (receiver.addr(), receiver.connections(), receiver.requests());
    let _ = (&seen.head, &seen.body, answer, raw, repeat, Identity::of, Identity::certificate);
    let _ = [
        Act::Read,
        Act::Drip(0, Duration::ZERO),
        Act::Flood(Vec::new()),
        Act::AwaitClose,
        Act::Hang,
        Act::Reset,
    ];
};
