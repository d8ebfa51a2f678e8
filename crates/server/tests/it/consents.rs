//! Consents, from request to answer and ledger.

use abide_core::consent::hash::sha256_text;
use abide_core::ids::{ConsentId, PolicyId};
use http::Method;
use serde_json::{Value, json};

use crate::support::{World, data_text, keys_in_order};

fn one() -> Value {
    json!({"subject_id": "user_123", "consent_type": "marketing", "granted": true})
}

async fn policy(world: &World) -> String {
    let new = json!({"policyType": "custom", "version": "1", "title": "T", "content": "C"});
    world.post("/v1/policies", &new).await.data()["id"].as_str().unwrap().to_owned()
}

/// P14: the object of the seed, in its order; metadata byte for byte.
#[tokio::test]
async fn p14_a_consent_is_recorded_and_shown() {
    let world = World::start().await;
    let policy = policy(&world).await;
    let metadata = r#"{ "ip_address":"192.168.1.1",  "source":"signup_form","n":1.50 }"#;
    let body = format!(
        r#"{{"subject_id":"user_123","subject_email":"user@example.com","policy_id":"{policy}",
        "consent_type":"marketing","granted":true,"metadata":{metadata},"from_the_vendors_client":1}}"#
    );
    let reply = world.call(Method::POST, "/v1/consent", body).await;
    assert_eq!(reply.status, 201);
    assert_eq!(
        keys_in_order(&data_text(&reply)),
        [
            "id",
            "subject_id",
            "subject_email",
            "policy_id",
            "consent_type",
            "granted",
            "consent_hash",
            "metadata",
            "recorded_at",
        ]
    );
    let data = reply.data();
    assert!(data["id"].as_str().unwrap().starts_with("con_"));
    assert_eq!(data["subject_id"], "user_123");
    assert_eq!(data["subject_email"], "user@example.com");
    assert_eq!(data["policy_id"], policy.as_str());
    assert_eq!(data["granted"], true);
    assert_eq!(data["recorded_at"], "2024-01-15T10:30:00Z");
    let hash = data["consent_hash"].as_str().unwrap();
    assert!(hash.starts_with("sha256:") && hash.len() == 71, "{hash}");
    assert!(reply.text.contains(metadata), "{}", reply.text);

    let read = world.get(&format!("/v1/consent/{}", data["id"].as_str().unwrap())).await;
    assert_eq!((read.status.as_u16(), read.data()), (200, data));
}

/// P34: the vendor's words make the same record, so the same hash.
#[tokio::test]
async fn p34_the_vendors_words_make_the_same_record() {
    let (one, other) = (World::start().await, World::start().await);
    let ours = json!({"subject_id": "u", "subject_email": "u@example.com", "consent_type": "m",
        "granted": false, "ip_address": "::1", "user_agent": "Lynx"});
    let vendors = json!({"userReference": "u", "userEmail": "u@example.com", "consentType": "m",
        "consentGiven": false, "ipAddress": "::1", "userAgent": "Lynx"});
    let ours = one.post("/v1/consent", &ours).await.data();
    let vendors = other.post("/api/v1/consent", &vendors).await.data();
    assert_eq!(ours, vendors);
    assert_eq!(ours["metadata"], json!({"ip_address": "::1", "user_agent": "Lynx"}));
}

/// P28, P29: every problem is named, with the spelling that was used.
#[tokio::test]
async fn p28_p29_all_problems_at_once() {
    let world = World::start().await;
    let before = world.facts().await;
    let body =
        json!({"userReference": 5, "subject_email": [], "granted": "yes", "policy_id": "evt 1"});
    let reply = world.post("/v1/consent", &body).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "VALIDATION_ERROR"));
    assert_eq!(
        reply.fields(),
        ["userReference", "subject_email", "policy_id", "consent_type", "granted"]
    );
    let both = world
        .post(
            "/v1/consent",
            &json!({"subject_id": "a", "userReference": "b", "consent_type": "m", "granted": true}),
        )
        .await;
    assert!(
        both.text.contains("`subject_id`") && both.text.contains("`userReference`"),
        "{both:?}"
    );
    for (field, value) in [
        ("subject_id", json!("")),
        ("subject_email", json!("nobody")),
        ("policy_id", json!(PolicyId::from_key(5).to_string())),
        ("obtained_at", json!("2100-01-01T00:00:00Z")),
        ("valid_until", json!("soon")),
        ("ip_address", json!("x".repeat(101))),
        ("ip_address", json!("localhost")),
        ("lawful_basis", json!("contract")),
        ("basis", json!("consent")),
        ("state", json!("granted")),
        ("validity", json!({"until": "2030-01-01T00:00:00Z"})),
        ("metadata", json!([1])),
    ] {
        let mut body = one();
        body[field] = value;
        let reply = world.post("/v1/consent", &body).await;
        assert_eq!((reply.status.as_u16(), reply.fields()), (400, vec![field.to_owned()]));
    }
    assert_eq!(world.facts().await, before);
}

