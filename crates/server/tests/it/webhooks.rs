//! Webhooks, from request to answer and stored endpoint.

use abide_core::endpoint::EndpointState;
use abide_core::ids::EndpointId;
use abide_core::shell::Clock as _;
use http::Method;
use serde_json::{Value, json};

use crate::support::{World, data_text, keys_in_order};

const URL: &str = "https://example.com/hooks/1";

async fn created(world: &World) -> String {
    let reply = world.post("/v1/webhooks", &json!({"url": URL, "events": ["*"]})).await;
    reply.data()["id"].as_str().unwrap().to_owned()
}

/// P1, P2, P3: the seed's request and the seed's answer, field by field.
#[tokio::test]
async fn p1_p2_p3_a_webhook_is_created() {
    let world = World::start().await;
    let body = json!({
        "url": URL,
        "events": ["consent.created", "consent.withdrawn"],
        "description": "for the shop",
    });
    let reply = world.post("/v1/webhooks", &body).await;
    assert_eq!(reply.status, 201);
    let data = reply.data();
    assert!(data["id"].as_str().unwrap().starts_with("whk_"));
    assert_eq!(data["url"], URL);
    assert_eq!(data["events"], body["events"]);
    assert_eq!(data["is_active"], true);
    assert_eq!(data["description"], "for the shop");
    assert_eq!(data["created_at"], "2024-01-15T10:30:00Z");
    assert_eq!(
        keys_in_order(&data_text(&reply)),
        ["id", "url", "events", "secret", "is_active", "description", "created_at", "updated_at"]
    );
    let meta = &reply.json()["meta"];
    assert_eq!(meta["message"], "Save the webhook secret now - it will not be shown again.");
    assert_eq!(meta["timestamp"], "2024-01-15T10:30:00Z");
    assert_eq!(reply.headers["cache-control"], "no-store");
}

/// P4: a secret is made where none is given; one that is given is used as it is; a short one is refused.
#[tokio::test]
async fn p4_secrets_are_made_or_taken() {
    let world = World::start().await;
    let mut made = Vec::new();
    for _ in 0..2 {
        let reply = world.post("/v1/webhooks", &json!({"url": URL, "events": ["*"]})).await;
        made.push(reply.data()["secret"].as_str().unwrap().to_owned());
    }
    assert_ne!(made[0], made[1]);
    let hex = made[0].strip_prefix("whsec_").unwrap();
    assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hex}");

    let own = json!({"url": URL, "events": ["*"], "secret": "sixteen_letters!"});
    let reply = world.post("/v1/webhooks", &own).await;
    assert_eq!(reply.data()["secret"], "sixteen_letters!");
    let id: EndpointId = EndpointId::parse(reply.data()["id"].as_str().unwrap()).unwrap();
    let sending = world.store.endpoints().sending(id, world.clock.now()).await.unwrap().unwrap();
    assert_eq!(sending.secrets[0].secret.reveal(), "sixteen_letters!");

    let short = json!({"url": URL, "events": ["*"], "secret": "fifteen_letters"});
    let reply = world.post("/v1/webhooks", &short).await;
    assert_eq!((reply.status.as_u16(), reply.fields()), (400, vec!["secret".to_owned()]));
}

/// P5, I12: no later answer holds the secret.
#[tokio::test]
async fn p5_i12_the_secret_is_shown_once() {
    let world = World::start().await;
    let reply = world.post("/v1/webhooks", &json!({"url": URL, "events": ["*"]})).await;
    let secret = reply.data()["secret"].as_str().unwrap().to_owned();
    let path = format!("/v1/webhooks/{}", reply.data()["id"].as_str().unwrap());
    let put = json!({"url": URL, "events": ["policy.created"]}).to_string();
    for later in [
        world.get(&path).await,
        world.get("/v1/webhooks").await,
        world.patch(&path, &json!({"is_active": false})).await,
        world.call(Method::PUT, &path, put).await,
        world.call(Method::DELETE, &path, "").await,
    ] {
        assert!(later.status.is_success(), "{later:?}");
        assert!(!later.text.contains(&secret) && !later.text.contains("secret"), "{later:?}");
    }
}

