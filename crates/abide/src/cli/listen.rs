//! `abide listen`: a receiver that verifies what it gets as the dialect says, and prints a line for each.
//!
//! With `--forward` it passes them on to a server of one's own, and answers what that one answers. Its lines hold ids, types and sizes, and nothing of the bodies, which are about people.

mod forward;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use abide_core::shell::Clock as _;
use abide_dialects::{Dialect, Received, Rejection, Verified};
use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use self::forward::{Forwarded, Forwarding};
use super::dialect_called;
use crate::clock::SystemClock;
use crate::config::{Usage, address};
use crate::outgoing::PlainHttp;
use crate::signals::Signals;
use crate::terminal::say;

/// Webhooks are below 100 kB; this leaves room for doubt and none for harm.
const BODY_LIMIT: usize = 4 << 20;
/// Event ids kept for telling duplicates.
const REMEMBERED: usize = 1 << 18;

/// Where it listens unless told otherwise.
pub(crate) const DEFAULT_RECEIVER: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8421);

#[derive(Args)]
pub(crate) struct Options {
    /// The wire contract to verify by: consentproof, standard_webhooks
    #[arg(long)]
    dialect: String,
    /// The webhook's signing secret, or its public key where it has one
    #[arg(long, env = "ABIDE_LISTEN_SECRET", hide_env_values = true)]
    secret: String,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value_t = DEFAULT_RECEIVER, value_parser = address)]
    listen: SocketAddr,
    /// What to answer to verified webhooks; others are answered 401
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
    /// Pass verified webhooks on to this URL, headers and body as they came, and answer its status; 502 where it gives no
    /// answer, so that the sender tries again
    #[arg(long, value_name = "URL", conflicts_with = "status")]
    forward: Option<String>,
    #[command(flatten)]
    plain_http: PlainHttp,
    /// How long to wait before answering
    #[arg(long, value_name = "N", default_value_t = 0)]
    delay_ms: u64,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    /// Stop when standard input ends, so as not to outlive whoever started this
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// A line of the receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// Where it listens: the first line.
    Listening(SocketAddr),
    /// A webhook that verified.
    Verified {
        /// Its type in the dialect's words.
        event_type: String,
        /// Its event's id.
        event_id: String,
        /// Whether this id came before.
        duplicate: bool,
        /// The body's length.
        bytes: usize,
        /// What was answered.
        status: u16,
        /// What came of passing it on, where that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forwarded: Option<Forwarded>,
    },
    /// A request that did not.
    Refused {
        /// Why.
        why: String,
        /// The body's length, as far as it was read.
        bytes: usize,
        /// What was answered.
        status: u16,
    },
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let dialect = dialect_called(&options.dialect)?;
    // The text of the problem says what is allowed and never what was given.
    dialect.check_held(&options.secret).map_err(|problem| Usage(format!("--secret {problem}")))?;
    let status = StatusCode::from_u16(options.status).context("no HTTP status")?;
    let forwarding = match &options.forward {
        Some(url) => Some(Forwarding::new(options.plain_http.judge("--forward", url)?)?),
        None => None,
    };
    let mut signals = Signals::catch()?;
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!("cannot listen on {}: choose another address with --listen", options.listen)
    })?;
    print(options.json, &Line::Listening(listener.local_addr()?));
    let receiver = Receiver {
        dialect,
        secret: options.secret,
        status,
        forwarding,
        delay: Duration::from_millis(options.delay_ms),
        json: options.json,
        seen: Mutex::default(),
    };
    let router = Router::new().fallback(receive).with_state(Arc::new(receiver));
    tokio::select! {
        served = axum::serve(listener, router) => served.context("the receiver stopped"),
        () = signals.next() => Ok(()),
        () = end_of_stdin(), if options.until_stdin_ends => Ok(()),
    }
}

struct Receiver {
    dialect: &'static dyn Dialect,
    secret: String,
    status: StatusCode,
    forwarding: Option<Forwarding>,
    delay: Duration,
    json: bool,
    seen: Mutex<Seen>,
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    let line = receiver.answer(&parts.headers, body).await;
    if !receiver.delay.is_zero() {
        tokio::time::sleep(receiver.delay).await;
    }
    print(receiver.json, &line);
    line.status()
}

impl Receiver {
    async fn answer(&self, headers: &HeaderMap, body: Body) -> Line {
        let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
            return Line::Refused {
                why: format!("the body is cut off or longer than {BODY_LIMIT} bytes"),
                bytes: 0,
                status: StatusCode::PAYLOAD_TOO_LARGE.as_u16(),
            };
        };
        let bytes = body.len();
        let verified = match self.verify(headers, body.clone()) {
            Ok(verified) => verified,
            Err(rejection) => {
                let status = StatusCode::UNAUTHORIZED.as_u16();
                return Line::Refused { why: rejection.to_string(), bytes, status };
            }
        };
        let forwarded = match &self.forwarding {
            Some(forwarding) => Some(forwarding.forward(headers, body).await),
            None => None,
        };
        Line::Verified {
            duplicate: self.remember(&verified.event_id),
            event_type: verified.event_type,
            event_id: verified.event_id,
            bytes,
            status: forwarded.as_ref().map_or(self.status.as_u16(), Forwarded::answer),
            forwarded,
        }
    }

    fn verify(&self, headers: &HeaderMap, body: Bytes) -> Result<Verified, Rejection> {
        let headers = headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let received = Received { headers: headers.collect(), body };
        self.dialect.verify(&received, &self.secret, SystemClock.now())
    }

    /// Whether the id came before.
    fn remember(&self, event_id: &str) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).again(event_id)
    }
}

/// The last so many event ids.
#[derive(Default)]
struct Seen {
    ids: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Seen {
    fn again(&mut self, id: &str) -> bool {
        if self.ids.contains(id) {
            return true;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.ids.insert(id);
        false
    }
}

impl Line {
    fn status(&self) -> StatusCode {
        match self {
            Self::Listening(_) => StatusCode::OK,
            Self::Verified { status, .. } | Self::Refused { status, .. } => {
                StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening(address) => write!(f, "listening on http://{address}"),
            Self::Verified { event_type, event_id, duplicate, bytes, status, forwarded } => {
                let first = if *duplicate { "duplicate" } else { "first" };
                write!(f, "{event_type:<21} {event_id}  verified  {first}  {bytes} bytes")?;
                if let Some(forwarded) = forwarded {
                    write!(f, "  {forwarded}")?;
                }
                write!(f, "  -> {status}")
            }
            Self::Refused { why, bytes, status } => {
                write!(f, "NOT VERIFIED: {why}  {bytes} bytes  -> {status}")
            }
        }
    }
}

/// A line on its own: what comes from outside in it cannot begin another.
fn print(json: bool, line: &Line) {
    if json {
        say(serde_json::to_string(line).unwrap_or_default());
    } else {
        let text: String =
            line.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        say(text);
    }
}

async fn end_of_stdin() {
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    while input.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}