/// P37: changing and withdrawing answer the record as it then stands.
#[tokio::test]
async fn p37_a_consent_is_changed_and_withdrawn() {
    let world = World::start().await;
    let id = world.post("/v1/consent", &one()).await.data()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/consent/{id}");
    world.clock.pass(60_000);

    let changed = world.patch(&path, &json!({"userEmail": "new@example.com"})).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.data()["id"], id.as_str());
    assert_eq!(changed.data()["subject_email"], "new@example.com");
    assert_eq!(changed.data()["granted"], true);
    let nothing = world.patch(&path, &json!({})).await;
    assert_eq!(nothing.status, 400);
    let theirs = world.patch(&path, &json!({"subject_id": "other", "granted": false})).await;
    assert_eq!(theirs.fields(), ["subject_id"]);

    world.clock.pass(60_000);
    let empty = world.call(Method::POST, &format!("{path}/withdraw"), "").await;
    assert_eq!(empty.status, 200);
    assert_eq!(empty.data()["granted"], false);
    assert_eq!(empty.data()["withdrawn_at"], "2024-01-15T10:32:00Z");
    world.clock.pass(60_000);
    let again = world.post(&format!("{path}/withdraw"), &json!({"metadata": {"why": "x"}})).await;
    assert_eq!(again.data(), empty.data(), "withdrawing twice is no mistake");
    assert_eq!(world.get(&path).await.data(), empty.data());
}

/// P37: a batch is recorded whole or not at all.
#[tokio::test]
async fn p37_a_batch_is_all_or_nothing() {
    let world = World::start().await;
    let mut other = one();
    other["subject_id"] = json!("user_456");
    let reply = world.post("/v1/consent/batch", &json!({"consents": [one(), other]})).await;
    assert_eq!(reply.status, 201);
    assert!(reply.data()["batch_id"].as_str().unwrap().starts_with("bat_"));
    assert_eq!(reply.data()["count"], 2);
    assert_eq!(reply.data()["consents"][1]["subject_id"], "user_456");

    let before = world.facts().await;
    let mut bad = one();
    bad["subject_id"] = json!("");
    let reply = world.post("/v1/consent/batch", &json!([one(), bad])).await;
    assert_eq!(
        (reply.status.as_u16(), reply.fields()),
        (400, vec!["consents[1].subject_id".into()])
    );
    let many = Value::Array(vec![one(); 1_001]);
    for body in [json!([]), json!({"consents": []}), json!({}), json!([[]]), many] {
        let reply = world.post("/v1/consent/batch", &body).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "VALIDATION_ERROR"));
    }
    assert_eq!(world.facts().await, before);
}

/// P29: what does not exist is 404, also where the id is none.
#[tokio::test]
async fn p29_not_found() {
    let world = World::start().await;
    let unknown = ConsentId::from_key(5).to_string();
    for id in [unknown.as_str(), "con_x", "x", "%ff", "%00", "evt_01hm6fqjy7fm7s0hkvp8z3x9aq"] {
        for (method, path, body) in [
            (Method::GET, format!("/v1/consent/{id}"), json!({})),
            (Method::PATCH, format!("/v1/consent/{id}"), json!({"granted": true})),
            (Method::POST, format!("/v1/consent/{id}/withdraw"), json!({})),
        ] {
            let reply = world.call(method, &path, body.to_string()).await;
            assert_eq!(
                (reply.status.as_u16(), reply.code().as_str()),
                (404, "NOT_FOUND"),
                "{path}"
            );
        }
    }
}

