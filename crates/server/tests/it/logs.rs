//! What reaches the log.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use http::{Method, Request};
use parking_lot::Mutex;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::World;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that any thread of this test binary logs.
fn captured() -> &'static Captured {
    static CAPTURED: OnceLock<Captured> = OnceLock::new();
    CAPTURED.get_or_init(|| {
        let captured = Captured::default();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(captured.clone())
            .with_ansi(false)
            .init();
        captured
    })
}

/// I11: at the finest level, no body, header, query, path as sent, secret or personal datum is in the log; request ids
/// and route templates are.
#[tokio::test]
async fn i11_nothing_personal_and_no_secret_is_logged() {
    let captured = captured();
    let world = World::start().await;
    let mut words: Vec<String> = [
        "person-7f3a",
        "mail-7f3a@example.com",
        "meta-7f3a",
        "203.0.113.77",
        "purpose-7f3a",
        "hook-7f3a",
        "secret-7f3a-0123456789",
        "note-7f3a",
        "query-7f3a",
        "header-7f3a",
        "path-7f3a",
    ]
    .map(str::to_owned)
    .to_vec();
    words.push(world.us.token.clone());

    let consent = json!({"subject_id": "person-7f3a", "subject_email": "mail-7f3a@example.com",
        "consent_type": "purpose-7f3a", "granted": true,
        "metadata": {"ip_address": "203.0.113.77", "x": "meta-7f3a"}});
    let id = world.post("/v1/consent", &consent).await.data()["id"].as_str().unwrap().to_owned();
    world.post("/v1/consent/batch", &json!([consent])).await.data();
    world
        .patch(&format!("/v1/consent/{id}"), &json!({"subject_email": "mail-7f3a@example.com"}))
        .await
        .data();
    let hook = json!({"url": "https://example.com/hook-7f3a", "events": ["*"],
        "secret": "secret-7f3a-0123456789", "description": "note-7f3a"});
    world.post("/v1/webhooks", &hook).await.data();
    let made = json!({"url": "https://example.com/", "events": ["*"]});
    let made = world.post("/v1/webhooks", &made).await.data();
    words.push(made["secret"].as_str().unwrap().to_owned());
    let bad = json!({"subject_id": ["person-7f3a"], "subject_email": "mail-7f3a", "granted": "meta-7f3a"});
    assert_eq!(world.post("/v1/consent", &bad).await.status, 400);
    assert_eq!(world.get("/v1/policies?page=query-7f3a").await.status, 400);
    assert_eq!(world.get("/v1/consent/path-7f3a").await.status, 404);
    for sound in [
        "/v1/consent/user/person-7f3a?consent_type=purpose-7f3a",
        "/v1/consent?subject_id=person-7f3a",
        "/v1/consent/verify?subject_id=person-7f3a&consent_type=purpose-7f3a",
    ] {
        world.get(sound).await.data();
    }
    assert_eq!(world.get("/v1/consent/user/person-7f3a%ff").await.status, 400);
    assert_eq!(world.get("/path-7f3a?query-7f3a").await.status, 404);
    let odd = Request::builder()
        .method(Method::from_bytes(b"METHOD-7F3A").unwrap())
        .uri("/v1/consent")
        .header("x-api-key", "abk_header-7f3a")
        .header("cookie", "header-7f3a");
    world.send(odd.body(Body::empty()).unwrap()).await;
    words.push("METHOD-7F3A".to_owned());
    world.store.close();
    let failed = world.post("/v1/consent", &consent).await;
    assert_eq!(failed.status, 503);

    let log = String::from_utf8(captured.0.lock().clone()).unwrap();
    for word in &words {
        assert!(!log.contains(word.as_str()), "{word} is in the log");
    }
    let request = failed.headers["x-request-id"].to_str().unwrap();
    let told: Vec<_> =
        log.lines().filter(|line| line.contains("ERROR") && line.contains(request)).collect();
    assert_eq!(told.len(), 1, "a failure is logged once, under its request id: {told:?}");
    assert!(told[0].contains("/v1/consent") && told[0].contains("503"), "{told:?}");
    assert!(log.contains("/v1/consent/user/{ref}"), "the reference is no part of the route");
    assert!(log.contains("/v1/consent/{id}"), "routes are named by their templates");
}
