//! Decisions that share a transaction: what one of them does to the others, and what others' locks do to them.

use std::sync::Arc;
use std::time::Duration;

use abide_core::access::{Actor, Caller};
use abide_core::endpoint::{DeliveryRules, EndpointAuth, EventFilter, Overrides, Source};
use abide_core::ids::OrganizationId;
use abide_storage::deliveries::{GiveBack, GivenBack, OpenAttempt, Opened, Report, Sent};
use abide_storage::endpoints::NewEndpoint;
use abide_storage::sealing::Secret;
use abide_storage::suite::{at, grant};
use abide_storage::{Storage, StorageError, StorageResult};
use abide_storage_postgres::PostgresStore;
use abide_storage_sql::database::{Ahead, Alone, Call, Database as _};
use abide_storage_sql::tx::Tx;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::server::Database;

/// Somebody else's open transaction, in which a statement was carried out.
struct Other {
    client: Client,
}

impl Other {
    async fn holding(database: &Database, statement: &str) -> Self {
        let (client, connection) =
            tokio_postgres::connect(&database.url(), NoTls).await.expect("the server");
        tokio::spawn(connection);
        client.batch_execute(&format!("BEGIN; {statement}")).await.expect("a transaction");
        Self { client }
    }

    async fn lets_go(self) {
        self.client.batch_execute("COMMIT").await.expect("a commit");
    }
}

fn hold(organization: OrganizationId) -> String {
    format!("SELECT FROM organizations WHERE organization = {} FOR UPDATE", organization.key())
}

async fn organization(store: &PostgresStore, uri: &str) -> Caller {
    let organization = store.accounts().create_organization(uri, at(0)).await.expect("made").id;
    Caller::new(organization, Actor::Operator)
}

fn record_many(store: &Arc<PostgresStore>, by: Caller, who: &str) -> JoinSet<StorageResult<()>> {
    (0..20)
        .map(|number| {
            let (store, new) = (Arc::clone(store), grant(&format!("{who}-{number}"), "news"));
            async move { store.consents().record(&by, new, at(1)).await.map(drop) }
        })
        .collect()
}

/// A call among decisions, which does what a test wants.
async fn among<T: Send + 'static>(
    store: &PostgresStore,
    by: Caller,
    work: impl FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
) -> StorageResult<T> {
    let decisions = Arc::new([grant("among", "news")]);
    let ahead = Some(Ahead { organization: by.organization, decisions });
    let call = Call { alone: Alone::People(by.organization), ahead, ..Call::of(1) };
    store.database().write(call, work).await
}

/// I1: decisions of an organization that somebody changes wait for that and are then recorded, and nobody else's wait with
/// them; the connections are as good as before.
#[tokio::test(flavor = "multi_thread")]
async fn i1_who_waits_for_a_lock_keeps_nobody_else_waiting() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let (us, them) = (organization(&store, "us").await, organization(&store, "them").await);
    let other = Other::holding(&database, &hold(us.organization)).await;
    let waiting = record_many(&store, us, "ours");
    // The first of ours are on their way before theirs come.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let theirs = record_many(&store, them, "theirs").join_all().await;
    assert!(theirs.iter().all(Result::is_ok), "{theirs:?}");
    other.lets_go().await;
    let ours = waiting.join_all().await;
    assert!(ours.iter().all(Result::is_ok), "{ours:?}");
    for by in [us, them] {
        let all = store.history().decisions(by.organization, 0, 100).await.unwrap();
        assert_eq!(all.len(), 20);
        let more = record_many(&store, by, "more").join_all().await;
        assert!(more.iter().all(Result::is_ok), "{more:?}");
    }
}

/// I1: what stays locked for long is told, and nothing was done; as soon as it is free, all goes on.
#[tokio::test(flavor = "multi_thread")]
async fn i1_what_stays_locked_is_told() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let us = organization(&store, "us").await;
    let other = Other::holding(&database, &hold(us.organization)).await;
    let told = record_many(&store, us, "ours").join_all().await;
    assert!(told.iter().all(|told| matches!(told, Err(StorageError::Busy))), "{told:?}");
    other.lets_go().await;
    assert_eq!(store.history().decisions(us.organization, 0, 100).await.unwrap(), []);
    let made = record_many(&store, us, "ours").join_all().await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

