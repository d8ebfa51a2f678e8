//! Keys: created, read, revoked, ended.

use abide_core::access::Scope;
use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{Reply, World};

const KEYS: &str = "/abide/v1/keys";

/// I12: a key is shown whole in the answer to its creation, kept by no cache, and never again; it opens what it says.
#[tokio::test]
async fn i12_a_key_is_shown_once() {
    let world = World::start().await;
    let body =
        json!({"name": "shop", "scopes": ["webhooks:read", "consent:read", "webhooks:read"]});
    let reply = world.post(KEYS, &body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let key = reply.json();
    assert_eq!(key["scopes"], json!(["consent:read", "webhooks:read"]));
    assert_eq!(key["created_at"], "2024-01-15T10:30:00.000Z");
    let path = reply.headers["location"].to_str().unwrap().to_owned();
    let read = world.get(&path).await;
    assert_eq!((&read.json()["id"], read.status.as_u16()), (&key["id"], 200));
    for secret in ["api_secret", "bearer_token"] {
        let secret = key[secret].as_str().unwrap();
        assert!(!read.text.contains(secret) && !world.get(KEYS).await.text.contains(secret));
    }
    let token = key["bearer_token"].as_str().unwrap();
    let list = async |path: &str| world.call_as(token, Method::GET, path, "").await.status.as_u16();
    assert_eq!((list("/v1/webhooks").await, list(KEYS).await), (200, 403));
    let pair = Request::get("/v1/webhooks")
        .header("x-api-key", key["api_key"].as_str().unwrap())
        .header("x-api-secret", key["api_secret"].as_str().unwrap());
    assert_eq!(world.send(pair.body(Body::empty()).unwrap()).await.status, 200);
}

/// A revoked key opens nothing, says when it was revoked, and is revoked once.
#[tokio::test]
async fn a_key_can_be_revoked_twice_and_by_itself() {
    let world = World::start().await;
    let made = world.post(KEYS, &json!({"name": "k", "scopes": ["admin"]})).await;
    let path = made.headers["location"].to_str().unwrap().to_owned();
    let token = made.json()["bearer_token"].as_str().unwrap().to_owned();
    let revoked = world.call_as(&token, Method::DELETE, &path, "").await;
    assert_eq!(revoked.json()["revoked_at"], "2024-01-15T10:30:00.000Z");
    let again = world.call_as(&token, Method::DELETE, &path, "").await;
    assert_eq!(again.problem(), "unauthenticated");
    world.clock.pass(5_000);
    let again = world.call(Method::DELETE, &path, "").await;
    assert_eq!(again.json()["revoked_at"], "2024-01-15T10:30:00.000Z");
}

/// P29, P30: a key that has an end opens until then and nothing after; the answer is that of any invalid key.
#[tokio::test]
async fn p29_p30_a_key_ends_at_its_time() {
    let world = World::start().await;
    let body = json!({"name": "k", "scopes": ["admin"], "expires_at": "2024-01-15T11:30:01+01:00"});
    let made = world.post(KEYS, &body).await.json();
    assert_eq!(made["expires_at"], "2024-01-15T10:30:01.000Z");
    let token = made["bearer_token"].as_str().unwrap();
    let ask = async || world.call_as(token, Method::GET, "/v1/webhooks", "").await;
    world.clock.pass(999);
    assert_eq!(ask().await.status, 200);
    world.clock.pass(1);
    let reply = ask().await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (401, "UNAUTHORIZED"));
    let invalid = world.call_as("abt_nothing", Method::GET, "/v1/webhooks", "").await;
    assert_eq!(reply.text, invalid.text, "which of the two it was is nobody's business");
    for bad in ["2024-01-15T10:30:01Z", "2000-01-01T00:00:00Z", "tomorrow", "2024-02-30T00:00:00Z"]
    {
        let body = json!({"name": "k", "scopes": ["admin"], "expires_at": bad});
        assert_eq!(world.post(KEYS, &body).await.wrong(), ["expires_at"], "{bad}");
    }
    let never = json!({"name": "k", "scopes": ["admin"], "expires_at": null});
    assert_eq!(world.post(KEYS, &never).await.json()["expires_at"], Value::Null);
}

/// A key's last use is told to the minute.
#[tokio::test]
async fn the_last_use_of_a_key_is_noted() {
    let world = World::start().await;
    let key = world.key(&[Scope::WebhooksRead]).await;
    let path = format!("{KEYS}/{}", key.id);
    let used = async || world.get(&path).await.json()["last_used_at"].clone();
    assert_eq!(used().await, Value::Null);
    let token = key.bearer_token.reveal();
    for (passed, wanted) in [
        (0, "2024-01-15T10:30:00.000Z"),
        (59_999, "2024-01-15T10:30:00.000Z"),
        (1, "2024-01-15T10:31:00.000Z"),
    ] {
        world.clock.pass(passed);
        world.call_as(token, Method::GET, "/v1/webhooks", "").await;
        // The note is written beside the call; what is asked of the store after it follows it.
        let mut turns = 0;
        while used().await != wanted {
            turns += 1;
            assert!(turns < 1_000, "{wanted} was not noted");
            tokio::task::yield_now().await;
        }
    }
}

