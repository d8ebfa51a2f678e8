//! What was sent, through both APIs: histories, figures, sending again, and work over many deliveries.

use abide_core::delivery::{ErrorClass, Outcome, Schedule, decide};
use abide_core::ids::EndpointId;
use abide_core::shell::Clock as _;
use abide_storage::deliveries::{Ending, FinishedAttempt, OpenAttempt, Opened, Report};
use serde_json::{Value, json};

use crate::support::World;

pub(crate) async fn webhook(world: &World) -> String {
    let new = json!({"url": "https://example.com/hook", "events": ["consent.created"]});
    world.post("/v1/webhooks", &new).await.data()["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn consent(world: &World, who: &str) {
    let body = json!({"subject_id": who, "consent_type": "news", "granted": true});
    world.post("/v1/consent", &body).await.data();
}

/// Does what an engine does with all that is due: one attempt of each, with that outcome.
pub(crate) async fn send_all(world: &World, outcome: Outcome) {
    let (deliveries, now) = (world.store.deliveries(), world.clock.now());
    let lease = world.store.leases().open(now).await.unwrap();
    let schedule = Schedule {
        delays: std::borrow::Cow::Borrowed(&[60]),
        afterwards: abide_core::delivery::Afterwards::Fail,
        jitter_percent: 0,
    };
    for claimed in deliveries.claim_due(lease, &[], 100, now).await.unwrap().claimed {
        let open = OpenAttempt { delivery: claimed.id, lease, ends_by: now.plus_millis(10_000) };
        let Opened::Send(opening) = deliveries.open_attempt(open, now).await.unwrap() else {
            panic!("moved on")
        };
        let delivered = outcome == Outcome::Delivered;
        let finished = FinishedAttempt {
            delivery: claimed.id,
            endpoint: claimed.endpoint,
            lease,
            number: opening.number,
            started_at: now,
            duration_millis: 12,
            signed_at: now,
            token: [1; 16],
            body_sha256: [2; 32],
            body_length: 300,
            object_version: 0,
            endpoint_version: 1,
            status: Some(if delivered { 200 } else { 503 }),
            error: (!delivered).then_some(ErrorClass::Timeout),
            ending: Ending::Answered,
            answer: (!delivered).then(|| b"try later".to_vec()),
            decided: decide(outcome, opening.run, opening.number_in_run, &schedule, now, 0),
        };
        let report = Report { finished: vec![finished], given_back: Vec::new() };
        deliveries.report(report, now).await.unwrap();
    }
}

pub(crate) const RETRY: Outcome = Outcome::Retry { retry_after: None };

/// P24, P32: a webhook's history by page, with what the last attempt showed and when the next one is.
#[tokio::test]
async fn p24_a_webhooks_history_is_read_by_page() {
    let world = World::start().await;
    let id = webhook(&world).await;
    let other = webhook(&world).await;
    consent(&world, "ada").await;
    send_all(&world, RETRY).await;
    world.clock.pass(1_000);
    consent(&world, "bob").await;
    for path in ["/v1", "/api/v1"] {
        let reply = world.get(&format!("{path}/webhooks/{id}/deliveries?limit=1&page=2")).await;
        let pagination = json!({"page": 2, "limit": 1, "total": 2, "pages": 2});
        assert_eq!(reply.json()["pagination"], pagination);
        let items = reply.data();
        let [item] = items.as_array().unwrap().as_slice() else { panic!("{reply:?}") };
        assert!(item["id"].as_str().unwrap().starts_with("dlv_"));
        assert!(item["event_id"].as_str().unwrap().starts_with("evt_"));
        let rest = json!({
            "event_type": "consent.created",
            "is_test": false,
            "attempt": 1,
            "status": "pending",
            "response_code": 503,
            "response_body": "try later",
            "error": "timeout",
            "duration_ms": 12,
        });
        for (name, value) in rest.as_object().unwrap() {
            assert_eq!(item[name], *value, "{name}");
        }
        let made = world.clock.now().plus_millis(-1_000);
        assert_eq!(item["created_at"], made.to_seconds_text());
        assert_eq!(item["attempted_at"], made.to_seconds_text());
        assert_eq!(item["next_attempt_at"], made.plus_millis(60_000).to_seconds_text());
    }
    let first = world.get(&format!("/v1/webhooks/{id}/deliveries")).await.data()[0].clone();
    assert_eq!((first["attempt"].clone(), first["response_code"].clone()), (json!(0), Value::Null));
    let none = world.get(&format!("/v1/webhooks/{other}/deliveries?page=9")).await;
    assert_eq!(none.data(), json!([]));
    let wrong = world.get(&format!("/v1/webhooks/{id}/deliveries?limit=101")).await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (400, "VALIDATION_ERROR"));
    let nothing = EndpointId::from_key(77);
    let missing = world.get(&format!("/v1/webhooks/{nothing}/deliveries")).await;
    assert_eq!((missing.status.as_u16(), missing.code().as_str()), (404, "NOT_FOUND"));
}

