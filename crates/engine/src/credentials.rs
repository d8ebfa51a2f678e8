//! How Abide proves itself to an endpoint beside its signature, made ready to be sent, and kept for as long as neither
//! that nor the endpoint's URL changes: tokens and connections outlive other changes.
//!
//! It fails closed: where any of it cannot be used, attempts end unsent, and nothing is sent without it.

use std::fmt;
use std::sync::Arc;

use abide_core::consent::hash::sha256;
use abide_core::delivery::ErrorClass;
use abide_core::endpoint::{AuthProblem, Authorization, EndpointAuth};
use abide_storage::endpoints::SendingEndpoint;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::hub::Hub;
use crate::outbound::{
    Answered, Connection, Courier, Identity, Roots, Scheme, Target, UserAgent, WireRequest,
};
use crate::policy::of_certificate;
use crate::tokens::{Token, Tokens};

/// What goes with every request to an endpoint.
pub(crate) struct Credentials {
    /// The hash of what it was made of.
    made_of: [u8; 32],
    /// The endpoint's place, reached by its own TLS if it has one.
    pub(crate) target: Target,
    headers: Vec<(HeaderName, HeaderValue)>,
    user_agent: UserAgent,
    tokens: Option<Arc<Tokens>>,
}

/// Why an endpoint cannot be sent anything, and the field that is to blame.
pub(crate) struct Unusable {
    pub(crate) class: ErrorClass,
    pub(crate) field: String,
}

/// What one attempt proves Abide by.
pub(crate) enum Proof {
    /// What is the same for all.
    Fixed,
    /// A token that was good when it was asked for.
    Token(Token),
}

impl Credentials {
    /// Makes them ready.
    pub(crate) fn of(
        row: &SendingEndpoint,
        target: Target,
        courier: &Courier,
    ) -> Result<Arc<Credentials>, Unusable> {
        let SendingEndpoint { auth, url, .. } = row;
        let made_of = sha256(&serde_json::to_vec(&(url, auth)).unwrap_or_default());
        if let Some(problem) = auth.check().into_iter().next() {
            return Err(problem.into());
        }
        let target = with_own_tls(auth, target, courier)?;
        let (headers, user_agent) = (Vec::new(), UserAgent::Abide);
        let mut own = Credentials { made_of, target, headers, user_agent, tokens: None };
        for header in &auth.headers {
            let unusable = || Unusable::field(format!("auth.headers.{}", header.name));
            let name = HeaderName::try_from(&header.name).map_err(|_| unusable())?;
            if name == USER_AGENT {
                own.user_agent = UserAgent::Absent;
            }
            let value = secret(&header.value).ok_or_else(unusable)?;
            own.headers.push((name, value));
        }
        match &auth.authorization {
            None => {}
            Some(Authorization::OAuth2 { .. }) => {
                let unusable = || Unusable::field("auth.oauth2.token_url");
                let tokens = Tokens::of(row.id, auth, courier.guard()).ok_or_else(unusable)?;
                own.tokens = Some(Arc::new(tokens));
            }
            Some(Authorization::Basic { username, password }) => {
                let value = basic(username, password);
                let value = value.ok_or_else(|| Unusable::field("auth.basic"))?;
                own.headers.push((AUTHORIZATION, value));
            }
            Some(Authorization::Bearer { token }) => {
                let value = secret(&format!("Bearer {token}"));
                let value = value.ok_or_else(|| Unusable::field("auth.bearer.token"))?;
                own.headers.push((AUTHORIZATION, value));
            }
        }
        Ok(Arc::new(own))
    }

    /// Whether both were made of the same, at the same URL.
    pub(crate) fn are_made_as(&self, other: &Credentials) -> bool {
        self.made_of == other.made_of
    }