/// I1: a call that fails after it wrote, or panics, or breaks its transaction, fails alone.
#[tokio::test(flavor = "multi_thread")]
async fn i1_a_bad_call_fails_alone() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let us = organization(&store, "us").await;
    // Everything waits, and then goes to the database together.
    let other = Other::holding(&database, &hold(us.organization)).await;
    let good = record_many(&store, us, "ours");
    let mark = |tx: &Tx<'_>, number: i64| {
        let text = "INSERT INTO feed_heads (organization) VALUES (?)";
        tx.connection().sql(text).later(number, [number])
    };
    let fails = among(&store, us, move |tx| {
        mark(tx, 1)?;
        Err::<(), _>(StorageError::Damaged("poison".to_owned()))
    });
    let panics = among(&store, us, move |tx| {
        mark(tx, 2)?;
        assert!(tx.noted() == usize::MAX, "poison");
        Ok(())
    });
    let breaks = among(&store, us, move |tx| {
        // The statement fails, and the call goes on as if it had not.
        let broken = tx.connection().sql("SELECT lease FROM no_such_table").exists(());
        assert!(broken.is_err(), "there is no such table");
        mark(tx, 3)
    });
    let twice = among(&store, us, move |tx| {
        // Its row is there already: that shows only when all rows are written.
        mark(tx, 4)?;
        mark(tx, 4)
    });
    let (fails, panics, breaks, twice, ()) = tokio::join!(fails, panics, breaks, twice, async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        other.lets_go().await;
    });
    assert!(matches!(fails, Err(StorageError::Damaged(_))), "{fails:?}");
    assert!(matches!(panics, Err(StorageError::Damaged(_))), "{panics:?}");
    assert!(matches!(breaks, Err(StorageError::Unavailable(_))), "{breaks:?}");
    assert!(matches!(twice, Err(StorageError::Unavailable(_))), "{twice:?}");
    let good = good.join_all().await;
    assert!(good.iter().all(Result::is_ok), "{good:?}");
    assert_eq!(database.ask("SELECT count(*) FROM feed_heads WHERE organization < 9").await, 0);
    assert_eq!(store.history().decisions(us.organization, 0, 100).await.unwrap().len(), 20);
}

/// I1, I9: more than may wait in a transaction goes to the server before the rest, in whole.
#[tokio::test(flavor = "multi_thread")]
async fn i1_a_large_batch_is_written_in_pieces() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let us = organization(&store, "us").await;
    let text = format!(r#"{{"note":"{}"}}"#, "n".repeat(9_000));
    let large = |number: usize| {
        let mut new = grant(&format!("large-{number}"), "news");
        new.metadata = abide_core::json::JsonObject::parse(&text);
        new
    };
    let new: Vec<_> = (0..900).map(large).collect();
    let made = store.consents().record_batch(&us, new, at(1)).await.unwrap();
    assert_eq!(made.consents.len(), 900);
    assert_eq!(database.ask("SELECT count(*) FROM decisions").await, 900);
    assert_eq!(database.ask("SELECT count(*) FROM consents").await, 900);
}

