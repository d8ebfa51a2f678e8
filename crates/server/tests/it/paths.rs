//! Whose each path is, and what holds on all of them.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::support::{PANICS, Reply, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Abide,
    ConsentProof,
    Dashboard,
}

/// Every bare path and its one owner, named by the form of its errors.
const PATHS: &[(&str, Owner)] = &[
    ("/", Owner::Dashboard),
    ("/account", Owner::Dashboard),
    ("/account/name", Owner::Dashboard),
    ("/account/password", Owner::Dashboard),
    ("/account/sessions/end", Owner::Dashboard),
    ("/account/sessions/{id}/end", Owner::Dashboard),
    ("/assets/{id}", Owner::Dashboard),
    ("/audit", Owner::Dashboard),
    ("/deliveries", Owner::Dashboard),
    ("/deliveries/{id}", Owner::Dashboard),
    ("/deliveries/{id}/retry", Owner::Dashboard),
    ("/endpoints", Owner::Dashboard),
    ("/endpoints/new", Owner::Dashboard),
    ("/endpoints/{id}", Owner::Dashboard),
    ("/endpoints/{id}/authentication", Owner::Dashboard),
    ("/endpoints/{id}/authentication/remove", Owner::Dashboard),
    ("/endpoints/{id}/delete", Owner::Dashboard),
    ("/endpoints/{id}/end-replaced-secrets", Owner::Dashboard),
    ("/endpoints/{id}/pause", Owner::Dashboard),
    ("/endpoints/{id}/resume", Owner::Dashboard),
    ("/endpoints/{id}/rotate", Owner::Dashboard),
    ("/endpoints/{id}/secret", Owner::Dashboard),
    ("/endpoints/{id}/test", Owner::Dashboard),
    ("/jobs", Owner::Dashboard),
    ("/jobs/new", Owner::Dashboard),
    ("/jobs/{id}", Owner::Dashboard),
    ("/jobs/{id}/cancel", Owner::Dashboard),
    ("/keys", Owner::Dashboard),
    ("/keys/new", Owner::Dashboard),
    ("/keys/{id}/credential", Owner::Dashboard),
    ("/keys/{id}/revoke", Owner::Dashboard),
    ("/link/{id}", Owner::Dashboard),
    ("/sign-in", Owner::Dashboard),
    ("/sign-out", Owner::Dashboard),
    ("/users", Owner::Dashboard),
    ("/users/new", Owner::Dashboard),
    ("/users/{id}", Owner::Dashboard),
    ("/users/{id}/disable", Owner::Dashboard),
    ("/users/{id}/enable", Owner::Dashboard),
    ("/users/{id}/link", Owner::Dashboard),
    ("/users/{id}/sessions/end", Owner::Dashboard),
    ("/welcome/{id}", Owner::Dashboard),
    ("/abide/v1/audit", Owner::Abide),
    ("/abide/v1/decisions", Owner::Abide),
    ("/abide/v1/deliveries", Owner::Abide),
    ("/abide/v1/deliveries/{id}", Owner::Abide),
    ("/abide/v1/deliveries/{id}/retry", Owner::Abide),
    ("/abide/v1/endpoints/{id}/stats", Owner::Abide),
    ("/abide/v1/event-kinds", Owner::Abide),
    ("/abide/v1/events", Owner::Abide),
    ("/abide/v1/events/{id}", Owner::Abide),
    ("/abide/v1/jobs", Owner::Abide),
    ("/abide/v1/jobs/{id}", Owner::Abide),
    ("/abide/v1/jobs/{id}/cancel", Owner::Abide),
    ("/abide/v1/endpoints", Owner::Abide),
    ("/abide/v1/endpoints/{id}", Owner::Abide),
    ("/abide/v1/endpoints/{id}/pause", Owner::Abide),
    ("/abide/v1/endpoints/{id}/resume", Owner::Abide),
    ("/abide/v1/endpoints/{id}/test", Owner::Abide),
    ("/abide/v1/endpoints/{id}/rotate-secret", Owner::Abide),
    ("/abide/v1/endpoints/{id}/end-replaced-secrets", Owner::Abide),
    ("/abide/v1/users", Owner::Abide),
    ("/abide/v1/users/{id}", Owner::Abide),
    ("/abide/v1/users/{id}/disable", Owner::Abide),
    ("/abide/v1/users/{id}/enable", Owner::Abide),
    ("/abide/v1/users/{id}/link", Owner::Abide),
    ("/abide/v1/keys", Owner::Abide),
    ("/abide/v1/keys/{id}", Owner::Abide),
    ("/abide/v1/nodes", Owner::Abide),
    ("/abide/v1/organization", Owner::Abide),
    ("/abide/v1/organizations", Owner::Abide),
    ("/abide/v1/purposes", Owner::Abide),
    ("/abide/v1/purposes/{id}", Owner::Abide),
    ("/abide/v1/stats", Owner::Abide),
    ("/abide/v1/subjects/erase", Owner::Abide),
    ("/docs", Owner::Abide),
    ("/docs/problems", Owner::Abide),
    ("/.well-known/webhook-keys/{id}", Owner::Abide),
    ("/healthz", Owner::Abide),
    ("/metrics", Owner::Abide),
    ("/openapi.json", Owner::Abide),
    ("/readyz", Owner::Abide),
    ("/v1/consent", Owner::ConsentProof),
    ("/v1/consent/batch", Owner::ConsentProof),
    ("/v1/consent/user/{id}", Owner::ConsentProof),
    ("/v1/consent/verify", Owner::ConsentProof),
    ("/v1/consent/{id}", Owner::ConsentProof),
    ("/v1/consent/{id}/withdraw", Owner::ConsentProof),
    ("/v1/policies", Owner::ConsentProof),
    ("/v1/policies/{id}", Owner::ConsentProof),
    ("/v1/webhooks", Owner::ConsentProof),
    ("/v1/webhooks/{id}", Owner::ConsentProof),
    ("/v1/webhooks/{id}/deliveries", Owner::ConsentProof),
];

