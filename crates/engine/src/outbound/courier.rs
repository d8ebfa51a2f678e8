//! One request, one answer, one deadline over everything between them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::body::{Body, Content};
use super::connect::Connector;
use super::{
    Answer, Arrival, ByteBudget, Connection, Guard, OverBudget, Resolve, SendError, Target,
};
use super::{Identity, OwnTls, Roots, StandIn, TlsRoots};
use super::{answer, tls};

/// The product's only way out (I10). One serves the whole process; it keeps no connections, its callers do.
pub struct Courier {
    connector: Connector,
    budget: ByteBudget,
    stand_in: Option<Arc<dyn StandIn>>,
}

/// A POST as a dialect rendered it.
#[derive(Debug, Clone)]
pub struct WireRequest {
    /// Headers beside those the courier sets itself: see [`is_courier_header`].
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What to send.
    pub body: Content,
    /// Who we say we are.
    pub user_agent: UserAgent,
}

/// The `User-Agent` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserAgent {
    /// `Abide/<version>`.
    #[default]
    Abide,
    /// None: some contracts have no such header (X38).
    Absent,
}

/// What an attempt came to.
#[derive(Debug)]
pub struct Answered {
    /// The answer, whatever its status, or why there is none.
    pub result: Result<Answer, SendError>,
    /// Did it go over a connection that was already open?
    pub reused: bool,
    /// From asking to knowing.
    pub elapsed: Duration,
}

/// Is this a header the courier sets itself, from the target and the body? One given in a [`WireRequest`] is left
/// out, so whoever lets people choose headers refuses these by name.
pub fn is_courier_header(name: &HeaderName) -> bool {
    COURIER_HEADERS.contains(name)
}

impl Courier {
    /// Fails if there is no certificate to trust, unless the roots say to go on without.
    pub fn new(
        guard: Guard,
        resolver: Arc<dyn Resolve>,
        roots: TlsRoots,
        budget: ByteBudget,
    ) -> Result<Courier, rustls::Error> {
        let tls = tls::of(roots)?;
        Ok(Courier { connector: Connector { guard, resolver, tls }, budget, stand_in: None })
    }

    /// One with no way out at all: what it is given to send goes to a stand-in for the network.
    pub fn simulated(
        guard: Guard,
        resolver: Arc<dyn Resolve>,
        budget: ByteBudget,
        network: Arc<dyn StandIn>,
    ) -> Courier {
        let connector = Connector { guard, resolver, tls: None };
        Courier { connector, budget, stand_in: Some(network) }
    }

    /// What may be called: also for reading URLs.
    pub fn guard(&self) -> &Guard {
        &self.connector.guard
    }

    /// A TLS that shows this identity and trusts these roots; what is left out is as for every receiver. Fails where
    /// that would trust nobody.
    pub fn own_tls(
        &self,
        identity: Option<Identity>,
        roots: Option<Roots>,
    ) -> Result<OwnTls, SendError> {
        OwnTls::of(self.connector.tls.as_ref(), identity, roots).ok_or(SendError::NoRoots)
    }

    /// The budget that answers draw on.
    pub fn budget(&self) -> &ByteBudget {
        &self.budget
    }

    /// Sends over the connection in `slot` if it is still open and leads to `target`, else over a new one, and
    /// leaves it in `slot` if it can carry another request.
    ///
    /// A redirect is an answer like any other: nothing is followed.
    pub async fn send(
        &self,
        slot: &mut Option<Connection>,
        target: &Target,
        request: WireRequest,
        deadline: Duration,
    ) -> Answered {
        let started = Instant::now();
        let until = started + deadline;
        let mut alarm = Alarm::of(slot, until);
        let mut attempt = Attempt {
            courier: self,
            target,
            until,
            arrival: Arrival::NotArrived,
            reused: false,
            slot: &mut *slot,
        };
        let ended = match &self.stand_in {
            None => alarm.before(until, attempt.run(request)).await,
            Some(stand_in) => {
                attempt.arrival = Arrival::Unknown;
                alarm.before(until, stand_in.carry(target, request)).await
            }
        };
        let result = match ended {
            Some(result) => result,
            None => Err(SendError::Timeout(attempt.arrival)),
        };
        let reused = attempt.reused;
        if let Some(connection) = slot {
            connection.keep(alarm);
        }
        Answered { result, reused, elapsed: started.elapsed() }
    }
}

