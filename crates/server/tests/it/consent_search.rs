//! Consents listed and verified, from request to answer.

use abide_core::access::{Actor, Caller};
use serde_json::{Value, json};

use crate::support::{Reply, World};

async fn record(world: &World, body: Value) -> Value {
    world.clock.pass(1_000);
    world.post("/v1/consent", &body).await.data()
}

/// Ada granted news and mail under a policy, Bob denied news, and Ada withdrew mail: in this order, a second apart.
async fn told(world: &World) -> String {
    let new = json!({"policyType": "custom", "version": "1", "title": "T", "content": "C"});
    let policy = world.post("/v1/policies", &new).await.data()["id"].as_str().unwrap().to_owned();
    record(
        world,
        json!({"subject_id": "ada/1", "consent_type": "news", "granted": true, "policy_id": policy,
        "subject_email": "ada@example.com", "ip_address": "192.0.2.1"}),
    )
    .await;
    let mail = json!({"subject_id": "ada/1", "consent_type": "mail", "granted": true, "policy_id": policy});
    let mail = record(world, mail).await;
    record(world, json!({"subject_id": "bob", "consent_type": "news", "granted": false})).await;
    world.clock.pass(1_000);
    let path = format!("/v1/consent/{}/withdraw", mail["id"].as_str().unwrap());
    world.post(&path, &json!({})).await.data();
    policy
}

/// `subject consent_type` of each item.
fn names(reply: &Reply) -> Vec<String> {
    let name = |item: &Value| {
        let text = |field: &str| item[field].as_str().unwrap().to_owned();
        format!("{} {}", text("subject_id"), text("consent_type"))
    };
    reply.data().as_array().unwrap().iter().map(name).collect()
}

/// P34, P32: all consents or some, in the objects of the other answers, under both prefixes and in both vocabularies.
#[tokio::test]
async fn p34_p32_consents_are_listed_by_filters() {
    let world = World::start().await;
    let empty = world.get("/v1/consent").await;
    assert_eq!(
        (empty.data(), &empty.json()["pagination"]),
        (json!([]), &json!({"page": 1, "limit": 20, "total": 0, "pages": 0}))
    );
    let policy = told(&world).await;
    let under = format!("policyVersionId={policy}");
    for (query, expected) in [
        ("", &["ada/1 mail", "bob news", "ada/1 news"][..]),
        ("granted=true", &["ada/1 news"]),
        ("consentGiven=false", &["ada/1 mail", "bob news"]),
        ("consent_type=news", &["bob news", "ada/1 news"]),
        ("consentType=news&granted=true", &["ada/1 news"]),
        ("consent_type=never-heard-of", &[]),
        ("subject_id=ada/1", &["ada/1 mail", "ada/1 news"]),
        ("userReference=bob&subject_id=bob", &["bob news"]),
        (&under, &["ada/1 mail", "ada/1 news"]),
        ("from=2024-01-15T10:30:03Z", &["ada/1 mail", "bob news"]),
        ("from=2024-01-15T10:30:01Z&to=2024-01-15T10:30:03Z", &["ada/1 news"]),
        ("to=2024-01-15", &[]),
        ("from=2024-01-15&unknown=1", &["ada/1 mail", "bob news", "ada/1 news"]),
    ] {
        for prefix in ["/v1", "/api/v1"] {
            let reply = world.get(&format!("{prefix}/consent?{query}")).await;
            assert_eq!(names(&reply), expected, "{query}");
            assert_eq!(reply.json()["pagination"]["total"], expected.len());
            assert_eq!(reply.json().get("meta"), None, "the total is exact");
        }
    }
    let page = world.get("/v1/consent?page=2&limit=2").await;
    assert_eq!(names(&page), ["ada/1 news"]);
    assert_eq!(page.json()["pagination"], json!({"page": 2, "limit": 2, "total": 3, "pages": 2}));
    assert_eq!(world.get("/v1/consent?page=4294967295&limit=100").await.data(), json!([]));
    let item = page.data()[0].clone();
    let read = world.get(&format!("/v1/consent/{}", item["id"].as_str().unwrap())).await;
    assert_eq!(read.data(), item);
}

