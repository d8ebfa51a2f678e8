//! Access tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4), for one endpoint.
//!
//! One fetch is under way at a time, and whoever needs a token meanwhile waits for it, up to its own deadline. The fetch
//! belongs to nobody: an attempt that stops waiting takes it from no other. It goes through the courier like every call
//! (I10), and what comes back is one token and its end, whatever the server says (I9).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::endpoint::{Authorization, ClientAuth, EndpointAuth};
use abide_core::ids::EndpointId;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::credentials::{basic, secret};
use crate::hub::Hub;
use crate::outbound::{Guard, SendError, Target, UserAgent, WireRequest};

/// Where an endpoint's tokens come from, and the one in use.
pub(crate) struct Tokens {
    endpoint: EndpointId,
    server: Target,
    request: WireRequest,
    state: Mutex<State>,
}

/// A token as it is sent.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) authorization: HeaderValue,
    /// Not taken for an attempt that begins then or later.
    until: Timestamp,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    under_way: Option<watch::Receiver<Option<Fetched>>>,
}

/// A token for all who wait, or nothing: why was told in the log.
type Fetched = Option<Token>;

/// How long a fetch may take, from look-up to the end of the answer.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);
/// The longest token: receivers take heads of 8 KiB and more.
const LONGEST_TOKEN: usize = 7 * 1024;
/// A token that does not say how long it lives, lives so many seconds.
const USUAL_LIFE: u64 = 300;
/// No token is used for longer, in seconds.
const LONGEST_LIFE: u64 = 24 * 3600;
/// A token is no longer used so many seconds before its end, or a quarter of its life where that is less: it must live
/// until the receiver looks at it, by the receiver's clock.
const MARGIN: u64 = 30;

impl Tokens {
    /// `None`: the token URL may not be called, or no tokens are fetched for this endpoint.
    pub(crate) fn of(endpoint: EndpointId, auth: &EndpointAuth, guard: &Guard) -> Option<Tokens> {
        let Some(Authorization::OAuth2 {
            token_url,
            client_id,
            client_secret,
            scope,
            audience,
            client_auth,
        }) = &auth.authorization
        else {
            return None;
        };
        let server = Target::parse(token_url, guard).ok()?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        if let Some(audience) = audience {
            form.append_pair("audience", audience);
        }
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ];
        match client_auth {
            ClientAuth::Basic => {
                // Each is a form value first (RFC 6749, section 2.3.1).
                let encoded = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                headers.push((AUTHORIZATION, basic(&encoded(client_id), &encoded(client_secret))?));
            }
            ClientAuth::Post => {
                form.append_pair("client_id", client_id);
                form.append_pair("client_secret", client_secret);
            }
        }
        let body = Bytes::from(form.finish()).into();
        let request = WireRequest { headers, body, user_agent: UserAgent::Abide };
        Some(Tokens { endpoint, server, request, state: Mutex::default() })
    }

    /// A token to send with, waiting for it until then at most.
    pub(crate) async fn take(self: &Arc<Self>, hub: &Arc<Hub>, until: Instant) -> Option<Token> {
        let mut fetch = match self.join(hub) {
            Joined::Token(token) => return Some(token),
            Joined::Fetch(fetch) => fetch,
        };
        // Fails when whoever fetched is gone: the runtime is shutting down.
        let fetched = timeout_at(until, fetch.wait_for(Option::is_some)).await.ok()?.ok()?;
        fetched.clone().flatten()
    }

    /// The receiver does not take that one any more.
    pub(crate) fn refused(&self, token: &Token) {
        let mut state = self.state.lock();
        let is_same = |one: &Token| one.authorization == token.authorization;
        if state.token.as_ref().is_some_and(is_same) {
            state.token = None;
        }
    }

    fn join(self: &Arc<Self>, hub: &Arc<Hub>) -> Joined {
        let mut state = self.state.lock();
        let now = hub.clock.now();
        if let Some(token) = state.token.as_ref().filter(|token| now < token.until) {
            return Joined::Token(token.clone());
        }
        // One whose task is gone answers nobody.
        let alive = |fetch: &&watch::Receiver<_>| fetch.has_changed().is_ok();
        if let Some(fetch) = state.under_way.as_ref().filter(alive) {
            return Joined::Fetch(fetch.clone());
        }
        let (tell, fetch) = watch::channel(None);
        state.under_way = Some(fetch.clone());
        drop(state);
        let (tokens, with) = (Arc::clone(self), Arc::clone(hub));
        hub.runtime.spawn(async move {
            let fetched = tokens.fetch(&with).await;
            let mut state = tokens.state.lock();
            state.token.clone_from(&fetched);
            state.under_way = None;
            drop(state);
            tell.send_replace(Some(fetched));
        });
        Joined::Fetch(fetch)
    }

    async fn fetch(&self, hub: &Hub) -> Fetched {
        let asked = hub.clock.now();
        let request = self.request.clone();
        let answered = hub.courier.send(&mut None, &self.server, request, FETCH_DEADLINE).await;
        let read = match answered.result {
            Err(why) => Err(TokenProblem::NoAnswer(why)),
            Ok(answer) if answer.truncated => Err(TokenProblem::TooLong),
            Ok(answer) => read(answer.status, &answer.body, asked),
        };
        match read {
            Ok(token) => Some(token),
            Err(why) => {
                let server = self.server.host();
                tracing::warn!(endpoint = %self.endpoint, %server, %why, "no access token");
                None
            }
        }
    }
}

