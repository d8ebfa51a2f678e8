//! Bring-along: what was elsewhere is here afterwards, under its own ids and hashes.

use abide_core::access::Scope;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{Reply, World};

const IMPORT: &str = "/abide/v1/import";
const SILENT: &str = "webhooks=none";
const NDJSON: &str = "application/x-ndjson";
const SECRET: &str = "whsec_of-the-old-receiver";
/// The hash that ConsentProof showed; made of facts that Abide does not know.
const OLD_HASH: &str = "sha256:40e1b8e10c5e3feedd1bb9649b6f4a6174bf80118abe44687116ff236fe910bc";

impl World {
    async fn import(&self, query: &str, body: impl Into<String>) -> Reply {
        let token = self.us.token.clone();
        self.import_as(&token, query, body, &[]).await
    }

    async fn import_as(
        &self,
        token: &str,
        query: &str,
        body: impl Into<String>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{IMPORT}?{query}"))
            .header("x-api-key", token);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", NDJSON);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into().into()).unwrap()).await
    }
}

fn endpoint(id: &str) -> Value {
    json!({"type": "endpoint", "data": {
        "id": id, "url": "https://receiver.example/hooks", "dialect": "consentproof", "secret": SECRET,
        "events": ["*"], "description": null, "is_active": true,
        "created_at": "2023-01-01T00:00:00Z", "updated_at": "2023-02-01T00:00:00Z",
        "last_triggered_at": null, "delivery_stats": {"total": 7, "successful": 7, "failed": 0},
    }})
}

fn policy(id: &str, version: &str) -> Value {
    json!({"type": "policy", "data": {
        "id": id, "policy_type": "privacy_policy", "version": version, "title": "Privacy", "content": "We ...",
        "effective_date": "2023-01-01T00:00:00Z", "is_active": true, "created_at": "2023-01-01T00:00:00Z",
    }})
}

fn consent(id: &str, who: &str) -> Value {
    json!({"type": "consent", "data": {
        "id": id, "subject_id": who, "subject_email": format!("{who}@example.com"), "policy_id": "pol_abc",
        "consent_type": "marketing", "granted": true, "consent_hash": OLD_HASH,
        "metadata": {"ip_address": "192.168.1.1"}, "recorded_at": "2023-06-01T10:30:00Z",
    }})
}

