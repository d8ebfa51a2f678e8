//! Dialling: resolve, judge every address, connect to exactly those, TLS under the original name, hyper.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::poll_fn;
use http::{Request, Response};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::alarm::Alarm;
use super::body::Body;
use super::stream::Stream;
use super::target::Origin;
use super::tls::{OwnTls, Tls};
use super::{Guard, Host, Resolve, Scheme, SendError, Target};

/// An open connection to one receiver, kept by the caller between sends.
///
/// It has no task of its own: whoever sends over it also drives it, so an exchange costs no wake-up across tasks.
/// Dropping it closes it.
pub struct Connection {
    sender: SendRequest<Body>,
    driver: Driver,
    origin: Arc<Origin>,
    alarm: Option<Alarm>,
}

/// hyper's half of the connection, until it has ended: it is never polled after that, and its socket closes at once.
struct Driver(Option<Pin<Box<Http1>>>);

type Http1 = http1::Connection<TokioIo<Stream>, Body>;

/// What comes back when a request was never written.
pub(super) type Unsent = hyper::client::conn::TrySendError<Request<Body>>;

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

    /// Can it carry another request, as far as was heard?
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    async fn over(stream: Stream, origin: Arc<Origin>) -> Result<Connection, SendError> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .max_header_size(MAX_ANSWER_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|why| SendError::from_exchange(&why))?;
        Ok(Connection { sender, driver: Driver(Some(Box::pin(driver))), origin, alarm: None })
    }

    /// Keeps an alarm for the next send.
    pub(super) fn keep(&mut self, alarm: Alarm) {
        self.alarm = Some(alarm);
    }

    /// The alarm of the send before.
    pub(super) fn take_alarm(&mut self) -> Option<Alarm> {
        self.alarm.take()
    }

    pub(super) fn leads_to(&self, target: &Target) -> bool {
        let origin = target.origin();
        Arc::ptr_eq(&self.origin, origin) || self.origin == *origin
    }

    /// Writes a request and reads the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Body>,
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
    /// `None`: nobody can prove who they are, so https leads nowhere.
    pub(super) tls: Option<Tls>,
}

impl Connector {
    pub(super) async fn connect(
        &self,
        target: &Target,
        until: Instant,
    ) -> Result<Connection, SendError> {
        let origin = target.origin();
        let everybodys = || self.tls.as_ref().map(|tls| tls.connector.clone());
        let tls = match origin.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let tls = origin.tls.as_ref().map(OwnTls::connector).or_else(everybodys);
                Some(tls.ok_or(SendError::NoRoots)?)
            }
        };
        let addresses = self.checked_addresses(origin).await?;
        let tcp = dial_first(&addresses, until).await?;
        let stream = match tls {
            None => Stream::Clear(tcp),
            Some(tls) => {
                let dialled = tls.connect(origin.server_name.clone(), tcp).await;
                Stream::Tls(Box::new(dialled.map_err(|why| SendError::from_handshake(&why))?))
            }
        };
        Connection::over(stream, Arc::clone(origin)).await
    }

    /// One refused address refuses the whole name: a name with a public and a private face is an attack or a
    /// mistake, and choosing among its addresses would leave to chance which.
    async fn checked_addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, SendError> {
        let addresses = match &origin.host {
            Host::Ip(addr) => vec![SocketAddr::new(*addr, origin.port)],
            Host::Name(name) => {
                let found = self.resolver.resolve(name, origin.port).await;
                found.map_err(|why| SendError::from_look_up(&why))?
            }
        };
        for addr in &addresses {
            let checked = self.guard.check_for(origin.scheme, addr.ip());
            checked.map_err(SendError::ForbiddenAddress)?;
        }
        Ok(addresses)
    }
}

/// The most an answer's head may take.
const MAX_ANSWER_HEAD: usize = 32 * 1024;

/// The most hyper buffers of an answer before it is consumed.
const READ_BUFFER: usize = 64 * 1024;

/// The first address that accepts. Each but the last gets its fair part of the time left, so that one that
/// swallows packets leaves some for the next; the last has the attempt's own deadline.
async fn dial_first(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, SendError> {
    let mut failed = SendError::Dns;
    for (tried, addr) in addresses.iter().enumerate() {
        let untried = addresses.len() - tried;
        let dialled = if untried == 1 {
            dial(*addr).await
        } else {
            let left = until.saturating_duration_since(Instant::now());
            let fair = timeout(left / untried as u32, dial(*addr)).await;
            fair.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match dialled {
            Ok(tcp) => return Ok(tcp),
            Err(why) => failed = SendError::from_dial(&why),
        }
    }
    Err(failed)
}

#[expect(clippy::disallowed_methods, reason = "the one dial; its address has passed the guard")]
async fn dial(addr: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::Full;
    use tokio::net::TcpListener;

    use super::super::Arrival;
    use super::*;

    const PATIENT: Duration = Duration::from_mins(1);

    /// A connection and the receiver's end of it.
    async fn connected() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let guard = Guard { dev_loopback_http: true, ..Guard::default() };
        let addr = listener.local_addr().unwrap();
        let target = Target::parse(&format!("http://{addr}/"), &guard).unwrap();
        let stream = Stream::Clear(dial(addr).await.unwrap());
        let connection = Connection::over(stream, Arc::clone(target.origin())).await.unwrap();
        (connection, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_close_is_noticed_while_idle() {
        let (mut connection, peer) = connected().await;
        assert!(connection.is_open().await);
        drop(peer);
        let noticed = async {
            while connection.is_open().await {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENT, noticed).await.unwrap();
    }

    /// Looks nothing up.
    #[derive(Debug)]
    struct Blind;

    #[async_trait::async_trait]
    impl Resolve for Blind {
        async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
            panic!("{host} was looked up")
        }
    }

    /// I10: without root certificates an https receiver is not even looked up, and the error says why; plain http goes
    /// its way.
    #[tokio::test]
    async fn without_roots_https_leads_nowhere() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let guard = Guard { allow: vec!["127.0.0.0/8".parse().unwrap()], dev_loopback_http: true };
        let connector = Connector { guard, resolver: Arc::new(Blind), tls: None };
        let connect = async |url: String| {
            let target = Target::parse(&url, &connector.guard).unwrap();
            connector.connect(&target, Instant::now() + PATIENT).await
        };
        for host in [addr.to_string(), "hooks.test".to_owned()] {
            let why = connect(format!("https://{host}/")).await.err().unwrap();
            assert_eq!((why, why.arrival()), (SendError::NoRoots, Arrival::NotArrived));
            assert_eq!(why.class().as_str(), "no_root_certificates");
        }
        assert!(connect(format!("http://{addr}/")).await.is_ok());
    }

    /// The race that `is_open` cannot win: the receiver closes just after it was asked.
    #[tokio::test]
    async fn a_request_that_was_never_written_comes_back() {
        let (mut connection, peer) = connected().await;
        assert!(connection.is_open().await);
        drop(peer);
        let _later = connected().await; // the runtime has heard of the close once it has heard of this
        let request = Request::new(Body::Whole(Full::new(Bytes::from_static(b"x"))));
        let sent = timeout(PATIENT, connection.exchange(request)).await.unwrap();
        assert!(sent.unwrap_err().take_message().is_some());
        assert!(!connection.is_open().await);
    }
}