/// Every field, in every way that is wrong: named, and nothing is made.
#[tokio::test]
async fn what_is_wrong_with_a_key_is_named() {
    let world = World::start().await;
    let good = json!({"name": "k", "scopes": ["admin"]});
    let before = world.facts().await;
    for (field, bad, named) in [
        ("name", json!(""), "name"),
        ("name", json!(" "), "name"),
        ("name", json!("a\nb"), "name"),
        ("name", json!("x".repeat(101)), "name"),
        ("name", json!(7), "name"),
        ("name", json!(null), "name"),
        ("scopes", json!([]), "scopes"),
        ("scopes", json!("admin"), "scopes"),
        ("scopes", json!(["admin", "everything"]), "scopes[1]"),
        ("scopes", json!([7]), "scopes[0]"),
        ("scopes", json!(null), "scopes"),
        ("scopes", json!(["organizations:write"]), "scopes"),
        ("scopes", json!(vec!["admin"; 100]), "scopes"),
        ("expires_at", json!(1_705_314_600), "expires_at"),
        ("secret", json!("mine"), "secret"),
    ] {
        let mut body = good.clone();
        body[field] = bad.clone();
        let reply = world.post(KEYS, &body).await;
        assert_eq!(reply.wrong(), [named], "{field} {bad}: {reply:?}");
    }
    let reply = world.post(KEYS, &json!({"Name": "k"})).await;
    let mut wrong = reply.wrong();
    wrong.sort();
    assert_eq!(wrong, ["Name", "name", "scopes"], "all at once");
    assert_eq!(world.facts().await, before);
}

/// Nobody grants more than they hold: `organizations:write` comes from the command line alone, and even who holds it
/// cannot pass it on.
#[tokio::test]
async fn a_key_grants_no_more_than_it_may() {
    let world = World::start().await;
    let both = world.key(&[Scope::Admin, Scope::OrganizationsWrite]).await;
    let body = json!({"name": "k", "scopes": ["organizations:write"]}).to_string();
    let reply = world.call_as(both.bearer_token.reveal(), Method::POST, KEYS, body).await;
    assert_eq!(reply.wrong(), ["scopes"]);
    assert!(reply.text.contains("command line"), "{reply:?}");
    let less = world.key(&[Scope::ConsentWrite, Scope::OrganizationsWrite]).await;
    let body = json!({"name": "k", "scopes": ["consent:read"]}).to_string();
    let reply = world.call_as(less.bearer_token.reveal(), Method::POST, KEYS, body).await;
    assert_eq!(reply.problem(), "missing-scope");
}

/// I13: another organization's keys are not found, not listed and not revoked.
#[tokio::test]
async fn i13_keys_are_apart() {
    let world = World::start().await;
    let them = world.tenant("them").await;
    let ours = world.key(&[Scope::Admin]).await;
    let path = format!("{KEYS}/{}", ours.id);
    for method in [Method::GET, Method::DELETE] {
        let reply = world.call_as(&them.token, method, &path, "").await;
        assert_eq!(reply.problem(), "not-found");
    }
    assert_eq!(world.call_as(ours.bearer_token.reveal(), Method::GET, KEYS, "").await.status, 200);
    let theirs: Reply = world.call_as(&them.token, Method::GET, KEYS, "").await;
    assert_eq!(theirs.json()["items"].as_array().unwrap().len(), 1);
    assert!(!theirs.text.contains(&ours.id.to_string()));
}

/// I12: a creation that is sent twice with one `Idempotency-Key` makes one key, and what is answered again has no secret.
#[tokio::test]
async fn i12_a_key_created_again_is_the_same_without_its_secret() {
    let world = World::start().await;
    let send = async || {
        let request = Request::post(KEYS)
            .header("x-api-key", &world.us.token)
            .header("content-type", "application/json")
            .header("idempotency-key", "one");
        let body = json!({"name": "k", "scopes": ["admin"]}).to_string();
        world.send(request.body(Body::from(body)).unwrap()).await
    };
    let (first, again) = (send().await, send().await);
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201), "{again:?}");
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    for secret in ["api_key", "api_secret", "bearer_token"] {
        assert!(first.json()[secret].is_string());
        assert_eq!(again.json()[secret], Value::Null);
    }
    assert_eq!(world.get(KEYS).await.json()["items"].as_array().unwrap().len(), 2);
}
