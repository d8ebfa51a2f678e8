//! Which path goes where, and what every request passes through.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use crate::App;
use crate::api::consentproof::envelope::ApiError;
use crate::api::consentproof::{consent, policies, webhooks};
use crate::api::health;
use crate::body::BodyRoom;
use crate::observe::{Observe, RequestIds};
use crate::problem::Problem;

/// What handlers share.
pub(crate) type Shared = Arc<Inner>;

pub(crate) struct Inner {
    pub(crate) app: App,
    pub(crate) request_ids: RequestIds,
    pub(crate) body_room: BodyRoom,
}

/// The whole server as one service.
pub fn router(app: App) -> Router {
    let request_ids = RequestIds::new(app.chance.as_ref());
    let shared = Arc::new(Inner { app, request_ids, body_room: BodyRoom::default() });
    let mut router = Router::new();
    for (path, methods) in own() {
        router = router.route(path, methods);
    }
    // The vendor's overview and its detail pages differ in the prefix: both are served (P9).
    for prefix in CONSENTPROOF_PREFIXES {
        for (path, methods) in consentproof() {
            router = router.route(&format!("{prefix}{path}"), methods);
        }
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(Observe(shared.clone()))
        .with_state(shared)
}

/// Where ConsentProof's paths begin.
const CONSENTPROOF_PREFIXES: [&str; 2] = ["/v1", "/api/v1"];

fn own() -> [(&'static str, MethodRouter<Shared>); 3] {
    [
        ("/healthz", get(health::healthz)),
        ("/readyz", get(health::readyz)),
        ("/metrics", get(health::metrics)),
    ]
}

fn consentproof() -> [(&'static str, MethodRouter<Shared>); 8] {
    [
        ("/consent", post(consent::create::handler)),
        ("/consent/batch", post(consent::create_batch::handler)),
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
        (
            "/webhooks/{id}",
            get(webhooks::get::handler)
                .patch(webhooks::change::handler)
                .put(webhooks::replace::handler)
                .delete(webhooks::delete::handler),
        ),
    ]
}

/// Whether errors under this path are told in ConsentProof's envelope.
pub(crate) fn is_consentproof(path: &str) -> bool {
    CONSENTPROOF_PREFIXES.iter().any(|prefix| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

async fn no_such_path(request: Request) -> Response {
    if is_consentproof(request.uri().path()) {
        ApiError::no_such_path().into_response()
    } else {
        Problem::NoSuchPath.into_response()
    }
}

async fn method_not_allowed(request: Request) -> Response {
    if is_consentproof(request.uri().path()) {
        ApiError::method_not_allowed().into_response()
    } else {
        Problem::MethodNotAllowed.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_path_is_told_by_its_prefix() {
        for path in ["/v1", "/v1/", "/v1/consent", "/api/v1/x"] {
            assert!(is_consentproof(path), "{path}");
        }
        for path in ["/", "/v12", "/api", "/abide/v1/x", "/healthz", "//v1/x"] {
            assert!(!is_consentproof(path), "{path}");
        }
    }

    #[test]
    fn no_path_is_routed_twice() {
        let paths: Vec<_> = own()
            .iter()
            .map(|(path, _)| *path)
            .chain(consentproof().iter().map(|(path, _)| *path))
            .collect();
        let distinct: std::collections::HashSet<_> = paths.iter().collect();
        assert_eq!(distinct.len(), paths.len());
    }
}
