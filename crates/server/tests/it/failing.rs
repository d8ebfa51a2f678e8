//! Endpoints that fail for long, as their owners hear of it.

use std::time::Duration;

use abide_core::delivery::Outcome;
use abide_core::ids::EndpointId;
use abide_core::shell::Clock as _;
use abide_core::user::Role;
use abide_storage::failing::Patience;
use serde_json::{Value, json};

use crate::deliveries::{consent, send_all};
use crate::support::World;

const HALF_A_DAY: i64 = 12 * 3600 * 1000;

/// Lets half days pass in which everything fails, and the engine's housekeeping judge.
async fn fail(world: &World, half_days: std::ops::Range<i64>) {
    for half_day in half_days {
        world.clock.pass(HALF_A_DAY);
        consent(world, &format!("person_{half_day}")).await;
        send_all(world, Outcome::Failed).await;
    }
    let stops_after = Duration::from_hours(5 * 24);
    let patience =
        ["standard_webhooks", "consentproof"].map(|dialect| Patience { dialect, stops_after });
    let (failing, now) = (world.store.failing_endpoints(), world.clock.now());
    for endpoint in failing.look(None, 9, &patience, now).await.unwrap().changed {
        failing.judge(endpoint, &patience, now).await.unwrap();
    }
}

async fn shown(world: &World, id: EndpointId) -> Value {
    world.get(&format!("/abide/v1/endpoints/{id}")).await.json()
}

/// SW-18: who looks at an endpoint that fails for long reads since when, when it is stopped, or was, and what to do, in the
/// API, on the overview, in the list and on its own page, until it is resumed.
#[tokio::test]
async fn sw_18_owners_hear_of_an_endpoint_that_is_stopped() {
    let world = World::start().await;
    let id = world.endpoint("standard_webhooks").await;
    let begin = world.clock.now().plus_millis(HALF_A_DAY);
    fail(&world, 0..2).await;
    let sound = shown(&world, id).await;
    assert_eq!((&sound["failing"], &sound["stopped_because"]), (&Value::Null, &Value::Null));

    fail(&world, 2..6).await;
    let warned = shown(&world, id).await;
    assert_eq!((&warned["state"], &warned["stopped_because"]), (&json!("active"), &Value::Null));
    let failing = &warned["failing"];
    assert_eq!(failing["since"], begin.to_millis_text());
    assert_eq!(failing["stops_at"], begin.plus_millis(10 * HALF_A_DAY).to_millis_text());
    assert_eq!(failing["stopped_at"], Value::Null);
    assert!(failing["advice"].as_str().unwrap().contains("mend the receiver"), "{failing}");
    let mut browser = world.browser_of("ada@example.org", Role::Developer).await;
    let time = |at: abide_core::Timestamp| format!("datetime=\"{}\"", at.to_seconds_text());
    let (since, stops) = (time(begin), time(begin.plus_millis(10 * HALF_A_DAY)));
    for page in ["/".to_owned(), format!("/endpoints/{id}")] {
        let page = browser.get(&page).await.text;
        for part in ["has failed.", &since, &stops, "at the earliest", ">failing<"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
    assert!(browser.get("/endpoints").await.text.contains(">failing<"));

    fail(&world, 6..11).await;
    let stopped = shown(&world, id).await;
    assert_eq!(
        (&stopped["state"], &stopped["stopped_because"]),
        (&json!("paused"), &json!("failing"))
    );
    let now = world.clock.now();
    assert_eq!(stopped["failing"]["since"], begin.to_millis_text());
    assert_eq!(stopped["failing"]["stopped_at"], now.to_millis_text());
    assert!(stopped["failing"]["advice"].as_str().unwrap().contains("resume the endpoint"));
    // Nobody stays signed in for so long.
    let mut browser = world.browser_of("bob@example.org", Role::Developer).await;
    for page in ["/".to_owned(), format!("/endpoints/{id}")] {
        let page = browser.get(&page).await.text;
        for part in ["was stopped on", "stopped: it failed", &since, &time(now)] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
    assert!(browser.get("/endpoints").await.text.contains("stopped: it failed"));
    let audit = world.store.history().audit(world.us.id, 99).await.unwrap();
    let deeds: Vec<_> =
        audit.iter().filter(|entry| entry.action == "endpoint.stop_failing").collect();
    assert_eq!(deeds.len(), 1);
    assert_eq!((deeds[0].actor.as_str(), &deeds[0].object), ("system", &id.to_string()));

    let path = format!("/abide/v1/endpoints/{id}");
    let paused = world.post(&format!("{path}/pause"), &json!({})).await.json();
    assert_eq!(paused["stopped_because"], "failing", "as it was");
    let resumed = world.post(&format!("{path}/resume"), &json!({})).await.json();
    assert_eq!((&resumed["state"], &resumed["failing"]), (&json!("active"), &Value::Null));
    let overview = browser.get("/").await.text;
    assert!(!overview.contains("it was stopped"), "{overview}");
    let paused = world.post(&format!("{path}/pause"), &json!({})).await.json();
    assert_eq!(paused["stopped_because"], "paused");
}

/// SW-18, P9: through ConsentProof's API a webhook that was stopped is not active, should its dialect ever want that.
#[tokio::test]
async fn sw_18_a_stopped_webhook_is_not_active() {
    let world = World::start().await;
    let id = world.endpoint("consentproof").await;
    fail(&world, 0..6).await;
    let path = format!("/v1/webhooks/{id}");
    assert_eq!(world.get(&path).await.data()["is_active"], true);
    fail(&world, 6..11).await;
    assert_eq!(world.get(&path).await.data()["is_active"], false);
    let resumed = world.patch(&path, &json!({"is_active": true})).await.data();
    assert_eq!(resumed["is_active"], true);
}

/// SW-18: the overview tells of one that fails for long however many newer ones there are, and says what it did not count.
#[tokio::test]
async fn sw_18_the_overview_tells_of_old_endpoints_too() {
    let world = World::start().await;
    let id = world.endpoint("standard_webhooks").await;
    fail(&world, 0..6).await;
    let link = format!("href=\"/endpoints/{id}\"");
    for _ in 0..99 {
        world.endpoint("standard_webhooks").await;
    }
    let mut browser = world.browser_of("ada@example.org", Role::Developer).await;
    let overview = browser.get("/").await.text;
    assert_eq!(overview.matches(&link).count(), 1, "{overview}");
    assert!(overview.contains("<dd>100 <span>active"), "{overview}");
    world.endpoint("standard_webhooks").await;
    let overview = browser.get("/").await.text;
    assert_eq!(overview.matches(&link).count(), 1, "{overview}");
    for part in ["<dd>100+ <span>active", "over the newest 100 endpoints"] {
        assert!(overview.contains(part), "{part}: {overview}");
    }
}
