//! `abide master-key`: from an old key to a new one, killed wherever it may be.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::http::Api;
use crate::program::{Dice, Site, abide, pause, times};

fn keys(site: &Site) -> Vec<(String, bool, bool)> {
    let listed: Value = serde_json::from_str(&site.ask(&["master-key", "list", "--json"])).unwrap();
    let flag = |key: &Value, name: &str| key[name].as_bool().unwrap();
    let keys = listed.as_array().unwrap().iter();
    keys.map(|key| {
        (key["id"].as_str().unwrap().to_owned(), flag(key, "current"), flag(key, "in_use"))
    })
    .collect()
}

/// The consent still opens, to its last personal field.
fn opens(api: &Api, consent: &str) {
    let (status, answer) = api.get(&format!("/v1/consent/{consent}"));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["data"]["subject_email"], "rotated@example.org");
}

/// I11: from the old key to the new one, and the data opens before, between and after; while the server runs, and on
/// a stopped store.
#[test]
fn a_master_key_is_replaced_and_everything_still_opens() {
    let site = Site::new();
    let mut running = Some(site.serve());
    let consent = running.as_ref().unwrap().api(&site.admin_key()).consent("rotated");
    for round in 0..2 {
        let (old, ..) = keys(&site).pop().unwrap();
        site.ask(&["master-key", "add"]);
        let (code, problem) = site.refused(&["master-key", "remove", &old]);
        assert_eq!(code, Some(1));
        assert!(problem.contains("master-key rotate"), "{problem}");
        assert_eq!(keys(&site).len(), 2, "refused, so both are there");
        site.ask(&["master-key", "rotate"]);
        assert!(
            site.ask(&["master-key", "rotate"]).starts_with("0 organizations"),
            "once is enough"
        );
        site.ask(&["master-key", "remove", &old]);
        let left = keys(&site);
        assert_eq!(left.len(), 1);
        assert!(left[0].0 != old && left[0].1 && left[0].2);
        assert!(!fs::read_to_string(site.key_file()).unwrap().contains(&old));
        if let Some(server) = running.take() {
            opens(&server.api(&site.admin_key()), &consent);
            server.stop();
        }
        let server = site.serve();
        opens(&server.api(&site.admin_key()), &consent);
        server.stop();
        assert!(round < 2);
    }
}

#[test]
fn the_current_key_is_never_removed() {
    let site = Site::new();
    site.serve().stop();
    let (only, ..) = keys(&site).pop().unwrap();
    assert_eq!(site.refused(&["master-key", "remove", &only]).0, Some(1));
    site.ask(&["master-key", "add"]);
    let (new, ..) = keys(&site).pop().unwrap();
    let (code, problem) = site.refused(&["master-key", "remove", &new]);
    assert_eq!(code, Some(1));
    assert!(problem.contains("current key"), "{problem}");
    assert_eq!(keys(&site).len(), 2);
}

/// I3, I11: `kill -9` of the command on a stopped store, then of the server that carries it out, at whatever step it
/// is: the next start opens everything, and the deed may be repeated.
#[test]
fn killed_at_any_step_of_a_replacement_everything_still_opens() {
    let site = Site::new();
    let server = site.serve();
    let consent = server.api(&site.admin_key()).consent("rotated");
    server.stop();
    let mut dice = Dice(7);
    for round in 0..times(16, 5) {
        let old: Vec<String> = keys(&site).into_iter().map(|(id, ..)| id).collect();
        let server = (round % 2 == 1).then(|| site.serve());
        for step in ["add", "rotate", "remove"] {
            let oldest = if step == "remove" { &old[..1] } else { &[] };
            let mut command = abide(site.path(), &["master-key", step]);
            command.args(oldest).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = command.spawn().unwrap();
            pause(Duration::from_millis(dice.below(40)));
            process.kill().unwrap();
            process.wait().unwrap();
        }
        if let Some(server) = server {
            server.kill();
        }
        let server = site.serve();
        opens(&server.api(&site.admin_key()), &consent);
        server.stop();
    }
    // Whatever was left half done, one pass finishes it.
    site.ask(&["master-key", "add"]);
    site.ask(&["master-key", "rotate"]);
    let all = keys(&site);
    for (id, ..) in all.iter().filter(|(_, current, _)| !current) {
        site.ask(&["master-key", "remove", id]);
    }
    assert_eq!(keys(&site).len(), 1);
    opens(&site.serve().api(&site.admin_key()), &consent);
}
