//! `abide copy`: an installation moved from its data folder into PostgreSQL, killed on the way, and served from there.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abide_core::access::{Actor, Caller};
use abide_core::blob::CHUNK;
use abide_core::ids::{BlobId, Id, OrganizationId};
use abide_core::shell::Clock as _;
use abide_storage::Storage;
use abide_storage::blobs::{BlobOwner, BlobReader, BlobWriter};
use abide_storage::sealing::MasterKeys;
use abide_storage_postgres::{NodeName, PostgresOptions};
use abide_storage_sqlite::SqliteOptions;
use serde_json::{Value, json};

use crate::http::Api;
use crate::old_store::{ADMIN_KEY, ANSWERS, differences, old_site};
use crate::postgres::Database;
use crate::program::{PATIENCE, Server, Site, abide, pause};
use crate::receiver::{Arrival, Receiver, SECRET, collect_until};
use crate::world::{Dice, MachineClock};

/// Parts of the blob that is copied: enough for a copy to be killed in it.
const PARTS: usize = 48;

/// A database to copy to.
struct Target {
    runtime: tokio::runtime::Runtime,
    /// There until it is dropped.
    database: Option<Database>,
}

impl Target {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = Some(runtime.block_on(Database::new()));
        Self { runtime, database }
    }

    fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    fn url(&self) -> String {
        self.database().url()
    }

    fn ask(&self, statement: &str) -> i64 {
        self.runtime.block_on(self.database().ask(statement))
    }

    fn run(&self, statement: &str) {
        self.runtime.block_on(self.database().run(statement));
    }

    /// A node on it, at a site with that site's key file.
    fn serve(&self, site: &Site, key_file_of: &Site) -> Server {
        fs::copy(key_file_of.key_file(), site.key_file()).unwrap();
        site.serve_with(&["--database-url", &self.url()])
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        drop(self.database.take());
    }
}

fn copy<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["copy", "--from", "abide-data", "--to", url], more].concat()
}

/// An address that nobody listens at, so far.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// An endpoint that is tried again each second.
fn subscribe_patiently(api: &Api, receiver: SocketAddr) {
    let endpoint = json!({
        "url": format!("http://{receiver}/hook"), "dialect": "consentproof", "events": ["*"],
        "secret": SECRET, "retry_delays": vec![1; 50],
    });
    let (status, answer) = api.post("/abide/v1/endpoints", &endpoint);
    assert_eq!(status, 201, "{answer}");
}

/// Writes a blob into the store of a folder that nobody serves.
fn write_blob(
    runtime: &tokio::runtime::Runtime,
    site: &Site,
    organization: OrganizationId,
) -> BlobId {
    let (data, keys) = (site.data(), MasterKeys::read(&site.key_file()).unwrap());
    let options = SqliteOptions { data: &data, keys, chance: Arc::new(Dice), commit_delay: None };
    let store = abide_storage_sqlite::open(options).unwrap();
    let by = Caller::new(organization, Actor::Operator);
    let now = MachineClock.now();
    runtime.block_on(async {
        let blobs = store.blobs();
        let owner = BlobOwner::Organization;
        let mut writer = BlobWriter::begin(blobs, &by, owner, now).await.unwrap();
        for part in 0..PARTS {
            writer.write(blobs, &vec![part as u8; CHUNK], now).await.unwrap();
        }
        writer.write(blobs, b"the end", now).await.unwrap();
        let blob = writer.finish(blobs, now).await.unwrap();
        Storage::close(&*store);
        blob.id
    })
}

/// Reads it where it was copied to.
fn judge_blob(target: &Target, site: &Site, organization: OrganizationId, blob: BlobId) {
    let (url, keys) = (target.url(), MasterKeys::read(&site.key_file()).unwrap());
    let node = NodeName { name: "test".to_owned(), role: "command" };
    let (chance, machine) = (Arc::new(Dice), Arc::new(MachineClock));
    let options = PostgresOptions { url: &url, keys, chance, node, machine };
    let store = abide_storage_postgres::open(options).unwrap();
    target.runtime.block_on(async {
        let blobs = store.blobs();
        let found = blobs.find(organization, blob, MachineClock.now()).await.unwrap().unwrap();
        let mut reader = BlobReader::new(organization, found);
        for part in 0..PARTS {
            let read = reader.next(blobs).await.unwrap().unwrap();
            assert!(read.len() == CHUNK && read.iter().all(|byte| *byte == part as u8));
        }
        assert_eq!(reader.next(blobs).await.unwrap().unwrap(), b"the end");
        // The end, at which the hash of the whole is compared.
        assert!(reader.next(blobs).await.unwrap().is_none());
    });
    Storage::close(&*store);
}

