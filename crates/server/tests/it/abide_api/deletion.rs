//! Deleting an organization.

use abide_core::access::Scope;
use abide_core::shell::Clock as _;
use abide_storage::deletions::CarriedOut;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, World};

const OWN: &str = "/abide/v1/organization";
const RESTORE: &str = "/abide/v1/organization/restore";
const DAY: i64 = 24 * 3600 * 1000;

async fn delete(world: &World, body: &Value) -> Reply {
    world.call(Method::DELETE, OWN, body.to_string()).await
}

fn consent(who: &str) -> Value {
    json!({"subject_id": who, "consent_type": "news", "granted": true})
}

/// A deletion is asked for with the organization's name; while it can be taken back, everything can be read and nothing
/// recorded, in either API, and the answer says until when and what to do.
#[tokio::test]
async fn a_deletion_can_be_taken_back() {
    let world = World::start().await;
    let made = world.post("/v1/consent", &consent("ada")).await.data();
    let read = format!("/v1/consent/{}", made["id"].as_str().unwrap());
    let asked = delete(&world, &json!({"confirm": "us"})).await.json();
    assert_eq!((&asked["state"], &asked["deleted_at"]), (&json!("deleting"), &Value::Null));
    assert_eq!(asked["deletes_at"], "2024-01-29T10:30:00.000Z", "14 days without another wish");
    assert_eq!(world.get(OWN).await.json(), asked);

    let facts = world.facts().await;
    let refused = world.post("/v1/consent", &consent("bob")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "CONFLICT"));
    let problem = world.post("/abide/v1/purposes", &json!({"name": "mail"})).await;
    assert_eq!((problem.status.as_u16(), problem.problem().as_str()), (409, "conflict"));
    for reply in [&refused, &problem] {
        assert!(reply.text.contains("2024-01-29T10:30:00Z"), "{reply:?}");
        assert!(reply.text.contains(RESTORE), "{reply:?}");
    }
    let again = delete(&world, &json!({"confirm": "us", "grace_days": 1})).await;
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (409, "conflict"));
    assert_eq!(world.facts().await, facts);
    assert_eq!(world.get(&read).await.data(), made);
    assert!(world.get("/abide/v1/export").await.text.contains("\"type\":\"trailer\""));

    world.clock.pass(14 * DAY - 1);
    let restored = world.post(RESTORE, &json!({})).await.json();
    assert_eq!((&restored["state"], &restored["deletes_at"]), (&json!("active"), &Value::Null));
    world.post("/v1/consent", &consent("bob")).await.data();
    assert_eq!(world.post(RESTORE, &json!({})).await.json(), restored, "twice is no mistake");
}

#[tokio::test]
async fn what_is_asked_wrongly_deletes_nothing() {
    let world = World::start().await;
    let facts = world.facts().await;
    for (bad, named) in [
        (json!({}), "confirm"),
        (json!({"confirm": "them"}), "confirm"),
        (json!({"confirm": ""}), "confirm"),
        (json!({"confirm": true}), "confirm"),
        (json!({"confirm": "us", "grace_days": 91}), "grace_days"),
        (json!({"confirm": "us", "grace_days": -1}), "grace_days"),
        (json!({"confirm": "us", "grace_days": 1.5}), "grace_days"),
        (json!({"confirm": "us", "grace_days": "14"}), "grace_days"),
        (json!({"confirm": "us", "days": 14}), "days"),
    ] {
        assert_eq!(delete(&world, &bad).await.wrong(), [named], "{bad}");
    }
    let key = world.key(&[Scope::OrganizationsWrite]).await;
    let body = json!({"confirm": "us"}).to_string();
    let reply = world.call_as(key.bearer_token.reveal(), Method::DELETE, OWN, body).await;
    assert_eq!(reply.problem(), "missing-scope");
    assert_eq!(world.get(OWN).await.json()["state"], "active");
    // The key that was made meanwhile aside.
    assert_eq!(world.facts().await.matches("organization.delete").count(), 0);
    assert_eq!(facts.matches("organization.delete").count(), 0);
}

/// I13: when its time has come its keys open nothing any more; another organization does not notice, and can have the
/// name.
#[tokio::test]
async fn i13_a_deleted_organization_opens_to_nobody() {
    let world = World::start().await;
    let them = world.tenant("them").await;
    let there = async |path| world.call_as(&them.token, Method::GET, path, "").await;
    world.call_as(&them.token, Method::POST, "/v1/consent", consent("ada").to_string()).await;
    let before = there("/abide/v1/events").await.text;
    world.post("/v1/consent", &consent("ada")).await.data();
    delete(&world, &json!({"confirm": "us", "grace_days": 0})).await;
    assert_eq!(world.get(OWN).await.status, 200, "until it is carried out");
    assert_eq!(world.post(RESTORE, &json!({})).await.problem(), "conflict", "too late");
    let deletions = world.store.deletions();
    while deletions.carry_out(50, world.clock.now()).await.unwrap() != CarriedOut::Nothing {}

    for path in [OWN, "/abide/v1/export", "/abide/v1/events", "/abide/v1/keys"] {
        assert_eq!(world.get(path).await.problem(), "unauthenticated", "{path}");
    }
    assert_eq!(there("/abide/v1/events").await.text, before);
    let operator = world.store.accounts();
    let mark = operator.organizations().await.unwrap().remove(0);
    assert_eq!((mark.id, mark.uri.as_str(), mark.state.as_str()), (world.us.id, "us", "deleted"));
    let again = world.tenant("us").await;
    let events = world.call_as(&again.token, Method::GET, "/abide/v1/events", "").await;
    assert!(events.json()["items"].as_array().unwrap().is_empty());
}
