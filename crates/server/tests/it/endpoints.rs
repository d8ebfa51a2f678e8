//! Endpoints through Abide's own API.

use abide_core::ids::EndpointId;
use abide_core::shell::Clock as _;
use http::Method;
use serde_json::{Value, json};

use crate::support::World;

const PATH: &str = "/abide/v1/endpoints";

async fn create(world: &World, body: &Value) -> Value {
    let reply = world.post(PATH, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.headers["location"], format!("{PATH}/{id}").as_str());
    reply.json()
}

async fn live(world: &World, id: &Value) -> Vec<String> {
    let id = EndpointId::parse(id.as_str().unwrap()).unwrap();
    let sending = world.store.endpoints().sending(id, world.clock.now()).await.unwrap().unwrap();
    let mut live: Vec<_> =
        sending.secrets.iter().map(|live| live.secret.reveal().to_owned()).collect();
    live.sort();
    live
}

/// SW-9, SW-11, I12: an endpoint of the usual dialect is told everything; its own secret is shown once.
#[tokio::test]
async fn sw9_sw11_an_endpoint_needs_a_url_alone() {
    let world = World::start().await;
    let made = create(&world, &json!({"url": "https://example.com/a"})).await;
    assert_eq!(made["dialect"], "standard_webhooks");
    assert_eq!((&made["events"], &made["state"]), (&json!(["*"]), &json!("active")));
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"), "another form");
    assert_eq!(live(&world, &made["id"]).await, [secret]);
    let other = create(&world, &json!({"url": "https://example.com/a"})).await;
    assert_ne!(other["secret"], made["secret"]);
    let read = world.get(&format!("{PATH}/{}", made["id"].as_str().unwrap())).await;
    let listed = world.get(PATH).await;
    for shown in [&read, &listed] {
        assert!(!shown.text.contains(secret) && !shown.text.contains("\"secret\""), "{shown:?}");
    }
    let ids: Vec<_> =
        listed.json()["items"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [other["id"].clone(), made["id"].clone()], "newest first");
}

/// SW-7: a key pair shows its public half; a secret that is brought along is used as it is.
#[tokio::test]
async fn sw7_key_pairs_and_secrets_brought_along() {
    let world = World::start().await;
    let url = "https://example.com/a";
    let pair = create(&world, &json!({"url": url, "secret_form": "key_pair"})).await;
    assert!(pair["secret"].as_str().unwrap().starts_with("whsk_"));
    assert!(pair["public_key"].as_str().unwrap().starts_with("whpk_"));
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let brought = create(&world, &json!({"url": url, "secret": own})).await;
    assert_eq!(live(&world, &brought["id"]).await, [own]);
    let bad = world.post(PATH, &json!({"url": url, "secret": "whsec_short"})).await;
    assert_eq!(bad.wrong(), ["secret"]);
    assert!(!bad.text.contains("whsec_short"), "{bad:?}");
    let odd = json!({"url": url, "dialect": "consentproof", "secret_form": "key_pair"});
    assert_eq!(world.post(PATH, &odd).await.wrong(), ["secret_form"]);
    let both = json!({"url": url, "secret": own, "secret_form": "shared"});
    assert_eq!(world.post(PATH, &both).await.wrong(), ["secret_form"]);
}

