//! `abide endpoints`, against a running server.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::api_client::as_admin;
use crate::program::{Server, Site};
use crate::receiver::{Receiver, SECRET};

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ask(site: &Site, server: &Server, args: &[&str]) -> Value {
    json(&as_admin(site, server, &[args, &["--json"]].concat()))
}

/// I12: created, read, changed, stopped, started and deleted, with the secret shown in no other answer.
#[test]
fn an_endpoint_lives_its_life_from_the_command_line() {
    let site = Site::new();
    let server = site.serve();
    let receiver = Receiver::start();
    let url = format!("http://{}/hook", receiver.address);
    fs::write(site.path().join("secret"), format!("{SECRET}\n")).unwrap();
    let empty = as_admin(&site, &server, &["endpoints", "list"]);
    assert!(String::from_utf8_lossy(&empty.stderr).contains("There are no endpoints"));
    assert!(empty.stdout.is_empty(), "nothing but the answer on standard output");

    let create = ["endpoints", "create", "--dialect", "consentproof", "--to", &url];
    let more = ["--secret-file", "secret", "--description", "the shop", "--deadline-seconds", "7"];
    let made = ask(&site, &server, &[&create[..], &more].concat());
    let id = made["id"].as_str().unwrap();
    assert_eq!((&made["secret"], &made["deadline_seconds"]), (&SECRET.into(), &7.into()));
    let shown = ask(&site, &server, &["endpoints", "show", id]);
    assert_eq!(shown["url"], *url);
    assert!(!shown.to_string().contains(SECRET), "{shown}");

    let output = as_admin(&site, &server, &["endpoints", "test", id, "--type", "consent.created"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("delivered") && text.contains("200"), "{text}");
    assert_eq!(receiver.next().event_type, "consent.created");

    for (deed, state) in [("pause", "paused"), ("resume", "active")] {
        assert_eq!(ask(&site, &server, &["endpoints", deed, id])["state"], state);
    }
    let only = ["endpoints", "update", id, "--events", "consent.created,consent.withdrawn"];
    let changed = ask(&site, &server, &[&only[..], &["--description", ""]].concat());
    assert_eq!(changed["events"].as_array().unwrap().len(), 2);
    assert!(changed["description"].is_null(), "{changed}");
    let rotated = ask(&site, &server, &["endpoints", "rotate-secret", id]);
    assert_ne!(rotated["secret"], SECRET);
    assert_eq!(ask(&site, &server, &["endpoints", "end-replaced-secrets", id])["id"], id);

    let listed = as_admin(&site, &server, &["endpoints", "list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = format!("{id}  active  consentproof  {url}");
    assert!(listed.lines().any(|shown| shown == line), "{listed}");

    let unasked = as_admin(&site, &server, &["endpoints", "delete", id]);
    assert_eq!(unasked.status.code(), Some(2), "nobody was there to agree");
    assert!(String::from_utf8(unasked.stderr).unwrap().contains("--yes"));
    assert_eq!(ask(&site, &server, &["endpoints", "delete", id, "--yes"])["deleted"], true);
    let gone = as_admin(&site, &server, &["endpoints", "show", id]);
    assert_eq!(gone.status.code(), Some(3));
}

#[test]
fn what_the_server_refuses_names_the_field_and_a_failed_test_is_a_failure() {
    let site = Site::new();
    let server = site.serve();
    let create = |to: &str, more: &[&str]| {
        let args = ["endpoints", "create", "--dialect", "consentproof", "--to", to];
        as_admin(&site, &server, &[&args[..], more].concat())
    };
    for (to, more, code, named) in [
        ("https://10.0.0.1/x", &[][..], 3, "`url`"),
        ("https://a.example/x", &["--events", "consent.made"], 3, "`events"),
        ("https://a.example/x", &["--deadline-seconds", "0"], 3, "`deadline_seconds`"),
        ("https://a.example/x", &["--auth-file", "none"], 1, "none"),
    ] {
        let refused = create(to, more);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(code), "{text}");
        assert!(text.contains(named), "{named}: {text}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let made = json(&create(&format!("http://{nobody}/"), &["--json"]));
    let id = made["id"].as_str().unwrap();
    let test = as_admin(&site, &server, &["endpoints", "test", id]);
    let text = String::from_utf8(test.stdout).unwrap();
    assert_eq!(test.status.code(), Some(1), "{text}");
    assert!(text.contains("failed"), "{text}");
    let nothing = as_admin(&site, &server, &["endpoints", "update", id]);
    assert_eq!(nothing.status.code(), Some(2));
}

/// Lists go on over pages, and say so where they end before the end.
#[test]
fn a_long_list_is_read_page_by_page() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    for number in 0..103 {
        let webhook = serde_json::json!({
            "url": format!("https://a.example/{number}"), "events": ["*"], "secret": SECRET,
        });
        assert_eq!(api.post("/v1/webhooks", &webhook).0, 201);
    }
    let all = ask(&site, &server, &["endpoints", "list", "--all"]);
    assert_eq!(all["items"].as_array().unwrap().len(), 103);
    assert!(all["next_cursor"].is_null());
    let first = ask(&site, &server, &["endpoints", "list", "--limit", "101"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = ask(&site, &server, &["endpoints", "list", "--cursor", cursor]);
    let joined = [&first, &rest].map(|page| page["items"].as_array().unwrap().clone()).concat();
    assert_eq!(&joined, all["items"].as_array().unwrap());
    let text = as_admin(&site, &server, &["endpoints", "list", "--limit", "2"]);
    assert_eq!(String::from_utf8(text.stdout).unwrap().lines().count(), 3);
    assert!(String::from_utf8(text.stderr).unwrap().contains("--all"));
}
