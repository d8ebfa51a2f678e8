//! `abide events`, against a running server.

use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::api_client::{as_admin, client_command};
use crate::program::{PATIENCE, Site, end_of, lines_of, signal};

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn events_are_listed_shown_and_filtered() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    let consents = ["ada", "ben", "cleo"].map(|subject| api.consent(subject));
    assert_eq!(api.post(&format!("/v1/consent/{}/withdraw", consents[0]), &json!({})).0, 200);
    let listed = text(&as_admin(&site, &server, &["events", "list", "--json"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let kinds: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    let created = "consent.created";
    assert_eq!(kinds, [created, created, created, "consent.withdrawn"]);

    let only = ["events", "list", "--type", "consent.withdrawn"];
    let only = text(&as_admin(&site, &server, &only));
    let lines: Vec<&str> = only.lines().collect();
    assert_eq!(lines.len(), 2, "{only}");
    assert!(lines[0].starts_with("ID ") && lines[1].ends_with("  consent.withdrawn"), "{only}");
    assert!(lines.iter().all(|line| line.len() <= 80), "{only}");
    // Local time with its offset.
    assert!(lines[1].contains(":00  consent") || lines[1].contains(":30  consent"), "{only}");

    let id = listed["items"][3]["id"].as_str().unwrap();
    let shown = text(&as_admin(&site, &server, &["events", "show", id]));
    assert!(shown.starts_with(&format!("id         {id}\n")), "{shown}");
    assert!(shown.contains(&consents[0]), "{shown}");
    let wrong = as_admin(&site, &server, &["events", "list", "--type", "consent.made"]);
    assert_eq!(wrong.status.code(), Some(3));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("`type`"));
}

/// What happened before is told where it is asked for, by time or whole; a bad time is refused before anything is asked.
#[test]
fn a_feed_is_followed_from_some_time_on() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    let consents = ["ada", "ben"].map(|subject| api.consent(subject));
    for begin in [&["--since", "10m"][..], &["--since", "2024-01-01T00:00:00Z"], &["--from-start"]]
    {
        let args = [&["events", "tail", "--json"], begin].concat();
        let mut command = client_command(&site, &server, &args);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(&mut process);
        for consent in &consents {
            let told: Value = serde_json::from_str(&lines.wait_for_text("{")).unwrap();
            assert_eq!(told["data"]["id"], **consent, "{begin:?}");
        }
        signal(&process, "INT");
        assert_eq!(end_of(&mut process, PATIENCE).unwrap().code(), Some(0));
    }
    for args in [&["--since", "soon"][..], &["--since", "10m", "--from-start"]] {
        let output = as_admin(&site, &server, &[&["events", "tail"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    let wrong = as_admin(&site, &server, &["events", "tail", "--type", "consent.made"]);
    assert_eq!(wrong.status.code(), Some(3));
}

/// The feed is followed from its end, over a restart of the server, and nothing is missed or told twice.
#[test]
fn a_feed_is_followed_from_its_end_and_over_a_restart() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    api.consent("before");
    let listen = server.address.to_string();
    let args = ["events", "tail", "--json"];
    let mut command = client_command(&site, &server, &args);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = lines_of(&mut process);
    let next = || -> Value { serde_json::from_str(&lines.wait_for_text("{")).unwrap() };
    let mut told = BufReader::new(process.stderr.take().unwrap()).lines();
    assert!(told.next().unwrap().unwrap().contains("following"));
    for number in 0..3 {
        let consent = api.consent(&format!("at-{number}"));
        assert_eq!(next()["data"]["id"], consent, "from the end on, in order");
    }
    server.stop();
    let server = site.serve_with_listen(&listen);
    let after = server.api(&site.admin_key()).consent("after");
    assert_eq!(next()["data"]["id"], after);
    signal(&process, "INT");
    assert_eq!(end_of(&mut process, PATIENCE).unwrap().code(), Some(0));
}