/// P37: each action tells its one event, and a call that changes nothing tells none.
#[tokio::test]
async fn p37_each_action_tells_one_event() {
    let world = World::start().await;
    let told = async || {
        let history = world.store.history();
        let mut kinds = Vec::new();
        for entry in history.events(world.us.id, 0, 100).await.unwrap() {
            let event = history.event(world.us.id, entry.id).await.unwrap().unwrap();
            kinds.push(event.kind.as_str());
        }
        kinds
    };
    let id = world.post("/v1/consent", &one()).await.data()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/consent/{id}");
    world.clock.pass(1_000);
    world.patch(&path, &json!({"subject_email": "u@example.com"})).await.data();
    world.clock.pass(1_000);
    world.call(Method::POST, &format!("{path}/withdraw"), "").await.data();
    world.call(Method::POST, &format!("{path}/withdraw"), "").await.data();
    let (mut refused, mut other) = (one(), one());
    refused["subject_id"] = json!("user_456");
    refused["granted"] = json!(false);
    other["subject_id"] = json!("user_789");
    world.post("/v1/consent", &refused).await.data();
    world.post("/v1/consent/batch", &json!([other])).await.data();
    let policy = format!("/v1/policies/{}", policy(&world).await);
    world.patch(&policy, &json!({"title": "New"})).await.data();
    world.call(Method::DELETE, &policy, "").await.data();
    assert_eq!(
        told().await,
        [
            "consent.created",
            "consent.updated",
            "consent.withdrawn",
            "consent.created",
            "consent.batch_created",
            "policy.created",
            "policy.updated",
            "policy.deleted",
        ]
    );
}

/// P37, P35: `null` removes e-mail address, policy and metadata, each alone, what is left out stays, and the hash is that
/// of what is left.
#[tokio::test]
async fn p37_null_removes_what_a_record_can_lack() {
    let world = World::start().await;
    let mut body = one();
    body["subject_email"] = json!("user@example.com");
    body["policy_id"] = json!(policy(&world).await);
    body["metadata"] = json!({"source": "form"});
    body["ip_address"] = json!("192.0.2.1");
    body["user_agent"] = json!("Lynx");
    let made = world.post("/v1/consent", &body).await.data();
    let path = format!("/v1/consent/{}", made["id"].as_str().unwrap());
    let mut wanted = made.clone();
    for (change, removed, left) in [
        (json!({"userEmail": null}), "subject_email", Value::Null),
        (json!({"policyVersionId": null}), "policy_id", Value::Null),
        (json!({"metadata": null}), "metadata", json!({})),
        (json!({"metadata": null, "userAgent": "w3m"}), "metadata", json!({"user_agent": "w3m"})),
        (
            json!({"metadata": null, "policy_id": null, "subject_email": null}),
            "metadata",
            json!({}),
        ),
    ] {
        world.clock.pass(1_000);
        let changed = world.patch(&path, &change).await.data();
        wanted[removed] = left;
        check_hash(&changed);
        for field in
            ["subject_id", "subject_email", "policy_id", "consent_type", "granted", "metadata"]
        {
            let shown = changed.get(field).unwrap_or(&Value::Null);
            assert_eq!(*shown, wanted[field], "{field} after {change}");
        }
        assert_eq!(world.get(&path).await.data(), changed);
    }
    world.clock.pass(1_000);
    let set_again = json!({"subject_email": "new@example.com"});
    assert_eq!(world.patch(&path, &set_again).await.data()["subject_email"], "new@example.com");
}

/// P37, P29: what a record cannot lack is not removed, and what is no value of a field removes nothing.
#[tokio::test]
async fn p37_p29_other_fields_are_not_removed() {
    let world = World::start().await;
    let mut body = one();
    body["subject_email"] = json!("user@example.com");
    let id = world.post("/v1/consent", &body).await.data()["id"].as_str().unwrap().to_owned();
    let before = world.facts().await;
    for (given, value) in [
        ("granted", Value::Null),
        ("ip_address", Value::Null),
        ("user_agent", Value::Null),
        ("subject_id", Value::Null),
        ("consent_type", Value::Null),
        ("subject_email", json!("")),
        ("subject_email", json!("null")),
        ("subject_email", json!([])),
        ("policy_id", json!("")),
        ("policy_id", json!(false)),
        ("metadata", json!("null")),
        ("metadata", json!([])),
    ] {
        // Beside something that could be removed: nothing of the change is done.
        let mut body = json!({"policy_id": null, "metadata": null});
        body[given] = value.clone();
        let reply = world.patch(&format!("/v1/consent/{id}"), &body).await;
        let told = (reply.status.as_u16(), reply.fields());
        assert_eq!(told, (400, vec![given.to_owned()]), "{value}");
    }
    let twice = r#"{"userEmail":null,"subject_email":"user@example.com"}"#;
    let reply = world.call(Method::PATCH, &format!("/v1/consent/{id}"), twice).await;
    assert_eq!(reply.status, 400, "two spellings of one field");
    assert_eq!(world.facts().await, before);
}

