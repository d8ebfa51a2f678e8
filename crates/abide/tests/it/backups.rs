//! `abide backup` and `abide restore`: taken under load, ended at any moment, and what of it comes back.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use crate::http::Api;
use crate::program::{Dice, PATIENCE, Site, abide, pause, times};
use crate::receiver::{Receiver, SECRET, collect_until};

const CALLERS: u64 = 3;

fn journal(site: &Site) -> PathBuf {
    site.path().join("abide-data.key.erasures")
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The store of a data folder that nobody serves.
fn store(site: &Site) -> Connection {
    Connection::open(site.data().join("abide.db")).unwrap()
}

fn number(store: &Connection, question: &str) -> i64 {
    store.query_row(question, [], |row| row.get(0)).unwrap()
}

/// Waits until the journal names a person.
fn until_journaled(site: &Site, subject: &str) {
    let begun = Instant::now();
    while !fs::read_to_string(journal(site)).is_ok_and(|text| text.contains(subject)) {
        assert!(begun.elapsed() < PATIENCE, "{subject} is not journaled");
        pause(Duration::from_millis(20));
    }
}

fn erase(site: &Site, reference: &str) -> String {
    let erased = site.ask(&["subjects", "erase", "--reference", reference, "--json"]);
    json_of(&erased)["subject"].as_str().unwrap().to_owned()
}

/// I1, I2, I3, I11: a backup taken while decisions come in and go out holds each that was answered before it began. Restored,
/// it is whole, its deliveries go on and arrive under the ids that their events had, whoever was erased after it stays erased
/// and is told of nowhere, and what a reader of the feed knows is answered with 410.
#[test]
fn i3_a_backup_taken_under_load_is_restored_and_goes_on() {
    let site = Site::new();
    let receiver = Receiver::start();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    api.subscribe(receiver.address, SECRET);
    let (stopped, next) = (AtomicBool::new(false), AtomicU64::new(0));
    let answered = Mutex::new(Vec::new());
    let mut seen = Vec::new();
    let (before, erased, cursor, counts) = thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let api = api.clone();
                // An end for them also where something below fails.
                let until = Instant::now() + PATIENCE;
                while !stopped.load(Ordering::Relaxed) && Instant::now() < until {
                    let consent =
                        api.consent(&format!("s{}", next.fetch_add(1, Ordering::Relaxed)));
                    answered.lock().unwrap().push(consent);
                }
            });
        }
        let enough = |least: usize| {
            let begun = Instant::now();
            while answered.lock().unwrap().len() < least {
                assert!(begun.elapsed() < PATIENCE, "nothing is accepted");
                pause(Duration::from_millis(5));
            }
        };
        enough(200);
        // From here on what is sent stays open: it is under way when the backup is taken.
        receiver.shut();
        let erased = api.consent("erased-later");
        let so_far = answered.lock().unwrap().len();
        enough(so_far + 50);
        let cursor = api.get("/abide/v1/events?from=end").1["resume_cursor"].clone();
        let before = answered.lock().unwrap().clone();
        let taken = json_of(&site.ask(&["backup", "backup.tar", "--json"]));
        let during = answered.lock().unwrap().len();
        until_journaled(&site, &erase(&site, "erased-later"));
        enough(during + 20);
        stopped.store(true, Ordering::Relaxed);
        (before, erased, cursor, taken["counts"].clone())
    });
    server.kill();
    receiver.open();
    // Whatever is still on its way from the first life arrives before the second begins.
    pause(Duration::from_millis(200));
    seen.extend(receiver.so_far());

    let refused = site.refused(&["restore", "backup.tar"]);
    assert_eq!(refused.0, Some(3));
    assert!(refused.1.contains("is not empty") && refused.1.contains("--replace"), "{}", refused.1);
    let restored = json_of(&site.ask(&["restore", "backup.tar", "--replace", "--json"]));
    assert_eq!(restored["counts"], counts);
    assert_eq!(restored["erased_again"]["people"], 1, "{restored}");
    let kept = Path::new(restored["before"].as_str().unwrap());
    assert!(site.path().join(kept).join("abide.db").exists(), "{restored}");

    // Whole, before anything goes on.
    let whole = store(&site);
    let decisions = number(&whole, "SELECT count(*) FROM decisions");
    assert!(decisions > before.len() as i64, "{decisions} of {}", before.len());
    for feed in ["decisions", "events"] {
        let last = number(&whole, &format!("SELECT max(log_index) FROM {feed}"));
        let rows = number(&whole, &format!("SELECT count(DISTINCT log_index) FROM {feed}"));
        assert_eq!((last, rows), (decisions, decisions), "{feed} are numbered without gaps");
    }
    let alone = "SELECT count(*) FROM events WHERE NOT EXISTS \
                 (SELECT 1 FROM deliveries WHERE deliveries.event = events.event)";
    assert_eq!(number(&whole, alone), 0, "each event has its delivery");
    drop(whole);

    let server = site.serve();
    let api = server.api(&site.admin_key());
    for consent in &before {
        let (status, answer) = api.get(&format!("/v1/consent/{consent}"));
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(api.get(&format!("/v1/consent/{erased}")).0, 404);
    assert_eq!(site.refused(&["subjects", "erase", "--reference", "erased-later"]).0, Some(3));
    let cursor = cursor.as_str().unwrap();
    let (status, answer) = api.get(&format!("/abide/v1/events?cursor={cursor}"));
    assert_eq!(status, 410, "{answer}");
    assert!(answer["type"].as_str().unwrap().ends_with("cursor-gone"), "{answer}");

    let fresh = api.consent("after-the-restoration");
    let told: HashSet<String> = events(&api).into_iter().collect();
    let mut again = Vec::new();
    let first: HashSet<String> = seen.iter().map(|arrival| arrival.event_id.clone()).collect();
    collect_until(&receiver, &mut again, |again| {
        let arrived: HashSet<&str> = again.iter().map(|one| one.event_id.as_str()).collect();
        let arrives = |event: &&String| arrived.contains(event.as_str()) || first.contains(*event);
        told.iter().filter(arrives).count() + 1 >= told.len()
            && again.iter().any(|one| one.object == fresh)
    });
    let missed: Vec<_> = told
        .iter()
        .filter(|event| !first.contains(*event) && !again.iter().any(|one| one.event_id == **event))
        .collect();
    assert!(missed.len() <= 1, "not delivered: {missed:?}");
    assert!(again.iter().all(|one| one.object != erased), "somebody was told of the erased person");
    let mut ids: HashMap<&str, HashSet<&str>> = HashMap::new();
    for one in seen.iter().chain(&again) {
        ids.entry(&one.object).or_default().insert(&one.event_id);
    }
    assert!(again.iter().any(|one| first.contains(&one.event_id)), "nothing was under way");
    let renamed: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(renamed.is_empty(), "told under several ids: {renamed:?}");
    until_final(&site);
    server.stop();
    let whole = store(&site);
    let states = "SELECT count(*) FROM deliveries WHERE state = 'erased'";
    assert_eq!(number(&whole, states), 1, "what waited for the erased person has ended");
    assert_eq!(
        number(&whole, "SELECT count(*) FROM deliveries WHERE state = 'delivered'"),
        decisions
    );
}

