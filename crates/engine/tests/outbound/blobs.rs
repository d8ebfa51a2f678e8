//! Bodies that come out of blobs.

use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::blob::CHUNK;
use abide_core::consent::{LawfulBasis, NewDecision, PermissionState, SubjectInput, Validity};
use abide_core::shell::Chance;
use abide_engine::outbound::{
    Arrival, BlobContent, ByteBudget, Content, Courier, SendError, TlsRoots, UserAgent, WireRequest,
};
use abide_storage::Storage;
use abide_storage::blobs::{BlobOwner, BlobWriter};
use abide_storage::sealing::MasterKeys;

use super::receiver::{Act, Identity, Receiver, answer};
use super::{FakeDns, PATIENT, dev_guard, http_target};

/// Room for what is held of one blob, and a little more.
const BUDGET: u32 = 4 * CHUNK as u32;

struct Counting;

impl Chance for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        (0..).zip(bytes).for_each(|(at, byte)| *byte = at);
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_705_314_600_000)
}

fn store() -> Arc<dyn Storage> {
    let keys = MasterKeys::generate(&mut |bytes: &mut [u8]| Counting.fill(bytes));
    abide_storage_sqlite::open_in_memory(keys, Arc::new(Counting)).unwrap()
}

fn courier(budget: u32) -> Courier {
    let roots = TlsRoots::Only(vec![Identity::of("nobody.test").certificate()]);
    Courier::new(dev_guard(), Arc::new(FakeDns::default()), roots, ByteBudget::new(budget)).unwrap()
}

async fn organization(store: &dyn Storage) -> Caller {
    let made = store.accounts().create_organization("default", now()).await.unwrap();
    Caller::new(made.id, Actor::Operator)
}

async fn content(
    storage: &Arc<dyn Storage>,
    by: &Caller,
    owner: BlobOwner,
    bytes: &[u8],
) -> BlobContent {
    let blobs = storage.blobs();
    let mut writer = BlobWriter::begin(blobs, by, owner, now()).await.unwrap();
    writer.write(blobs, bytes, now()).await.unwrap();
    let blob = writer.finish(blobs, now()).await.unwrap();
    BlobContent { storage: Arc::clone(storage), organization: by.organization, blob }
}

fn request(content: &BlobContent) -> WireRequest {
    let body = Content::Blob(content.clone());
    WireRequest { headers: Vec::new(), body, user_agent: UserAgent::Absent }
}

/// I9: a body greater than the whole budget goes out as it was written, with its length beforehand, while no more is held
/// of it than a few parts; what was held is free again.
#[tokio::test]
async fn i9_a_large_body_streams_from_its_blob() {
    let storage = store();
    let by = organization(&*storage).await;
    let courier = courier(BUDGET);
    for length in [0, 1, CHUNK, 6 * CHUNK + 12_345] {
        let bytes: Vec<u8> = (0..length).map(|at| (at ^ (at >> 9)) as u8).collect();
        let content = content(&storage, &by, BlobOwner::Organization, &bytes).await;
        let receiver = Receiver::start(vec![vec![Act::Read, answer("200 OK", "")]]).await;
        let target = http_target(&receiver, "/");
        let sent = courier.send(&mut None, &target, request(&content), PATIENT).await;
        assert_eq!(sent.result.unwrap().status, 200);
        let seen = receiver.requests().remove(0);
        let said = format!("content-length: {length}\r\n");
        assert!(seen.head.contains(&said) && !seen.head.contains("chunked"), "{}", seen.head);
        assert!(seen.body == bytes, "{length} bytes came out otherwise");
        assert_eq!(courier.budget().free(), courier.budget().total());
    }
}

/// I9: a send waits for the room that it needs, and one that can never have it says so.
#[tokio::test]
async fn i9_a_send_reserves_what_it_holds() {
    let storage = store();
    let by = organization(&*storage).await;
    let bytes = vec![7; 2 * CHUNK];
    let content = content(&storage, &by, BlobOwner::Organization, &bytes).await;
    let receiver = Receiver::start(vec![vec![Act::Read, answer("200 OK", "")]]).await;
    let target = http_target(&receiver, "/");
    let small = courier(2 * CHUNK as u32);
    let why = small.send(&mut None, &target, request(&content), PATIENT).await.result.unwrap_err();
    assert_eq!((why, why.arrival()), (SendError::OverBudget, Arrival::NotArrived));
    assert_eq!(why.class().as_str(), "not_started");

    let courier = Arc::new(courier(BUDGET));
    let held = courier.budget().try_take(2 * CHUNK).unwrap();
    let waiting = tokio::spawn({
        let courier = Arc::clone(&courier);
        async move { courier.send(&mut None, &target, request(&content), PATIENT).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(receiver.requests().len(), 0);
    drop(held);
    assert_eq!(waiting.await.unwrap().result.unwrap().status, 200);
    assert_eq!(receiver.requests()[0].body, bytes);
}

/// I11: what is erased while it is being sent ends in the middle, and nobody takes that for the whole.
#[tokio::test]
async fn i11_a_body_ends_where_its_person_was_erased() {
    let storage = store();
    let by = organization(&*storage).await;
    let ada = NewDecision {
        subject: SubjectInput { reference: "ada".to_owned(), email: None },
        purpose: "news".to_owned(),
        basis: LawfulBasis::Consent,
        state: PermissionState::Granted,
        policy: None,
        metadata: None,
        ip_address: None,
        obtained_at: None,
        validity: Validity::default(),
    };
    let subject = storage.consents().record(&by, ada, now()).await.unwrap().subject;
    let owner = BlobOwner::Subject(subject);
    let content = content(&storage, &by, owner, &vec![7; 3 * CHUNK]).await;
    storage.subjects().erase(&by, "ada", now()).await.unwrap();
    let receiver = Receiver::start(vec![vec![Act::Read, answer("200 OK", "")]]).await;
    let target = http_target(&receiver, "/");
    let sent = courier(BUDGET).send(&mut None, &target, request(&content), PATIENT).await;
    let why = sent.result.unwrap_err();
    assert_eq!((why, why.arrival()), (SendError::BodyBroken, Arrival::Unknown));
    assert_eq!(receiver.requests().len(), 0, "no whole request came");
}