/// What a change cannot do is refused, so that nobody believes that it was done.
#[tokio::test]
async fn p37_a_change_says_what_it_does_not_take() {
    let world = World::start().await;
    let id = world.post("/v1/consent", &one()).await.data()["id"].as_str().unwrap().to_owned();
    let before = world.facts().await;
    let when = "2030-01-01T00:00:00Z";
    for (given, named) in [
        ("valid_until", "valid_until"),
        ("validFrom", "valid_from"),
        ("obtained_at", "obtained_at"),
        ("lawfulBasis", "lawful_basis"),
        ("basis", "basis"),
        ("state", "state"),
        ("validity", "validity"),
    ] {
        let mut body = json!({"granted": false});
        body[given] = json!(when);
        let reply = world.patch(&format!("/v1/consent/{id}"), &body).await;
        assert_eq!((reply.status.as_u16(), reply.fields()), (400, vec![named.to_owned()]));
    }
    let body = json!({"state": "withdrawn"});
    let reply = world.post(&format!("/v1/consent/{id}/withdraw"), &body).await;
    assert_eq!((reply.status.as_u16(), reply.fields()), (400, vec!["state".to_owned()]));
    assert_eq!(world.facts().await, before);
}

/// P35: the hash is that of what the answer shows.
fn check_hash(data: &Value) {
    let address = data["metadata"].get("ip_address").unwrap_or(&Value::Null);
    let parts = [
        ("userReference", &data["subject_id"]),
        ("userEmail", data.get("subject_email").unwrap_or(&Value::Null)),
        ("policyVersionId", data.get("policy_id").unwrap_or(&Value::Null)),
        ("consentGiven", &data["granted"]),
        ("timestamp", &data["recorded_at"]),
        ("ipAddress", address),
    ];
    let parts = parts.map(|(name, value)| format!("\"{name}\":{value}"));
    let text = format!("{{{}}}", parts.join(","));
    assert_eq!(data["consent_hash"], sha256_text(text.as_bytes()), "{data}");
}

/// P35: whoever holds an answer can recompute its hash from it alone.
#[tokio::test]
async fn p35_the_hash_is_recomputed_from_an_answer_alone() {
    let world = World::start().await;
    let policy = policy(&world).await;
    let mut full = one();
    full["subject_email"] = json!("user@example.com");
    full["policy_id"] = json!(policy);
    full["ipAddress"] = json!("2001:db8::7");
    full["userAgent"] = json!("Lynx");
    full["metadata"] = json!({"source": "form"});
    let made = world.post("/v1/consent", &full).await.data();
    check_hash(&made);
    let wanted = json!({"source": "form", "ip_address": "2001:db8::7", "user_agent": "Lynx"});
    assert_eq!(made["metadata"], wanted);
    let mut bare = one();
    bare["subject_id"] = json!("bare");
    check_hash(&world.post("/v1/consent", &bare).await.data());
    bare["subject_id"] = json!("in_a_batch");
    bare["ip_address"] = json!("192.0.2.9");
    let batch = world.post("/v1/consent/batch", &json!([bare])).await.data();
    check_hash(&batch["consents"][0]);
    assert_eq!(batch["consents"][0]["metadata"], json!({"ip_address": "192.0.2.9"}));

    let path = format!("/v1/consent/{}", made["id"].as_str().unwrap());
    for (change, metadata) in [
        (json!({"granted": false}), wanted),
        (
            json!({"granted": true, "ip_address": "192.0.2.1", "metadata": {"a": 1}}),
            json!({"a": 1, "ip_address": "192.0.2.1"}),
        ),
        (
            json!({"granted": false, "ip_address": "192.0.2.2", "user_agent": "w3m"}),
            json!({"ip_address": "192.0.2.2", "user_agent": "w3m"}),
        ),
        (json!({"granted": true, "metadata": {}}), json!({})),
    ] {
        world.clock.pass(1_000);
        let changed = world.patch(&path, &change).await.data();
        assert_eq!(changed["metadata"], metadata);
        check_hash(&changed);
        check_hash(&world.get(&path).await.data());
    }
    world.clock.pass(1_000);
    let body = json!({"ip_address": "192.0.2.3", "metadata": {"why": "x"}});
    let withdrawn = world.post(&format!("{path}/withdraw"), &body).await.data();
    assert_eq!(withdrawn["metadata"], json!({"why": "x", "ip_address": "192.0.2.3"}));
    check_hash(&withdrawn);
}

/// P35: two addresses would leave open which of them was hashed.
#[tokio::test]
async fn p35_addresses_that_differ_are_refused() {
    let world = World::start().await;
    let mut body = one();
    body["ip_address"] = json!("192.0.2.1");
    body["metadata"] = json!({"ip_address": "192.0.2.2"});
    let reply = world.post("/v1/consent", &body).await;
    assert_eq!((reply.status.as_u16(), reply.fields()), (400, vec!["ip_address".to_owned()]));
    assert!(reply.text.contains("`metadata.ip_address`"), "{reply:?}");
}
