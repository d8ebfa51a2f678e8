//! What wraps every request: its id, its duration, and the one log line of a failure.
//!
//! Ids are minted here and never taken from a caller. They hold eight bytes drawn at start and a count, so they are
//! unique over restarts and cost no chance per request. A request that fails on our side is logged once, here; what a
//! caller did wrong is only in the answer. Below debug level a successful request makes no span and no line.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use abide_core::shell::{Chance, draw};
use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument as _, Level};

use crate::problem::Unnumbered;
use crate::quota;
use crate::rejection::{Owner, Rejected};
use crate::router::Shared;

/// The header that carries a request's id on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Put on an answer by whoever gives up on a request: what the log says of it. Never shown to the caller.
#[derive(Debug, Clone)]
pub(crate) struct Failure(pub(crate) String);

/// Mints request ids.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: String,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(chance: &dyn Chance) -> Self {
        let process = u64::from_be_bytes(draw(chance));
        Self { process: format!("{process:016x}"), count: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("{}{:010x}", self.process, self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// The layer round every route. A service of our own: axum's middleware functions copy the routes behind them for each
/// request.
#[derive(Clone)]
pub(crate) struct Observe(pub(crate) Shared);

/// A route with its observer.
#[derive(Clone)]
pub(crate) struct Observed<S> {
    route: S,
    shared: Shared,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, route: S) -> Observed<S> {
        Observed { route, shared: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request> for Observed<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.route.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let about = About::of(&request);
        let handled = self.route.call(request);
        Box::pin(observe(Arc::clone(&self.shared), about, handled).map(Ok))
    }
}

/// What is said of a request.
struct About {
    owner: Owner,
    measured: bool,
    method: &'static str,
    matched: Option<MatchedPath>,
}

impl About {
    fn of(request: &Request) -> Self {
        Self {
            owner: Owner::of(request.uri().path()),
            measured: is_measured(request.uri().path()),
            method: method_name(request.method()),
            matched: request.extensions().get::<MatchedPath>().cloned(),
        }
    }
}

async fn observe(
    shared: Shared,
    about: About,
    handled: impl Future<Output = Result<Response, Infallible>>,
) -> Response {
    let started = Instant::now();
    let id = shared.request_ids.next();
    let About { owner, measured, method, matched } = about;
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);

    // A handler that panics shares nothing half-written with others: what is kept is kept by the store.
    let handled = AssertUnwindSafe(handled).catch_unwind();
    let (handled, quota) = if tracing::enabled!(Level::DEBUG) {
        let span = tracing::debug_span!("request", request = id, method, route);
        quota::noting(handled.instrument(span)).await
    } else {
        quota::noting(handled).await
    };
    let mut response = match handled {
        Ok(Ok(response)) => response,
        // The panic's own words may be personal and stay out of the answer and the log.
        Err(_) => owner.tell(Rejected::Broken("a handler panicked".to_owned())),
    };

    let elapsed = started.elapsed();
    if measured {
        shared.app.storage.metrics().request_seconds.observe(elapsed.as_secs_f64());
    }
    if owner == Owner::ConsentProof || quota.is_some() {
        quota::tell(response.headers_mut(), quota, || shared.app.clock.now());
    }
    let (status, millis) = (response.status().as_u16(), elapsed.as_millis() as u64);
    if let Some(Failure(reason)) = response.extensions_mut().remove::<Failure>() {
        tracing::error!(request = id, method, route, status, millis, reason, "request failed");
    } else {
        tracing::debug!(request = id, method, route, status, millis, "request answered");
    }
    if let Some(problem) = response.extensions_mut().remove::<Unnumbered>() {
        problem.write(&mut response, &id);
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Whether a path is one of an API's, whose times are kept: probes, metrics and pages would only hide them.
fn is_measured(path: &str) -> bool {
    Owner::of(path) == Owner::ConsentProof || path.starts_with("/abide/")
}

/// The method's name where it is one we know; other names are the caller's words and stay out of the log.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
