//! Feeds and the audit log as their readers see them.

use abide_core::access::Scope;
use abide_core::shell::Clock as _;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, World};

async fn grant(world: &World, who: &str) -> Value {
    let body = json!({"subject_id": who, "subject_email": format!("{who}@example.com"), "consent_type": "news",
        "granted": true, "metadata": {"source": "form"}});
    world.post("/v1/consent", &body).await.data()
}

fn items(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["items"].as_array().unwrap().clone()
}

/// A reader who keeps `resume_cursor` hears of everything once, however long they stay away.
#[tokio::test]
async fn a_feed_is_read_on_from_where_it_ended() {
    let world = World::start().await;
    for path in ["/abide/v1/events", "/abide/v1/decisions"] {
        let first = world.get(path).await.json();
        assert_eq!(first["next_cursor"], Value::Null);
        let begun = first["items"].as_array().unwrap().len();
        grant(&world, &format!("a{begun}")).await;
        grant(&world, &format!("b{begun}")).await;
        let resume = first["resume_cursor"].as_str().unwrap();
        let more = world.get(&format!("{path}?limit=1&cursor={resume}")).await.json();
        assert_eq!(more["items"].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(more["next_cursor"], more["resume_cursor"], "{path}");
        let next = more["next_cursor"].as_str().unwrap();
        let rest = world.get(&format!("{path}?limit=1&cursor={next}")).await.json();
        assert_eq!(
            (rest["items"].as_array().unwrap().len(), &rest["next_cursor"]),
            (1, &Value::Null)
        );
        let end = rest["resume_cursor"].as_str().unwrap();
        let end = world.get(&format!("{path}?cursor={end}")).await.json();
        assert_eq!((&end["items"], &end["resume_cursor"]), (&json!([]), &rest["resume_cursor"]));
    }
}

/// Who has no place in a feed yet begins at its end or at a time; a cursor goes before that.
#[tokio::test]
async fn a_feed_is_begun_at_its_end_or_at_a_time() {
    let world = World::start().await;
    for path in ["/abide/v1/events", "/abide/v1/decisions"] {
        let begun = items(&world.get(path).await).len();
        grant(&world, &format!("a{begun}")).await;
        world.clock.pass(60_000);
        let time = world.clock.now().to_millis_text();
        let end = world.get(&format!("{path}?from=end")).await.json();
        assert_eq!((&end["items"], &end["next_cursor"]), (&json!([]), &Value::Null), "{path}");
        grant(&world, &format!("b{begun}")).await;
        let resume = end["resume_cursor"].as_str().unwrap();
        let newer = items(&world.get(&format!("{path}?cursor={resume}")).await);
        assert_eq!(newer.len(), 1, "{path}");
        assert_eq!(items(&world.get(&format!("{path}?from={time}")).await), newer, "{path}");
        let both = format!("{path}?from=end&cursor={resume}");
        assert_eq!(items(&world.get(&both).await), newer, "{path}: the cursor goes before");
        assert!(items(&world.get(&format!("{path}?from=end")).await).is_empty(), "{path}");
        let first = world.get(&format!("{path}?from={time}&limit=1")).await.json();
        assert_eq!(first["next_cursor"], Value::Null, "{path}");
        let since = format!("{path}?from=2024-01-01T00:00:00Z&limit=1");
        assert!(world.get(&since).await.json()["next_cursor"].is_string(), "{path}");
        for bad in ["start", "", "2024-01-01"] {
            let reply = world.get(&format!("{path}?from={bad}")).await;
            assert_eq!(reply.status, 400, "{path} {bad}");
            assert!(reply.text.contains("`end` or a time"), "{}", reply.text);
        }
    }
}

/// A feed that was begun anew since answers 410, not what might be something else.
#[tokio::test]
async fn a_cursor_of_another_epoch_is_gone() {
    let (world, other) = (World::start().await, World::start_with_seed(77).await);
    for path in ["/abide/v1/events", "/abide/v1/decisions"] {
        let cursor = world.get(path).await.json()["resume_cursor"].as_str().unwrap().to_owned();
        assert_eq!(world.get(&format!("{path}?cursor={cursor}")).await.status, 200);
        let reply = other.get(&format!("{path}?cursor={cursor}")).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (410, "cursor-gone"));
    }
}

