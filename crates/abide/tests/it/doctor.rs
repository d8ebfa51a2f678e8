//! `abide doctor`, on machines that are sound and on ones that are not.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::database_url::Place;
use crate::program::{PATIENCE, Site, abide, pause};

/// The exit code, and the checks by their names.
fn examine(site: &Site, args: &[&str]) -> (Option<i32>, Value) {
    let output = site.run(&[&["doctor", "--json", "--listen", "127.0.0.1:0"], args].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    let checks = report["checks"].as_array().unwrap().iter();
    let checks = checks.map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone()));
    let problems = checks.clone().any(|(_, check)| check["verdict"] == "problem");
    assert_eq!(output.status.code(), Some(i32::from(problems)), "{text}");
    (output.status.code(), checks.collect())
}

fn assert_check(checks: &Value, name: &str, verdict: &str, words: &str) {
    let check = &checks[name];
    let text = format!("{} {}", check["found"], check["todo"]);
    assert!(check["verdict"] == verdict && text.contains(words), "{words}: {checks:#}");
    assert_eq!(check["todo"].is_null(), verdict == "ok", "says what to do: {check}");
}

#[test]
fn a_sound_place_is_found_sound_beside_a_server_and_without_one() {
    let site = Site::new();
    let server = site.serve();
    server.api(&site.admin_key()).consent("ada");
    let url = format!("http://{}", server.address);
    let (_, beside) = examine(&site, &["--url", &url]);
    assert_check(&beside, "data", "ok", "a server runs on it");
    assert_check(&beside, "listening", "ok", "is ready");
    assert_eq!(server.api(&site.admin_key()).get("/v1/policies").0, 200);
    server.stop();
    let before = fs::read(site.data().join("abide.db")).unwrap();
    let (_, alone) = examine(&site, &[]);
    assert_check(&alone, "data", "ok", "no server runs on it");
    assert_check(&alone, "listening", "ok", "free");
    for checks in [&beside, &alone] {
        assert_check(checks, "master key", "ok", "the store knows them");
        assert_check(checks, "database", "ok", "sound");
        assert_check(checks, "erasures", "ok", "has 0");
        assert_check(checks, "migrations", "ok", "applied");
        assert!(checks["writing"]["found"].as_str().unwrap().contains(" ms"), "{checks:#}");
        assert_check(checks, "clock", "ok", "not behind");
        assert_check(checks, "guard", "ok", "public addresses only");
        assert!(checks["resolver"].is_object() && checks["roots"].is_object(), "{checks:#}");
    }
    assert!(!site.data().join(".doctor").exists(), "it left its file");
    assert_eq!(fs::read(site.data().join("abide.db")).unwrap(), before, "it wrote");
    site.serve().stop();
    let text = site.run(&["doctor", "--listen", "127.0.0.1:0"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("ok       database")), "{text}");
}

/// A running server is judged by what it runs with, not by what the doctor was told; a stopped one by what it is told.
#[test]
fn a_running_server_is_judged_by_its_own_settings() {
    let site = Site::new();
    let server = site.serve_with(&["--allow-network", "10.20.0.0/16"]);
    let (_, beside) = examine(&site, &["--allow-network", "0.0.0.0/0"]);
    assert_check(&beside, "settings", "ok", "as the running server has them: development mode");
    assert_check(&beside, "mode", "warning", "development");
    assert_check(&beside, "guard", "ok", "10.20.0.0/16");
    let address = server.address.to_string();
    assert_check(&beside, "listening", "ok", &address);
    server.stop();
    let (_, alone) = examine(&site, &[]);
    assert_check(&alone, "settings", "ok", "assumed, since no server runs: as given here");
    assert!(alone["mode"].is_null(), "{alone:#}");
    let (_, alone) = examine(&site, &["--dev"]);
    assert_check(&alone, "mode", "warning", "development");
}

#[test]
fn what_is_wrong_with_a_place_is_found_and_said() {
    let site = Site::new();
    let (code, checks) = examine(&site, &[]);
    assert_eq!(code, Some(1));
    assert_check(&checks, "data", "problem", "no data folder");
    assert!(!site.data().exists(), "looking made a folder");
    site.serve().stop();

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = site.run(&["doctor", "--json", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("cannot be listened on"));
    let (_, checks) = examine(&site, &["--url", &format!("http://{address}/"), "--dev"]);
    assert_check(&checks, "listening", "problem", "took too long");
    assert_check(&checks, "mode", "warning", "development");
    let (_, checks) = examine(&site, &["--allow-network", "10.0.0.0/8,0.0.0.0/0"]);
    assert_check(&checks, "guard", "problem", "0.0.0.0/0");

    let keys = fs::read_to_string(site.key_file()).unwrap();
    let elsewhere = Site::new();
    elsewhere.serve().stop();
    fs::copy(elsewhere.key_file(), site.key_file()).unwrap();
    let (_, checks) = examine(&site, &[]);
    assert_check(&checks, "master key", "problem", "data.key back from your copy");
    fs::write(site.key_file(), &keys).unwrap();
    fs::set_permissions(site.key_file(), fs::Permissions::from_mode(0o644)).unwrap();
    let (_, checks) = examine(&site, &[]);
    assert_check(&checks, "master key", "problem", "chmod 600");
    for line in keys.lines().filter(|line| line.starts_with("mk_")) {
        let secret = line.split(' ').nth(1).unwrap();
        assert!(!checks.to_string().contains(secret), "it shows a master key");
    }
    fs::set_permissions(site.key_file(), fs::Permissions::from_mode(0o600)).unwrap();

    let database = site.data().join("abide.db");
    let sound = fs::read(&database).unwrap();
    fs::remove_file(&database).unwrap();
    let (_, checks) = examine(&site, &[]);
    assert_check(&checks, "database", "problem", "abide.db: No such file");
    assert!(!database.exists(), "looking made a database");
    fs::write(&database, "no database at all, but something else").unwrap();
    let (_, checks) = examine(&site, &[]);
    assert_check(&checks, "database", "problem", "not a database");
    fs::write(&database, sound).unwrap();
    let (_, checks) = examine(&site, &["--data", database.to_str().unwrap()]);
    assert_check(&checks, "data", "problem", "is no folder");

    // A page in the middle of the file, as a failing disk leaves it.
    let mut bytes = fs::read(&database).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 16 * 4096].fill(0xa5);
    fs::write(&database, bytes).unwrap();
    let (_, checks) = examine(&site, &[]);
    assert_check(&checks, "database", "problem", "backup");
}