/// SW-6: the old secret signs beside the new one for as long as the call says, and no longer.
#[tokio::test]
async fn sw6_a_secret_is_replaced_with_an_overlap() {
    let world = World::start().await;
    let made = create(&world, &json!({"url": "https://example.com/a"})).await;
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let rotated =
        world.post(&format!("{path}/rotate-secret"), &json!({"overlap_seconds": 60})).await;
    assert_eq!((rotated.status.as_u16(), rotated.json()["version"].as_u64()), (200, Some(2)));
    assert_eq!(rotated.json()["replaced_secret_until"], "2024-01-15T10:31:00.000Z");
    assert_eq!(live(&world, &made["id"]).await.len(), 2);
    world.clock.pass(60_000);
    assert_eq!(live(&world, &made["id"]).await, [rotated.json()["secret"].as_str().unwrap()]);
    let usual = world.post(&format!("{path}/rotate-secret"), &json!({})).await.json();
    assert_eq!(usual["replaced_secret_until"], "2024-01-16T10:31:00.000Z");
    let ended = world.post(&format!("{path}/end-replaced-secrets"), &json!({})).await;
    assert_eq!(ended.json()["replaced_secret_until"], "2024-01-15T10:31:00.000Z");
    assert_eq!(live(&world, &made["id"]).await.len(), 1);
    for bad in [json!(-1), json!(604_801), json!("1"), json!(1.5)] {
        let reply =
            world.post(&format!("{path}/rotate-secret"), &json!({"overlap_seconds": bad})).await;
        assert_eq!(reply.wrong(), ["overlap_seconds"]);
    }
    let one =
        create(&world, &json!({"url": "https://example.com/a", "dialect": "consentproof"})).await;
    let path = format!("{PATH}/{}/rotate-secret", one["id"].as_str().unwrap());
    assert_eq!(
        world.post(&path, &json!({"overlap_seconds": 60})).await.wrong(),
        ["overlap_seconds"]
    );
    assert_eq!(world.post(&path, &json!({})).await.status, 200);
    assert_eq!(live(&world, &one["id"]).await.len(), 1, "one signature, one secret");
}

/// I12: how Abide proves itself is taken in every form and shown without a credential; null removes it.
#[tokio::test]
async fn i12_auth_is_taken_and_not_shown() {
    let world = World::start().await;
    for (auth, kind) in [
        (json!({"basic": {"username": "u", "password": "pw-marker"}}), "basic"),
        (json!({"bearer": {"token": "token-marker"}}), "bearer"),
        (
            json!({"oauth2": {"token_url": "https://id.example/t", "client_id": "c", "client_secret": "cs-marker"}}),
            "oauth2",
        ),
    ] {
        let mut auth = auth;
        auth["headers"] = json!({"X-Key": "header-marker"});
        let made = create(&world, &json!({"url": "https://example.com/a", "auth": auth})).await;
        let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
        let shown = world.get(&path).await;
        assert!(!shown.text.contains("marker"), "{shown:?}");
        assert_eq!(shown.json()["auth"]["authorization"], kind);
        assert_eq!(shown.json()["auth"]["headers"], json!(["x-key"]));
        let removed = world.patch(&path, &json!({"auth": null})).await.json();
        assert_eq!(
            (&removed["auth"]["authorization"], &removed["auth"]["headers"]),
            (&Value::Null, &json!([]))
        );
    }
}

/// Bad input: each problem names its place, also deep inside, nothing is repeated and nothing is stored.
#[tokio::test]
async fn bad_input_names_its_place() {
    let world = World::start().await;
    let facts = world.facts().await;
    let url = "https://example.com/a";
    for (body, wrong) in [
        (json!({}), "url"),
        (json!({"url": "http://example.com"}), "url"),
        (json!({"url": url, "dialect": "morse"}), "dialect"),
        (json!({"url": url, "events": []}), "events"),
        (json!({"url": url, "events": ["consent.created", "x"]}), "events[1]"),
        (json!({"url": url, "description": "a\u{7}"}), "description"),
        (json!({"url": url, "state": "paused"}), "state"),
        (json!({"url": url, "retry_delays": [0]}), "retry_delays"),
        (json!({"url": url, "retry_delays": [1, "2"]}), "retry_delays[1]"),
        (json!({"url": url, "retry_delays": vec![1; 51]}), "retry_delays"),
        (json!({"url": url, "deadline_seconds": 31}), "deadline_seconds"),
        (json!({"url": url, "auth": 7}), "auth"),
        (json!({"url": url, "auth": {"kerberos": {}}}), "auth.kerberos"),
        (json!({"url": url, "auth": {"basic": {"username": "u"}}}), "auth.basic.password"),
        (json!({"url": url, "auth": {"bearer": {"token": 7}}}), "auth.bearer.token"),
        (json!({"url": url, "auth": {"headers": {"x": 1}}}), "auth.headers.x"),
        (
            json!({"url": url, "auth": {"client_certificate": {"chain": "x"}}}),
            "auth.client_certificate.key",
        ),
        (
            json!({"url": url, "auth": {"bearer": {"token": "t"}, "basic": {"username": "u", "password": "p"}}}),
            "auth.oauth2",
        ),
        (
            json!({"url": url, "auth": {"oauth2": {"token_url": "http://id.example", "client_id": "c", "client_secret": "s"}}}),
            "auth.oauth2.token_url",
        ),
        (json!({"url": url, "auth": {"headers": {"Host": "x"}}}), "auth.headers.host"),
        (json!({"url": url, "auth": {"headers": {"x": "a\r\nb: c"}}}), "auth.headers.x"),
        (json!({"url": url, "auth": {"headers": {"a b": "x"}}}), "auth.headers"),
        (
            json!({"url": url, "auth": {"headers": {"authorization": "x"}, "bearer": {"token": "t"}}}),
            "auth.headers.authorization",
        ),
        (
            json!({"url": url, "auth": {"basic": {"username": "a:b", "password": "p"}}}),
            "auth.basic.username",
        ),
    ] {
        let reply = world.post(PATH, &body).await;
        assert_eq!((reply.status.as_u16(), reply.wrong()), (400, vec![wrong.to_owned()]), "{body}");
    }
    assert_eq!(world.facts().await, facts);
    let made = create(&world, &json!({"url": url})).await;
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    for (body, wrong) in [
        (json!({}), "body"),
        (json!({"secret": "x"}), "secret"),
        (json!({"dialect": "consentproof"}), "dialect"),
        (json!({"url": null}), "url"),
        (json!({"events": null}), "events"),
    ] {
        assert_eq!(world.patch(&path, &body).await.wrong(), [wrong], "{body}");
    }
}