/// Every event of the feed.
fn events(api: &Api) -> Vec<String> {
    let (mut events, mut page) = (Vec::new(), "/abide/v1/events?limit=100".to_owned());
    loop {
        let (status, answer) = api.get(&page);
        assert_eq!(status, 200, "{answer}");
        let ids = answer["items"].as_array().unwrap().iter();
        events.extend(ids.map(|event| event["id"].as_str().unwrap().to_owned()));
        let Some(next) = answer["next_cursor"].as_str() else { return events };
        page = format!("/abide/v1/events?limit=100&cursor={next}");
    }
}

/// Waits until no delivery is under way.
fn until_final(site: &Site) {
    let begun = Instant::now();
    let waiting = "SELECT count(*) FROM deliveries WHERE state NOT IN ('delivered', 'erased')";
    while number(&store(site), waiting) > 0 {
        assert!(begun.elapsed() < PATIENCE, "deliveries do not end");
        pause(Duration::from_millis(50));
    }
}

/// I11: without the journal, and with one that is older than the backup, nothing is restored unless it is said; a person
/// whom it does not have is back then. A complete one erases whoever was erased by a stopped store, too.
#[test]
fn i11_a_backup_is_not_restored_without_its_journal() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    let [ada, bob, cy] = ["ada", "bob", "cy"].map(|subject| api.consent(subject));
    until_journaled(&site, &erase(&site, "ada"));
    let early = fs::read(journal(&site)).unwrap();
    until_journaled(&site, &erase(&site, "bob"));
    server.stop();
    site.ask(&["backup", "backup.tar"]);
    erase(&site, "cy");
    let whole = fs::read(journal(&site)).unwrap();
    assert!(whole.len() > early.len(), "a stopped store journals, too");

    let restore = ["restore", "backup.tar", "--data", "other", "--master-key", "abide-data.key"];
    fs::remove_file(journal(&site)).unwrap();
    let (code, problem) = site.refused(&restore);
    assert_eq!(code, Some(3));
    assert!(
        problem.contains("no erasure journal") && problem.contains("--without-journal"),
        "{problem}"
    );
    fs::write(journal(&site), &early).unwrap();
    let (code, problem) = site.refused(&restore);
    assert_eq!(code, Some(3));
    assert!(problem.contains("older than the backup") && problem.contains("lacks 1 "), "{problem}");
    fs::write(journal(&site), b"erased somebody\n").unwrap();
    assert!(site.refused(&restore).1.contains("line 1"));
    assert!(!site.path().join("other/abide.db").exists());

    let knows = |data: &str, expected: [u16; 3]| {
        let mut command = abide(
            site.path(),
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--dev",
                "--data",
                data,
                "--master-key",
                "abide-data.key",
            ],
        );
        let server = site.start(&mut command);
        let api = server.api(&site.admin_key());
        let found = [&ada, &bob, &cy].map(|consent| api.get(&format!("/v1/consent/{consent}")).0);
        assert_eq!(found, expected, "{data}");
        server.stop();
    };
    fs::write(journal(&site), &whole).unwrap();
    site.ask(&restore);
    knows("other", [404, 404, 404]);
    fs::remove_file(journal(&site)).unwrap();
    let without = [
        "restore",
        "backup.tar",
        "--data",
        "third",
        "--master-key",
        "abide-data.key",
        "--without-journal",
    ];
    let output = site.run(&without);
    assert!(output.status.success());
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(warned.contains("warning: restored without an erasure journal"), "{warned}");
    knows("third", [404, 404, 200]);
    // The next start journals again what the store knows.
    let begun = Instant::now();
    let server = site.start(&mut abide(
        site.path(),
        &["serve", "--listen", "127.0.0.1:0", "--data", "third", "--master-key", "abide-data.key"],
    ));
    let erased = || {
        let text = fs::read_to_string(journal(&site)).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("erased ")).count()
    };
    while erased() < 2 {
        assert!(begun.elapsed() < PATIENCE, "the journal is not mended");
        pause(Duration::from_millis(20));
    }
    server.stop();
}

