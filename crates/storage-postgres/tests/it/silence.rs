//! Servers that take everything in and say nothing: whoever waits is told so in time, and nobody has to wait twice. Nodes that stand
//! still in the middle of a statement: the server ends what they began.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use abide_core::access::{Actor, Caller};
use abide_storage::suite::{Dice, at, grant, masters};
use abide_storage::{Storage as _, StorageError};
use abide_storage_postgres::{PostgresOptions, PostgresStore, open_with_leases_of};
use abide_storage_sql::database::{Call, Database as _};
use abide_storage_sql::tx::Tx;
use parking_lot::{Condvar, Mutex};

use crate::Machine;
use crate::server::Database;

/// How long a lease lasts here.
const LEASE: i64 = 1_000;
/// How long a call waits for an answer.
const ANSWER: Duration = Duration::from_millis(3 * LEASE as u64);

/// What goes one way. Where it is stopped, nothing of it is lost.
#[derive(Default)]
struct Way {
    /// How many bytes may still pass, where it is stopped.
    left: Mutex<Option<usize>>,
    moved: Condvar,
}

impl Way {
    fn stop_after(&self, bytes: usize) {
        *self.left.lock() = Some(bytes);
    }

    fn open(&self) {
        *self.left.lock() = None;
        self.moved.notify_all();
    }

    fn is_stopped(&self) -> bool {
        *self.left.lock() == Some(0)
    }

    /// How many of those may pass now, at least one.
    fn pass(&self, wanted: usize) -> usize {
        let mut left = self.left.lock();
        while *left == Some(0) {
            self.moved.wait(&mut left);
        }
        let passes = left.map_or(wanted, |left| left.min(wanted));
        if let Some(left) = left.as_mut() {
            *left -= passes;
        }
        passes
    }
}

/// What stands between a node and the server.
struct Between {
    port: u16,
    requests: Arc<Way>,
    answers: Arc<Way>,
}

impl Between {
    fn before(database: &Database) -> Self {
        let server: tokio_postgres::Config = database.url().parse().expect("whole");
        let [tokio_postgres::config::Host::Tcp(host)] = server.get_hosts() else {
            panic!("one host")
        };
        let server = (host.clone(), server.get_ports()[0]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let (requests, answers) = (Arc::new(Way::default()), Arc::new(Way::default()));
        let between = Self { port, requests: Arc::clone(&requests), answers: Arc::clone(&answers) };
        // They end with the test's process.
        thread::spawn(move || {
            for node in listener.incoming() {
                let node = node.expect("a connection");
                let there = TcpStream::connect((server.0.as_str(), server.1)).expect("the server");
                carry(&node, &there, &requests);
                carry(&there, &node, &answers);
            }
        });
        between
    }

    fn url(&self, database: &Database) -> String {
        let direct: tokio_postgres::Config = database.url().parse().expect("whole");
        let (user, name) = (direct.get_user().expect("whole"), direct.get_dbname().expect("whole"));
        let password = direct.get_password().map(String::from_utf8_lossy);
        let password = password.map_or(String::new(), |text| format!(":{text}"));
        format!("postgres://{user}{password}@127.0.0.1:{}/{name}", self.port)
    }
}

/// Carries what one side says to the other, until one of them has gone.
fn carry(from: &TcpStream, to: &TcpStream, way: &Arc<Way>) {
    let (mut from, mut to) =
        (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    let way = Arc::clone(way);
    thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(read) = from.read(&mut buffer)
            && read > 0
        {
            let mut rest = &buffer[..read];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(way.pass(rest.len()));
                if to.write_all(now).is_err() {
                    return;
                }
                rest = later;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

async fn store(url: String, machine: Arc<Machine>) -> Arc<PostgresStore> {
    let opened = tokio::task::spawn_blocking(move || {
        let (chance, node) = (Arc::new(Dice::default()), crate::node());
        let options = PostgresOptions { url: &url, keys: masters(), chance, node, machine };
        open_with_leases_of(options, LEASE).expect("a store")
    });
    opened.await.expect("a store")
}

async fn stalling() -> (Database, Between, Arc<PostgresStore>) {
    let database = Database::new().await;
    let between = Between::before(&database);
    let store = store(between.url(&database), Arc::default()).await;
    (database, between, store)
}

fn mark(tx: &Tx<'_>, number: i64) -> Result<(), StorageError> {
    let text = "INSERT INTO feed_heads (organization) VALUES (?)";
    tx.connection().sql(text).execute([number]).map(drop)
}

const MARKS: &str = "SELECT count(*) FROM feed_heads";

/// I1: a statement that is not answered fails its call, which wrote nothing; a COMMIT that is not answered leaves the outcome in
/// doubt. Neither is waited for longer than a call may wait, nor tried again; and all goes on once the server does.
#[tokio::test(flavor = "multi_thread")]
async fn i1_a_server_that_says_nothing_is_given_up() {
    let (database, between, store) = stalling().await;
    let answers = Arc::clone(&between.answers);
    let begun = Instant::now();
    let asks = store.database().write(Call::of(1), move |tx| {
        mark(tx, 1)?;
        answers.stop_after(0);
        mark(tx, 2)
    });
    let said = asks.await;
    assert!(
        matches!(&said, Err(StorageError::Unavailable(why)) if why.contains("no answer")),
        "{said:?}"
    );
    assert!((ANSWER..ANSWER * 2).contains(&begun.elapsed()), "after {:?}", begun.elapsed());
    between.answers.open();
    assert_eq!(database.ask(MARKS).await, 0);
    let answers = Arc::clone(&between.answers);
    let begun = Instant::now();
    let commits = store.database().write(Call::of(1), move |tx| {
        mark(tx, 3)?;
        answers.stop_after(0);
        Ok(())
    });
    let said = commits.await;
    assert!(matches!(said, Err(StorageError::Unknown(_))), "{said:?}");
    assert!((ANSWER..ANSWER * 2).contains(&begun.elapsed()), "after {:?}", begun.elapsed());
    assert_eq!(database.ask(MARKS).await, 1, "it was carried out");
    between.answers.open();
    store.database().write(Call::of(1), |tx| mark(tx, 4)).await.unwrap();
    assert_eq!(database.ask(MARKS).await, 2);
}

/// Calls that share a transaction are told at once all together: halves of them would wait as long, and halves of those.
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_wait_no_longer_than_one() {
    let (_database, between, store) = stalling().await;
    let organization = store.accounts().create_organization("us", at(0)).await.unwrap().id;
    between.answers.stop_after(0);
    let begun = Instant::now();
    let calls: Vec<_> = (0..9)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let by = Caller::new(organization, Actor::Operator);
                let new = grant(&format!("person-{number}"), "news");
                store.consents().record(&by, new, at(1)).await
            })
        })
        .collect();
    for call in calls {
        let said = call.await.unwrap();
        assert!(matches!(said, Err(StorageError::Unavailable(_))), "{said:?}");
    }
    // The first one went alone, and the others together, for whom a connection had to be made.
    assert!(begun.elapsed() < ANSWER * 4, "after {:?}", begun.elapsed());
    between.answers.open();
    let by = Caller::new(organization, Actor::Operator);
    store.consents().record(&by, grant("ada", "news"), at(2)).await.unwrap();
}