/// P34: one person's consents, by the exact reference; whoever has none has an empty page.
#[tokio::test]
async fn p34_a_persons_consents() {
    let world = World::start().await;
    told(&world).await;
    for prefix in ["/v1", "/api/v1"] {
        let reply = world.get(&format!("{prefix}/consent/user/ada%2F1")).await;
        assert_eq!(names(&reply), ["ada/1 mail", "ada/1 news"]);
        let mail = &reply.data()[0];
        assert_eq!((&mail["granted"], mail["withdrawn_at"].is_string()), (&json!(false), true));
        let reply = world.get(&format!("{prefix}/consent/user/ada%2F1?granted=true&limit=1")).await;
        assert_eq!(names(&reply), ["ada/1 news"]);
        let other = world.get(&format!("{prefix}/consent/user/Bob")).await;
        assert_eq!((other.data(), &other.json()["pagination"]["total"]), (json!([]), &json!(0)));
    }
    let by = Caller::new(world.us.id, Actor::Operator);
    let now = abide_core::Timestamp::from_millis(0);
    world.store.subjects().erase(&by, "ada/1", now).await.unwrap();
    assert_eq!(world.get("/v1/consent/user/ada%2F1").await.data(), json!([]));
    assert_eq!(names(&world.get("/v1/consent").await), ["bob news"]);
}

/// P34: whether a consent is there to rely on, and why not.
#[tokio::test]
async fn p34_a_consent_is_verified() {
    let world = World::start().await;
    let policy = told(&world).await;
    let ask = async |query: &str| {
        let reply = world.get(&format!("/v1/consent/verify?{query}")).await;
        let data = reply.data();
        let said = [&data["valid"], &data["granted"], &data["reason"]].map(Clone::clone);
        (said, data)
    };
    let (said, data) = ask("subject_id=ada/1&consent_type=news").await;
    assert_eq!(said, [json!(true), json!(true), Value::Null]);
    assert_eq!(
        (&data["consent"]["subject_email"], &data["hash"]),
        (&json!("ada@example.com"), &Value::Null)
    );
    assert_eq!(data["checked_at"], "2024-01-15T10:30:04Z");
    let other = abide_core::ids::PolicyId::from_key(1);
    for (query, granted, reason) in [
        (
            format!("userReference=ada/1&consentType=news&policyVersionId={other}"),
            true,
            "other_policy",
        ),
        ("subject_id=ada/1&consent_type=mail".to_owned(), false, "not_granted"),
        ("subject_id=bob&consent_type=news".to_owned(), false, "not_granted"),
        ("subject_id=bob&consent_type=mail".to_owned(), false, "no_consent"),
        ("subject_id=eve&consent_type=news".to_owned(), false, "no_consent"),
        (format!("subject_id=ada/1&policy_id={other}"), false, "no_consent"),
    ] {
        let (said, data) = ask(&query).await;
        assert_eq!(said, [json!(false), json!(granted), json!(reason)], "{query}");
        assert_eq!(data["consent"].is_null(), reason == "no_consent", "{query}");
    }
    let (said, data) = ask(&format!("subject_id=ada/1&policy_id={policy}")).await;
    assert_eq!((said[0].clone(), &data["consent"]["consent_type"]), (json!(true), &json!("news")));

    // For a time: the answer is of this instant, though nothing was told of its end.
    record(&world, json!({"subject_id": "bob", "consent_type": "sms", "granted": true, "valid_until": "2024-01-15T10:31:00Z"})).await;
    let sms = "subject_id=bob&consent_type=sms";
    assert_eq!(ask(sms).await.0[0], true);
    world.clock.pass(60_000);
    assert_eq!(ask(sms).await.0, [json!(false), json!(false), json!("not_in_force")]);
}

