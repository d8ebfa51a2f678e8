//! What is kept for a time only.

use abide_core::access::Scope;
use abide_core::shell::Clock as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::World;

const RULES: &str = "/abide/v1/organization/retention";
const FEED: &str = "/abide/v1/events";
/// In milliseconds.
const DAY: i64 = 24 * 3_600 * 1_000;

/// Everything is kept until somebody says otherwise; any key reads the rules, an admin's changes them, within their bounds.
#[tokio::test]
async fn rules_are_read_and_changed() {
    let world = World::start().await;
    let key = world.key(&[Scope::ConsentRead]).await;
    let token = key.bearer_token.reveal();
    let read = async || world.call_as(token, Method::GET, RULES, "").await.json();
    let forever = json!({"deliveries_days": null, "events_days": null, "audit_days": null});
    assert_eq!(read().await, forever);
    let denied = world.call_as(token, Method::PATCH, RULES, r#"{"events_days":90}"#).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    world.patch(RULES, &json!({"events_days": 90, "deliveries_days": 30})).await;
    let changed = world.patch(RULES, &json!({"deliveries_days": 60})).await.json();
    assert_eq!(changed, json!({"deliveries_days": 60, "events_days": 90, "audit_days": null}));
    for (bad, named) in [
        (json!({}), "body"),
        (json!({"events_days": 13}), "events_days"),
        (json!({"events_days": 59}), "deliveries_days"),
        (json!({"audit_days": 36_501}), "audit_days"),
        (json!({"audit_days": -1}), "audit_days"),
        (json!({"audit_days": 30.5}), "audit_days"),
        (json!({"audit_days": "30"}), "audit_days"),
        (json!({"decisions_days": 30}), "decisions_days"),
    ] {
        assert_eq!(world.patch(RULES, &bad).await.wrong(), [named], "{bad}");
        assert_eq!(read().await, changed);
    }
    world.patch(RULES, &forever).await;
    assert_eq!(read().await, forever);
}

/// A reader who was too slow hears that something is missing, and where to read on; nobody is told less without hearing of
/// it.
#[tokio::test]
async fn a_cursor_before_what_was_removed_is_answered_with_410() {
    let world = World::start().await;
    let consent = |number: i32| json!({"subject_id": format!("u{number}"), "consent_type": "news", "granted": true});
    for number in 0..3 {
        assert_eq!(world.post("/v1/consent", &consent(number)).await.status, 201);
    }
    let cursor = async |query: &str| -> String {
        let page = world.get(&format!("{FEED}?{query}")).await.json();
        page["resume_cursor"].as_str().unwrap().to_owned()
    };
    let (slow, there) = (cursor("limit=1").await, cursor("limit=3").await);
    let decisions = world.get("/abide/v1/decisions?limit=1").await.json();
    world.patch(RULES, &json!({"events_days": 14})).await;
    world.clock.pass(15 * DAY);
    assert_eq!(world.post("/v1/consent", &consent(4)).await.status, 201);
    let mut place = None;
    loop {
        place = world.store.retentions().remove_old(place, 10, world.clock.now()).await.unwrap();
        if place.is_none() {
            break;
        }
    }
    let told = world.get(&format!("{FEED}?cursor={slow}")).await;
    assert_eq!(told.status, StatusCode::GONE);
    assert_eq!(told.problem(), "cursor-too-old");
    assert!(told.text.contains("up to number 3"), "{}", told.text);
    let subjects = async |query: &str| -> Vec<Value> {
        let page = world.get(&format!("{FEED}?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        page.json()["items"].as_array().unwrap().clone()
    };
    let from_start = subjects("").await;
    assert_eq!(from_start.len(), 1, "the feed begins behind what was removed");
    assert_eq!(subjects(&format!("cursor={there}")).await, from_start, "nothing was missed there");
    assert_eq!(subjects("from=2020-01-01T00:00:00Z").await, from_start);
    let next = cursor("limit=1").await;
    assert!(subjects(&format!("cursor={next}")).await.is_empty());
    let decisions = decisions["resume_cursor"].as_str().unwrap().to_owned();
    let page = world.get(&format!("/abide/v1/decisions?cursor={decisions}")).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 3, "decisions stay");
}
