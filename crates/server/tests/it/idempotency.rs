//! `Idempotency-Key`: creations that are sent twice.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{Reply, World};

async fn send(world: &World, key: &str, path: &str, body: &Value) -> Reply {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("x-api-key", &world.us.token)
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()))
        .unwrap();
    world.send(request).await
}

/// Each creation, sent twice with a key, happens once and is answered alike, but for secrets, which are shown once.
#[tokio::test]
async fn a_creation_sent_twice_happens_once() {
    let world = World::start().await;
    let person = json!({"subject_id": "u1", "consent_type": "marketing", "granted": true});
    let made = world.post("/v1/consent", &person).await.data();
    let withdraw = format!("/v1/consent/{}/withdraw", made["id"].as_str().unwrap());
    let url = "https://example.com/hook";
    for (path, body, secret) in [
        ("/v1/consent", person.clone(), None),
        ("/api/v1/consent/batch", json!({"consents": [person]}), None),
        (withdraw.as_str(), json!({}), None),
        (
            "/v1/policies",
            json!({"policy_type": "custom", "version": "1", "title": "T", "content": "C"}),
            None,
        ),
        ("/v1/webhooks", json!({"url": url, "events": ["*"]}), Some("/data/secret")),
        ("/abide/v1/endpoints", json!({"url": url}), Some("/secret")),
    ] {
        let first = send(&world, "k1", path, &body).await;
        assert!(first.status.is_success(), "{path}: {first:?}");
        assert!(!first.headers.contains_key("idempotency-replayed"));
        let facts = world.facts().await;
        let again = send(&world, "k1", path, &body).await;
        assert_eq!(
            (again.status, &again.headers["idempotency-replayed"]),
            (first.status, &"true".parse().unwrap())
        );
        assert_eq!(again.headers.get("location"), first.headers.get("location"), "{path}");
        let (mut shown, mut replayed) = (first.json(), again.json());
        if let Some(secret) = secret {
            assert!(shown.pointer(secret).is_some_and(Value::is_string), "{path}");
            assert!(!replayed.pointer(secret).is_some_and(Value::is_string), "{path}: {replayed}");
            for json in [&mut shown, &mut replayed] {
                let (parent, name) = secret.rsplit_once('/').unwrap();
                let parent = json.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
                parent.remove(name);
                json.as_object_mut().unwrap().remove("meta");
            }
        }
        assert_eq!(replayed, shown, "{path}");
        assert_eq!(world.facts().await, facts, "{path} changed something");
    }
}

/// A key is good for one request: another body or another path is a conflict, another route or key is none.
#[tokio::test]
async fn a_key_is_good_for_one_request() {
    let world = World::start().await;
    let body = |who: &str| json!({"subject_id": who, "consent_type": "m", "granted": true});
    let first = send(&world, "k", "/v1/consent", &body("a")).await.data();
    let other = send(&world, "k", "/v1/consent", &body("b")).await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (409, "CONFLICT"));
    let second = send(&world, "k2", "/v1/consent", &body("b")).await.data();
    let path = |made: &Value| format!("/v1/consent/{}/withdraw", made["id"].as_str().unwrap());
    assert_eq!(send(&world, "k", &path(&first), &json!({})).await.status, 200);
    assert_eq!(send(&world, "k", &path(&second), &json!({})).await.status, 409);
    let url = json!({"url": "https://example.com/a"});
    send(&world, "k", "/abide/v1/endpoints", &url).await;
    let reply =
        send(&world, "k", "/abide/v1/endpoints", &json!({"url": "https://example.com/b"})).await;
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (409, "conflict"));
}

/// What cannot be a key is refused before anything is done; a refused request leaves its key free.
#[tokio::test]
async fn bad_keys_are_refused_and_refusals_use_none_up() {
    let world = World::start().await;
    let body = json!({"subject_id": "a", "consent_type": "m", "granted": true});
    let facts = world.facts().await;
    for key in ["", "a b", "\u{e9}", &"x".repeat(256)] {
        let reply = send(&world, key, "/v1/consent", &body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.fields()),
            (400, vec!["Idempotency-Key".to_owned()])
        );
    }
    let odd = send(&world, "k", "/v1/consent", &json!({"subject_id": "a"})).await;
    assert_eq!(odd.status, 400);
    assert_eq!(world.facts().await, facts);
    assert_eq!(send(&world, "k", "/v1/consent", &body).await.status, 201);
}

/// I13: another organization's key of the same name is another key.
#[tokio::test]
async fn i13_keys_of_organizations_are_apart() {
    let mut world = World::start().await;
    let body = json!({"subject_id": "a", "consent_type": "m", "granted": true});
    send(&world, "k", "/v1/consent", &body).await.data();
    let theirs = world.tenant("they").await;
    world.us = theirs;
    let reply = send(&world, "k", "/v1/consent", &body).await;
    assert!(reply.status == 201 && !reply.headers.contains_key("idempotency-replayed"));
}

/// Where a repeat would do its work once more, a key is refused, not ignored.
#[tokio::test]
async fn a_key_is_refused_where_it_is_not_heeded() {
    let world = World::start().await;
    world.answering().await;
    let endpoint = world.endpoint("consentproof").await;
    world
        .post("/v1/consent", &json!({"subject_id": "a", "consent_type": "m", "granted": true}))
        .await;
    let listed = world.get("/abide/v1/deliveries").await.json();
    let delivery = listed["items"][0]["id"].as_str().unwrap().to_owned();
    for path in [
        format!("/abide/v1/endpoints/{endpoint}/test"),
        format!("/v1/webhooks/{endpoint}/test"),
        format!("/abide/v1/deliveries/{delivery}/retry"),
    ] {
        let reply = send(&world, "k", &path, &json!({})).await;
        assert!(reply.status == 400 && reply.text.contains("Idempotency-Key"), "{path}: {reply:?}");
    }
    let job = json!({"kind": "retry_failed", "endpoint": endpoint.to_string()});
    let first = send(&world, "k", "/abide/v1/jobs", &job).await;
    let again = send(&world, "k", "/abide/v1/jobs", &job).await;
    assert_eq!((first.status.as_u16(), first.json()), (200, again.json()));
    assert_eq!(again.headers["idempotency-replayed"], "true");
}
