//! ConsentProof webhooks on the dashboard: made, looked through and tried there, and the same through their API.

use abide_core::shell::Clock as _;
use abide_core::user::Role;
use http::Method;
use serde_json::{Value, json};

use crate::browser::location;
use crate::deliveries::{RETRY, consent, send_all, webhook};
use crate::support::World;

const ADA: &str = "ada@example.org";

/// P6, P5: a webhook is made in the dashboard, which shows its secret on the page that made it and on no other; the API
/// knows it as one that it made itself.
#[tokio::test]
async fn p6_a_webhook_is_made_in_the_dashboard() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::Developer).await;
    let offered = browser.get("/endpoints/new").await;
    assert!(offered.text.contains("value=\"consentproof\""), "{}", offered.text);
    let form = [
        ("url", "https://example.com/hook"),
        ("dialect", "consentproof"),
        ("scope", "some"),
        ("event", "consent.created"),
        ("event", "policy.deleted"),
        ("note", "The shop"),
    ];
    let made = browser.post_through("/endpoints", &form).await;
    assert_eq!(made.status, 200);
    let (_, rest) = made.text.split_once("<code data-copy>whsec_").unwrap();
    let secret = rest.split('<').next().unwrap().to_owned();
    assert!(
        secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "another form"
    );
    let listed = world.get("/v1/webhooks").await;
    let item = listed.data()[0].clone();
    assert_eq!(item["url"], "https://example.com/hook");
    assert_eq!(item["events"], json!(["consent.created", "policy.deleted"]));
    assert_eq!((&item["is_active"], &item["description"]), (&json!(true), &json!("The shop")));
    let id = item["id"].as_str().unwrap();
    for path in ["/v1", "/api/v1"] {
        let read = world.get(&format!("{path}/webhooks/{id}")).await;
        assert_eq!(read.data()["id"], id);
        assert!(!read.text.contains(&secret));
    }
    assert!(!listed.text.contains(&secret));
    for page in ["/", "/endpoints", "/endpoints/new", "/deliveries", &format!("/endpoints/{id}")] {
        let page = browser.get(page).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains(&secret), "shown again");
    }
}

/// P24: the dashboard shows what was sent to a webhook, and each attempt of it: event, attempt, state, the answer's code and
/// beginning, the error, how long it took, when it was, and when the next one is.
#[tokio::test]
async fn p24_a_webhooks_history_is_shown_in_the_dashboard() {
    let world = World::start().await;
    let id = webhook(&world).await;
    consent(&world, "ada").await;
    send_all(&world, RETRY).await;
    let began = world.clock.now();
    let history =
        async || world.get(&format!("/v1/webhooks/{id}/deliveries")).await.data()[0].clone();
    let item = history().await;
    assert_eq!((&item["attempt"], &item["status"]), (&json!(1), &json!("pending")));
    let delivery = item["id"].as_str().unwrap();
    let event = item["event_id"].as_str().unwrap();
    let mut browser = world.browser_of(ADA, Role::ReadOnly).await;
    for page in [format!("/endpoints/{id}"), format!("/deliveries?endpoint={id}")] {
        let page = browser.get(&page).await.text;
        for part in [delivery, "consent.created", ">waiting<", ">503<", "next in 1 min"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
    let next = began.plus_millis(60_000);
    let one = format!("/deliveries/{delivery}");
    let page = browser.get(&one).await.text;
    for part in [event, ">waiting<", &next.to_seconds_text(), "try later"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    world.clock.pass(60_000);
    send_all(&world, RETRY).await;
    let item = history().await;
    assert_eq!((&item["attempt"], &item["status"]), (&json!(2), &json!("failed")));
    assert_eq!(item["next_attempt_at"], Value::Null);
    let page = browser.get(&one).await.text;
    let times = [began, next].map(abide_core::Timestamp::to_seconds_text);
    let timeout = abide_core::delivery::ErrorClass::Timeout.what_happened();
    for part in
        [event, "consent.created", ">failed<", &times[0], &times[1], "none planned", timeout]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    for twice in ["try later", "The receiver answered 503.", "12 ms"] {
        assert!(page.matches(twice).count() >= 2, "{twice}, of each attempt: {page}");
    }
}

/// P25: a test is sent from the webhook's page and through the API under both prefixes, also while the webhook is inactive;
/// the result comes back at once, and is marked as a test wherever deliveries are listed.
#[tokio::test]
async fn p25_a_test_is_recorded_as_one() {
    let world = World::start().await;
    let id = webhook(&world).await;
    world.patch(&format!("/v1/webhooks/{id}"), &json!({"is_active": false})).await.data();
    world.answering().await;
    let mut tests = Vec::new();
    for prefix in ["/v1", "/api/v1"] {
        let test = format!("{prefix}/webhooks/{id}/test");
        let shown = world.call(Method::POST, &test, "").await.data();
        assert_eq!((&shown["status"], &shown["response_code"]), (&json!("success"), &json!(200)));
        assert_eq!((&shown["duration_ms"], &shown["error"]), (&json!(7), &Value::Null));
        tests.push(shown["delivery_id"].as_str().unwrap().to_owned());
    }
    let mut browser = world.browser_of(ADA, Role::Developer).await;
    let page = browser.get(&format!("/endpoints/{id}")).await.text;
    assert!(page.contains("Send test"), "{page}");
    let sent = browser.post(&format!("/endpoints/{id}/test"), &[("type", "consent.created")]).await;
    let to = location(&sent).split('#').next().unwrap().to_owned();
    let shown = browser.get(&to).await.text;
    assert!(shown.contains("The receiver took it: it answered 200.") && shown.contains("7 ms"));
    let (_, delivery) = to.split_once("?test=").unwrap();
    tests.push(delivery.to_owned());
    let page = browser.get(&format!("/deliveries/{delivery}")).await.text;
    assert!(page.contains("<span class=\"badge\">test</span>"), "{page}");
    tests.reverse();
    let history = world.get(&format!("/v1/webhooks/{id}/deliveries")).await.data();
    let listed: Vec<_> = history.as_array().unwrap().iter().collect();
    let ids: Vec<_> = listed.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, tests);
    for item in listed {
        assert_eq!((&item["is_test"], &item["attempt"]), (&json!(true), &json!(1)));
        assert_eq!(
            (&item["status"], &item["next_attempt_at"]),
            (&json!("delivered"), &Value::Null)
        );
    }
    let stats = world.get("/v1/webhooks").await.data()[0]["delivery_stats"].clone();
    assert_eq!(stats["total"], 0, "a test says nothing of how deliveries go");
}