/// I12: a database is looked at in place of the folder, beside its nodes and without them; its URL's password is told to nobody.
#[test]
fn i12_a_database_is_examined_in_place_of_the_folder() {
    let (site, place) = (Site::new(), Place::new());
    let (front, back) = {
        let url = place.url();
        let (front, back) = url.split_once('@').expect("a user");
        (front.to_owned(), back.to_owned())
    };
    // A server that trusts this machine takes any.
    let has_password = front.trim_start_matches("postgres://").contains(':');
    let front = if has_password { front } else { format!("{front}:hush-hush") };
    let password = front.rsplit(':').next().unwrap().to_owned();
    let url = format!("{front}@{back}");
    let look = |options: &str| {
        let (code, checks) = examine(&site, &["--database-url", &format!("{url}{options}")]);
        assert!(!checks.to_string().contains(&password), "a password is shown");
        (code, checks)
    };
    let (_, nothing) = look("");
    assert_check(&nothing, "master key", "problem", "is missing");
    let serving = ["serve", "--listen", "127.0.0.1:0", "--dev", "--node-name", "north"];
    let server = site.start(abide(site.path(), &serving).args(["--database-url", &url]));
    server.api(&site.admin_key()).consent("ada");
    let begun = Instant::now();
    let beside = loop {
        let (_, checks) = look("");
        // A node makes them beside everything else.
        if checks["partitions"]["verdict"] == "ok" {
            break checks;
        }
        assert!(begun.elapsed() < PATIENCE, "{checks:#}");
        pause(Duration::from_millis(100));
    };
    assert_check(&beside, "database", "ok", &format!("{back}, PostgreSQL "));
    assert_check(&beside, "tls", "ok", "within this machine");
    assert_check(&beside, "master key", "ok", "the database knows them");
    assert_check(&beside, "migrations", "ok", "applied");
    assert_check(&beside, "privileges", "ok", "partitions can be made");
    assert_check(&beside, "doorbell", "ok", "hear each other");
    assert_check(&beside, "time", "ok", "ms");
    assert_check(&beside, "nodes", "ok", "north alive");
    assert_check(&beside, "deliveries", "ok", "0 pending");
    assert_check(&beside, "settings", "ok", "as the running server has them");
    assert_check(&beside, "listening", "ok", "is ready");
    for name in ["distance", "durability", "connections"] {
        assert!(beside[name]["found"].is_string(), "{beside:#}");
    }
    assert!(beside["writing"].is_null() && beside["disk"].is_null(), "{beside:#}");
    let (_, pooled) = look("?pooler=transaction");
    assert_check(&pooled, "doorbell", "warning", "direct=HOST:PORT");
    server.stop();

    let (_, alone) = look("");
    assert_check(&alone, "nodes", "warning", "none is at work");
    place.run(
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' \
         AND relname ~ '^attempts_[0-9]+$' LOOP EXECUTE 'DROP TABLE ' || name; END LOOP; END $$",
    );
    let (_, checks) = look("");
    assert_check(&checks, "partitions", "warning", "start a node");
    let elsewhere = Site::new();
    elsewhere.serve().stop();
    let keys = fs::read(site.key_file()).unwrap();
    fs::copy(elsewhere.key_file(), site.key_file()).unwrap();
    let (code, checks) = look("");
    assert_eq!(code, Some(1));
    assert_check(&checks, "master key", "problem", "lacks master key");
    fs::write(site.key_file(), keys).unwrap();
    place.run("INSERT INTO migrations (number, sha256) VALUES (999, '')");
    let (code, checks) = look("");
    assert_eq!(code, Some(1));
    assert_check(&checks, "migrations", "problem", "newer version");
    let nobody = format!("{front}@127.0.0.1:1/abide");
    let (code, checks) = examine(&site, &["--database-url", &nobody]);
    assert_eq!(code, Some(1));
    assert_check(&checks, "database", "problem", "127.0.0.1:1/abide");
    assert!(!checks.to_string().contains(&password), "a password is shown");
}
