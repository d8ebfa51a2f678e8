//! Lists of deliveries at one of two nodes: what is committed late stands in them as well.

use std::sync::Arc;

use abide_core::access::{Actor, Caller};
use abide_core::endpoint::{DeliveryRules, EndpointAuth, EventFilter, Overrides, Source};
use abide_core::policy::{NewPolicy, PolicyType};
use abide_storage::Storage as _;
use abide_storage::delivery_log::DeliveryFilter;
use abide_storage::endpoints::NewEndpoint;
use abide_storage::sealing::Secret;
use abide_storage::suite::{at, grant};
use abide_storage_postgres::PostgresStore;

use crate::server::Database;
use crate::waits::beside;

/// Two nodes, and an organization with an endpoint for each; the first one's has deliveries.
struct Pair {
    database: Database,
    one: Arc<PostgresStore>,
    two: Arc<PostgresStore>,
    by_two: Caller,
}

/// When the first node records, and when the second one did begin to.
const NOW: i64 = 100_000;
const LONG_AGO: i64 = 10_000;

impl Pair {
    async fn new() -> Self {
        let database = Database::new().await;
        let one = crate::another_store(&database, 1).await;
        let two = crate::another_store(&database, 2).await;
        let by_one = founded(&one, "ours").await;
        let by_two = founded(&one, "theirs").await;
        for number in 0..10 {
            let new = grant(&format!("person-{number}"), "news");
            one.consents().record(&by_one, new, at(NOW + number)).await.expect("recorded");
        }
        Self { database, one, two, by_two }
    }

    /// Notes what is there; none are left.
    async fn note_all(&self) {
        while self.one.delivery_log().note_new(1).await.expect("noted") != Some(0) {}
    }

    /// How many deliveries the second one's organization is shown.
    async fn listed(&self) -> usize {
        let (of, filter) = (self.by_two.organization, DeliveryFilter::default());
        let page = self.one.delivery_log().list(of, &filter, None, 10).await.expect("listed");
        page.items.len()
    }
}

async fn founded(store: &PostgresStore, uri: &str) -> Caller {
    let organization = store.accounts().create_organization(uri, at(0)).await.expect("founded").id;
    let by = Caller::new(organization, Actor::Operator);
    let new = NewEndpoint {
        dialect: "consentproof".to_owned(),
        url: "https://example.com/hook".to_owned(),
        events: EventFilter::All,
        description: None,
        secret: Secret::from("whsec_marker".to_owned()),
        rules: DeliveryRules {
            source: Source::Snapshot,
            queue_while_stopped: false,
            hold_waiting: false,
        },
        auth: EndpointAuth::default(),
        overrides: Overrides::default(),
    };
    store.endpoints().create(&by, new, at(0)).await.expect("an endpoint");
    by
}

/// A call that came long ago and begins only now makes its delivery behind all that is noted.
#[tokio::test(flavor = "multi_thread")]
async fn what_begins_late_is_listed() {
    let pair = Pair::new().await;
    pair.note_all().await;
    let late = pair.two.consents().record(&pair.by_two, grant("late", "news"), at(LONG_AGO));
    late.await.unwrap();
    assert_eq!(pair.listed().await, 1);
    pair.note_all().await;
    assert_eq!(pair.listed().await, 1);
}

/// Nothing is noted past a delivery that was made, and is not committed, for however long that takes.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_late_is_listed() {
    let pair = Pair::new().await;
    let other = beside(&pair.database).await;
    // Its keys are drawn, and its rows wait to be written.
    other.batch_execute("BEGIN; LOCK TABLE deliveries IN SHARE MODE").await.unwrap();
    let late = {
        let (store, by) = (Arc::clone(&pair.two), pair.by_two);
        let new = NewPolicy {
            policy_type: PolicyType::CookiePolicy,
            version: "1".to_owned(),
            title: "Cookies".to_owned(),
            content: "We bake.".to_owned(),
            effective_date: None,
        };
        tokio::spawn(async move { store.policies().create(&by, new, at(LONG_AGO)).await })
    };
    let waits = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while pair.database.ask(waits).await == 0 {}
    for _ in 0..10 {
        assert_eq!(pair.one.delivery_log().note_new(1).await.unwrap(), None);
    }
    other.batch_execute("COMMIT").await.unwrap();
    late.await.unwrap().unwrap();
    assert_eq!(pair.listed().await, 1);
    pair.note_all().await;
    assert_eq!(pair.listed().await, 1);
}

/// Where the newest deliveries have gone before they were noted, those after them are noted all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_those_that_went_is_noted() {
    let pair = Pair::new().await;
    let other = beside(&pair.database).await;
    other.batch_execute("BEGIN; CREATE TABLE unrelated (number BIGINT)").await.unwrap();
    assert_eq!(pair.one.delivery_log().note_new(1).await.unwrap(), None);
    other.batch_execute("ROLLBACK").await.unwrap();
    pair.database.run("DELETE FROM deliveries").await;
    pair.note_all().await;
    let record = pair.two.consents().record(&pair.by_two, grant("ada", "news"), at(NOW + 100));
    record.await.unwrap();
    pair.note_all().await;
    let noted = "SELECT count(*) FROM delivery_stretches";
    assert_eq!(pair.database.ask(noted).await, 2, "its organization's and its endpoint's");
}
