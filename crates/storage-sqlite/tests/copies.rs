//! Rows that a case cannot make over the traits: copies of what was erased, and very many of another organization's.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use abide_core::access::{Actor, Caller};
use abide_core::consent::ConsentView;
use abide_core::endpoint::{DeliveryRules, EndpointAuth, EventFilter, Overrides, Source};
use abide_core::ids::{DeliveryId, SEQUENCE_BITS};
use abide_core::once::{Kept, Once};
use abide_storage::consents::RecordedBatch;
use abide_storage::delivery_log::DeliveryFilter;
use abide_storage::endpoints::NewEndpoint;
use abide_storage::sealing::Secret;
use abide_storage::suite::{Dice, at, grant, masters};
use abide_storage::{Storage, StorageError, StorageResult};
use abide_storage_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::{Connection, params};

fn open(data: &Path) -> Arc<SqliteStore> {
    let chance = Arc::new(Dice::default());
    let options = SqliteOptions { data, keys: masters(), chance, commit_delay: None };
    abide_storage_sqlite::open(options).expect("a store")
}

fn beside(data: &Path) -> Connection {
    Connection::open(data.join("abide.db")).expect("the file")
}

async fn organization(store: &SqliteStore, uri: &str) -> Caller {
    let made = store.accounts().create_organization(uri, at(0)).await.expect("an organization");
    Caller::new(made.id, Actor::Operator)
}

fn answer(result: &dyn Any) -> Option<Kept> {
    let consents = match result.downcast_ref::<ConsentView>() {
        Some(one) => std::slice::from_ref(one),
        None => &result.downcast_ref::<RecordedBatch>()?.consents,
    };
    Some(Kept {
        status: 201,
        location: None,
        body: consents.iter().flat_map(|one| one.reference.clone().into_bytes()).collect(),
        about: consents.iter().map(|one| one.subject).collect(),
    })
}

fn once(by: &Caller, key: u8) -> Caller {
    Caller { once: Some(Once { key: [key; 32], request: [1; 32], answer }), ..*by }
}

/// The body of an answer given again; `None` where the call is refused because somebody was erased.
fn replayed<T: std::fmt::Debug>(result: StorageResult<T>) -> Option<Vec<u8>> {
    match result {
        Err(StorageError::Replayed(kept)) => Some(kept.body),
        Err(StorageError::Refused(why)) if why.to_string().contains("erased") => None,
        other => panic!("neither given again nor refused: {other:?}"),
    }
}

/// I11: an answer about people, alone or together, opens no more once one of them is erased, also where somebody has a copy
/// of the answer and of everybody's share from before: only what is sealed under a key that is left opens.
#[tokio::test]
async fn i11_a_copy_of_an_answer_does_not_open_after_an_erasure() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    let by = organization(&store, "default").await;
    let batch = vec![grant("ada", "news"), grant("bea", "news")];
    let consents = store.consents();
    consents.record(&once(&by, 1), grant("ada", "news"), at(1)).await.unwrap();
    consents.record_batch(&once(&by, 2), batch.clone(), at(1)).await.unwrap();
    consents.record(&once(&by, 3), grant("bea", "news"), at(1)).await.unwrap();
    let again = consents.record_batch(&once(&by, 2), batch.clone(), at(2)).await;
    assert_eq!(replayed(again).as_deref(), Some(&b"adabea"[..]), "it opens with all shares");
    let copy = beside(&data);
    copy.execute_batch(
        "CREATE TEMP TABLE answers AS SELECT * FROM idempotency; \
         CREATE TEMP TABLE shares AS SELECT * FROM idempotency_about",
    )
    .unwrap();
    store.subjects().erase(&by, "ada", at(3)).await.unwrap();
    let put_back = copy
        .execute_batch(
            "UPDATE idempotency SET answer = (SELECT answer FROM answers WHERE answers.call = idempotency.call); \
             INSERT OR REPLACE INTO idempotency_about SELECT * FROM shares",
        )
        .and_then(|()| {
            copy.query_row(
                "SELECT count(*) FROM idempotency JOIN idempotency_about USING (call) \
                 WHERE answer IS NOT NULL AND share IS NOT NULL",
                [],
                |row| row.get::<_, i64>(0),
            )
        });
    assert_eq!(put_back, Ok(4), "ada's, theirs together, bea's");
    assert_eq!(replayed(consents.record(&once(&by, 1), grant("ada", "news"), at(4)).await), None);
    assert_eq!(replayed(consents.record_batch(&once(&by, 2), batch, at(4)).await), None);
    let other = replayed(consents.record(&once(&by, 3), grant("bea", "news"), at(4)).await);
    assert_eq!(other.as_deref(), Some(&b"bea"[..]));
}

