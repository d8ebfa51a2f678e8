//! HTTP: the JSON APIs and the dashboard.
//!
//! A handler unpacks, calls one operation of the store, wraps. What a caller sends is read in `input` and judged in
//! `abide-core`; who a caller is, `caller` says; each API has one type that becomes its errors
//! (`api::consentproof::envelope` for ConsentProof's paths, `problem` for Abide's own); `rejection` says whose a path is.
//!
//! Logs name route templates, request ids, statuses and durations. Bodies, query values, header values and paths as
//! sent never reach them (I11).

mod api;
mod body;
mod caller;
mod idempotency;
mod input;
mod key_uses;
mod observe;
mod pages;
mod passwords;
mod peer;
mod problem;
mod public_keys;
mod quota;
mod rejection;
mod router;
mod runtime;
mod serve;
mod test_send;
mod throttle;

use std::sync::Arc;

use abide_core::endpoint::{AuthProblem, EndpointAuth};
use abide_core::shell::{Chance, Clock};
use abide_storage::Storage;
use abide_storage::sealing::Secret;
use ipnet::IpNet;

pub use observe::REQUEST_ID;
pub use pages::cookies::Cookies;
pub use router::{health_router, router};
pub use runtime::runtime;
pub use serve::{Drained, Limits, serve};

/// The OpenAPI document of Abide's own API, as JSON with a line per entry: what `GET /openapi.json` answers.
pub fn openapi_json() -> String {
    // Texts, numbers and lists alone: this cannot fail.
    let mut text =
        serde_json::to_string_pretty(&api::abide::openapi::document()).unwrap_or_default();
    text.push('\n');
    text
}

/// What the server is made of; the binary wires it.
#[derive(Clone)]
pub struct App {
    /// Where everything is kept.
    pub storage: Arc<dyn Storage>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for webhook secrets and request ids.
    pub chance: Arc<dyn Chance>,
    /// What an endpoint may be given.
    pub endpoints: Arc<dyn EndpointPolicy>,
    /// Whether this node can do its work.
    pub ready: Arc<dyn Readiness>,
    /// How the dashboard is reached.
    pub dashboard: Dashboard,
}

/// How people reach the dashboard.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// Where browsers find it, without a slash at the end: `https://abide.example.org`.
    pub public_url: String,
    /// For https alone, or not.
    pub cookies: Cookies,
    /// Proxies whose word is taken for where a caller is.
    pub trusted_proxies: Vec<IpNet>,
}

impl Dashboard {
    /// The one-time link of a token that was issued to a user.
    pub fn link(&self, token: &Secret) -> String {
        format!("{}{}", self.public_url, link_path(token))
    }

    /// The one-time link of a token that was issued for an organization's first owner.
    pub fn welcome(&self, token: &Secret) -> String {
        format!("{}/welcome/{}", self.public_url, token.reveal())
    }

    /// Whether browsers that take the public URL at its word cannot sign in: the cookies are for https, it is not.
    pub fn needs_https(&self) -> bool {
        self.cookies == Cookies::Https && !self.public_url.starts_with("https://")
    }
}

/// The path of a user's one-time link.
pub fn link_path(token: &Secret) -> String {
    format!("/link/{}", token.reveal())
}

/// Judges what endpoints are given. The engine judges the same again at each send.
pub trait EndpointPolicy: Send + Sync {
    /// Whether an endpoint may have this URL; the error says what is allowed and does not repeat the URL.
    fn check_url(&self, url: &str) -> Result<(), String>;

    /// Everything for which this could not be used to prove Abide to an endpoint, by field: `auth.oauth2.token_url`.
    /// Nothing that was given is repeated (I12).
    fn check_auth(&self, auth: &EndpointAuth) -> Vec<AuthProblem>;
}

/// Says whether this node can do its work.
pub trait Readiness: Send + Sync {
    /// `Ok`, or why not: one reason a line.
    fn check(&self) -> Result<(), Vec<String>>;
}
