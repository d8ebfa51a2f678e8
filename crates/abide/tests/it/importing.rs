//! `abide import`: a whole file of any size, in pages, with the numbers of its lines, and what receivers hear afterwards.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::api_client::{as_admin, client_command};
use crate::program::{Server, Site};
use crate::receiver::{Receiver, SECRET};

fn endpoint(to: SocketAddr) -> Value {
    json!({"type": "endpoint", "data": {
        "id": "whk_abc123", "url": format!("http://{to}/hook"), "dialect": "consentproof", "secret": SECRET,
        "events": ["*"], "is_active": true,
    }})
}

fn policy(id: &str) -> Value {
    json!({"type": "policy", "data": {
        "id": id, "policyType": "privacy_policy", "version": id, "title": "Privacy", "content": "We ...",
    }})
}

fn consent(number: u32, policy: &str) -> Value {
    json!({"type": "consent", "data": {
        "id": format!("con_old_{number}"), "subject_id": format!("person_{number}"), "policy_id": policy,
        "consent_type": "marketing", "granted": true, "recorded_at": "2023-06-01T10:30:00Z",
    }})
}

fn write(site: &Site, lines: &[Value]) {
    let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    fs::write(site.path().join("move.ndjson"), text).unwrap();
}

fn import(site: &Site, server: &Server, more: &[&str]) -> Output {
    let args = [&["import", "move.ndjson", "--webhooks", "none"], more].concat();
    as_admin(site, server, &args)
}

#[track_caller]
fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// P34: an old receiver goes on: it verifies with its own secret what comes under the ids that it knows. Nobody heard of the
/// import itself.
#[test]
fn p34_a_receiver_goes_on_under_the_old_ids() {
    let site = Site::new();
    let server = site.serve();
    let receiver = Receiver::start();
    let mut lines = vec![endpoint(receiver.address), policy("pol_a"), policy("pol_b")];
    // Some pages; each names both policies, which stand in the first.
    lines.extend((0..2_500).map(|number| consent(number, ["pol_a", "pol_b"][number as usize % 2])));
    write(&site, &lines);

    let tried = told(&import(&site, &server, &["--dry-run", "--json"]));
    assert_eq!((&tried["dry_run"], &tried["lines"]), (&true.into(), &2_503.into()));
    assert_eq!((&tried["created"], &tried["hashes"]["computed"]), (&2_503.into(), &2_502.into()));
    let api = server.api(&site.admin_key());
    assert_eq!(api.get("/v1/consent/con_old_1").0, 404, "a dry run left something");
    let done = told(&import(&site, &server, &["--json"]));
    assert_eq!((&done["created"], &done["unchanged"]), (&2_503.into(), &0.into()));
    let again = told(&import(&site, &server, &["--json"]));
    assert_eq!((&again["created"], &again["unchanged"]), (&0.into(), &2_503.into()));

    let (status, answer) = api.post("/v1/consent/con_old_1999/withdraw", &json!({}));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["data"]["policy_id"], "pol_b");
    let arrival = receiver.next();
    assert_eq!(
        (&*arrival.event_type, &*arrival.object, &*arrival.webhook),
        ("consent.withdrawn", "con_old_1999", "whk_abc123")
    );
    assert!(receiver.so_far().is_empty());
    server.stop();
}

/// Every misfit is told with the number of its line in the file; the pages before it stand, and the rest comes with the next
/// run.
#[test]
fn a_line_that_does_not_fit_is_told_by_its_number_in_the_file() {
    let site = Site::new();
    let server = site.serve();
    let mut lines = vec![policy("pol_a")];
    lines.extend((0..1_200).map(|number| consent(number, "pol_a")));
    lines[1_100]["data"]["policy_id"] = "pol_nowhere".into();
    lines[1_150]["data"]["recorded_at"] = "yesterday".into();
    write(&site, &lines);

    // What cannot be read is told before what does not fit.
    let text = refused(&import(&site, &server, &["--dry-run"]));
    assert!(
        text.contains("line 1151: `recorded_at`") && text.contains("Nothing was changed"),
        "{text}"
    );
    lines[1_150] = consent(1_149, "pol_a");
    lines[1_110]["data"]["policy_id"] = "pol_nowhere".into();
    write(&site, &lines);
    let text = refused(&import(&site, &server, &[]));
    assert!(
        text.contains("line 1101: `policy_id`") && text.contains("line 1111: `policy_id`"),
        "{text}"
    );
    assert!(text.contains("1000 lines before were taken"), "{text}");
    assert!(!text.contains("person_"), "{text}");

    lines[1_100] = consent(1_099, "pol_a");
    lines[1_110] = consent(1_109, "pol_a");
    write(&site, &lines);
    let done = told(&import(&site, &server, &["--json"]));
    assert_eq!((&done["created"], &done["unchanged"]), (&201.into(), &1_000.into()));

    fs::write(site.path().join("move.ndjson"), "\n \n").unwrap();
    assert!(refused(&import(&site, &server, &[])).contains("holds no line"));
    let unsaid = as_admin(&site, &server, &["import", "move.ndjson"]);
    assert_eq!(unsaid.status.code(), Some(2), "{unsaid:?}");
    let missing = as_admin(&site, &server, &["import", "gone.ndjson", "--webhooks", "none"]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    server.stop();
}

/// Lines come from a pipe, too; a history of one record is a line for each decision.
#[test]
fn a_pipe_is_read_as_a_file_is() {
    let site = Site::new();
    let server = site.serve();
    let mut later = consent(1, "pol_a");
    later["data"]["granted"] = false.into();
    later["data"]["recorded_at"] = "2023-07-01T00:00:00Z".into();
    let mut command = client_command(&site, &server, &["import", "-", "--webhooks", "none"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    write!(input, "\u{feff}{}\r\n{}\r\n{}", policy("pol_a"), consent(1, "pol_a"), later).unwrap();
    drop(input);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("3 lines, 2 created, 1 appended, 0 unchanged"), "{text}");
    let (_, found) = server.api(&site.admin_key()).get("/v1/consent/con_old_1");
    assert_eq!(
        (&found["data"]["granted"], &found["data"]["recorded_at"]),
        (&false.into(), &"2023-07-01T00:00:00Z".into())
    );
    server.stop();
}