/// Events say what happened in Abide's own words; one kind can be asked for.
#[tokio::test]
async fn events_say_what_happened() {
    let world = World::start().await;
    let consent = grant(&world, "ada").await;
    let id = consent["id"].as_str().unwrap();
    world.post(&format!("/v1/consent/{id}/withdraw"), &json!({})).await.data();
    let policy = json!({"policy_type": "custom", "version": "1", "title": "T", "content": "C"});
    world.post("/v1/policies", &policy).await.data();
    let events = items(&world.get("/abide/v1/events").await);
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["consent.created", "consent.withdrawn", "policy.created"]);
    let created = &events[0];
    assert_eq!(created["timestamp"], "2024-01-15T10:30:00.000Z");
    assert_eq!(created["test"], false);
    assert_eq!(created["data"]["id"], id);
    assert_eq!(created["data"]["subject"]["reference"], "ada");
    assert_eq!(created["data"]["state"], "GRANTED");
    assert_eq!(created["data"]["metadata"], json!({"source": "form"}));
    assert_eq!(events[1]["data"]["state"], "DENIED");
    let one = world.get(&format!("/abide/v1/events/{}", created["id"].as_str().unwrap())).await;
    assert_eq!(&one.json(), created);
    let withdrawn = items(&world.get("/abide/v1/events?type=consent.withdrawn").await);
    assert_eq!(withdrawn, [events[1].clone()]);
    for bad in ["consent", "Consent.Created", "*", ""] {
        assert_eq!(world.get(&format!("/abide/v1/events?type={bad}")).await.wrong(), ["type"]);
    }
    let kinds = items(&world.get("/abide/v1/event-kinds").await);
    assert!(kinds.iter().any(|kind| kind["type"] == "policy.created"));
}

/// I11: what was told of a person who was erased since is told no more; the feeds keep their places.
#[tokio::test]
async fn i11_feeds_tell_nothing_of_the_erased() {
    let world = World::start().await;
    grant(&world, "ada").await;
    grant(&world, "bob").await;
    let before = items(&world.get("/abide/v1/events").await);
    let decisions = items(&world.get("/abide/v1/decisions").await);
    world.post("/abide/v1/subjects/erase", &json!({"reference": "ada"})).await;
    let reply = world.get("/abide/v1/events").await;
    let after = items(&reply);
    assert_eq!(after[1], before[1]);
    let marked = json!({"id": before[0]["id"], "type": "consent.created", "erased": true,
        "timestamp": "2024-01-15T10:30:00.000Z"});
    assert_eq!(after[0], marked);
    let id = before[0]["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/abide/v1/events/{id}")).await.json(), marked);
    let reply = world.get("/abide/v1/decisions").await;
    let erased = items(&reply);
    assert_eq!(erased[0]["subject"]["erased"], true);
    assert_eq!(erased[0]["subject"]["reference"], Value::Null);
    assert_eq!(erased[0]["commitment"], decisions[0]["commitment"]);
    assert_eq!(erased[1], decisions[1]);
    assert!(!reply.text.contains("ada"), "{reply:?}");
}

