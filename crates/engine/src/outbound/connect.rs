//! Dialling: resolve, judge every address, connect to exactly those, TLS under the original name, hyper.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::poll_fn;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use super::target::Origin;
use super::{Guard, Host, Resolve, Scheme, SendError, Target};

/// An open connection to one receiver, kept by the caller between sends.
///
/// It has no task of its own: whoever sends over it also drives it, so an exchange costs no wake-up across tasks.
/// Dropping it closes it.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    origin: Arc<Origin>,
}

/// hyper's half of the connection, until it has ended: dropping it then is what returns a request it never took up.
struct Driver(Option<Pin<Box<Http1>>>);

type Http1 = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

/// What comes back when a request was never written.
pub(super) type Unsent = hyper::client::conn::TrySendError<Request<Full<Bytes>>>;

impl Connection {
    /// Can it carry another request? Notices a receiver that closed it meanwhile.
    pub async fn is_open(&mut self) -> bool {
        poll_fn(|cx| {
            self.driver.advance(cx);
            Poll::Ready(())
        })
        .await;
        self.sender.is_ready()
    }

    pub(super) fn leads_to(&self, target: &Target) -> bool {
        let origin = target.origin();
        Arc::ptr_eq(&self.origin, origin) || self.origin == *origin
    }

    /// Writes a request and reads the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Unsent> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        poll_fn(|cx| {
            driver.advance(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// The next part of an answer's body.
    pub(super) async fn next_frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<Frame<Bytes>>> {
        poll_fn(|cx| {
            self.driver.advance(cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
        .await
    }
}

impl Driver {
    /// Reads and writes what can be, now. What ended it is told by the exchange it interrupts; without one it does
    /// not matter.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let Some(open) = &mut self.0
            && open.as_mut().poll(cx).is_ready()
        {
            self.0 = None;
        }
    }
}

/// Opens connections, and only to addresses that pass the guard.
pub(super) struct Connector {
    pub(super) guard: Guard,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) tls: TlsConnector,
}

impl Connector {
    pub(super) async fn connect(
        &self,
        target: &Target,
        until: Instant,
    ) -> Result<Connection, SendError> {
        let origin = target.origin();
        let addresses = self.checked_addresses(origin).await?;
        let tcp = dial_first(&addresses, until).await?;
        let stream = match origin.scheme {
            Scheme::Http => Stream::Clear(tcp),
            Scheme::Https => {
                let dialled = self.tls.connect(origin.server_name.clone(), tcp).await;
                Stream::Tls(Box::new(dialled.map_err(|why| SendError::from_handshake(&why))?))
            }
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .max_header_size(MAX_ANSWER_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|why| SendError::from_exchange(&why))?;
        let driver = Driver(Some(Box::pin(driver)));
        Ok(Connection { sender, driver, origin: Arc::clone(origin) })
    }

    /// One refused address refuses the whole name: a name with a public and a private face is an attack or a
    /// mistake, and choosing among its addresses would leave to chance which.
    async fn checked_addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, SendError> {
        let addresses = match &origin.host {
            Host::Ip(addr) => vec![SocketAddr::new(*addr, origin.port)],
            Host::Name(name) => {
                self.resolver.resolve(name, origin.port).await.map_err(|_| SendError::Dns)?
            }
        };
        for addr in &addresses {
            let checked = self.guard.check_for(origin.scheme, addr.ip());
            checked.map_err(SendError::ForbiddenAddress)?;
        }
        if addresses.is_empty() { Err(SendError::Dns) } else { Ok(addresses) }
    }
}

/// The most an answer's head may take.
const MAX_ANSWER_HEAD: usize = 32 * 1024;

/// The most hyper buffers of an answer before it is consumed.
const READ_BUFFER: usize = 64 * 1024;

/// The first address that accepts. Each but the last gets its fair part of the time left, so that one that
/// swallows packets leaves some for the next.
async fn dial_first(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, SendError> {
    let mut last = SendError::ConnectFailed;
    for (tried, addr) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let fair = left / (addresses.len() - tried) as u32;
        match timeout(fair, dial(*addr)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(why)) => last = SendError::from_dial(&why),
            Err(_) => last = SendError::ConnectFailed,
        }
    }
    Err(last)
}

#[expect(clippy::disallowed_methods, reason = "the one dial; its address has passed the guard")]
async fn dial(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
