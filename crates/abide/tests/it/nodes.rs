//! Several nodes over one PostgreSQL database: what one takes the other delivers, and what one leaves the other finishes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use abide_core::shell::Chance as _;
use abide_storage::sealing::MasterKeys;
use serde_json::{Value, json};

use crate::postgres::Database;
use crate::program::{PATIENCE, Server, Site, abide, pause, times};
use crate::receiver::{Arrival, Receiver, SECRET, collect_until};
use crate::world::Dice;

const CALLERS: u64 = 4;

/// Sites whose servers share a database and the master key.
pub(crate) struct Nodes {
    runtime: tokio::runtime::Runtime,
    /// There until it is dropped.
    database: Option<Database>,
    sites: Vec<Site>,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = Some(runtime.block_on(Database::new()));
        Self { runtime, database, sites: Vec::new() }
    }

    fn url(&self) -> String {
        self.database.as_ref().unwrap().url()
    }

    /// One more node; all but the first have a copy of the first one's key.
    pub(crate) fn serve(&mut self, args: &[&str]) -> Server {
        let site = Site::new();
        if let Some(first) = self.sites.first() {
            fs::copy(first.key_file(), site.key_file()).unwrap();
        }
        let mut command = abide(site.path(), &["serve", "--listen", "127.0.0.1:0", "--dev"]);
        let server = site.start(command.args(["--database-url", &self.url()]).args(args));
        self.sites.push(site);
        server
    }

    /// The key that the first node's first start wrote.
    pub(crate) fn admin_key(&self) -> Value {
        self.sites[0].admin_key()
    }

    /// Where they were started, in that order.
    pub(crate) fn sites(&self) -> &[Site] {
        &self.sites
    }

    pub(crate) fn ask(&self, statement: &str) -> i64 {
        self.runtime.block_on(self.database.as_ref().unwrap().ask(statement))
    }

    /// Waits until what a statement answers is so.
    fn until(&self, what: &str, statement: &str, is_so: impl Fn(i64) -> bool) {
        let begun = Instant::now();
        loop {
            let answer = self.ask(statement);
            if is_so(answer) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {answer}");
            pause(Duration::from_millis(50));
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        drop(self.database.take());
    }
}

/// That everything accepted arrived, and was told as created under one event id.
fn judge(accepted: &HashSet<String>, seen: &[Arrival]) {
    let mut events: HashMap<&str, HashSet<&str>> = HashMap::new();
    for arrival in seen.iter().filter(|arrival| arrival.event_type == "consent.created") {
        events.entry(&arrival.object).or_default().insert(&arrival.event_id);
    }
    let lost: Vec<_> = accepted.iter().filter(|id| !events.contains_key(id.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} accepted are lost: {lost:?}", lost.len(), accepted.len());
    let renamed: Vec<_> = events.iter().filter(|(_, ids)| ids.len() != 1).collect();
    assert!(renamed.is_empty(), "told under several ids: {renamed:?}");
}

/// I3: two nodes take decisions and deliver them; one is killed under load, and the other finishes its work.
#[test]
fn i3_killed_under_load_another_node_finishes_its_work() {
    let mut nodes = Nodes::new();
    let receiver = Receiver::start();
    let one = nodes.serve(&[]);
    let two = nodes.serve(&[]);
    let key = nodes.admin_key();
    one.api(&key).subscribe(receiver.address, SECRET);
    let (stopped, next) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut accepted = HashSet::new();
    let (sender, answered) = mpsc::channel();
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let api = if caller % 2 == 0 { one.api(&key) } else { two.api(&key) };
            let (sender, next, stopped) = (sender.clone(), &next, &stopped);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // Some people come again, at either node.
                    let number = next.fetch_add(1, Ordering::Relaxed) % 60;
                    let consent = format!(
                        r#"{{"subject_id":"s-{number}","consent_type":"m-{caller}","granted":true}}"#
                    );
                    if let Ok((201, answer)) = api.call("POST", "/v1/consent", &consent) {
                        sender.send(answer["data"]["id"].as_str().unwrap().to_owned()).unwrap();
                    }
                }
            });
        }
        let mut take = |count| {
            for _ in 0..count {
                accepted.insert(answered.recv_timeout(PATIENCE).expect("nothing is accepted"));
            }
        };
        take(times(400, 100));
        // From here on nothing is answered: what both take from now on is in their memory alone.
        receiver.shut();
        take(times(200, 60));
        two.kill();
        receiver.open();
        take(20);
        stopped.store(true, Ordering::Relaxed);
    });
    drop(sender);
    accepted.extend(answered);
    let mut seen = Vec::new();
    collect_until(&receiver, &mut seen, |seen| {
        let arrived: HashSet<&String> = seen.iter().map(|arrival| &arrival.object).collect();
        let waiting = "SELECT count(*) FROM deliveries WHERE state <> 'delivered'";
        accepted.iter().all(|consent| arrived.contains(consent)) && nodes.ask(waiting) == 0
    });
    judge(&accepted, &seen);
    assert_eq!(
        nodes.ask("SELECT count(*) FROM leases WHERE epoch > 1 AND lease > 0"),
        0,
        "taken over, worked off, closed"
    );
    let missing = "SELECT count(*) FROM events WHERE NOT EXISTS (SELECT 1 FROM event_feed WHERE event_feed.event = events.event)";
    assert_eq!(nodes.ask(missing), 0, "what the dead one wrote stands in the feed");
    let gaps = "SELECT max(log_index) - count(*) FROM event_feed";
    assert_eq!(nodes.ask(gaps), 0, "without gaps");
    one.stop();
}