/// An answer that was kept before answers had shares is given again.
#[tokio::test]
async fn an_answer_about_nobody_or_from_before_opens() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    let by = organization(&store, "default").await;
    let nobody = |result: &dyn Any| answer(result).map(|kept| Kept { about: Vec::new(), ..kept });
    let before = Once { key: [1; 32], request: [1; 32], answer: nobody };
    let by = Caller { once: Some(before), ..by };
    let made = store.consents().record(&by, grant("ada", "news"), at(1)).await.unwrap();
    let subject = made.subject.key();
    let change = "INSERT INTO idempotency_about (call, subject) SELECT call, ? FROM idempotency";
    for step in ["about nobody", "from before"] {
        let again = replayed(store.consents().record(&by, grant("ada", "news"), at(2)).await);
        assert_eq!(again.as_deref(), Some(&b"ada"[..]), "{step}");
        assert_eq!(beside(&data).execute(change, [subject]).is_ok(), step == "about nobody");
    }
}

fn endpoint() -> NewEndpoint {
    NewEndpoint {
        dialect: "consentproof".to_owned(),
        url: "https://example.com".to_owned(),
        events: EventFilter::All,
        description: None,
        secret: Secret::from("secret".to_owned()),
        rules: DeliveryRules {
            source: Source::Snapshot,
            queue_while_stopped: true,
            hold_waiting: true,
        },
        auth: EndpointAuth::default(),
        overrides: Overrides::default(),
    }
}

/// I13, P24: where a look ends among very many deliveries of another organization, it goes on from a place in time that is
/// nobody's id, and finds everything once; a note makes one short page of it.
#[tokio::test]
async fn i13_a_list_goes_on_from_no_id_of_anothers() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    let (ours, theirs) = (organization(&store, "ours").await, organization(&store, "theirs").await);
    store.endpoints().create(&ours, endpoint(), at(0)).await.unwrap();
    store.consents().record(&ours, grant("ada", "news"), at(1)).await.unwrap();
    let (many, per_instant) = (45_000_i64, 100);
    let first = (at(1_000).as_millis() << SEQUENCE_BITS) + 5;
    beside(&data)
        .execute(
            "WITH RECURSIVE walk (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM walk WHERE n + 1 < ?1) \
             INSERT INTO deliveries (delivery, organization, event, endpoint, state) \
             SELECT ?2 + n % ?5 + ((n / ?5) << ?4), ?3, 1, 1, 'delivered' FROM walk",
            params![many, first, theirs.organization.key(), SEQUENCE_BITS, per_instant],
        )
        .unwrap();
    drop(store);
    let store = open(&data);
    store.consents().record(&ours, grant("bea", "news"), at(10_000)).await.unwrap();
    let filter = DeliveryFilter::default();
    let list = async |before| {
        store.delivery_log().list(ours.organization, &filter, before, 10).await.unwrap()
    };
    let known = beside(&data);
    let mut looks = Vec::new();
    let mut found = Vec::new();
    let mut before: Option<DeliveryId> = None;
    loop {
        let page = list(before).await;
        looks.push(page.looked);
        found.extend(page.items.iter().map(|line| line.id));
        before = page.next;
        let Some(next) = before else { break };
        let is_somebodys: bool = known
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM deliveries WHERE delivery = ? AND organization = ?)",
                [next.key(), theirs.organization.key()],
                |row| row.get(0),
            )
            .unwrap();
        assert!(!is_somebodys, "{next} is another organization's");
    }
    assert_eq!(found.len(), 2);
    assert!(found[0] > found[1] && looks.len() == 3, "{looks:?}");
    assert_eq!(looks.iter().sum::<u32>(), many as u32 + 2, "each row is looked at once");
    assert!(looks.iter().all(|looked| *looked < 20_000 + 2 * per_instant as u32), "{looks:?}");

    while store.delivery_log().note_new(1).await.unwrap() != Some(0) {}
    let page = list(None).await;
    let ids: Vec<_> = page.items.iter().map(|line| line.id).collect();
    assert_eq!((ids, page.next, page.looked), (found, None, 2));
}