/// Own values take the dialect's place and go again; pausing and deleting show at once, and twice is no mistake.
#[tokio::test]
async fn an_endpoint_is_changed_stopped_and_deleted() {
    let world = World::start().await;
    let made =
        create(&world, &json!({"url": "https://example.com/a", "deadline_seconds": 5})).await;
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let changed = world.patch(&path, &json!({"retry_delays": [1, 2], "description": "shop"})).await;
    let json = changed.json();
    assert_eq!((&json["retry_delays"], &json["deadline_seconds"]), (&json!([1, 2]), &json!(5)));
    let json = world.patch(&path, &json!({"retry_delays": null})).await.json();
    assert_eq!((&json["retry_delays"], &json["deadline_seconds"]), (&Value::Null, &json!(5)));
    for (verb, state) in
        [("pause", "paused"), ("pause", "paused"), ("resume", "active"), ("resume", "active")]
    {
        let reply = world.call(Method::POST, &format!("{path}/{verb}"), "").await;
        assert_eq!((reply.status.as_u16(), &reply.json()["state"]), (200, &json!(state)));
    }
    let audit = world.store.history().audit(world.us.id, 10).await.unwrap();
    let paused = audit.iter().filter(|entry| entry.action == "endpoint.pause").count();
    assert_eq!(paused, 1, "what was so already is not told again");
    assert_eq!(world.call(Method::DELETE, &path, "").await.json()["deleted"], true);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/pause")),
        (Method::POST, format!("{path}/test")),
    ] {
        let body = if path.ends_with("test") { "{}" } else { "" };
        assert_eq!(world.call(method, &path, body).await.status, 404, "{path}");
    }
}

/// P25: a test answers what its receiver said; where nobody sends, it says so and nothing is left behind.
#[tokio::test]
async fn p25_a_test_answers_what_it_showed() {
    let world = World::start().await;
    let made =
        create(&world, &json!({"url": "https://example.com/a", "events": ["policy.updated"]}))
            .await;
    let path = format!("{PATH}/{}/test", made["id"].as_str().unwrap());
    let facts = world.facts().await;
    let nobody = world.post(&path, &json!({})).await;
    assert_eq!((nobody.status.as_u16(), nobody.problem().as_str()), (503, "unavailable"));
    assert_eq!(world.facts().await, facts);
    world.answering().await;
    let shown = world.post(&path, &json!({})).await.json();
    assert_eq!((&shown["state"], &shown["status"]), (&json!("delivered"), &json!(200)));
    assert_eq!(shown["type"], "policy.updated", "the first kind that it is told");
    assert_eq!(world.post(&path, &json!({"type": "x"})).await.wrong(), ["type"]);
}