/// I3: what says that a node is alive waits for less than half a lease, so that there is time for another connection.
#[tokio::test(flavor = "multi_thread")]
async fn i3_a_heartbeat_gives_up_within_its_lease() {
    let (_database, between, store) = stalling().await;
    store.leases().start(at(0)).await.unwrap();
    between.answers.stop_after(0);
    let begun = Instant::now();
    let said = store.leases().heartbeat(at(1)).await;
    assert!(said.is_err(), "{said:?}");
    assert!(begun.elapsed() < Duration::from_millis(LEASE as u64), "after {:?}", begun.elapsed());
    between.answers.open();
    // The beat beside has found another connection, too.
    let begun = Instant::now();
    while store.broken().is_some() || store.leases().heartbeat(at(2)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not come back");
    }
}

/// I3: a node that is stopped in the middle of a large statement keeps the others waiting no longer than one that is stopped between
/// two.
#[tokio::test(flavor = "multi_thread")]
async fn i3_half_a_statement_lets_go() {
    let (database, between, store) = stalling().await;
    store.accounts().create_organization("us", at(0)).await.unwrap();
    let requests = Arc::clone(&between.requests);
    let still = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut first = true;
            let work = move |tx: &mut Tx<'_>| {
                let rename = "UPDATE organizations SET name = ?";
                tx.connection().sql(rename).execute(["still"])?;
                if std::mem::take(&mut first) {
                    requests.stop_after(10_000);
                }
                tx.connection().sql(rename).execute(["still".repeat(100_000).as_str()]).map(drop)
            };
            store.database().write(Call::of(1), work).await
        }
    });
    while !between.requests.is_stopped() {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    database.run("UPDATE organizations SET name = 'other'").await;
    assert!(begun.elapsed() < ANSWER * 2 / 3, "after {:?}", begun.elapsed());
    let others = "SELECT count(*) FROM organizations WHERE name = 'other'";
    assert_eq!(database.ask(others).await, 1, "what stood still was undone");
    between.requests.open();
    still.await.unwrap().unwrap();
}

/// I15: a node whose machine was suspended tells the right time at once, and does not claim to know it well before it has asked again.
#[tokio::test(flavor = "multi_thread")]
async fn i15_time_goes_on_while_a_machine_is_suspended() {
    let database = Database::new().await;
    let machine = Arc::<Machine>::default();
    let store = store(database.url(), Arc::clone(&machine)).await;
    let clock = store.database().clock();
    let before = clock.now();
    // Now and then it asks just in between.
    let is_noticed = (0..10).any(|_| {
        machine.sleep(Duration::from_hours(1));
        store.broken().is_some()
    });
    assert!(is_noticed);
    assert!(clock.now().millis_since(before) >= 3_600_000);
    let begun = Instant::now();
    while let Some(why) = store.broken() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{why}");
        tokio::task::yield_now().await;
    }
}
