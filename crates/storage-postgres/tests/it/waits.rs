//! Calls that wait for another transaction: what they find when it is over, and how long one keeps them waiting whose node
//! stands still.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abide_core::access::{Actor, Caller};
use abide_core::endpoint::{DeliveryRules, EndpointAuth, EventFilter, Overrides, Source};
use abide_storage::Storage as _;
use abide_storage::deliveries::{OpenAttempt, Opened};
use abide_storage::endpoints::NewEndpoint;
use abide_storage::sealing::Secret;
use abide_storage::suite::{Dice, at, grant, masters};
use abide_storage_postgres::{PostgresOptions, open_with_leases_of};
use abide_storage_sql::database::{Call, Database as _};
use tokio_postgres::{Client, NoTls};

use crate::server::Database;

/// A connection of somebody else's.
pub(crate) async fn beside(database: &Database) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&database.url(), NoTls).await.expect("the server");
    tokio::spawn(connection);
    client
}

/// An endpoint that takes each state once more.
pub(crate) fn new_endpoint() -> NewEndpoint {
    NewEndpoint {
        dialect: "consentproof".to_owned(),
        url: "https://example.com/hook".to_owned(),
        events: EventFilter::All,
        description: None,
        secret: Secret::from("whsec_marker".to_owned()),
        rules: DeliveryRules {
            source: Source::Latest,
            queue_while_stopped: false,
            hold_waiting: false,
        },
        auth: EndpointAuth::default(),
        overrides: Overrides::default(),
    }
}

/// I6: an attempt that waits while another node changes the record reads it after that: the later of two signatures is never
/// made over the older state.
#[tokio::test(flavor = "multi_thread")]
async fn i6_what_waited_for_its_record_reads_it_afterwards() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let organization = store.accounts().create_organization("us", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    store.endpoints().create(&by, new_endpoint(), at(0)).await.unwrap();
    store.consents().record(&by, grant("ada", "news"), at(1)).await.unwrap();
    let lease = store.leases().start(at(1)).await.unwrap().lease;
    let page = store.deliveries().claim_due(lease, &[], 10, at(2)).await.unwrap();
    let [claimed] = page.claimed[..] else { panic!("{page:?}") };
    let other = beside(&database).await;
    other.batch_execute("BEGIN; UPDATE consents SET version = version + 1").await.unwrap();
    let opening = {
        let store = Arc::clone(&store);
        let open = OpenAttempt { delivery: claimed.id, lease, ends_by: at(1_000) };
        tokio::spawn(async move { store.deliveries().open_attempt(open, at(3)).await })
    };
    let waits = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while database.ask(waits).await == 0 {}
    other.batch_execute("COMMIT").await.unwrap();
    let Opened::Send(opening) = opening.await.unwrap().unwrap() else { panic!("it has moved") };
    assert_eq!(opening.object_version, 2);
}

/// I3: a node that stands still in the middle of a transaction keeps the others waiting for half a lease at most; what it did is
/// undone, and it hears so.
#[tokio::test(flavor = "multi_thread")]
async fn i3_a_node_that_stands_still_lets_go() {
    let database = Database::new().await;
    let url = database.url();
    lets_go_of_what_it_holds(&database, url).await;
}

/// I3: also where the URL has options for the server.
#[tokio::test(flavor = "multi_thread")]
async fn i3_a_node_with_options_lets_go() {
    let database = Database::new().await;
    let url = format!("{}?options=-c%20work_mem%3D8MB", database.url());
    lets_go_of_what_it_holds(&database, url).await;
}

/// A node at that URL stands still.
pub(crate) async fn lets_go_of_what_it_holds(database: &Database, url: String) {
    let opened = tokio::task::spawn_blocking(move || {
        let chance = Arc::new(Dice::default());
        let (node, machine) = (crate::node(), Arc::new(crate::Machine::default()));
        let options = PostgresOptions { url: &url, keys: masters(), chance, node, machine };
        open_with_leases_of(options, 600).expect("a store")
    });
    let store = opened.await.expect("whole");
    store.accounts().create_organization("us", at(0)).await.expect("whole");
    let (stands, stood) = std::sync::mpsc::channel();
    let (goes_on, thawed) = std::sync::mpsc::channel::<()>();
    let still = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut first = true;
            let work = move |tx: &mut abide_storage_sql::tx::Tx<'_>| {
                tx.connection().sql("UPDATE organizations SET name = 'still'").execute(())?;
                if std::mem::take(&mut first) {
                    stands.send(()).expect("somebody waits");
                    thawed.recv().expect("somebody thaws it");
                }
                tx.connection().sql("SELECT 1 FROM leases").exists(())
            };
            store.database().write(Call::of(1), work).await
        })
    };
    tokio::task::spawn_blocking(move || stood.recv()).await.expect("a task").expect("whole");
    let begun = Instant::now();
    let other = "UPDATE organizations SET name = 'other'";
    let done = tokio::time::timeout(Duration::from_secs(20), database.run(other)).await;
    if done.is_err() {
        goes_on.send(()).expect("whole");
        panic!("it waits for ever");
    }
    assert!(begun.elapsed() >= Duration::from_millis(100), "it had to wait");
    let others = "SELECT count(*) FROM organizations WHERE name = 'other'";
    assert_eq!(database.ask(others).await, 1, "what stood still was undone");
    goes_on.send(()).expect("whole");
    // It was not committed: it is made again, on another connection.
    still.await.expect("a task").expect("whole");
    assert_eq!(database.ask(others).await, 0);
}