/// P7: known events or `*`, at least one, each once.
#[tokio::test]
async fn p7_events_are_known_ones() {
    let world = World::start().await;
    let all = [
        "consent.created",
        "consent.updated",
        "consent.withdrawn",
        "consent.batch_created",
        "policy.created",
        "policy.updated",
        "policy.deleted",
    ];
    let reply = world.post("/v1/webhooks", &json!({"url": URL, "events": all})).await;
    assert_eq!(reply.data()["events"], json!(all));
    let twice = json!({"url": URL, "events": ["policy.updated", "policy.updated"]});
    assert_eq!(
        world.post("/v1/webhooks", &twice).await.data()["events"],
        json!(["policy.updated"])
    );
    for events in [json!([]), json!(["consent.exploded"]), json!("*"), json!([null]), json!({})] {
        let before = world.facts().await;
        let reply = world.post("/v1/webhooks", &json!({"url": URL, "events": events})).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "VALIDATION_ERROR"));
        let element =
            ["consent.exploded", "null"].iter().any(|bad| events.to_string().contains(bad));
        assert_eq!(reply.fields(), [if element { "events[0]" } else { "events" }]);
        if element {
            assert!(reply.text.contains("`events[0]` must be"), "{reply:?}");
        }
        assert_eq!(world.facts().await, before);
    }
}

/// P8: HTTPS, or 400; on creation and on change.
#[tokio::test]
async fn p8_urls_are_https() {
    let world = World::start().await;
    let path = format!("/v1/webhooks/{}", created(&world).await);
    for url in
        ["http://example.com/", "ftp://example.com/", "https://", "", "https://ex ample.com/"]
    {
        let body = json!({"url": url, "events": ["*"]});
        for reply in [
            world.post("/v1/webhooks", &body).await,
            world.patch(&path, &json!({"url": url})).await,
            world.call(Method::PUT, &path, body.to_string()).await,
        ] {
            assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "VALIDATION_ERROR"));
            assert_eq!(reply.fields(), ["url"]);
        }
    }
    let long = format!("https://example.com/{}", "x".repeat(3_000));
    let reply = world.post("/v1/webhooks", &json!({"url": long, "events": ["*"]})).await;
    assert_eq!(reply.fields(), ["url"]);
    assert!(!reply.text.contains("xxx"), "the URL came back");
}

/// P9: get, list, PATCH, PUT and DELETE, under both prefixes.
#[tokio::test]
async fn p9_webhooks_are_managed_under_both_prefixes() {
    for prefix in ["/v1", "/api/v1"] {
        let world = World::start().await;
        let webhooks = format!("{prefix}/webhooks");
        let new = json!({"url": URL, "events": ["*"], "description": "one"});
        let id = world.post(&webhooks, &new).await.data()["id"].as_str().unwrap().to_owned();
        let path = format!("{webhooks}/{id}");

        let changed = world.patch(&path, &json!({"description": null, "isActive": false})).await;
        assert_eq!(changed.status, 200);
        assert_eq!(changed.data()["description"], Value::Null);
        assert_eq!(changed.data()["url"], URL);
        assert_eq!(changed.data()["is_active"], false);

        let put = json!({"url": "https://example.com/2", "events": ["policy.created"]});
        let replaced = world.call(Method::PUT, &path, put.to_string()).await;
        assert_eq!(replaced.data()["events"], json!(["policy.created"]));
        assert_eq!(replaced.data()["is_active"], false, "a replacement does not start it again");
        assert_eq!(world.get(&path).await.data()["url"], "https://example.com/2");
        let partial = world.call(Method::PUT, &path, json!({"events": ["*"]}).to_string()).await;
        assert_eq!(partial.fields(), ["url"]);

        let listed = world.get(&webhooks).await;
        assert_eq!(listed.data()[0]["id"], id.as_str());
        assert_eq!(
            listed.json()["pagination"],
            json!({"page": 1, "limit": 20, "total": 1, "pages": 1})
        );

        let gone = world.call(Method::DELETE, &path, "").await;
        assert_eq!(gone.status, 200);
        assert!(gone.data()["message"].is_string());
        for after in [
            world.get(&path).await,
            world.patch(&path, &json!({"is_active": true})).await,
            world.call(Method::DELETE, &path, "").await,
        ] {
            assert_eq!((after.status.as_u16(), after.code().as_str()), (404, "NOT_FOUND"));
        }
        assert_eq!(world.get(&webhooks).await.json()["pagination"]["total"], 0);
    }
}