/// I5, I15: a node that was only slow, stopped past its lease with work in its hands and back, moves no state of what another one
/// has finished meanwhile; and works again.
#[test]
fn i5_a_node_that_was_only_slow_moves_no_state() {
    const WAITING: &str = "SELECT count(*) FROM deliveries WHERE state <> 'delivered'";
    const MANY: u32 = 30;
    let mut nodes = Nodes::new();
    let receiver = Receiver::start();
    let one = nodes.serve(&[]);
    let two = nodes.serve(&[]);
    let key = nodes.admin_key();
    one.api(&key).subscribe(receiver.address, SECRET);
    receiver.shut();
    let api = two.api(&key);
    let mut accepted: HashSet<String> =
        (0..MANY).map(|n| api.consent(&format!("slow-{n}"))).collect();
    // Its sends are open, and more wait behind them in its memory.
    let mut seen = vec![receiver.next()];
    let hot = "SELECT count(*) FROM deliveries WHERE state = 'hot'";
    assert_eq!(nodes.ask(hot), i64::from(MANY));
    two.signal("STOP");
    let stopped = Instant::now();
    receiver.open();
    nodes.until("the other one finishes its work", WAITING, |waiting| waiting == 0);
    let still = Duration::from_secs(times(60, 0).into());
    pause(still.saturating_sub(stopped.elapsed()));
    let last = nodes.ask("SELECT max(delivery) FROM deliveries");
    let states = format!(
        "SELECT hashtextextended(string_agg(CAST(deliveries AS TEXT), ',' ORDER BY delivery), 0) \
         FROM deliveries WHERE delivery <= {last}"
    );
    let before = nodes.ask(&states);
    two.signal("CONT");
    let late = "SELECT count(*) FROM attempts WHERE late = 1";
    nodes.until("it hears what its sends came to, too late", late, |late| late > 0);
    // It takes part again, under a lease of its own.
    let afterwards = api.consent("afterwards");
    collect_until(&receiver, &mut seen, |seen| seen.iter().any(|one| one.object == afterwards));
    nodes.until("all is delivered", WAITING, |waiting| waiting == 0);
    accepted.insert(afterwards);
    seen.extend(receiver.so_far());
    judge(&accepted, &seen);
    assert_eq!(nodes.ask(&states), before, "a row was moved");
    let twice = "SELECT count(*) FROM (SELECT delivery FROM attempts WHERE late = 0 AND ending = 'answered' \
                 GROUP BY delivery HAVING count(*) > 1) AS twice";
    assert_eq!(nodes.ask(twice), 0, "what came late is marked so");
    two.stop();
    one.stop();
}

