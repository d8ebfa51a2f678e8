//! Which path goes where, and what every request passes through.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use tokio::sync::Semaphore;

use crate::App;
use crate::api::consentproof::{consent, policies, webhooks};
use crate::api::{abide, health, well_known};
use crate::body::BodyRoom;
use crate::caller::{TurnedAway, recognise};
use crate::key_uses::KeyUses;
use crate::observe::{Observe, RequestIds};
use crate::pages;
use crate::passwords::Passwords;
use crate::rejection::{CONSENTPROOF_PREFIXES, Owner, Rejected};
use crate::test_send;
use crate::throttle::{Throttle, ThrottleKey};

/// What handlers share.
pub(crate) type Shared = Arc<Inner>;

pub(crate) struct Inner {
    pub(crate) app: App,
    pub(crate) request_ids: RequestIds,
    pub(crate) body_room: BodyRoom,
    pub(crate) key_uses: KeyUses,
    pub(crate) passwords: Passwords,
    /// Permits for tests of endpoints.
    pub(crate) tests: Arc<Semaphore>,
    pub(crate) throttle: Throttle,
    /// Under what accounts are counted there: drawn at start, known to nobody.
    pub(crate) throttle_key: ThrottleKey,
}

/// How the server is, and nothing else: for a node that only delivers.
pub fn health_router(app: App) -> Router {
    let shared = shared(app);
    let mut router = Router::new();
    for (path, methods) in health() {
        router = router.route(path, methods);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(Observe(shared.clone()))
        .with_state(shared)
}

fn shared(app: App) -> Shared {
    let request_ids = RequestIds::new(app.chance.as_ref());
    Arc::new(Inner {
        request_ids,
        body_room: BodyRoom::default(),
        key_uses: KeyUses::default(),
        passwords: Passwords::new(app.chance.as_ref()),
        tests: Arc::new(Semaphore::new(test_send::AT_ONCE)),
        throttle: Throttle::default(),
        throttle_key: ThrottleKey::new(app.chance.as_ref()),
        app,
    })
}

/// The whole server as one service.
pub fn router(app: App) -> Router {
    let shared = shared(app);
    let mut router = Router::new();
    for (path, methods) in health().into_iter().chain(own()) {
        router = router.route(path, methods);
    }
    // The vendor's overview and its detail pages differ in the prefix: both are served (P9).
    for prefix in CONSENTPROOF_PREFIXES {
        for (path, methods) in consentproof() {
            router = router.route(&format!("{prefix}{path}"), methods);
        }
    }
    for route in abide::routes() {
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        // After the fallbacks above, so that the dashboard keeps its own.
        .merge(pages::router())
        .layer(Observe(shared.clone()))
        .with_state(shared)
}

fn health() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/healthz", get(health::healthz)),
        ("/readyz", get(health::readyz)),
        ("/metrics", get(health::metrics)),
    ]
}

fn own() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/openapi.json", get(abide::openapi::handler)),
        ("/docs", get(abide::docs::reference)),
        ("/docs/problems", get(abide::docs::problems)),
        ("/.well-known/webhook-keys/{id}", get(well_known::webhook_keys)),
    ]
}

fn consentproof() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/consent", post(consent::create::handler).get(consent::list::handler)),
        ("/consent/batch", post(consent::create_batch::handler)),
        ("/consent/user/{ref}", get(consent::list_of_user::handler)),
        ("/consent/verify", get(consent::verify::handler)),
        ("/consent/{id}", get(consent::get::handler).patch(consent::change::handler)),
        ("/consent/{id}/withdraw", post(consent::withdraw::handler)),
        ("/policies", post(policies::create::handler).get(policies::list::handler)),
        (
            "/policies/{id}",
            get(policies::get::handler)
                .patch(policies::change::handler)
                .delete(policies::delete::handler),
        ),
        ("/webhooks", post(webhooks::create::handler).get(webhooks::list::handler)),
        ("/webhooks/{id}/test", post(webhooks::test::handler)),
        (
            "/webhooks/{id}",
            get(webhooks::get::handler)
                .patch(webhooks::change::handler)
                .put(webhooks::replace::handler)
                .delete(webhooks::delete::handler),
        ),
        ("/webhooks/{id}/deliveries", get(webhooks::deliveries::handler)),
    ]
}

async fn no_such_path(State(shared): State<Shared>, request: Request) -> Response {
    turn_away(&shared, request, Rejected::NoSuchPath).await
}

async fn method_not_allowed(State(shared): State<Shared>, request: Request) -> Response {
    turn_away(&shared, request, Rejected::MethodNotAllowed).await
}

/// Nobody needs a key to hear that there is nothing, but under ConsentProof's paths who sends one is counted and told
/// their own limit (P33).
async fn turn_away(shared: &Shared, request: Request, reason: Rejected) -> Response {
    let (parts, _) = request.into_parts();
    let owner = Owner::of(parts.uri.path());
    if owner == Owner::ConsentProof
        && let Err(limited @ TurnedAway::TooMany { .. }) =
            recognise(&shared.app, &parts.headers, shared.app.clock.now()).await
    {
        return owner.tell(limited);
    }
    owner.tell(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_routed_twice() {
        let pages = pages::routes();
        let paths: Vec<_> = own()
            .iter()
            .map(|(path, _)| *path)
            .chain(pages.iter().map(|(path, _)| *path))
            .chain(consentproof().iter().map(|(path, _)| *path))
            .collect();
        let distinct: std::collections::HashSet<_> = paths.iter().collect();
        assert_eq!(distinct.len(), paths.len());
        assert!(pages.iter().all(|(path, _)| Owner::of(path) == Owner::Dashboard));
    }
}
