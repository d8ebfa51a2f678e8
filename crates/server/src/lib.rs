//! HTTP: the JSON APIs.
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
mod observe;
mod problem;
mod rejection;
mod router;
mod runtime;
mod serve;
mod test_send;

use std::sync::Arc;

use abide_core::shell::{Chance, Clock};
use abide_storage::Storage;

pub use observe::REQUEST_ID;
pub use router::router;
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
    /// Which URLs an endpoint may have.
    pub urls: Arc<dyn UrlPolicy>,
    /// Whether this node can do its work.
    pub ready: Arc<dyn Readiness>,
}

/// Judges the URLs that endpoints are given. The engine's guard judges again at each send, by address.
pub trait UrlPolicy: Send + Sync {
    /// Whether an endpoint may have this URL; the error says what is allowed and does not repeat the URL.
    fn check(&self, url: &str) -> Result<(), String>;
}

/// Says whether this node can do its work.
pub trait Readiness: Send + Sync {
    /// `Ok`, or why not: one reason a line.
    fn check(&self) -> Result<(), Vec<String>>;
}