/// What a caller sees of it that does not change by itself.
fn seen(api: &Api, consents: &[&String]) -> HashMap<String, (u16, Value)> {
    let mut paths = vec![
        "/v1/consent?limit=100".to_owned(),
        "/abide/v1/events?limit=100".to_owned(),
        "/abide/v1/decisions?limit=100".to_owned(),
        "/abide/v1/purposes".to_owned(),
    ];
    paths.extend(consents.iter().map(|consent| format!("/v1/consent/{consent}")));
    paths.into_iter().map(|path| (path.clone(), api.get(&path))).collect()
}

/// Kills a copy as soon as it has begun; answers whether it was at work then.
fn kill_at_work(site: &Site, target: &Target) -> bool {
    let url = target.url();
    let mut command = abide(site.path(), &copy(&url, &[]));
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let is_there = "SELECT count(*) FROM pg_class WHERE relname = 'copies'";
    let has_rows = "SELECT count(*) FROM copies, blob_chunks";
    while target.ask(is_there) == 0 || target.ask(has_rows) == 0 {
        assert!(begun.elapsed() < PATIENCE, "the copy does not begin");
        if process.try_wait().unwrap().is_some() {
            break;
        }
        pause(Duration::from_millis(1));
    }
    process.kill().unwrap();
    let was_killed = process.wait().unwrap().code().is_none();
    was_killed && target.ask("SELECT count(*) FROM copies WHERE finished_at IS NULL") == 1
}

fn arrived(seen: &[Arrival], consent: &str, kind: &str) -> usize {
    seen.iter().filter(|one| one.object == consent && one.event_type == kind).count()
}

