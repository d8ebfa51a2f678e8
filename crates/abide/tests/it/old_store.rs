//! A store that an earlier version wrote, opened by this one: `old_store/` holds its database as SQL, its master key, a key
//! of its API, and what that version answered. Nothing in it changes any more; a version that stores something in a new
//! form gets a second folder.
//!
//! It holds grants, a change, a withdrawal, a batch, a dated decision, an erased person, policies, endpoints of two
//! dialects, and deliveries that went well, failed and wait.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Api;
use crate::program::{PATIENCE, Site, pause};
use crate::receiver::Receiver;

const STORE: &str = include_str!("old_store/0008.sql");
const MASTER_KEY: &str = include_str!("old_store/master.key");
pub(crate) const ADMIN_KEY: &str = include_str!("old_store/admin-key.json");
/// By path.
pub(crate) const ANSWERS: &str = include_str!("old_store/answers.json");

pub(crate) fn old_site() -> Site {
    let site = Site::new();
    fs::create_dir(site.data()).unwrap();
    let store = rusqlite::Connection::open(site.data().join("abide.db")).unwrap();
    // Its tables stand in the order of their names, so before those that they refer to.
    store.pragma_update(None, "foreign_keys", false).unwrap();
    store.execute_batch(STORE).unwrap();
    drop(store);
    fs::write(site.key_file(), MASTER_KEY).unwrap();
    for path in [site.data(), site.key_file()] {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    site
}

/// Where an answer says something else than it did: what is said beside it may be new.
pub(crate) fn differences(path: &str, before: &Value, now: &Value) -> Vec<String> {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => before
            .iter()
            .flat_map(|(name, value)| {
                differences(&format!("{path}.{name}"), value, now.get(name).unwrap_or(&Value::Null))
            })
            .collect(),
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => (0..before.len())
            .flat_map(|place| differences(&format!("{path}[{place}]"), &before[place], &now[place]))
            .collect(),
        _ if before == now => Vec::new(),
        _ => vec![format!("{path}: {before} then, {now} now")],
    }
}

/// What was recorded is answered as it was, and what was told is told again in the same bytes (I6, P13, P21, P35).
#[test]
fn i6_p21_what_an_earlier_version_stored_reads_and_sends_the_same() {
    let site = old_site();
    let server = site.serve();
    let api = server.api(&serde_json::from_str(ADMIN_KEY).unwrap());
    let answers: Value = serde_json::from_str(ANSWERS).unwrap();
    for (path, before) in answers.as_object().unwrap() {
        let (status, now) = api.get(path);
        assert_eq!(status, 200, "{path}: {now}");
        assert_eq!(differences(path, before, &now), Vec::<String>::new());
    }

    // Every hash is found again in what was recorded.
    let consents = answers["/v1/consent?limit=100"]["data"].as_array().unwrap();
    assert!(!consents.is_empty());
    for consent in consents {
        let text = |name: &str| consent[name].as_str().unwrap();
        let (status, verified) = api.get(&format!(
            "/v1/consent/verify?subject_id={}&consent_type={}&consent_hash={}",
            text("subject_id"),
            text("consent_type"),
            text("consent_hash")
        ));
        assert_eq!(status, 200, "{verified}");
        assert_eq!(verified["data"]["hash"]["current"], true, "{verified}");
    }

    let receiver = Receiver::start();
    let deliveries = &answers["/abide/v1/deliveries?limit=100&state=delivered"]["items"];
    let deliveries = deliveries.as_array().unwrap();
    let endpoint = deliveries[0]["endpoint_id"].as_str().unwrap();
    let moved = json!({"url": format!("http://{}/hook", receiver.address)}).to_string();
    let (status, answer) =
        api.call("PATCH", &format!("/abide/v1/endpoints/{endpoint}"), &moved).unwrap();
    assert_eq!(status, 200, "{answer}");
    let mut erased = 0;
    for delivery in deliveries {
        let path = format!("/abide/v1/deliveries/{}", delivery["id"].as_str().unwrap());
        let (status, answer) = api.post(&format!("{path}/retry"), &json!({}));
        assert_eq!(status, 200, "{answer}");
        let Some(again) = second_attempt(&api, &path) else {
            erased += 1;
            continue;
        };
        assert_eq!(again["body_sha256"], delivery["last_attempt"]["body_sha256"], "{delivery}");
        assert_eq!(receiver.next().event_id, delivery["event_id"].as_str().unwrap());
    }
    assert_eq!(erased, 1, "of the person that was erased");
    server.stop();
}

/// A store of an earlier version is brought to this one without being served, once, and says before what that means.
#[test]
fn an_earlier_store_is_migrated_without_serving() {
    let site = old_site();
    let version = || {
        let store = rusqlite::Connection::open(site.data().join("abide.db")).unwrap();
        store.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = version();
    let asked = |args: &[&str]| -> Value { serde_json::from_str(&site.ask(args)).unwrap() };
    let planned = asked(&["migrate", "--dry-run", "--json"]);
    let names = planned["migrations"].as_array().unwrap();
    assert_eq!(names[0], "0009_originals", "{planned}");
    assert!(site.ask(&["migrate", "--dry-run"]).contains("would apply 0009_originals"));
    assert_eq!(version(), before, "nothing was done yet");
    // An older store can be backed up, and restored with what is missing applied.
    site.ask(&["backup", "old.tar"]);
    let done = asked(&["migrate", "--json"]);
    assert_eq!(done["migrations"], planned["migrations"]);
    assert_eq!(version(), before + names.len() as i64);
    assert!(site.ask(&["migrate"]).starts_with("nothing to apply"));
    site.ask(&["restore", "old.tar", "--replace", "--without-journal"]);
    assert_eq!(version(), before + names.len() as i64);
    let server = site.serve();
    let newer = version();
    assert!(site.ask(&["migrate"]).starts_with("nothing to apply"), "also beside a server");
    server.stop();
    let store = rusqlite::Connection::open(site.data().join("abide.db")).unwrap();
    store.pragma_update(None, "user_version", newer + 1).unwrap();
    drop(store);
    let (code, problem) = site.refused(&["migrate"]);
    assert_eq!(code, Some(3));
    assert!(problem.contains("use a newer one"), "{problem}");
}

/// The second attempt, once it is over; `None` where it is about somebody who was erased.
fn second_attempt(api: &Api, path: &str) -> Option<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, delivery) = api.get(path);
        if delivery["state"] == "erased" {
            return None;
        }
        let attempts = delivery["attempts"].as_array().unwrap();
        let second = attempts.iter().find(|attempt| attempt["number"] == 2);
        if let Some(ended) = second.filter(|attempt| !attempt["ending"].is_null()) {
            return Some(ended.clone());
        }
        assert!(Instant::now() < deadline, "{delivery}");
        pause(Duration::from_millis(20));
    }
}