/// P10: the detail pages' spellings are taken, the seed's are given.
#[tokio::test]
async fn p10_the_other_spellings_are_taken() {
    let world = World::start().await;
    let new = json!({"url": URL, "events": ["consent.revoked"]});
    let reply = world.post("/v1/webhooks", &new).await;
    assert_eq!(reply.data()["events"], json!(["consent.withdrawn"]));
    let path = format!("/v1/webhooks/{}", reply.data()["id"].as_str().unwrap());
    let changed = world.patch(&path, &json!({"isActive": false})).await;
    assert_eq!(changed.data()["is_active"], false);
    assert!(!changed.text.contains("isActive"));
    let both = world.patch(&path, &json!({"isActive": false, "is_active": true})).await;
    assert_eq!((both.status.as_u16(), both.fields()), (400, vec!["is_active".to_owned()]));
    assert!(both.text.contains("isActive"), "{both:?}");
}

/// P11: deactivating is stored as a stop, and undone.
#[tokio::test]
async fn p11_an_inactive_webhook_is_stopped() {
    let world = World::start().await;
    let id = created(&world).await;
    let path = format!("/v1/webhooks/{id}");
    let state = async || {
        let id = EndpointId::parse(&id).unwrap();
        world.store.endpoints().sending(id, world.clock.now()).await.unwrap().unwrap().state
    };
    world.patch(&path, &json!({"is_active": false})).await.data();
    assert_eq!(state().await, EndpointState::Paused);
    world.patch(&path, &json!({"is_active": true})).await.data();
    assert_eq!(state().await, EndpointState::Active);
}

/// P32: pages of a list.
#[tokio::test]
async fn p32_lists_come_in_pages() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, created(&world).await);
        world.clock.pass(1_000);
    }
    let reply = world.get("/v1/webhooks?page=2&limit=2&unknown=1").await;
    let shown: Vec<_> =
        reply.data().as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(shown, [json!(ids[2]), json!(ids[3])]);
    assert_eq!(reply.json()["pagination"], json!({"page": 2, "limit": 2, "total": 5, "pages": 3}));
    assert_eq!(world.get("/v1/webhooks?page=4000000000").await.data(), json!([]));
    for bad in ["page=0", "limit=101", "limit=x"] {
        let reply = world.get(&format!("/v1/webhooks?{bad}")).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "VALIDATION_ERROR"));
    }
}

/// P25: a test sends a sample of the type wished, also to a webhook that is not active, and answers what it showed; each
/// is in the audit log.
#[tokio::test]
async fn p25_a_test_is_sent_and_answered() {
    let world = World::start().await;
    let id = created(&world).await;
    let path = format!("/v1/webhooks/{id}");
    world.patch(&path, &json!({"is_active": false})).await.data();
    let test = format!("/api/v1/webhooks/{id}/test");
    let nobody = world.call(Method::POST, &test, "").await;
    assert_eq!((nobody.status.as_u16(), nobody.code().as_str()), (503, "SERVICE_UNAVAILABLE"));
    world.answering().await;
    let shown = world.call(Method::POST, &test, "").await.data();
    assert_eq!((&shown["status"], &shown["response_code"]), (&json!("success"), &json!(200)));
    assert_eq!(shown["event_type"], "consent.created");
    let revoked = world.post(&test, &json!({"eventType": "consent.revoked"})).await.data();
    assert_eq!(revoked["event_type"], "consent.withdrawn");
    assert_ne!(revoked["event_id"], shown["event_id"]);
    let bad = world.post(&test, &json!({"type": "x"})).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["type".to_owned()]));
    let audit = world.store.history().audit(world.us.id, 10).await.unwrap();
    assert_eq!(audit.iter().filter(|entry| entry.action == "endpoint.test").count(), 2);
    let other = world.endpoint("standard_webhooks").await;
    assert_eq!(
        world.call(Method::POST, &format!("/v1/webhooks/{other}/test"), "").await.code(),
        "NOT_FOUND"
    );
}