/// I1, I2, I3, I11: an installation with decisions, an erased person, a blob, and deliveries that went well, wait, and were
/// open when its process was killed, is copied, the copy killed on the way and resumed, and served from PostgreSQL: all is as
/// it was, what waited arrives once, what had arrived does not come again, and a key of a call is good once.
#[test]
fn i3_an_installation_moves_to_postgres_and_goes_on() {
    let (site, target) = (Site::new(), Target::new());
    let up = Receiver::start();
    let down = free_address();
    let server = site.serve();
    let key = site.admin_key();
    let api = server.api(&key);
    api.subscribe(up.address, SECRET);
    subscribe_patiently(&api, down);
    let [ada, bob, cy] = ["ada", "bob", "cy"].map(|person| api.consent(person));
    let once = json!({"subject_id": "once", "consent_type": "news", "granted": true});
    let (status, said_once) = api.with("Idempotency-Key", "k-1").post("/v1/consent", &once);
    assert_eq!(status, 201, "{said_once}");
    let once_id = said_once["data"]["id"].as_str().unwrap().to_owned();
    let mut at_up = Vec::new();
    collect_until(&up, &mut at_up, |seen| seen.len() >= 4);
    site.ask(&["subjects", "erase", "--reference", "cy"]);
    let (_, page) = api.get("/abide/v1/events?limit=2");
    let cursor = page["resume_cursor"].as_str().unwrap().to_owned();
    // Sent, and not answered: the process dies over it.
    up.shut();
    let dee = api.consent("dee");
    let begun = Instant::now();
    while arrived(&at_up, &dee, "consent.created") == 0 {
        assert!(begun.elapsed() < PATIENCE);
        at_up.push(up.next());
    }
    let consents = [&ada, &bob, &cy, &dee, &once_id];
    let before = seen(&api, &consents);
    let following = api.get(&format!("/abide/v1/events?cursor={cursor}"));
    let (code, why) = site.refused(&copy(&target.url(), &[]));
    assert!(code == Some(3) && why.contains("stop the server"), "{why}");
    server.kill();
    up.open();
    let organization = organization_of(&site);
    let blob = write_blob(&target.runtime, &site, organization);

    assert!(kill_at_work(&site, &target), "the copy ended before it was killed");
    let url = target.url();
    let other = Site::new();
    fs::copy(site.key_file(), other.key_file()).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--database-url", &url];
    let (code, why) = other.refused(&serve);
    assert!(
        code != Some(0) && why.contains("not whole") && why.contains("abide copy --from"),
        "{why}"
    );
    assert!(why.contains("--discard"), "{why}");
    let (_, why) = site.refused(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(why.contains("being copied") && why.contains("--database-url"), "{why}");
    let copied = site.ask(&copy(&url, &["--json"]));
    let copied: Value = serde_json::from_str(&copied).unwrap();
    assert_eq!(copied["resumed"], true, "{copied}");
    let rows = |table: &str| {
        let tables = copied["tables"].as_array().unwrap();
        tables.iter().find(|row| row["table"] == table).unwrap()["rows"].as_i64().unwrap()
    };
    assert_eq!((rows("consents"), rows("blob_chunks")), (5, PARTS as i64 + 1));
    let again = site.ask(&copy(&url, &[]));
    assert!(again.contains("whole since"), "{again}");
    let (code, why) = site.refused(&copy(&url, &["--discard"]));
    assert!(code == Some(3) && why.contains("not given up"), "{why}");

    let newest = target.ask("SELECT newest_key FROM copies");
    let late = Receiver::at(down);
    let server = target.serve(&other, &site);
    let api = server.api(&key);
    assert_eq!(seen(&api, &consents), before);
    assert_eq!(api.get(&format!("/abide/v1/events?cursor={cursor}")), following);
    let (status, repeated) = api.with("Idempotency-Key", "k-1").post("/v1/consent", &once);
    assert_eq!((status, &repeated["data"]), (201, &said_once["data"]));
    let eve = api.consent("eve");
    let told = [&ada, &bob, &once_id, &dee, &eve];
    let mut at_late = Vec::new();
    collect_until(&late, &mut at_late, |seen| {
        told.iter().all(|consent| arrived(seen, consent, "consent.created") > 0)
    });
    let all_ended = "SELECT count(*) FROM deliveries WHERE state IN ('hot', 'pending', 'claimed', 'parked', 'held')";
    let begun = Instant::now();
    while target.ask(all_ended) > 0 {
        assert!(begun.elapsed() < PATIENCE, "deliveries do not end");
        pause(Duration::from_millis(20));
    }
    at_late.extend(late.so_far());
    at_up.extend(up.so_far());
    for consent in told {
        assert_eq!(arrived(&at_late, consent, "consent.created"), 1, "{consent} where it was down");
    }
    assert_eq!(arrived(&at_late, &cy, "consent.created"), 0, "who is erased is told of nowhere");
    // What was open when its process died may come twice, under its own id; nothing else does.
    for (consent, most) in [(&ada, 1), (&bob, 1), (&cy, 1), (&once_id, 1), (&eve, 1), (&dee, 2)] {
        let times = arrived(&at_up, consent, "consent.created");
        assert!((1..=most).contains(&times), "{consent} came {times} times");
    }
    let new = format!("SELECT count(*) FROM decisions WHERE decision > {newest}");
    assert_eq!(target.ask(&new), 1, "keys come after those that were copied");
    assert_eq!(target.ask("SELECT count(*) FROM decisions"), 6, "nothing was recorded twice");
    let gaps = "SELECT max(log_index) - count(*) FROM decision_feed";
    assert_eq!(target.ask(gaps), 0, "the feed goes on with its numbers");
    let stray =
        "SELECT (SELECT count(*) FROM events_default) + (SELECT count(*) FROM attempts_default)";
    assert_eq!(target.ask(stray), 0, "each row lies in the partition of its time");
    judge_blob(&target, &site, organization, blob);
    server.stop();

    // The database is that installation's now.
    let stranger = Site::new();
    stranger.serve().stop();
    let (code, why) = stranger.refused(&copy(&url, &[]));
    assert!(code == Some(3) && why.contains("holds an installation already"), "{why}");
    stranger.serve().stop();
}

fn organization_of(site: &Site) -> OrganizationId {
    let store = rusqlite::Connection::open(site.data().join("abide.db")).unwrap();
    Id::from_key(
        store.query_row("SELECT organization FROM organizations", [], |row| row.get(0)).unwrap(),
    )
}

/// A store of an earlier version is refused until it is migrated; what it holds then reads the same from PostgreSQL.
#[test]
fn what_an_earlier_version_stored_reads_the_same_from_postgres() {
    let (site, target) = (old_site(), Target::new());
    let (url, key) = (target.url(), serde_json::from_str(ADMIN_KEY).unwrap());
    let (code, why) = site.refused(&copy(&url, &[]));
    assert!(code == Some(3) && why.contains("abide migrate --data"), "{why}");
    assert_eq!(target.ask("SELECT count(*) FROM pg_class WHERE relname = 'copies'"), 0);
    site.ask(&["migrate"]);
    let told = site.ask(&copy(&url, &[]));
    assert!(told.contains("compared table by table") && told.contains("abide-data.key"), "{told}");
    let node = Site::new();
    let server = target.serve(&node, &site);
    let api = server.api(&key);
    let answers: Value = serde_json::from_str(ANSWERS).unwrap();
    for (path, before) in answers.as_object().unwrap() {
        let (status, now) = api.get(path);
        assert_eq!(status, 200, "{path}: {now}");
        assert_eq!(differences(path, before, &now), Vec::<String>::new());
    }
    server.stop();
}

/// What is not the same is found, named by its table, and not served; given up, the folder is served and copied again.
#[test]
fn a_copy_that_differs_is_not_served_and_can_be_given_up() {
    let (site, target) = (Site::new(), Target::new());
    let server = site.serve();
    server.api(&site.admin_key()).consent("ada");
    server.stop();
    let url = target.url();
    let (code, why) = site.refused(&copy(&url, &["--discard"]));
    assert!(code == Some(3) && why.contains("no copy"), "{why}");
    // One who makes a row another one on its way in.
    target.run(
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.state = 'DENIED'; RETURN NEW; END $$",
    );
    site.ask(&copy(&url, &[]));
    target.run(
        "UPDATE copies SET finished_at = NULL; TRUNCATE decisions; \
         CREATE TRIGGER other BEFORE INSERT ON decisions FOR EACH ROW EXECUTE FUNCTION other()",
    );
    let (code, why) = site.refused(&copy(&url, &[]));
    assert!(code == Some(1) && why.contains("decisions (1 rows"), "{why}");
    assert!(why.contains("--discard"), "{why}");
    let (_, why) = site.refused(&["serve", "--listen", "127.0.0.1:0", "--database-url", &url]);
    assert!(why.contains("not whole"), "{why}");
    target.run("DROP TRIGGER other ON decisions");
    let told = site.ask(&copy(&url, &["--discard"]));
    assert!(told.contains("given up"), "{told}");
    for table in ["decisions", "organizations", "copies", "feed_epoch"] {
        assert_eq!(target.ask(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    let server = site.serve();
    server.api(&site.admin_key()).consent("bob");
    server.stop();
    site.ask(&copy(&url, &[]));
    assert_eq!(target.ask("SELECT count(*) FROM decisions"), 2);
}

/// What stands in the way is named with the way out, and nothing is changed.
#[test]
fn what_cannot_be_copied_is_refused_with_the_way_out() {
    let (site, target) = (Site::new(), Target::new());
    let url = target.url();
    let (code, why) = site.refused(&copy(&url, &[]));
    assert!(code == Some(1) && why.contains("there is no data folder"), "{why}");
    site.serve().stop();
    let pooled = format!("{url}?pooler=transaction");
    let nobody = "postgres://abide:hush-hush@127.0.0.1:1/abide";
    for (to, expected, said) in [
        ("mysql://x:hush@y/z", 2, "--to"),
        (nobody, 4, "127.0.0.1:1/abide"),
        (&pooled, 3, "direct=HOST:PORT"),
    ] {
        let (code, why) = site.refused(&copy(to, &[]));
        assert!(code == Some(expected) && why.contains(said), "{why}");
        assert!(!why.contains("hush"), "{why}");
    }
    let (key, aside) = (site.key_file(), site.path().join("aside.key"));
    fs::rename(&key, &aside).unwrap();
    let (_, why) = site.refused(&copy(&url, &[]));
    assert!(why.contains("master key file") && why.contains("missing"), "{why}");
    fs::rename(&aside, &key).unwrap();
    // A node on the empty database, and then what it left.
    let node = Site::new();
    let server = node.serve_with(&["--database-url", &url]);
    let (code, why) = site.refused(&copy(&url, &[]));
    assert!(code == Some(3) && why.contains("is at work"), "{why}");
    server.stop();
    let (code, why) = site.refused(&copy(&url, &[]));
    assert!(code == Some(3) && why.contains("holds an installation already"), "{why}");
    // The folder is as it was.
    site.serve().stop();
}
