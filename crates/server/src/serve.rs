//! From a listening socket to a router: HTTP/1.1 with keep-alive, bounded in every direction.
//!
//! One task per connection. At the limit of open connections the next one waits in the kernel's queue; a caller that
//! sends no request head in time, or takes nothing of an answer, loses its connection, so the limit cannot be held by
//! silence. Knows nothing of Abide but that requests note their other end: whatever serves HTTP here can use it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Sleep, sleep};
use tower_service::Service as _;

use crate::peer::Peer;

/// What a server allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// Time for the head of a request, counted from the opening of the connection or the end of the answer before.
    pub head: Duration,
    /// Bytes of a request's head. It has 100 headers at most, as hyper has it: a number of our own would cost each
    /// request.
    pub head_bytes: usize,
    /// Time for a caller to take some more of an answer.
    pub write: Duration,
    /// Time for requests under way to end once a shutdown was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            head: Duration::from_secs(10),
            head_bytes: 64 * 1024,
            write: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections cut because their request took longer than the drain allows.
    pub cut: usize,
}

/// How long to wait before accepting again when the machine has no more sockets to give.
const NO_SOCKETS: Duration = Duration::from_millis(50);

/// Serves until `shutdown` resolves, then lets requests under way end. Dropping the future cuts every connection.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .keep_alive(true)
        // Answers are small: copied into one piece they take the cheaper system call.
        .writev(false);
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept(), if connections.len() < limits.connections => {
                match accepted {
                    Ok((stream, peer)) => {
                        let service = Routed { router: router.clone(), peer: Peer(peer) };
                        let stream = Impatient { stream, patience: limits.write, stalled: None };
                        connections.spawn(connection(http.clone(), stream, service, stopping.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(kind = ?error.kind(), "no connection accepted");
                        sleep(NO_SOCKETS).await;
                    }
                }
            }
        }
    }
    drop(listener);
    drop(stop);
    let rest = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    let in_time = tokio::time::timeout(limits.drain, rest).await.is_ok();
    let cut = if in_time { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { cut }
}

/// One connection until it ends, or until a stop and the end of its request.
async fn connection(
    http: http1::Builder,
    stream: Impatient,
    service: Routed,
    mut stopping: watch::Receiver<()>,
) {
    // Small answers must not wait for more bytes; where it cannot be set they still arrive.
    let _ = stream.stream.set_nodelay(true);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        // An error here is the caller's: a broken head, a closed socket. There is nobody to tell.
        _ = serving.as_mut() => return,
        // The sender is dropped, never used.
        _ = stopping.changed() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

fn report(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection's task panicked");
    }
}

/// A stream whose writes fail when the other end takes nothing for so long.
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    /// Since a write got nowhere.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A router as hyper calls it, for one connection.
struct Routed {
    router: Router,
    peer: Peer,
}

impl hyper::service::Service<Request<Incoming>> for Routed {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        self.router.clone().call(request)
    }
}
