//! `abide deliveries` and `abide jobs`, against a running server.

use serde_json::{Value, json};

use crate::api_client::as_admin;
use crate::program::{Server, Site};
use crate::receiver::{Receiver, SECRET};

fn ask(site: &Site, server: &Server, args: &[&str]) -> Value {
    let output = as_admin(site, server, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn items(listed: &Value) -> &Vec<Value> {
    listed["items"].as_array().unwrap()
}

/// Waits until deliveries are all in that state.
fn wait_until(site: &Site, server: &Server, state: &str, count: usize) -> Value {
    let until = std::time::Instant::now() + crate::program::PATIENCE;
    loop {
        let listed = ask(site, server, &["deliveries", "list", "--state", state]);
        if items(&listed).len() == count {
            return listed;
        }
        assert!(std::time::Instant::now() < until, "{listed}");
        crate::program::pause(std::time::Duration::from_millis(20));
    }
}

/// P24, P26: what was given up is found, sent again one by one and all together, and the work can be looked at.
#[test]
fn what_an_endpoint_missed_is_found_and_sent() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    let receiver = Receiver::start();
    api.subscribe(receiver.address, SECRET);
    let consents = ["ada", "ben", "cleo"].map(|subject| api.consent(subject));
    for _ in 0..3 {
        receiver.next();
    }
    let listed = wait_until(&site, &server, "delivered", 3);
    let one = &items(&listed)[0];
    let (id, endpoint) = (one["id"].as_str().unwrap(), one["endpoint_id"].as_str().unwrap());
    let table = as_admin(&site, &server, &["deliveries", "list", "--endpoint", endpoint]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains(&format!("{id}  delivered  consent.created")), "{table}");
    assert!(table.contains(endpoint) && table.contains("1 attempt"), "{table}");
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");

    let again = ask(&site, &server, &["deliveries", "retry", id]);
    assert_eq!(again["id"], id);
    assert_eq!(receiver.next().object, consents[2], "newest first");
    let shown = as_admin(&site, &server, &["deliveries", "show", id]);
    assert!(String::from_utf8(shown.stdout).unwrap().contains("attempts"));

    let nothing = ask(&site, &server, &["deliveries", "retry-failed", "--yes"]);
    assert_eq!(nothing["done"], 0);
    assert!(items(&ask(&site, &server, &["jobs", "list"])).is_empty(), "no job for nothing");
}

/// SW-19: an endpoint is sent what it missed by a job, which says first what it would do.
#[test]
fn a_job_says_what_it_would_do_asks_and_is_followed_to_its_end() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    let consents: Vec<String> = (0..5).map(|number| api.consent(&format!("s-{number}"))).collect();
    let receiver = Receiver::start();
    let to = format!("http://{}/", receiver.address);
    let webhook = json!({"url": to, "events": ["*"], "secret": SECRET});
    let (_, made) = api.post("/v1/webhooks", &webhook);
    let endpoint = made["data"]["id"].as_str().unwrap();
    let replay = ["deliveries", "replay-missing", "--endpoint", endpoint];
    let trial = ask(&site, &server, &[&replay[..], &["--dry-run"]].concat());
    assert_eq!(trial["done"], 5, "{trial}");
    let unasked = as_admin(&site, &server, &replay);
    assert_eq!(unasked.status.code(), Some(2));
    let text = String::from_utf8(unasked.stderr).unwrap();
    assert!(text.contains("Send 5 deliveries?") && text.contains("--yes"), "{text}");
    assert!(receiver.so_far().is_empty(), "it sent before anybody agreed");

    let done = ask(&site, &server, &[&replay[..], &["--yes"]].concat());
    assert_eq!((&done["state"], &done["progress"]["done"]), (&"done".into(), &json!(5)));
    let mut arrived: Vec<String> = (0..5).map(|_| receiver.next().object).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, consents);
    let id = done["id"].as_str().unwrap();
    assert_eq!(ask(&site, &server, &["jobs", "show", id, "--wait"])["state"], "done");
    let table = as_admin(&site, &server, &["jobs", "list"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains(&format!("{id}  replay_missing  done   5")), "{table}");
    let late = as_admin(&site, &server, &["jobs", "cancel", id]);
    assert_eq!(late.status.code(), Some(3), "what is done cannot be stopped");
}