/// I11: an organization that was destroyed after the backup is destroyed in what is restored.
#[test]
fn i11_a_destroyed_organization_stays_destroyed() {
    let site = Site::new();
    let server = site.serve();
    let key = site.admin_key();
    let api = server.api(&key);
    let consent = api.consent("ada");
    site.ask(&["backup", "backup.tar"]);
    site.ask(&["organizations", "delete", "default", "--confirm", "default", "--grace-days", "0"]);
    until_journaled(&site, "\ndestroyed ");
    server.stop();
    let restored = json_of(&site.ask(&["restore", "backup.tar", "--replace", "--json"]));
    assert_eq!(restored["erased_again"]["organizations"], 1, "{restored}");
    let server = site.serve();
    let api = server.api(&key);
    assert_eq!(api.get(&format!("/v1/consent/{consent}")).0, 401, "its keys open nothing");
    let listed = site.ask(&["organizations", "list"]);
    assert!(listed.contains("deleted"), "{listed}");
    server.stop();
}

/// I3: `kill -9` at whatever moment of a backup leaves a whole one under its name or none, and the server goes on; at
/// whatever moment of a restoration, the store of before or the restored one.
#[test]
fn i3_killed_at_any_moment_nothing_is_half() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    for number in 0..20 {
        api.consent(&format!("before-{number}"));
    }
    site.ask(&["backup", "good.tar"]);
    api.consent("after-the-backup");
    let killed = |args: &[&str], after: Duration| {
        let mut command = abide(site.path(), args);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        pause(after);
        process.kill().unwrap();
        process.wait().unwrap().code().is_none()
    };
    let mut dice = Dice(7);
    let (mut hit, mut whole) = (0, 0);
    for round in 0..times(40, 12) {
        hit += u32::from(killed(&["backup", "new.tar"], Duration::from_millis(dice.below(60))));
        if site.path().join("new.tar").exists() {
            whole += 1;
            let data = format!("check-{round}");
            let args =
                ["restore", "new.tar", "--data", &data, "--master-key", "abide-data.key", "--json"];
            assert_eq!(json_of(&site.ask(&args))["counts"]["decisions"], 21);
            fs::remove_file(site.path().join("new.tar")).unwrap();
        }
    }
    assert!(hit > 0, "no backup was killed at work");
    api.consent("still-served");
    // Whatever was left does not stand in the way.
    site.ask(&["backup", "new.tar"]);
    let left: Vec<_> = fs::read_dir(site.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("draft"))
        .collect();
    assert!(left.is_empty(), "{left:?} after {whole} whole backups");
    server.stop();

    let decisions = || number(&store(&site), "SELECT count(*) FROM decisions");
    let (mut hit, mut restored) = (0, 0);
    for _ in 0..times(40, 12) {
        let was = decisions();
        let args = ["restore", "good.tar", "--replace"];
        hit += u32::from(killed(&args, Duration::from_millis(dice.below(120))));
        let server = site.serve();
        let api = server.api(&site.admin_key());
        let fresh = api.consent(&format!("another-{was}-{restored}"));
        assert_eq!(api.get(&format!("/v1/consent/{fresh}")).0, 200);
        server.stop();
        let now = decisions();
        assert!(now == was + 1 || now == 21, "{was} became {now}");
        restored += u32::from(now == 21);
    }
    assert!(hit > 0, "no restoration was killed at work, {restored} ended");
}