async fn bare(world: &World, method: Method, path: &str) -> Reply {
    world.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

fn owner(reply: &Reply) -> Owner {
    if reply.headers["content-type"] == "application/problem+json" {
        reply.problem();
        Owner::Abide
    } else if reply.headers["content-type"] == "text/html; charset=utf-8" {
        Owner::Dashboard
    } else {
        reply.code();
        Owner::ConsentProof
    }
}

/// Each path exists and has the owner that this list says; a method that it lacks is 405 in the owner's form.
#[tokio::test]
async fn every_path_has_one_owner() {
    let world = World::start().await;
    for (path, whose) in PATHS {
        let path = path.replace("{id}", "x");
        let spellings = match whose {
            Owner::Abide | Owner::Dashboard => vec![path],
            Owner::ConsentProof => vec![format!("/api{path}"), path],
        };
        for path in spellings {
            let reply = bare(&world, Method::OPTIONS, &path).await;
            assert_eq!((reply.status.as_u16(), owner(&reply)), (405, *whose), "{path}");
            assert!(reply.headers.contains_key("allow"), "{path}");
        }
    }
}

/// P28: unknown paths are told by whom they would belong to.
#[tokio::test]
async fn p28_unknown_paths() {
    let world = World::start().await;
    for (path, whose) in [
        ("/nothing", Owner::Dashboard),
        ("/abide/v1/nothing", Owner::Abide),
        ("/v2/consent", Owner::Dashboard),
        ("/v1", Owner::ConsentProof),
        ("/v1/", Owner::ConsentProof),
        ("/v1/consent/", Owner::ConsentProof),
        ("/api/v1/nothing", Owner::ConsentProof),
        ("/v1/webhooks/x/nothing", Owner::ConsentProof),
    ] {
        let reply = bare(&world, Method::GET, path).await;
        assert_eq!((reply.status.as_u16(), owner(&reply)), (404, whose), "{path}");
    }
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let world = World::start().await;
    assert_eq!(bare(&world, Method::GET, "/healthz").await.status, 200);
    let ready = bare(&world, Method::GET, "/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.json()), (200, json!({"ready": true, "reasons": []})));
    world.ready.0.lock().push("the writer stands still".to_owned());
    let ready = bare(&world, Method::GET, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"][0], "the writer stands still");

    let before = bare(&world, Method::GET, "/metrics").await;
    assert!(
        before.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(before.text.contains("abide_request_seconds_count 0"), "{}", before.text);
    world.get("/v1/webhooks").await;
    let after = bare(&world, Method::GET, "/metrics").await;
    assert!(after.text.contains("abide_request_seconds_count 1"), "{}", after.text);
    assert!(after.text.ends_with("# EOF\n"));
}

/// Request ids are minted here, never taken from a caller, and differ.
#[tokio::test]
async fn every_answer_has_an_id_of_ours() {
    let world = World::start().await;
    let send = async || {
        let request = Request::builder().uri("/v1/x").header("x-request-id", "mine");
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        reply.headers["x-request-id"].to_str().unwrap().to_owned()
    };
    let (one, other) = (send().await, send().await);
    assert_ne!(one, other);
    assert!(one.len() == 26 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
}

/// P29: bodies that are too large, of another type, or no JSON.
#[tokio::test]
async fn p29_bodies_have_a_size_and_a_type() {
    let world = World::start().await;
    let large = "x".repeat(1024 * 1024 + 1);
    let padded = |size: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(size - 8));
    let stream = |text: String| {
        Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(
            text.into_bytes()
                .chunks(64 * 1024)
                .map(|chunk| {
                    Ok::<_, std::io::Error>(hyper::body::Frame::data(
                        bytes::Bytes::copy_from_slice(chunk),
                    ))
                })
                .collect::<Vec<_>>(),
        )))
    };
    for body in [Body::from(large.clone()), stream(large)] {
        let reply = world.call(Method::POST, "/v1/consent", body).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (413, "VALIDATION_ERROR"));
    }
    let whole = world.call(Method::POST, "/v1/consent", padded(1024 * 1024)).await;
    assert_eq!(whole.status, 400, "a body at the limit is read");
    let batch = world.call(Method::POST, "/v1/consent/batch", padded(4 * 1024 * 1024)).await;
    assert_eq!(batch.status, 400);
    let batch = world.call(Method::POST, "/v1/consent/batch", padded(4 * 1024 * 1024 + 1)).await;
    assert_eq!(batch.status, 413);

    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let mut request = Request::post("/v1/consent").header("x-api-key", &world.us.token);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let reply = world.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (415, "VALIDATION_ERROR"));
    }
}

/// A store that is closed is told as 503, with nothing of why.
#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let world = World::start().await;
    world.get("/v1/webhooks").await.data();
    world.store.close();
    let body = json!({"subject_id": "u", "consent_type": "m", "granted": true});
    let reply = world.post("/v1/consent", &body).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(reply.headers["retry-after"], "1");
    assert!(!reply.text.contains("closed"), "{reply:?}");
}

/// A handler that panics is told as 500 with a request id and no word of why; the next request is served.
#[tokio::test]
async fn a_panic_is_an_answer() {
    let world = World::start().await;
    let reply = world.post("/v1/webhooks", &json!({"url": PANICS, "events": ["*"]})).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (500, "INTERNAL_ERROR"));
    assert!(!reply.text.contains("breaks"), "{reply:?}");
    world.get("/v1/webhooks").await.data();
}