/// I13: another organization's endpoints are not there.
#[tokio::test]
async fn i13_endpoints_of_others_are_not_there() {
    let world = World::start().await;
    let made = create(&world, &json!({"url": "https://example.com/a"})).await;
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let they = world.tenant("they").await;
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/pause")),
        (Method::POST, format!("{path}/resume")),
        (Method::POST, format!("{path}/rotate-secret")),
        (Method::POST, format!("{path}/end-replaced-secrets")),
        (Method::POST, format!("{path}/test")),
    ] {
        let body = r#"{"description":"x"}"#;
        let reply = world.call_as(&they.token, method, &path, body).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    let listed = world.call_as(&they.token, Method::GET, PATH, "").await;
    assert_eq!(listed.json()["items"], json!([]));
}

/// SW-9: an endpoint's public keys are there for anybody, those that still sign beside the newest too; of shared secrets
/// and of endpoints that are not there nothing is told.
#[tokio::test]
async fn sw9_public_keys_are_published() {
    let world = World::start().await;
    let keys = async |id: &Value| {
        let path = format!("/.well-known/webhook-keys/{}", id.as_str().unwrap());
        world.send(http::Request::get(path).body(axum::body::Body::empty()).unwrap()).await
    };
    let url = "https://example.com/a";
    let pair = create(&world, &json!({"url": url, "secret_form": "key_pair"})).await;
    let published = keys(&pair["id"]).await;
    assert_eq!(published.status, 200);
    assert_eq!(published.json()["keys"][0]["whpk"], pair["public_key"]);
    assert!(
        !published.text.contains(pair["secret"].as_str().unwrap())
            && !published.text.contains("whsk_")
    );
    let path = format!("{PATH}/{}/rotate-secret", pair["id"].as_str().unwrap());
    let rotated =
        world.post(&path, &json!({"secret_form": "key_pair", "overlap_seconds": 60})).await.json();
    let both = keys(&pair["id"]).await.json();
    let both: Vec<_> =
        both["keys"].as_array().unwrap().iter().map(|key| key["whpk"].clone()).collect();
    assert!(
        both.len() == 2
            && both.contains(&pair["public_key"])
            && both.contains(&rotated["public_key"])
    );
    // To its owner they are shown with the endpoint: nobody has to keep the answer that made them.
    let path = format!("{PATH}/{}", pair["id"].as_str().unwrap());
    let shown = world.get(&path).await;
    assert!(!shown.text.contains("whsk_"), "no private key");
    let shown = shown.json();
    let mut told = shown["public_keys"].as_array().unwrap().clone();
    let mut published = both;
    told.sort_by_key(Value::to_string);
    published.sort_by_key(Value::to_string);
    assert_eq!(told, published);
    let address = shown["public_keys_url"].as_str().unwrap();
    let well_known = format!("/.well-known/webhook-keys/{}", pair["id"].as_str().unwrap());
    assert!(address.starts_with("https://") && address.ends_with(&well_known), "{address}");
    world.clock.pass(60_000);
    assert_eq!(keys(&pair["id"]).await.json()["keys"].as_array().unwrap().len(), 1);
    assert_eq!(world.get(&path).await.json()["public_keys"], json!([rotated["public_key"]]));
    let shared = create(&world, &json!({"url": url})).await;
    let shown = world.get(&format!("{PATH}/{}", shared["id"].as_str().unwrap())).await;
    assert!(!shown.text.contains("whsec_"), "no shared secret");
    let shown = shown.json();
    assert_eq!((&shown["public_keys"], &shown["public_keys_url"]), (&json!([]), &Value::Null));
    assert_eq!(keys(&shared["id"]).await.problem(), "not-found");
    world.call(Method::DELETE, &format!("{PATH}/{}", pair["id"].as_str().unwrap()), "").await;
    assert_eq!(keys(&pair["id"]).await.problem(), "not-found");
    assert_eq!(keys(&json!("whk_x")).await.problem(), "not-found");
}