/// What cannot be done is refused with its exit code and the way out, and changes nothing.
#[test]
fn what_cannot_be_done_is_refused_with_the_way_out() {
    let site = Site::new();
    let (code, problem) = site.refused(&["backup", "backup.tar"]);
    assert!(code == Some(1) && problem.contains("there is no data folder"), "{problem}");
    assert!(!site.data().exists());
    let server = site.serve();
    server.api(&site.admin_key()).consent("ada");
    let told = site.ask(&["backup", "backup.tar"]);
    assert!(told.contains("decisions 1") && told.contains("master keys are not in it"), "{told}");
    let key = fs::read_to_string(site.key_file()).unwrap();
    let secret = key.lines().last().unwrap().split(' ').nth(1).unwrap().as_bytes();
    let backup = fs::read(site.path().join("backup.tar")).unwrap();
    assert!(!backup.windows(secret.len()).any(|bytes| bytes == secret));

    let cut_off = site.path().join("cut-off.tar");
    fs::write(&cut_off, &backup[..backup.len() / 2]).unwrap();
    fs::write(site.path().join("other.tar"), "something else").unwrap();
    let other_key = site.path().join("other.key");
    let mut lines: Vec<&str> = key.lines().filter(|line| line.starts_with('#')).collect();
    let wrong = "mk_00000009 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    lines.push(wrong);
    fs::write(&other_key, lines.join("\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&other_key, mode).unwrap();
    for (args, said) in [
        (&["backup", "backup.tar"][..], "is there already"),
        (&["backup", "abide-data/backup.tar"], "would be lost with it"),
        (&["restore", "backup.tar", "--replace"], "stop the server"),
        (
            &["restore", "cut-off.tar", "--data", "new", "--master-key", "abide-data.key"],
            "is cut off",
        ),
        (
            &["restore", "other.tar", "--data", "new", "--master-key", "abide-data.key"],
            "is no backup",
        ),
        (
            &[
                "restore",
                "backup.tar",
                "--data",
                "new",
                "--master-key",
                "other.key",
                "--without-journal",
            ],
            "lacks master key",
        ),
    ] {
        let (code, problem) = site.refused(args);
        assert_eq!(code, Some(3), "{args:?}: {problem}");
        assert!(problem.contains(said), "{args:?}: {problem}");
    }
    assert_eq!(site.refused(&["restore"]).0, Some(2));
    let (code, problem) =
        site.refused(&["restore", "backup.tar", "--data", "new", "--master-key", "none.key"]);
    assert!(code == Some(1) && problem.contains("none.key is missing"), "{problem}");
    assert!(!site.path().join("new/abide.db").exists());
    site.ask(&["backup", "backup.tar", "--replace"]);
    server.stop();
}

/// Where the journal cannot be written, erasing goes on and the log says so; a place of its own is a setting.
#[test]
fn i11_a_journal_has_a_place_of_its_own() {
    let site = Site::new();
    let nowhere =
        ["serve", "--listen", "127.0.0.1:0", "--dev", "--erasure-journal", "nowhere/journal"];
    let server = site.start(&mut abide(site.path(), &nowhere));
    server.api(&site.admin_key()).consent("ada");
    erase(&site, "ada");
    assert!(site.log().contains("erasure is not in the erasure journal"), "{}", site.log());
    server.stop();
    let place = site.path().join("elsewhere");
    fs::create_dir(&place).unwrap();
    let elsewhere =
        ["serve", "--listen", "127.0.0.1:0", "--dev", "--erasure-journal", "elsewhere/journal"];
    let server = site.start(&mut abide(site.path(), &elsewhere));
    let begun = Instant::now();
    while !fs::read_to_string(place.join("journal")).is_ok_and(|text| text.contains("\nerased ")) {
        assert!(begun.elapsed() < PATIENCE, "what was missing is not appended");
        pause(Duration::from_millis(20));
    }
    server.stop();
    let within = ["serve", "--listen", "127.0.0.1:0", "--erasure-journal", "abide-data/journal"];
    let (code, problem) = site.refused(&within);
    assert!(code == Some(1) && problem.contains("must not lie in the data folder"), "{problem}");
}