/// A node for the API alone hands over what it takes; one for deliveries alone has no API.
#[test]
fn roles_split_the_work() {
    let mut nodes = Nodes::new();
    let receiver = Receiver::start();
    let serving = nodes.serve(&["--role", "api"]);
    let delivering = nodes.serve(&["--role", "deliver"]);
    let key = nodes.admin_key();
    serving.api(&key).subscribe(receiver.address, SECRET);
    let accepted = HashSet::from([serving.api(&key).consent("ada")]);
    let mut seen = Vec::new();
    collect_until(&receiver, &mut seen, |seen| !seen.is_empty());
    judge(&accepted, &seen);
    let consent = r#"{"subject_id":"eve","consent_type":"m","granted":true}"#;
    let (status, _) = delivering.api(&key).call("POST", "/v1/consent", consent).unwrap();
    assert_eq!(status, 404);
    let (status, _) = delivering.api(&key).call("GET", "/readyz", "").unwrap();
    assert_eq!(status, 200);
    let alone = Site::new();
    let (code, why) = alone.refused(&["serve", "--role", "api"]);
    assert_eq!(code, Some(2));
    assert!(why.contains("--database-url"), "{why}");
    delivering.stop();
    serving.stop();
}

/// I11: every node keeps the journal of all erasures, whatever its role and whoever erased: at its start, and from then on.
#[test]
fn i11_every_node_keeps_the_erasure_journal() {
    let mut nodes = Nodes::new();
    let one = nodes.serve(&[]);
    let key = nodes.admin_key();
    let url = nodes.url();
    let erase = |nodes: &Nodes, person: &str| {
        one.api(&key).consent(person);
        nodes.sites[0].ask(&["subjects", "erase", "--reference", person, "--database-url", &url]);
    };
    let entries = |nodes: &Nodes| -> Vec<usize> {
        let counted = nodes.sites.iter().map(|site| {
            let journal = fs::read_to_string(site.path().join("abide-data.key.erasures"));
            journal.unwrap().lines().filter(|line| line.starts_with("erased ")).count()
        });
        counted.collect()
    };
    erase(&nodes, "ada");
    let others = ["api", "deliver"].map(|role| nodes.serve(&["--role", role]));
    assert_eq!(entries(&nodes), [1, 1, 1], "at their start");
    erase(&nodes, "bob");
    let begun = Instant::now();
    while entries(&nodes) != [2, 2, 2] {
        assert!(begun.elapsed() < PATIENCE, "{:?}", entries(&nodes));
        pause(Duration::from_millis(100));
    }
    others.into_iter().for_each(Server::stop);
    one.stop();
}

/// I12: of two nodes that begin with an empty database at once one hands over a key, which is good at both.
#[test]
fn i12_of_two_first_starts_at_once_one_hands_over_a_key() {
    for _ in 0..times(8, 3) {
        let mut nodes = Nodes::new();
        nodes.sites = vec![Site::new(), Site::new()];
        let fill = &mut |bytes: &mut [u8]| Dice.fill(bytes);
        MasterKeys::create_new(&nodes.sites[0].key_file(), fill).unwrap();
        fs::copy(nodes.sites[0].key_file(), nodes.sites[1].key_file()).unwrap();
        let url = nodes.url();
        let serve = |site: &Site| site.serve_with(&["--database-url", &url]);
        let servers = thread::scope(|scope| {
            let both = [&nodes.sites[0], &nodes.sites[1]].map(|site| scope.spawn(|| serve(site)));
            both.map(|one| one.join().unwrap())
        });
        let has_key = |site: &&Site| site.admin_key_file().exists();
        let told: Vec<&Site> = nodes.sites.iter().filter(has_key).collect();
        let [told] = told[..] else { panic!("{} nodes handed over a key", told.len()) };
        for server in &servers {
            assert_eq!(server.api(&told.admin_key()).get("/v1/policies").0, 200);
            assert!(!server.said.iter().any(|line| line.contains("revoked")), "{:?}", server.said);
        }
        assert!(told.owner_link_file().exists());
        assert_eq!(nodes.ask("SELECT count(*) FROM api_keys"), 1);
        for site in &nodes.sites {
            assert!(!site.data().join("admin-key.pending").exists());
        }
        servers.into_iter().for_each(Server::stop);
    }
}