/// The ledger tells who recorded what, and when it holds.
#[tokio::test]
async fn decisions_say_what_was_recorded() {
    let world = World::start().await;
    let key = world.key(&[Scope::ConsentWrite]).await;
    let body = json!({"subject_id": "ada", "consent_type": "news", "granted": false,
        "obtained_at": "2024-01-01T00:00:00Z", "valid_until": "2034-01-01T00:00:00Z"});
    let token = key.bearer_token.reveal();
    let made = world.call_as(token, Method::POST, "/v1/consent", body.to_string()).await.data();
    let [decision] = items(&world.get("/abide/v1/decisions").await).try_into().unwrap();
    assert_eq!(decision["consent"], made["id"]);
    assert_eq!(decision["recorded_by"], key.id.to_string());
    assert_eq!(
        (&decision["state"], &decision["lawful_basis"]),
        (&json!("DENIED"), &json!("consent"))
    );
    assert_eq!(decision["obtained_at"], "2024-01-01T00:00:00.000Z");
    assert_eq!(decision["recorded_at"], "2024-01-15T10:30:00.000Z");
    assert_eq!(decision["valid_from"], Value::Null);
    assert_eq!(decision["valid_until"], "2034-01-01T00:00:00.000Z");
    assert_eq!(decision["purpose"], "news");
    let purpose = items(&world.get("/abide/v1/purposes").await).remove(0);
    assert_eq!(decision["purpose_id"], purpose["id"]);
}

/// The audit log by each filter, and what is wrong with one.
#[tokio::test]
async fn the_audit_log_is_filtered() {
    let world = World::start().await;
    let key = world.key(&[Scope::Admin]).await;
    world.clock.pass(60_000);
    let body = json!({"name": "k", "scopes": ["consent:read"]}).to_string();
    let token = key.bearer_token.reveal();
    let made = world.call_as(token, Method::POST, "/abide/v1/keys", body).await.json();
    let audit = async |query: &str| world.get(&format!("/abide/v1/audit?{query}")).await;
    let found = items(&audit(&format!("actor={}", key.id)).await);
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["action"], &found[0]["object"]), (&json!("key.create"), &made["id"]));
    assert_eq!(found[0]["at"], "2024-01-15T10:31:00.000Z");
    let all = items(&audit("").await);
    assert_eq!(all[0], found[0], "newest first");
    assert_eq!(items(&audit("action=key.create").await).len(), 3);
    assert_eq!(items(&audit(&format!("object={}", key.id)).await).len(), 1);
    assert_eq!(items(&audit("from=2024-01-15T10:31:00Z").await), found);
    assert_eq!(items(&audit("to=2024-01-15T10:31:00Z").await), all[1..]);
    assert_eq!(items(&audit("action=nothing.at.all").await), Vec::<Value>::new());
    for (query, named) in [
        ("from=yesterday", "from"),
        ("to=2024-01-15", "to"),
        ("actor=", "actor"),
        ("action=a%20b", "action"),
        ("object=%0a", "object"),
        ("actor=a&actor=b", "actor"),
        ("actr=operator", "actr"),
    ] {
        assert_eq!(audit(query).await.wrong(), [named], "{query}");
    }
}

/// I13: another organization's feeds and log show nothing of ours.
#[tokio::test]
async fn i13_feeds_are_apart() {
    let world = World::start().await;
    grant(&world, "ada").await;
    let event = items(&world.get("/abide/v1/events").await)[0]["id"].as_str().unwrap().to_owned();
    let them = world.tenant("them").await;
    let theirs = async |path: &str| world.call_as(&them.token, Method::GET, path, "").await;
    for path in ["/abide/v1/events", "/abide/v1/decisions", "/abide/v1/purposes"] {
        assert_eq!(items(&theirs(path).await), Vec::<Value>::new(), "{path}");
        // A cursor says where, not whose: with ours they read their own.
        if path != "/abide/v1/purposes" {
            let cursor = world.get(path).await.json()["resume_cursor"].as_str().unwrap().to_owned();
            assert_eq!(
                items(&theirs(&format!("{path}?cursor={cursor}")).await),
                Vec::<Value>::new()
            );
        }
    }
    assert_eq!(theirs(&format!("/abide/v1/events/{event}")).await.problem(), "not-found");
    let log = theirs("/abide/v1/audit").await;
    assert!(!log.text.contains("consent.record"), "{log:?}");
}