/// I7: decisions and attempts come to a lane in one order, so that none waits for one that waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn i7_nobody_meets_in_a_lane_from_two_sides() {
    let database = Database::new().await;
    let stores =
        [crate::another_store(&database, 1).await, crate::another_store(&database, 2).await];
    let us = organization(&stores[0], "us").await;
    let lanes = NewEndpoint {
        dialect: "dataguard".to_owned(),
        url: "https://example.com/hook".to_owned(),
        events: EventFilter::All,
        description: None,
        secret: Secret::from("whsec_marker".to_owned()),
        rules: DeliveryRules {
            source: Source::Lane,
            queue_while_stopped: true,
            hold_waiting: true,
        },
        auth: EndpointAuth::default(),
        overrides: Overrides::default(),
    };
    stores[0].endpoints().create(&us, lanes, at(0)).await.expect("an endpoint");
    let mut tasks = JoinSet::new();
    for store in &stores {
        let deciding = Arc::clone(store);
        tasks.spawn(async move {
            for round in 0..25 {
                let many = (0..10).map(|person| {
                    let (store, new) = (Arc::clone(&deciding), grant(&format!("{person}"), "news"));
                    async move { store.consents().record(&us, new, at(round)).await.map(drop) }
                });
                let done = many.collect::<JoinSet<_>>().join_all().await;
                assert!(done.iter().all(Result::is_ok), "{done:?}");
            }
        });
        let sending = Arc::clone(store);
        tasks.spawn(async move {
            let lease = sending.leases().open(at(0)).await.expect("a lease");
            for _ in 0..40 {
                let now = at(1_000_000_000);
                let page =
                    sending.deliveries().claim_due(lease, &[], 10, now).await.expect("a page");
                let mut given_back = Vec::new();
                for claimed in page.claimed {
                    let open = OpenAttempt { delivery: claimed.id, lease, ends_by: now };
                    let opened =
                        sending.deliveries().open_attempt(open, now).await.expect("opened");
                    if matches!(opened, Opened::Send(_)) {
                        let to = GiveBack::Due(now);
                        let delivery = claimed.id;
                        given_back.push(GivenBack { delivery, lease, sent: Sent::Nothing, to });
                    }
                }
                let report = Report { finished: Vec::new(), given_back };
                sending.deliveries().report(report, now).await.expect("reported");
            }
        });
    }
    tasks.join_all().await;
    // What the server counts, it tells a moment later.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let met = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(database.ask(met).await, 0);
}

/// Decisions number themselves in their own transaction where nobody holds the feed's head, wait for nobody who does, and
/// are numbered after that: each once, without a gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_numbers_its_own_where_it_can() {
    const UNNUMBERED: &str = "SELECT count(*) FROM unnumbered_decisions";
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let us = organization(&store, "us").await;
    let record = async |who: &str| {
        let all = record_many(&store, us, who).join_all().await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
    };
    // The first ones find no head; whoever reads the feed makes it.
    record("first").await;
    assert_eq!(store.history().decisions(us.organization, 0, 100).await.unwrap().len(), 20);
    let head =
        format!("SELECT FROM feed_heads WHERE organization = {} FOR UPDATE", us.organization.key());
    let other = Other::holding(&database, &head).await;
    record("beside").await;
    assert_eq!(database.ask(UNNUMBERED).await, 20, "who holds the head keeps nobody waiting");
    other.lets_go().await;
    let mut people = 40;
    loop {
        people += 20;
        record(&format!("then-{people}")).await;
        // The node's companion may have held the head for a moment.
        if database.ask(UNNUMBERED).await == 0 {
            break;
        }
        assert!(people < 400, "nothing is numbered by those who write it");
    }
    let numbered = "SELECT count(DISTINCT log_index) * 1000 + max(log_index) FROM decision_feed";
    assert_eq!(database.ask(numbered).await, people * 1000 + people);
    let read = store.history().decisions(us.organization, 0, 1_000).await.unwrap();
    assert_eq!(read.len() as i64, people);
}

/// I1: calls that are few wait for a transaction that runs, and not for one that does not get on.
#[tokio::test(flavor = "multi_thread")]
async fn i1_nobody_waits_for_what_stands_still() {
    let database = Database::new().await;
    let store = crate::store(&database).await;
    let (us, them) = (organization(&store, "us").await, organization(&store, "them").await);
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (told, mut begun) = (std::sync::Mutex::new(told), Some(begun));
    let standing = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let stand = move |_: &mut Tx<'_>| {
                if let Some(begun) = begun.take() {
                    begun.send(()).expect("somebody waits for that");
                }
                let told = told.lock().expect("one call at a time").recv();
                told.map_err(|_| StorageError::Busy)
            };
            among(&store, us, stand).await
        })
    };
    has_begun.await.unwrap();
    let theirs = timeout(Duration::from_secs(20), record_many(&store, them, "theirs").join_all());
    let theirs = theirs.await.expect("they need nothing of what stands still");
    assert!(theirs.iter().all(Result::is_ok), "{theirs:?}");
    go_on.send(()).unwrap();
    standing.await.unwrap().unwrap();
}
