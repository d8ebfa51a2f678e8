//! `abide master-key`: from an old key to a new one, killed wherever it may be.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;

use crate::http::Api;
use crate::program::{PATIENCE, Server, Site, abide, times};

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
        assert_eq!(code, Some(3));
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
    assert_eq!(site.refused(&["master-key", "remove", &only]).0, Some(3));
    site.ask(&["master-key", "add"]);
    let (new, ..) = keys(&site).pop().unwrap();
    let (code, problem) = site.refused(&["master-key", "remove", &new]);
    assert_eq!(code, Some(3));
    assert!(problem.contains("current key"), "{problem}");
    assert_eq!(keys(&site).len(), 2);
}

fn ids(site: &Site) -> Vec<String> {
    keys(site).into_iter().map(|(id, ..)| id).collect()
}

/// Whether a file holds that text; not there, it holds none.
fn holds(path: &Path, text: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// Runs `abide master-key` and kills it, and the server that carries it out if there is one, as soon as `seen`; whether
/// the command had not ended by then.
fn killed_once(
    site: &Site,
    args: &[&str],
    server: Option<Server>,
    seen: &dyn Fn() -> bool,
) -> bool {
    let mut command = abide(site.path(), &["master-key"]);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    // Progress may be over before it was looked for: then the command has ended.
    while !seen() && process.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "{args:?} shows no progress");
        std::hint::spin_loop();
    }
    let Some(server) = server else {
        process.kill().unwrap();
        return process.wait().unwrap().code().is_none();
    };
    server.kill();
    // Its server gone, the command fails, unless it had its answer.
    !process.wait().unwrap().success()
}

/// I3, I11: `kill -9` right after the visible progress of each step, of the command on a stopped store or of the server
/// that carries it out: the new key in the key file (add), the keys of an organization under it in the write-ahead log
/// (rotate), the old key gone from the key file (remove). The next start opens everything, and the deed may be
/// repeated. What a step does after that, commit and reload, shows nothing outside and is within the kill's reach. A
/// command that ended before the kill is tried again.
#[test]
fn killed_at_each_step_of_a_replacement_everything_still_opens() {
    const TRIES: u32 = 50;
    let site = Site::new();
    let server = site.serve();
    let consent = server.api(&site.admin_key()).consent("rotated");
    server.stop();
    let (key_file, log) = (site.key_file(), site.data().join("abide.db-wal"));
    for round in 0..times(6, 2) {
        for step in ["add", "rotate", "remove"] {
            let mut hit = false;
            for _ in 0..TRIES {
                // Each try begins with everything under one key, but for what its step needs before it.
                site.ask(&["master-key", "rotate"]);
                for (id, current, _) in keys(&site) {
                    if !current {
                        site.ask(&["master-key", "remove", &id]);
                    }
                }
                let old = ids(&site).pop().unwrap();
                if step != "add" {
                    site.ask(&["master-key", "add"]);
                }
                let new = ids(&site).pop().unwrap();
                if step == "remove" {
                    site.ask(&["master-key", "rotate"]);
                }
                let server = (round % 2 == 1).then(|| site.serve());
                let before = fs::read(&key_file).unwrap();
                if step == "rotate" {
                    assert!(!holds(&log, &new), "nothing is under the new key yet");
                }
                hit = match step {
                    "add" => {
                        let seen = || fs::read(&key_file).unwrap() != before;
                        killed_once(&site, &["add"], server, &seen)
                    }
                    "rotate" => killed_once(&site, &["rotate"], server, &|| holds(&log, &new)),
                    _ => {
                        let seen = || !holds(&key_file, &old);
                        killed_once(&site, &["remove", &old], server, &seen)
                    }
                };
                let server = site.serve();
                opens(&server.api(&site.admin_key()), &consent);
                server.stop();
                if hit {
                    break;
                }
            }
            assert!(hit, "`{step}` was never killed at its step");
        }
    }
}