/// P10: webhooks in a list say when they were last triggered and how their deliveries went.
#[tokio::test]
async fn p10_list_items_say_how_deliveries_went() {
    let world = World::start().await;
    let id = webhook(&world).await;
    let item = async || world.get("/v1/webhooks").await.data()[0].clone();
    let never = item().await;
    assert_eq!(never["last_triggered_at"], Value::Null);
    assert_eq!(never["delivery_stats"], json!({"total": 0, "successful": 0, "failed": 0}));
    for (who, outcome) in [("ada", Outcome::Delivered), ("bob", Outcome::Failed)] {
        world.clock.pass(1_000);
        consent(&world, who).await;
        send_all(&world, outcome).await;
    }
    let found = item().await;
    assert_eq!(found["last_triggered_at"], world.clock.now().to_seconds_text());
    assert_eq!(found["delivery_stats"], json!({"total": 2, "successful": 1, "failed": 1}));
    let alone = world.get(&format!("/v1/webhooks/{id}")).await;
    assert!(!alone.text.contains("delivery_stats"), "list items alone");
}

/// P24, P26: through Abide's own API: by filter and cursor, whole, and again under the same event id.
#[tokio::test]
async fn p26_a_failed_delivery_is_found_and_sent_again() {
    let world = World::start().await;
    let id = webhook(&world).await;
    for who in ["ada", "bob", "eve"] {
        consent(&world, who).await;
        let outcome = if who == "bob" { Outcome::Delivered } else { Outcome::Failed };
        send_all(&world, outcome).await;
        world.clock.pass(1_000);
    }
    let query = format!("/abide/v1/deliveries?endpoint={id}&state=failed,held&limit=1");
    let first = world.get(&query).await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world.get(&format!("{query}&cursor={cursor}")).await.json();
    assert_eq!(second["next_cursor"], Value::Null);
    let of = |page: &Value| page["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(of(&first) > of(&second), "newest first");
    assert_eq!(first["items"][0]["reason"], "refused");
    let wrong = world.get("/abide/v1/deliveries?state=failed,lost&endpoint=x&from=now").await;
    assert_eq!(wrong.wrong().len(), 3, "{wrong:?}");

    let path = format!("/abide/v1/deliveries/{}", of(&first));
    let retry = format!("{path}/retry");
    let asked = world.post(&retry, &json!({})).await.json();
    assert_eq!(
        (asked["state"].clone(), asked["runs"][1]["kind"].clone()),
        (json!("pending"), json!("single"))
    );
    assert!(asked["runs"][1]["asked"]["by"].as_str().unwrap().starts_with("key_"));
    send_all(&world, Outcome::Delivered).await;
    let found = world.get(&path).await.json();
    assert_eq!(found["event_id"], first["items"][0]["event_id"]);
    let runs: Vec<_> =
        found["attempts"].as_array().unwrap().iter().map(|one| one["run"].clone()).collect();
    assert_eq!((runs, found["state"].clone()), (vec![json!(1), json!(2)], json!("delivered")));
    let bad = world.post(&retry, &json!({"run": "first"})).await;
    assert_eq!(bad.wrong(), ["run"]);
    let path = format!("/v1/webhooks/{id}");
    world.patch(&path, &json!({"is_active": false})).await.data();
    assert_eq!(world.post(&retry, &json!({"run": "series"})).await.problem(), "conflict");
}

/// SW-19: a job over all that failed: estimated, asked for, asked for again, done as the engine does it, and stopped.
#[tokio::test]
async fn sw_19_many_are_sent_again_by_a_job() {
    let world = World::start().await;
    let id = webhook(&world).await;
    for n in 0..3 {
        consent(&world, &format!("person_{n}")).await;
    }
    send_all(&world, Outcome::Failed).await;
    let wish = json!({"kind": "retry_failed", "endpoint": id, "rate": 2});
    let mut dry = wish.clone();
    dry["dry_run"] = json!(true);
    let estimate = world.post("/abide/v1/jobs", &dry).await.json();
    assert_eq!(estimate["job"], Value::Null);
    assert_eq!(
        (estimate["estimate"]["done"].clone(), estimate["estimate"]["at_least"].clone()),
        (json!(3), json!(false))
    );
    let made = world.post("/abide/v1/jobs", &wish).await.json();
    assert_eq!(
        (made["created"].clone(), made["job"]["states"].clone()),
        (json!(true), json!(["failed"]))
    );
    let again = world.post("/abide/v1/jobs", &wish).await.json();
    assert_eq!(
        (again["created"].clone(), again["job"]["id"].clone()),
        (json!(false), made["job"]["id"].clone())
    );
    let job = abide_core::ids::JobId::parse(made["job"]["id"].as_str().unwrap()).unwrap();
    world.store.jobs().work(job, [].into(), world.clock.now()).await.unwrap();
    let path = format!("/abide/v1/jobs/{job}");
    let found = world.get(&path).await.json();
    assert_eq!(
        (found["state"].clone(), found["progress"]["done"].clone()),
        (json!("running"), json!(2))
    );
    let stopped = world.post(&format!("{path}/cancel"), &json!({})).await.json();
    assert_eq!(stopped["state"], "cancelled");
    assert_eq!(world.get("/abide/v1/jobs").await.json()["items"][0], stopped);
    let states = world.get("/abide/v1/deliveries?state=pending").await.json();
    assert_eq!(states["items"].as_array().unwrap().len(), 2, "what is done stays done");

    let wrong = json!({"kind": "discard", "states": ["failed"], "until": "1980-01-01T00:00:00Z"});
    assert_eq!(world.post("/abide/v1/jobs", &wrong).await.wrong(), ["endpoint"]);
    let wrong =
        json!({"kind": "explode", "states": ["lost"], "rate": 0, "run": "test", "filter": {}});
    let mut named = world.post("/abide/v1/jobs", &wrong).await.wrong();
    named.sort();
    assert_eq!(named, ["filter", "kind", "rate", "run", "states[0]"]);
    let unknown = json!({"kind": "discard", "endpoint": EndpointId::from_key(5)});
    assert_eq!(world.post("/abide/v1/jobs", &unknown).await.wrong(), ["endpoint"]);
}

/// P10: figures of an endpoint and over time.
#[tokio::test]
async fn p10_figures_are_read() {
    let world = World::start().await;
    let id = webhook(&world).await;
    for (who, outcome) in [("ada", Outcome::Delivered), ("bob", Outcome::Failed), ("eve", RETRY)] {
        consent(&world, who).await;
        send_all(&world, outcome).await;
    }
    let found = world.get(&format!("/abide/v1/endpoints/{id}/stats")).await.json();
    let now = world.clock.now().to_millis_text();
    let waiting =
        json!({"pending": 1, "parked": 0, "held": 0, "at_least": false, "oldest_since": now});
    let expected = json!({
        "total": 2, "successful": 1, "failed": 1, "last_attempt_at": now, "waiting": waiting,
    });
    assert_eq!(found, expected);
    world.clock.pass(300_000);
    for query in ["", "?step=1h", &format!("?step=1d&endpoint={id}")] {
        let found = world.get(&format!("/abide/v1/stats{query}")).await.json();
        let point = &found["points"][0];
        let counts = ["attempts_successful", "attempts_failed", "successful", "failed"];
        assert_eq!(
            counts.map(|name| point[name].clone()),
            [1, 2, 1, 1].map(Value::from),
            "{found}"
        );
    }
    let wrong =
        world.get("/abide/v1/stats?from=2020-01-01T00:00:00Z&until=2021-01-01T00:00:00Z").await;
    assert_eq!(wrong.wrong(), ["from"]);
    let turned = "/abide/v1/stats?step=1d&from=2021-01-01T00:00:00Z&until=2020-01-01T00:00:00Z";
    assert_eq!(world.get(turned).await.wrong(), ["from"]);
}