    /// Whether proving takes a token, which may have to be fetched.
    pub(crate) fn take_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// What the next attempt proves Abide by, waiting for it until then at most. `None`: there is no token to be had.
    pub(crate) async fn proof(&self, hub: &Arc<Hub>, until: Instant) -> Option<Proof> {
        match &self.tokens {
            None => Some(Proof::Fixed),
            Some(tokens) => tokens.take(hub, until).await.map(Proof::Token),
        }
    }

    /// Sends a request with them. A token that the receiver refuses (401) is dropped, and the same request goes out once
    /// more with another; the answer to that one counts. Where there is no other, the refusal is the answer.
    pub(crate) async fn send(
        &self,
        hub: &Arc<Hub>,
        connection: &mut Option<Connection>,
        mut request: WireRequest,
        proof: Proof,
        until: Instant,
    ) -> Answered {
        let target = &self.target;
        request.headers.extend(self.headers.iter().cloned());
        request.user_agent = self.user_agent;
        let (tokens, token) = match (&self.tokens, proof) {
            (Some(tokens), Proof::Token(token)) => (tokens, token),
            (_, Proof::Fixed | Proof::Token(_)) => {
                return hub.courier.send(connection, target, request, left(until)).await;
            }
        };
        let with = |token: &Token| {
            let mut request = request.clone();
            request.headers.push((AUTHORIZATION, token.authorization.clone()));
            request
        };
        let first = hub.courier.send(connection, target, with(&token), left(until)).await;
        if !is_refusal(&first) {
            return first;
        }
        tokens.refused(&token);
        match tokens.take(hub, until).await {
            Some(another) if hub.pulse.may_send() => {
                drop(first);
                let second =
                    hub.courier.send(connection, target, with(&another), left(until)).await;
                if is_refusal(&second) {
                    tokens.refused(&another);
                }
                second
            }
            Some(_) | None => first,
        }
    }
}

/// Whether the receiver does not believe who asks (RFC 6750, section 3.1).
fn is_refusal(answered: &Answered) -> bool {
    let unauthorized = StatusCode::UNAUTHORIZED.as_u16();
    answered.result.as_ref().is_ok_and(|answer| answer.status == unauthorized)
}

impl Unusable {
    fn field(field: impl Into<String>) -> Self {
        Self { class: ErrorClass::AuthUnusable, field: field.into() }
    }
}

impl From<AuthProblem> for Unusable {
    fn from(problem: AuthProblem) -> Self {
        Self::field(problem.field)
    }
}

/// Names and kinds only (I12).
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Credentials")
            .field("headers", &names)
            .field("tokens", &self.tokens.is_some())
            .finish_non_exhaustive()
    }
}

/// RFC 7617, in UTF-8.
pub(crate) fn basic(username: &str, password: &str) -> Option<HeaderValue> {
    secret(&format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))))
}

/// A header value that no log shows.
pub(crate) fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn left(until: Instant) -> std::time::Duration {
    until.saturating_duration_since(Instant::now())
}

fn with_own_tls(
    auth: &EndpointAuth,
    target: Target,
    courier: &Courier,
) -> Result<Target, Unusable> {
    let unusable = |why| Unusable::from(of_certificate(why));
    let shown = auth.client_certificate.as_ref();
    let identity = shown.map(|shown| Identity::from_pem(&shown.chain, &shown.key)).transpose();
    let identity = identity.map_err(unusable)?;
    let roots = auth.trusted_roots.as_deref().map(Roots::from_pem).transpose();
    let roots = roots.map_err(unusable)?;
    if identity.is_none() && roots.is_none() {
        return Ok(target);
    }
    if target.scheme() == Scheme::Http {
        // Nobody would be shown a certificate, and nobody's would be looked at.
        let field =
            if identity.is_some() { "auth.client_certificate" } else { "auth.trusted_roots" };
        return Err(Unusable::field(field));
    }
    let tls = courier.own_tls(identity, roots);
    let lacking = |why: crate::outbound::SendError| Unusable {
        class: why.class(),
        field: "auth.client_certificate".to_owned(),
    };
    Ok(target.by(tls.map_err(lacking)?))
}
