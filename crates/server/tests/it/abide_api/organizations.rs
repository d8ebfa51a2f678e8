//! Organizations and their purposes.

use abide_core::access::Scope;
use http::Method;
use serde_json::{Value, json};

use crate::support::World;

const OWN: &str = "/abide/v1/organization";
const ALL: &str = "/abide/v1/organizations";

/// Any key reads its own organization; an admin's changes it.
#[tokio::test]
async fn an_organization_is_read_and_changed() {
    let world = World::start().await;
    let key = world.key(&[Scope::WebhooksRead]).await;
    let read = async || world.call_as(key.bearer_token.reveal(), Method::GET, OWN, "").await.json();
    let before = read().await;
    assert_eq!((&before["uri"], &before["name"]), (&json!("us"), &Value::Null));
    assert_eq!(before["settings"], json!({"strict_purposes": false}));
    let changed = world.patch(OWN, &json!({"name": "Us Ltd"})).await.json();
    assert_eq!((&changed["name"], &changed["settings"]), (&json!("Us Ltd"), &before["settings"]));
    world.patch(OWN, &json!({"strict_purposes": true})).await;
    let after = read().await;
    assert_eq!(
        (&after["name"], &after["settings"]["strict_purposes"]),
        (&json!("Us Ltd"), &json!(true))
    );
    world.patch(OWN, &json!({"name": null})).await;
    assert_eq!(read().await["name"], Value::Null);
    for (bad, named) in [
        (json!({}), "body"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x".repeat(101)}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"strict_purposes": null}), "strict_purposes"),
        (json!({"strict_purposes": "yes"}), "strict_purposes"),
        (json!({"name": "x", "uri": "other"}), "uri"),
    ] {
        let facts = world.facts().await;
        assert_eq!(world.patch(OWN, &bad).await.wrong(), [named], "{bad}");
        assert_eq!(world.facts().await, facts);
    }
}

/// Where purposes are strict, a consent for an unknown one is refused by its field, in ConsentProof's words, and is taken
/// once somebody created the purpose.
#[tokio::test]
async fn strict_purposes_refuse_unknown_ones() {
    let world = World::start().await;
    let consent = json!({"subject_id": "u", "consent_type": "news", "granted": true});
    world.patch(OWN, &json!({"strict_purposes": true})).await;
    let facts = world.facts().await;
    assert_eq!(world.post("/v1/consent", &consent).await.fields(), ["consent_type"]);
    let batch = json!({"consents": [consent, consent]});
    let reply = world.post("/v1/consent/batch", &batch).await;
    assert_eq!(reply.fields(), ["consents[0].consent_type"]);
    assert_eq!(world.facts().await, facts);
    let made = world.post("/abide/v1/purposes", &json!({"name": "news"})).await;
    assert_eq!(made.status, 201);
    let path = made.headers["location"].to_str().unwrap();
    assert_eq!(world.get(path).await.json(), made.json());
    world.post("/v1/consent", &consent).await.data();
    let again = world.post("/abide/v1/purposes", &json!({"name": "news"})).await;
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (409, "conflict"));
    for bad in [json!(""), json!("a\u{0}b"), json!("x".repeat(101)), json!(1)] {
        assert_eq!(world.post("/abide/v1/purposes", &json!({"name": bad})).await.wrong(), ["name"]);
    }
}

/// I12, I13: who runs the installation founds organizations; the first key opens the new one alone, and the founder's
/// own opens nothing in it.
#[tokio::test]
async fn i13_founding_an_organization() {
    let world = World::start().await;
    let body = json!({"uri": "they", "name": "They Ltd"});
    let reply = world.post(ALL, &body).await;
    assert_eq!(reply.problem(), "missing-scope", "an admin is none of the installation");
    assert!(reply.text.contains("organizations:write"));

    let operator = world.key(&[Scope::OrganizationsWrite]).await;
    let operator = operator.bearer_token.reveal();
    let found =
        async |body: &Value| world.call_as(operator, Method::POST, ALL, body.to_string()).await;
    let reply = found(&body).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    let founded = reply.json();
    let token = founded["key"]["bearer_token"].as_str().unwrap();
    let theirs = world.call_as(token, Method::GET, OWN, "").await.json();
    assert_eq!(theirs, founded["organization"]);
    let keys = world.call_as(token, Method::GET, "/abide/v1/keys", "").await;
    assert_eq!(keys.json()["items"][0]["id"], founded["key"]["id"]);
    assert!(!keys.text.contains(token), "shown once");
    assert_eq!(
        world
            .get(&format!("/abide/v1/keys/{}", founded["key"]["id"].as_str().unwrap()))
            .await
            .problem(),
        "not-found"
    );

    let list = world.call_as(operator, Method::GET, ALL, "").await.json();
    let uris: Vec<_> = list["items"].as_array().unwrap().iter().map(|one| &one["uri"]).collect();
    assert_eq!(uris, ["us", "they"]);
    let again = found(&body).await;
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (409, "conflict"));
    for (bad, named) in [
        (json!({"uri": "Über"}), "uri"),
        (json!({"uri": ""}), "uri"),
        (json!({"uri": "x".repeat(64)}), "uri"),
        (json!({"uri": 7}), "uri"),
        (json!({"uri": "ok", "name": "\t"}), "name"),
        (json!({"uri": "ok", "scopes": []}), "scopes"),
    ] {
        assert_eq!(found(&bad).await.wrong(), [named], "{bad}");
    }
    let list = world.call_as(operator, Method::GET, ALL, "").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
}