/// I11, I12: a node without the database's master key is refused, and leaves no key behind that opens nothing; the URL's
/// password stands in no message.
#[test]
fn a_node_without_the_key_is_refused() {
    let mut nodes = Nodes::new();
    nodes.serve(&[]).stop();
    let stranger = Site::new();
    let url = nodes.url();
    let (code, why) =
        stranger.refused(&["serve", "--listen", "127.0.0.1:0", "--database-url", &url]);
    assert_ne!(code, Some(0));
    assert!(why.contains("master key"), "{why}");
    assert!(!stranger.key_file().exists());
    let nobody = "postgres://abide:hush-hush@127.0.0.1:1/abide";
    let (_, why) =
        stranger.refused(&["serve", "--listen", "127.0.0.1:0", "--database-url", nobody]);
    assert!(why.contains("127.0.0.1:1/abide") && !why.contains("hush"), "{why}");
    let (_, why) = stranger.refused(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        "mysql://x:hush@y/z",
    ]);
    assert!(!why.contains("hush"), "{why}");
}

/// I5: one node does what is done once over all, and another only when that is not heard of any more; `abide nodes` says which.
#[test]
fn i5_housekeeping_is_done_by_one_node_and_taken_over() {
    let mut nodes = Nodes::new();
    let one = nodes.serve(&["--node-name", "north"]);
    let two = nodes.serve(&["--node-name", "south"]);
    let url = nodes.url();
    let listed = |nodes: &Nodes| -> Vec<Value> {
        let text = nodes.sites[1].ask(&["nodes", "--json", "--database-url", &url]);
        serde_json::from_str(&text).unwrap()
    };
    let until = |what: &str, is_so: &dyn Fn(&[Value]) -> bool| {
        let begun = Instant::now();
        loop {
            let seen = listed(&nodes);
            if is_so(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {seen:#?}");
            pause(Duration::from_millis(100));
        }
    };
    let all = until("both live, and one keeps house", &|seen| {
        seen.len() == 2 && seen[0]["does_housekeeping"] == true
    });
    for (node, (number, name)) in all.iter().zip([(0, "north"), (1, "south")]) {
        assert_eq!(node["number"], number);
        assert_eq!(node["name"], name);
        assert_eq!((&node["role"], &node["state"]), (&json!("all"), &json!("alive")));
        assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(node["does_housekeeping"], number == 0);
        assert!(!node["leases"].as_array().unwrap().is_empty(), "{node}");
    }
    let text = nodes.sites[0].ask(&["nodes"]);
    assert!(text.contains("south") && text.contains("holds the housekeeping, lea_"), "{text}");

    // The first one is stopped, and something falls due: it waits for as long as the lease lasts.
    one.signal("STOP");
    let delete =
        ["organizations", "delete", "default", "--confirm", "default", "--grace-days", "0"];
    nodes.sites[1].ask(&delete);
    let epoch = "SELECT epoch FROM leases WHERE lease = 0";
    let first_epoch = nodes.ask(epoch);
    let done_too_early = format!(
        "SELECT count(*) FROM organizations, leases WHERE lease = 0 AND epoch = {first_epoch} AND state = 'deleted'"
    );
    let begun = Instant::now();
    while nodes.ask("SELECT count(*) FROM organizations WHERE state = 'deleted'") == 0 {
        assert_eq!(nodes.ask(&done_too_early), 0, "done by a node that does not keep house");
        assert!(begun.elapsed() < PATIENCE, "nobody took over");
        pause(Duration::from_millis(50));
    }
    assert_eq!(nodes.ask(epoch), first_epoch + 1);
    until("the first is gone and holds nothing, and the second keeps house", &|seen| {
        seen[0]["state"] == "gone"
            && seen[0]["leases"] == json!([])
            && seen[1]["does_housekeeping"] == true
    });
    // It comes back, and leaves the work to the other; then that one takes its leave, and need not be waited for.
    one.signal("CONT");
    until("it is back", &|seen| seen.iter().all(|node| node["state"] == "alive"));
    let begun = Instant::now();
    while !nodes.sites[0].log().contains("this node does the housekeeping no more") {
        assert!(begun.elapsed() < PATIENCE, "it does not notice");
        pause(Duration::from_millis(50));
    }
    assert_eq!(nodes.ask(epoch), first_epoch + 1);
    two.stop();
    let begun = Instant::now();
    while nodes.ask(epoch) == first_epoch + 1 {
        assert!(begun.elapsed() < PATIENCE, "nobody took over");
        pause(Duration::from_millis(50));
    }
    one.stop();
    // A command that looks is no node, and says that there is none.
    let looked = nodes.sites[0].run(&["nodes", "--database-url", &url]);
    assert!(looked.status.success() && looked.stdout.is_empty(), "{looked:?}");
    assert!(String::from_utf8(looked.stderr).unwrap().contains("No node is at work"));
}

/// What a node has in its memory and has not sent stands under its leases.
#[test]
fn nodes_are_shown_with_what_is_in_their_hands() {
    let mut nodes = Nodes::new();
    let receiver = Receiver::start();
    let node = nodes.serve(&[]);
    let api = node.api(&nodes.admin_key());
    api.subscribe(receiver.address, SECRET);
    receiver.shut();
    for number in 0..20 {
        api.consent(&format!("person-{number}"));
    }
    let url = nodes.url();
    let site = &nodes.sites[0];
    let listed = || -> Vec<Value> {
        let text = site.ask(&["nodes", "--json", "--database-url", &url]);
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        all[0]["leases"].as_array().unwrap().clone()
    };
    let leases = listed();
    let hot: u64 = leases.iter().map(|lease| lease["hot"].as_u64().unwrap()).sum();
    assert_eq!(hot, 20, "{leases:?}");
    assert!(leases.iter().all(|lease| lease["at_least"] == false), "{leases:?}");
    let text = site.ask(&["nodes", "--database-url", &url]);
    assert!(text.contains(" hot"), "{text}");
    // Much was sent since.
    nodes.ask(
        "WITH made AS (INSERT INTO deliveries (delivery, organization, event, endpoint, state) \
         SELECT (SELECT max(delivery) FROM deliveries) + number, 1, 1, 1, 'delivered' \
         FROM generate_series(1, 60000) AS every (number) RETURNING 1) SELECT count(*) FROM made",
    );
    let leases = listed();
    assert!(leases.iter().any(|lease| lease["at_least"] == true), "{leases:?}");
    let text = site.ask(&["nodes", "--database-url", &url]);
    assert!(text.contains("at least "), "{text}");
    receiver.open();
    node.stop();
}

/// The embedded database has one node while it is served.
#[test]
fn the_embedded_database_has_one_node() {
    let site = Site::new();
    let server = site.serve_with(&["--node-name", "only"]);
    let listed = |site: &Site| -> Vec<Value> {
        serde_json::from_str(&site.ask(&["nodes", "--json"])).unwrap()
    };
    let all = listed(&site);
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["name"], &all[0]["state"]), (&json!("only"), &json!("alive")));
    assert_eq!(all[0]["leases"].as_array().unwrap().len(), 1);
    server.stop();
    assert!(listed(&site).is_empty());
}
