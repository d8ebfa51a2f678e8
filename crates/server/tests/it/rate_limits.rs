//! The rate limit of a key, as its holder meets it.

use abide_core::access::Scope;
use abide_core::rate::RateLimit;
use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::support::{PANICS, Reply, World};

/// `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
fn told(reply: &Reply) -> [i64; 3] {
    ["limit", "remaining", "reset"].map(|name| {
        let value = &reply.headers[&format!("x-ratelimit-{name}")];
        value.to_str().unwrap().parse().unwrap()
    })
}

fn limit(per_minute: u32) -> RateLimit {
    RateLimit::new(per_minute).unwrap()
}

/// The minute after the one in which a world starts, 10:30:00.
const NEXT_MINUTE: i64 = 1_705_314_660;

/// P33: each answer says what is left, a key that has nothing left is told when to come again, and then it goes on.
#[tokio::test]
async fn p33_a_key_has_so_many_requests_a_minute() {
    let world = World::start().await;
    let key = world.limited_key(&[Scope::Admin], limit(3)).await;
    let token = key.bearer_token.reveal();
    let body = json!({"subject_id": "u", "consent_type": "m", "granted": true}).to_string();
    world.clock.pass(20_500);
    for left in [2, 1, 0] {
        let reply = world.call_as(token, Method::POST, "/v1/consent", body.clone()).await;
        assert_eq!((reply.status.as_u16(), told(&reply)), (201, [3, left, NEXT_MINUTE]));
        assert!(!reply.headers.contains_key("retry-after"));
    }
    let before = world.facts().await;
    for path in ["/v1/consent", "/api/v1/consent"] {
        let reply = world.call_as(token, Method::POST, path, body.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
        assert_eq!(
            (told(&reply), reply.headers["retry-after"].as_bytes()),
            ([3, 0, NEXT_MINUTE], &b"40"[..])
        );
    }
    assert_eq!(world.facts().await, before, "a refused request does nothing");
    assert_eq!(told(&world.get("/v1/policies").await)[0], 1_000_000, "another key is not touched");
    world.clock.pass(39_500);
    let reply = world.call_as(token, Method::GET, "/v1/webhooks", "").await;
    assert_eq!((reply.status.as_u16(), told(&reply)), (200, [3, 2, NEXT_MINUTE + 60]));
}

/// P33: errors of a known key tell its own limit and are counted: bad input, a lacking scope, an unknown path, a method
/// that is not there, a handler that breaks.
#[tokio::test]
async fn p33_errors_tell_the_limit_too() {
    let world = World::start().await;
    let key = world.limited_key(&[Scope::WebhooksWrite], limit(7)).await;
    let token = key.bearer_token.reveal();
    let panics = json!({"url": PANICS, "events": ["*"]}).to_string();
    let calls = [
        (Method::POST, "/v1/webhooks", "{", 400),
        (Method::GET, "/v1/webhooks/x", "", 404),
        (Method::GET, "/v1/policies", "", 403),
        (Method::GET, "/api/v1/nothing", "", 404),
        (Method::DELETE, "/v1/webhooks", "", 405),
        (Method::POST, "/v1/webhooks", panics.as_str(), 500),
        (Method::GET, "/v1/webhooks", "", 200),
    ];
    for ((method, path, body, status), left) in calls.into_iter().zip((0..7).rev()) {
        let reply = world.call_as(token, method, path, body.to_owned()).await;
        assert_eq!(
            (reply.status.as_u16(), told(&reply)),
            (status, [7, left, NEXT_MINUTE]),
            "{path}"
        );
    }
    for path in ["/v1/webhooks", "/v1/nothing", "/v1/policies"] {
        assert_eq!(world.call_as(token, Method::GET, path, "").await.status, 429, "{path}");
    }
}

/// P33: without a valid key the default is told, the same for all, and nobody's limit is touched: not by a wrong secret
/// beside a key's id, nor by a revoked key. Abide's own paths tell nothing.
#[tokio::test]
async fn p33_without_a_key_the_default_is_told() {
    let world = World::start().await;
    let key = world.limited_key(&[Scope::Admin], limit(5)).await;
    let anonymous = [1_000_000, 1_000_000, NEXT_MINUTE];
    let send = async |path: &str, key: Option<(&str, &str)>| {
        let mut request = Request::builder().uri(path);
        if let Some((key, secret)) = key {
            request = request.header("x-api-key", key).header("x-api-secret", secret);
        }
        world.send(request.body(Body::empty()).unwrap()).await
    };
    let wrong = key.api_secret.reveal().chars().rev().collect::<String>();
    let wrong = format!("abs_{}", &wrong[..43]);
    for (path, key, status) in [
        ("/v1/webhooks", None, 401),
        ("/v1/nothing", None, 404),
        ("/v1/webhooks", Some((key.api_key.as_str(), wrong.as_str())), 401),
        ("/v1/nothing", Some((key.api_key.as_str(), wrong.as_str())), 404),
    ] {
        let reply = send(path, key).await;
        assert_eq!((reply.status.as_u16(), told(&reply)), (status, anonymous), "{path}");
    }
    let own = Some((key.api_key.as_str(), key.api_secret.reveal()));
    assert_eq!(told(&send("/v1/webhooks", own).await), [5, 4, NEXT_MINUTE], "nothing was counted");
    let by = abide_core::access::Caller::new(world.us.id, abide_core::access::Actor::Operator);
    let now = abide_core::Timestamp::from_millis(0);
    world.store.accounts().revoke_key(&by, key.id, now).await.unwrap();
    let reply = send("/v1/webhooks", own).await;
    assert_eq!((reply.status.as_u16(), told(&reply)), (401, anonymous));
    for path in ["/healthz", "/nothing"] {
        assert!(!send(path, None).await.headers.contains_key("x-ratelimit-limit"), "{path}");
    }
}

/// P33: a clock that is set back gives little twice and locks nobody out.
#[tokio::test]
async fn p33_the_clock_is_set_back() {
    let world = World::start().await;
    let key = world.limited_key(&[Scope::Admin], limit(1)).await;
    let ask =
        async || world.call_as(key.bearer_token.reveal(), Method::GET, "/v1/webhooks", "").await;
    assert_eq!(ask().await.status, 200);
    world.clock.pass(-1_000);
    let reply = ask().await;
    assert_eq!((reply.status.as_u16(), reply.headers["retry-after"].as_bytes()), (429, &b"61"[..]));
    world.clock.pass(-3_600_000);
    let reply = ask().await;
    assert_eq!((reply.status.as_u16(), told(&reply)[2]), (200, NEXT_MINUTE - 3_660));
}
