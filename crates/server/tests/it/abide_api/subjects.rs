//! Erasing a person.

use http::Method;
use serde_json::json;

use crate::support::World;

const ERASE: &str = "/abide/v1/subjects/erase";

/// I11: an erased person's consent is gone; a second erasure finds nobody; what is wrong is named without repeating it.
#[tokio::test]
async fn i11_a_person_is_erased() {
    let world = World::start().await;
    let consent = json!({"subject_id": "ada@example.com", "consent_type": "news", "granted": true});
    let made = world.post("/v1/consent", &consent).await.data();
    let reply = world.post(ERASE, &json!({"reference": "ada@example.com"})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["erased_at"], "2024-01-15T10:30:00.000Z");
    assert!(reply.json()["subject"].as_str().unwrap().starts_with("sub_"));
    let path = format!("/v1/consent/{}", made["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await.status, 404);
    let again = world.post(ERASE, &json!({"reference": "ada@example.com"})).await;
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (404, "not-found"));
    assert!(!again.text.contains("ada"), "{again:?}");
    let log = world.get("/abide/v1/audit?action=subject.erase").await;
    assert_eq!(log.json()["items"].as_array().unwrap().len(), 1);
    assert!(!log.text.contains("ada"), "{log:?}");
    for bad in [json!(""), json!(" "), json!("a\nb"), json!("x".repeat(256)), json!(7), json!(null)]
    {
        assert_eq!(world.post(ERASE, &json!({"reference": bad})).await.wrong(), ["reference"]);
    }
}

/// I13: a person of the same reference in another organization stays.
#[tokio::test]
async fn i13_erasing_stays_in_the_organization() {
    let world = World::start().await;
    let them = world.tenant("them").await;
    let consent = json!({"subject_id": "ada", "consent_type": "news", "granted": true}).to_string();
    world.call_as(&them.token, Method::POST, "/v1/consent", consent).await.data();
    assert_eq!(world.post(ERASE, &json!({"reference": "ada"})).await.problem(), "not-found");
    let events = world.call_as(&them.token, Method::GET, "/abide/v1/events", "").await.json();
    assert_eq!(events["items"][0]["data"]["subject"]["reference"], "ada");
}