/// P34, P35: a hash that somebody holds is held against what was recorded.
#[tokio::test]
async fn p34_p35_a_hash_is_verified() {
    let world = World::start().await;
    told(&world).await;
    let path = "/v1/consent/verify?subject_id=ada/1&consent_type=news";
    let consent = world.get(path).await.data()["consent"].clone();
    let ask = async |hash: &str| {
        let data = world.get(&format!("{path}&consentHash={hash}")).await.data();
        (data["valid"].clone(), data["reason"].clone(), data["hash"].clone())
    };
    let first = consent["consent_hash"].as_str().unwrap();
    let current = (json!(true), Value::Null, json!({"recorded": true, "current": true}));
    assert_eq!(ask(first).await, current);
    assert_eq!(ask(&first[7..].to_uppercase()).await, current, "without its prefix");
    // Anyone can compute it.
    let text = format!(
        r#"{{"userReference":"ada/1","userEmail":"ada@example.com","policyVersionId":{},"consentGiven":true,"timestamp":{},"ipAddress":"192.0.2.1"}}"#,
        consent["policy_id"], consent["recorded_at"]
    );
    assert_eq!(ask(&abide_core::consent::hash::sha256_text(text.as_bytes())).await, current);
    world.clock.pass(1_000);
    let at = format!("/v1/consent/{}", consent["id"].as_str().unwrap());
    world.patch(&at, &json!({"subject_email": "lovelace@example.com"})).await.data();
    let replaced = json!({"recorded": true, "current": false});
    assert_eq!(ask(first).await, (json!(false), json!("hash_of_another_decision"), replaced));
    let unknown = json!({"recorded": false, "current": false});
    assert_eq!(ask(&"0".repeat(64)).await, (json!(false), json!("hash_unknown"), unknown));
}

/// P29: each parameter that cannot be taken is named, with what is allowed.
#[tokio::test]
async fn p29_parameters_are_judged() {
    let world = World::start().await;
    let long = "x".repeat(256);
    for (path, fields) in [
        ("consent?page=0&limit=101", &["page", "limit"][..]),
        ("consent?granted=yes", &["granted"]),
        ("consent?granted=true&consentGiven=false", &["granted"]),
        ("consent?policy_id=con_1", &["policy_id"]),
        ("consent?consent_type=", &["consent_type"]),
        ("consent?from=yesterday&to=1705314600", &["from", "to"]),
        ("consent?from=2024-01-15&to=2024-01-15T00:00:00Z", &["to"]),
        (&format!("consent?subject_id={long}"), &["subject_id"]),
        (&format!("consent/user/{long}"), &["ref"]),
        ("consent/user/%20", &["ref"]),
        ("consent/user/a%00?limit=0", &["limit", "ref"]),
        ("consent/user/%ff", &["ref"]),
        ("consent/verify", &["subject_id", "consent_type"]),
        ("consent/verify?subject_id=u", &["consent_type"]),
        ("consent/verify?subject_id=u&consent_type=%0a", &["consent_type"]),
        ("consent/verify?subject_id=u&subjectId=v&consent_type=m", &["subject_id"]),
        ("consent/verify?subject_id=u&consent_type=m&consent_hash=sha256:1", &["consent_hash"]),
        ("consent/verify?subject_id=u&policy_id=x", &["policy_id"]),
    ] {
        let reply = world.get(&format!("/v1/{path}")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (400, "VALIDATION_ERROR"),
            "{path}"
        );
        assert_eq!(reply.fields(), fields, "{path}");
        assert!(!reply.text.contains("xxx"), "{reply:?}");
    }
}

/// I13: lists and answers know our own people only.
#[tokio::test]
async fn i13_other_organizations_have_their_own_lists() {
    let world = World::start().await;
    told(&world).await;
    let them = world.tenant("them").await;
    let ask =
        async |path: &str| world.call_as(&them.token, http::Method::GET, path, "").await.data();
    assert_eq!(ask("/v1/consent").await, json!([]));
    assert_eq!(ask("/v1/consent/user/bob").await, json!([]));
    let verified = ask("/v1/consent/verify?subject_id=ada/1&consent_type=news").await;
    assert_eq!((&verified["valid"], &verified["reason"]), (&json!(false), &json!("no_consent")));
}