fn lines(lines: &[Value]) -> String {
    lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

fn counts(reply: &Reply) -> [u64; 3] {
    assert_eq!(reply.status, 200, "{reply:?}");
    let json = reply.json();
    ["created", "appended", "unchanged"].map(|name| json[name].as_u64().unwrap())
}

/// Each is found under the id and the hash it had, under both prefixes and in our own API, and goes on from there.
#[tokio::test]
async fn p34_what_was_brought_along_goes_on_under_its_own_ids() {
    let world = World::start().await;
    let body =
        lines(&[endpoint("whk_abc123"), policy("pol_abc", "1"), consent("con_xyz789", "user_123")]);
    let reply = world.import(SILENT, format!("\n{body}")).await;
    assert_eq!(counts(&reply), [3, 0, 0]);
    let told = reply.json();
    let of = |at: usize, name: &str| told["lines"][at][name].clone();
    assert_eq!((of(0, "line"), of(0, "original_id")), (2.into(), "whk_abc123".into()));
    assert_eq!((of(0, "hash"), of(1, "hash")), (Value::Null, "computed".into()));
    assert_eq!((of(2, "hash"), of(2, "outcome")), ("differs".into(), "created".into()));
    assert_eq!((of(2, "line"), of(2, "type")), (4.into(), "consent".into()));

    for prefix in ["/v1", "/api/v1"] {
        let found = world.get(&format!("{prefix}/consent/con_xyz789")).await.data();
        assert_eq!((&found["id"], &found["policy_id"]), (&"con_xyz789".into(), &"pol_abc".into()));
        assert_eq!((&found["consent_hash"], &found["granted"]), (&OLD_HASH.into(), &true.into()));
        assert_eq!(found["recorded_at"], "2023-06-01T10:30:00Z");
        let found = world.get(&format!("{prefix}/policies/pol_abc")).await.data();
        assert_eq!((&found["id"], &found["content"]), (&"pol_abc".into(), &"We ...".into()));
        let found = world.get(&format!("{prefix}/webhooks/whk_abc123")).await.data();
        assert_eq!((&found["id"], &found["is_active"]), (&"whk_abc123".into(), &true.into()));
        assert_eq!(found["created_at"], "2023-01-01T00:00:00Z");
    }
    // Its own id names the same.
    let own = world.get(&format!("/v1/consent/{}", of(2, "id").as_str().unwrap())).await.data();
    assert_eq!(own["id"], "con_xyz789");
    let shown = world.get("/abide/v1/endpoints/whk_abc123").await.json();
    assert_eq!((&shown["id"], &shown["original_id"]), (&of(0, "id"), &"whk_abc123".into()));

    let query = "subject_id=user_123&consent_type=marketing&policy_id=pol_abc";
    let verified = world.get(&format!("/v1/consent/verify?{query}&consent_hash={OLD_HASH}")).await;
    let verified = verified.data();
    assert_eq!((&verified["valid"], &verified["hash"]["current"]), (&true.into(), &true.into()));
    assert_eq!(verified["consent"]["id"], "con_xyz789");
    let listed = world.get("/v1/consent?policy_id=pol_abc").await.data();
    assert_eq!(listed[0]["id"], "con_xyz789");

    // What is recorded from now on names the old policy, and changes the old record.
    let new = json!({"subject_id": "user_9", "policy_id": "pol_abc", "consent_type": "news", "granted": true});
    assert_eq!(world.post("/v1/consent", &new).await.data()["policy_id"], "pol_abc");
    let changed =
        world.patch("/api/v1/consent/con_xyz789", &json!({"metadata": {"source": "call"}})).await;
    let changed = changed.data();
    assert_eq!(
        (&changed["id"], &changed["metadata"]["source"]),
        (&"con_xyz789".into(), &"call".into())
    );
    assert_ne!(changed["consent_hash"], OLD_HASH);
    let withdrawn = world.post("/v1/consent/con_xyz789/withdraw", &json!({})).await.data();
    assert_eq!((&withdrawn["id"], &withdrawn["granted"]), (&"con_xyz789".into(), &false.into()));
    let retitled = world.patch("/v1/policies/pol_abc", &json!({"title": "New"})).await.data();
    assert_eq!((&retitled["id"], &retitled["title"]), (&"pol_abc".into(), &"New".into()));
    let deliveries = world.get("/v1/webhooks/whk_abc123/deliveries").await.data();
    assert!(!deliveries.as_array().unwrap().is_empty());
    let paused = world.call(Method::POST, "/abide/v1/endpoints/whk_abc123/pause", "").await.json();
    assert_eq!(paused["original_id"], "whk_abc123");
    assert_eq!(world.call(Method::DELETE, "/v1/webhooks/whk_abc123", "").await.status, 200);
    assert_eq!(world.get("/v1/webhooks/whk_abc123").await.status, 404);

    let export = world.get("/abide/v1/export").await.text;
    for shown in [
        r#""original_id":"pol_abc""#,
        r#""consent_original_id":"con_xyz789""#,
        r#""policy_original_id":"pol_abc""#,
    ] {
        assert!(export.contains(shown), "{shown}: {export}");
    }
    assert!(!reply.text.contains(SECRET) && !export.contains(SECRET), "no secret");
}

/// Whether anybody is told is said for each import.
#[tokio::test]
async fn with_webhooks_or_without() {
    let world = World::start().await;
    let of_consents = async || {
        let events = world.get("/abide/v1/events?limit=100").await.json();
        let kinds = events["items"].as_array().unwrap().iter();
        kinds.map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let silent = [endpoint("whk_1"), policy("pol_abc", "1"), consent("con_1", "ada")];
    counts(&world.import(SILENT, lines(&silent)).await);
    assert!(of_consents().await.is_empty());
    let sent = world.import("webhooks=send", lines(&[consent("con_2", "bob")])).await;
    assert_eq!(counts(&sent), [1, 0, 0]);
    assert_eq!(of_consents().await.len(), 1);
    let deliveries = world.get("/abide/v1/deliveries").await.json();
    assert_eq!(deliveries["items"].as_array().unwrap().len(), 1);
    for (query, wrong) in [
        ("", &["webhooks"][..]),
        ("webhooks=yes", &["webhooks"]),
        ("webhooks=none&dry_run=perhaps", &["dry_run"]),
        ("dryrun=true", &["dryrun", "webhooks"]),
    ] {
        assert_eq!(world.import(query, lines(&silent)).await.wrong(), wrong, "{query}");
    }
}

/// A dry run tells what would become of each line and changes nothing; what is there stays as it is, as often as it comes.
#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_repeat_neither() {
    let world = World::start().await;
    let body = lines(&[endpoint("whk_1"), policy("pol_abc", "1"), consent("con_1", "ada")]);
    let before = world.facts().await;
    let tried = world.import("webhooks=send&dry_run=true", body.as_str()).await;
    assert_eq!(counts(&tried), [3, 0, 0]);
    let json = tried.json();
    assert_eq!((&json["dry_run"], &json["lines"][2]["id"]), (&true.into(), &Value::Null));
    assert_eq!(world.facts().await, before);
    assert_eq!(world.get("/v1/consent/con_1").await.code(), "NOT_FOUND");

    let done = world.import(SILENT, body.as_str()).await;
    assert_eq!(counts(&done), [3, 0, 0]);
    let after = world.facts().await;
    let again = world.import("webhooks=send", body.as_str()).await;
    assert_eq!(counts(&again), [0, 0, 3]);
    assert_eq!(again.json()["lines"][2]["id"], done.json()["lines"][2]["id"]);
    assert_eq!(world.facts().await, after);

    let mut later = consent("con_1", "ada");
    later["data"]["granted"] = false.into();
    later["data"]["recorded_at"] = "2023-07-01T00:00:00Z".into();
    later["data"]["withdrawn_at"] = "2023-07-01T00:00:00Z".into();
    assert_eq!(counts(&world.import(SILENT, lines(&[later])).await), [0, 1, 0]);
    let found = world.get("/v1/consent/con_1").await.data();
    assert_eq!(
        (&found["granted"], &found["withdrawn_at"]),
        (&false.into(), &"2023-07-01T00:00:00Z".into())
    );
}

/// An import that is sent twice under one key is answered twice alike; the key is good for no other.
#[tokio::test]
async fn an_idempotency_key_answers_the_same_again() {
    let world = World::start().await;
    let body = lines(&[policy("pol_abc", "1"), consent("con_1", "ada")]);
    let token = world.us.token.clone();
    let key = [("idempotency-key", "move-1")];
    // A dry run does not use a key up.
    let tried = world.import_as(&token, "webhooks=none&dry_run=true", body.as_str(), &key).await;
    assert_eq!(counts(&tried), [2, 0, 0]);
    // Nor does one that was refused.
    let unfit = lines(&[consent("con_1", "ada")]);
    let refused = world.import_as(&token, SILENT, unfit, &key).await;
    assert_eq!(refused.wrong(), ["lines[0].policy_id"]);
    let first = world.import_as(&token, SILENT, body.as_str(), &key).await;
    assert_eq!(counts(&first), [2, 0, 0]);
    let again = world.import_as(&token, SILENT, body.as_str(), &key).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = world.import_as(&token, "webhooks=send", body.as_str(), &key).await;
    assert_eq!(other.problem(), "conflict");
}

/// I11: every line that does not fit is named, with what is wrong and nothing of what it holds; nothing is taken.
#[tokio::test]
async fn i11_misfits_are_all_told_and_nothing_is_taken() {
    let world = World::start().await;
    let before = world.facts().await;
    let mut unknown = consent("con_2", "secret-person");
    unknown["data"]["policy_id"] = "pol_nowhere".into();
    let mut early = consent("con_1", "secret-person");
    early["data"]["recorded_at"] = "2022-01-01T00:00:00Z".into();
    early["data"].as_object_mut().unwrap().remove("consent_hash");
    let body = lines(&[policy("pol_abc", "1"), consent("con_1", "secret-person"), unknown, early]);
    let refused = world.import(SILENT, body.replacen('\n', "\n\n", 1)).await;
    let mut wrong = refused.wrong();
    wrong.sort_unstable();
    assert_eq!(wrong.len(), 2, "{refused:?}");
    assert!(wrong[0].starts_with("lines[3]."), "{wrong:?}");
    assert_eq!(wrong[1], "lines[4].recorded_at");

    let mut mistyped = consent("con_3", "secret-person");
    mistyped["data"]["grantd"] = true.into();
    let unread = [
        r#"{"type":"consent","data":{"subject_id":"secret-person""#.to_owned(),
        "[\"secret-person\"]".to_owned(),
        json!({"data": {"subject_id": "secret-person"}}).to_string(),
        json!({"type": "person", "data": {}}).to_string(),
        json!({"type": "consent", "data": "secret-person"}).to_string(),
        json!({"type": "consent", "data": {}, "more": 1}).to_string(),
        mistyped.to_string(),
        json!({"type": "endpoint", "data": {"id": "whk_1", "url": "http://x", "events": ["*"]}})
            .to_string(),
    ];
    let refused_early = world.import(SILENT, unread.join("\n")).await;
    assert_eq!(
        refused_early.wrong(),
        [
            "lines[0]",
            "lines[1]",
            "lines[2].type",
            "lines[3].type",
            "lines[4].data",
            "lines[5].more",
            "lines[6].grantd",
            "lines[7].dialect",
            "lines[7].secret",
            "lines[7].url",
        ]
    );
    for text in [&refused.text, &refused_early.text] {
        for hidden in ["secret-person", SECRET, "192.168.1.1", "40e1b8"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
    assert_eq!(world.facts().await, before);
}

/// I9: how much one call can hold is bounded, and what is no lines is told.
#[tokio::test]
async fn i9_a_call_is_bounded() {
    let world = World::start().await;
    let many = |count: usize| format!("{}\n", policy("pol_1", "1")).repeat(count);
    assert_eq!(counts(&world.import(SILENT, many(1_000)).await), [1, 0, 999]);
    for body in [many(1_001), String::new(), " \n\r\n".to_owned()] {
        assert_eq!(world.import(SILENT, body).await.problem(), "invalid-body");
    }
    let large = "x".repeat(4 * 1024 * 1024 + 1);
    assert_eq!(world.import(SILENT, large).await.problem(), "body-too-large");
    let token = world.us.token.clone();
    for sent in ["application/json", "text/plain"] {
        let reply = world.import_as(&token, SILENT, many(1), &[("content-type", sent)]).await;
        assert_eq!(reply.problem(), "not-json", "{sent}");
    }
}

/// I13: an import asks for an admin key, and what it brought is its organization's alone.
#[tokio::test]
async fn i13_original_ids_are_an_organizations_own() {
    let world = World::start().await;
    let body = lines(&[endpoint("whk_1"), policy("pol_abc", "1"), consent("con_1", "ada")]);
    for scope in [Scope::ConsentWrite, Scope::PoliciesWrite, Scope::WebhooksWrite] {
        let key = world.key(&[scope]).await;
        let refused = world.import_as(key.bearer_token.reveal(), SILENT, body.as_str(), &[]).await;
        assert_eq!(refused.problem(), "missing-scope", "{scope:?}");
    }
    counts(&world.import(SILENT, body.as_str()).await);
    let them = world.tenant("them").await;
    for (method, path) in [
        (Method::GET, "/v1/consent/con_1"),
        (Method::PATCH, "/api/v1/consent/con_1"),
        (Method::POST, "/v1/consent/con_1/withdraw"),
        (Method::GET, "/v1/policies/pol_abc"),
        (Method::DELETE, "/api/v1/policies/pol_abc"),
        (Method::GET, "/v1/webhooks/whk_1"),
        (Method::PUT, "/v1/webhooks/whk_1"),
        (Method::DELETE, "/v1/webhooks/whk_1"),
        (Method::GET, "/v1/webhooks/whk_1/deliveries"),
        (Method::GET, "/abide/v1/endpoints/whk_1"),
        (Method::DELETE, "/abide/v1/endpoints/whk_1"),
        (Method::POST, "/abide/v1/endpoints/whk_1/rotate-secret"),
        // Each id names one kind of thing, and some things have none but Abide's.
        (Method::GET, "/v1/consent/pol_abc"),
        (Method::GET, "/abide/v1/deliveries/con_1"),
    ] {
        let reply = world.call_as(&them.token, method.clone(), path, "{}").await;
        assert_eq!(reply.status, 404, "{method} {path}: {reply:?}");
    }
    assert_eq!(world.get("/v1/consent/pol_abc").await.code(), "NOT_FOUND");
    assert_eq!(world.get("/v1/consent/con_1").await.data()["subject_id"], "ada");
    // They may have brought the same ids along.
    assert_eq!(counts(&world.import_as(&them.token, SILENT, body, &[]).await), [3, 0, 0]);
}