enum Joined {
    Token(Token),
    Fetch(watch::Receiver<Option<Fetched>>),
}

/// Why there is no token, in words that hold nothing of what was sent or answered but a status and a code of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenProblem {
    NoAnswer(SendError),
    Status(u16, Option<&'static str>),
    TooLong,
    NotJson,
    NotBearer,
    BadToken,
}

/// What a token server answers (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<Seconds>,
}

/// Some servers write numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Denied {
    error: String,
}

/// The codes of the standard that such a request can meet.
const CODES: [&str; 6] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// Reads the answer to a request that was made at `asked`.
fn read(status: u16, body: &[u8], asked: Timestamp) -> Result<Token, TokenProblem> {
    if status != 200 {
        let denied = serde_json::from_slice::<Denied>(body).ok();
        let code = denied.and_then(|denied| CODES.into_iter().find(|code| *code == denied.error));
        return Err(TokenProblem::Status(status, code));
    }
    let granted: Granted = serde_json::from_slice(body).map_err(|_| TokenProblem::NotJson)?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err(TokenProblem::NotBearer);
    }
    let token = granted.access_token;
    let sound = (1..=LONGEST_TOKEN).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    let authorization =
        secret(&format!("Bearer {token}")).filter(|_| sound).ok_or(TokenProblem::BadToken)?;
    let life = match granted.expires_in {
        None => USUAL_LIFE,
        Some(Seconds::Whole(seconds)) => seconds,
        Some(Seconds::Fraction(seconds)) => seconds as u64,
        Some(Seconds::Text(text)) => text.trim().parse().unwrap_or(USUAL_LIFE),
    };
    let life = life.min(LONGEST_LIFE);
    let used = life - MARGIN.min(life / 4);
    Ok(Token { authorization, until: asked.plus_millis(used as i64 * 1000) })
}

impl fmt::Display for TokenProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(why) => write!(f, "the token server gave no answer: {why}"),
            Self::Status(status, Some(code)) => {
                write!(f, "the token server answered {status} ({code})")
            }
            Self::Status(status, None) => write!(f, "the token server answered {status}"),
            Self::TooLong => f.write_str("the token server's answer is too long"),
            Self::NotJson => f.write_str("the token server's answer holds no token in JSON"),
            Self::NotBearer => f.write_str("the token is not of type Bearer"),
            Self::BadToken => f.write_str("the token cannot be sent in a header"),
        }
    }
}

#[cfg(test)]
mod tests;