/// What is known of an attempt, also when the deadline cuts it off.
struct Attempt<'a> {
    courier: &'a Courier,
    target: &'a Target,
    until: Instant,
    arrival: Arrival,
    reused: bool,
    slot: &'a mut Option<Connection>,
}

impl Attempt<'_> {
    /// A connection is out of the slot while it is in use: if anything goes wrong, or the deadline drops this
    /// future, it is closed.
    async fn run(&mut self, request: WireRequest) -> Result<Answer, SendError> {
        let WireRequest { headers, body, user_agent } = request;
        let body = Body::of(body, &self.courier.budget).await;
        let body = body.map_err(|OverBudget| SendError::OverBudget)?;
        let mut request = to_http(self.target, headers, body, user_agent);
        if let Some(mut connection) = self.idle() {
            self.reused = true;
            match self.exchange(&mut connection, request).await {
                Ok(answer) => return Ok(self.finish(connection, answer).await),
                Err(Failed::Unsent(unsent, _)) => request = *unsent,
                Err(Failed::Final(why)) => return Err(why),
            }
            self.reused = false;
        }
        // Rare and large: boxed, to keep the future of a send over an open connection small.
        let connecting = Box::pin(self.courier.connector.connect(self.target, self.until));
        let mut connection = connecting.await?;
        match self.exchange(&mut connection, request).await {
            Ok(answer) => Ok(self.finish(connection, answer).await),
            Err(Failed::Unsent(_, why) | Failed::Final(why)) => Err(why),
        }
    }

    /// The connection of the send before. A close that came since is met by the exchange, which gives the request back.
    fn idle(&mut self) -> Option<Connection> {
        self.slot.take().filter(|idle| idle.leads_to(self.target) && idle.is_ready())
    }

    async fn exchange(
        &mut self,
        connection: &mut Connection,
        request: Request<Body>,
    ) -> Result<Answer, Failed> {
        self.arrival = Arrival::Unknown;
        let response = match connection.exchange(request).await {
            Ok(response) => response,
            Err(mut why) => {
                return Err(match why.take_message() {
                    Some(unsent) => {
                        self.arrival = Arrival::NotArrived;
                        Failed::Unsent(Box::new(unsent), SendError::from_unsent(why.error()))
                    }
                    None => Failed::Final(SendError::from_exchange(why.error())),
                });
            }
        };
        answer::read(connection, response, &self.courier.budget)
            .await
            .map_err(|why| Failed::Final(SendError::from_exchange(&why)))
    }

    async fn finish(&mut self, mut connection: Connection, answer: Answer) -> Answer {
        if !answer.truncated && (connection.is_ready() || connection.is_open().await) {
            *self.slot = Some(connection);
        }
        answer
    }
}

enum Failed {
    /// hyper gave the request back: no byte of it was written. With what closed the connection.
    Unsent(Box<Request<Body>>, SendError),
    Final(SendError),
}

static COURIER_HEADERS: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::TE,
    header::TRAILER,
];

fn to_http(
    target: &Target,
    given: Vec<(HeaderName, HeaderValue)>,
    body: Body,
    user_agent: UserAgent,
) -> Request<Body> {
    let mut headers = HeaderMap::with_capacity(given.len() + 3);
    headers.insert(header::HOST, target.origin().host_header.clone());
    if user_agent == UserAgent::Abide {
        let value = HeaderValue::from_static(concat!("Abide/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::USER_AGENT, value);
    }
    if body.is_empty() {
        // hyper writes the length of a body itself, but is silent about none.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    for (name, value) in given {
        if !is_courier_header(&name) {
            headers.append(name, value);
        }
    }
    let mut http = Request::new(body);
    *http.method_mut() = Method::POST;
    *http.uri_mut() = target.uri().clone();
    *http.headers_mut() = headers;
    http
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("guard", self.guard()).finish_non_exhaustive()
    }
}
