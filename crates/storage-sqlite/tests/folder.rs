//! What a data folder keeps, from whom, and in what form.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use abide_core::access::{Actor, Caller};
use abide_core::consent::{LawfulBasis, NewDecision, PermissionState, SubjectInput, Validity};
use abide_core::delivery::{Decided, DeliveryState, Trigger};
use abide_core::endpoint::{
    DeliveryRules, EndpointAuth, EventFilter, FixedHeader, Overrides, Source,
};
use abide_core::event::{Event, EventBody};
use abide_core::ids::{ConsentId, DeliveryId, EndpointId, LeaseId, OrganizationId};
use abide_core::json::JsonObject;
use abide_storage::deliveries::{Ending, FinishedAttempt, OpenAttempt, Opened, Report};
use abide_storage::endpoints::NewEndpoint;
use abide_storage::sealing::{MasterKeys, Secret};
use abide_storage::suite::{Dice, at, key_file, masters};
use abide_storage::{Committed, HotDelivery, Room, Slot, Storage, StorageError};
use abide_storage_sqlite::{OpenError, SqliteOptions, SqliteStore};

fn open(data: &Path, seed: u64) -> Result<Arc<SqliteStore>, OpenError> {
    open_under(masters(), data, seed)
}

fn open_under(keys: MasterKeys, data: &Path, seed: u64) -> Result<Arc<SqliteStore>, OpenError> {
    abide_storage_sqlite::open(SqliteOptions {
        data,
        keys,
        chance: Arc::new(Dice::seeded(seed)),
        commit_delay: None,
    })
}

fn decision(reference: &str) -> NewDecision {
    NewDecision {
        subject: SubjectInput {
            reference: reference.to_owned(),
            email: Some("email-marker@example.org".to_owned()),
        },
        purpose: "purpose-in-clear".to_owned(),
        basis: LawfulBasis::Consent,
        state: PermissionState::Granted,
        policy: None,
        metadata: JsonObject::parse(r#"{"note":"metadata-marker"}"#),
        ip_address: Some("203.0.113.77".to_owned()),
        obtained_at: None,
        validity: Validity::default(),
    }
}

fn endpoint() -> NewEndpoint {
    NewEndpoint {
        dialect: "consentproof".to_owned(),
        url: "https://example.com".to_owned(),
        events: EventFilter::All,
        description: None,
        secret: Secret::from("whsec_secret-marker".to_owned()),
        rules: DeliveryRules {
            source: Source::Snapshot,
            queue_while_stopped: false,
            hold_waiting: false,
        },
        auth: EndpointAuth {
            headers: vec![FixedHeader {
                name: "x-key".to_owned(),
                value: "header-secret-marker".to_owned(),
            }],
            ..EndpointAuth::default()
        },
        overrides: Overrides::default(),
    }
}

/// A first attempt that the receiver refused, saying something.
fn refused((delivery, endpoint): (DeliveryId, EndpointId), lease: LeaseId) -> FinishedAttempt {
    FinishedAttempt {
        delivery,
        endpoint,
        lease,
        number: 1,
        started_at: at(1),
        duration_millis: 1,
        signed_at: at(1),
        token: [0; 16],
        body_sha256: [0; 32],
        body_length: 1,
        object_version: 0,
        endpoint_version: 1,
        status: Some(500),
        error: None,
        ending: Ending::Answered,
        answer: Some(b"answer-marker".to_vec()),
        decided: Decided { trigger: Trigger::OutcomeRetry, due_at: Some(at(2)), reason: None },
    }
}

/// Has room, and forgets everything: the node that dies.
struct Forgetful(LeaseId);

impl Room for Forgetful {
    fn reserve(&self, _: usize, _: usize) -> Option<Slot> {
        Some(Slot::new(self.0, Box::new(|| ())))
    }
}

impl Committed for Forgetful {
    fn take(&self, _: Slot, _: Vec<HotDelivery>) {}
}

/// I3: what was answered is there after the end of the process; the next one takes over its hot rows, and ids keep
/// growing though the clock was set back.
#[tokio::test]
async fn i3_a_store_reopens_with_all_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data, 1).unwrap();
    let organization = store.accounts().create_organization("default", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    store.endpoints().create(&by, endpoint(), at(0)).await.unwrap();
    let lease = store.leases().start(at(0)).await.unwrap().lease;
    let engine = Arc::new(Forgetful(lease));
    store.attach(Arc::clone(&engine) as _, engine as _);
    let made = store.consents().record(&by, decision("ada"), at(10_000)).await.unwrap();
    let event = store.history().events(organization, 0, 10).await.unwrap()[0].id;
    let rows = store.history().deliveries_of(organization, event).await.unwrap();
    assert_eq!(rows[0].state, DeliveryState::Hot);
    drop(store);

    let store = open(&data, 2).unwrap();
    let started = store.leases().start(at(-10_000)).await.unwrap();
    assert_eq!(started.taken_over, [lease]);
    assert!(started.lease.key() > rows[0].id.key(), "ids grow");
    let found = store.consents().get(organization, made.id.id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&made));
    let first = DeliveryId::from_key(0);
    let last = store.deliveries().lose(lease, first, 10, at(-9_000)).await.unwrap();
    assert_eq!(last, Some(rows[0].id));
    let page = store.deliveries().claim_due(started.lease, &[], 10, at(-9_000)).await.unwrap();
    assert_eq!(page.claimed.len(), 1);
    let again = store.consents().record(&by, decision("ada"), at(-9_000)).await.unwrap();
    assert_eq!((again.subject, again.version), (made.subject, 2));
    assert!(again.decision > made.decision);
    let feed = store.history().events(organization, 0, 10).await.unwrap();
    assert_eq!(feed.iter().map(|entry| entry.log_index).collect::<Vec<_>>(), [1, 2]);
    assert!(feed[1].id > feed[0].id);
}

/// I3: there is never a second writer on a folder.
#[test]
fn i3_a_second_opener_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data, 1).unwrap();
    assert!(matches!(open(&data, 2), Err(OpenError::InUse(_))));
    drop(store);
    assert!(open(&data, 3).is_ok());
}

/// I11: a folder that others can read is not used, and a new one is the owner's alone.
#[test]
fn i11_a_readable_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(open(&data, 1).unwrap());
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    for mode in [0o750, 0o705, 0o711] {
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(open(&data, 1), Err(OpenError::Exposed(_))), "{mode:o}");
    }
}

/// I11, I12: no personal datum and no secret stands in any file of the folder, while it runs and after.
#[tokio::test]
async fn i11_nothing_personal_stands_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data, 1).unwrap();
    let organization = store.accounts().create_organization("default", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    store.endpoints().create(&by, endpoint(), at(0)).await.unwrap();
    store.consents().record(&by, decision("reference-marker"), at(1)).await.unwrap();
    let batch = vec![decision("reference-marker-2"), decision("reference-marker-3")];
    store.consents().record_batch(&by, batch, at(1)).await.unwrap();
    let lease = store.leases().open(at(1)).await.unwrap();
    let page = store.deliveries().claim_due(lease, &[], 10, at(1)).await.unwrap();
    let finished = page.claimed.iter().map(|row| refused((row.id, row.endpoint), lease));
    let report = Report { finished: finished.collect(), given_back: Vec::new() };
    store.deliveries().report(report, at(1)).await.unwrap();
    scan(&data);
    store.subjects().erase(&by, "reference-marker", at(2)).await.unwrap();
    drop(store);
    scan(&data);
}

const ANSWERS: &str = "the store answers";

/// All that is sealed in an organization, opened: records, events, the answers kept with attempts, webhook secrets.
async fn unsealed(store: &SqliteStore, organization: OrganizationId) -> String {
    let mut all = Vec::new();
    for entry in store.history().events(organization, 0, 100).await.expect(ANSWERS) {
        let event =
            store.history().event(organization, entry.id).await.expect(ANSWERS).expect("an event");
        all.push(format!("{event:?}"));
        for row in store.history().deliveries_of(organization, entry.id).await.expect(ANSWERS) {
            let secret = store
                .endpoints()
                .sending(row.endpoint, at(9))
                .await
                .expect(ANSWERS)
                .expect("an endpoint");
            let auth = serde_json::to_string(&secret.auth).expect(ANSWERS);
            all.push(format!("{row:?} {} {auth}", secret.secrets[0].secret.reveal()));
        }
        for consent in consents_of(&event) {
            let record = store.consents().get(organization, consent).await.expect(ANSWERS);
            all.push(format!("{:?}", record.expect("a record")));
        }
    }
    all.join("\n")
}

fn consents_of(event: &Event) -> Vec<ConsentId> {
    match &event.body {
        EventBody::Consent(consent) => vec![consent.id.id],
        EventBody::Batch(batch) => batch.consents.iter().map(|consent| consent.id.id).collect(),
        EventBody::Policy(_) => Vec::new(),
    }
}

/// I11, I12: after a rotation the store opens with the new master key alone and everything in it opens as before; with
/// the old one alone it is refused by the name of what is missing.
#[tokio::test]
async fn i11_a_rotated_store_opens_under_the_new_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open_under(key_file(&[1]), &data, 1).unwrap();
    let mut before = Vec::new();
    for uri in ["one", "two", "three"] {
        let organization = store.accounts().create_organization(uri, at(0)).await.unwrap().id;
        let by = Caller::new(organization, Actor::Operator);
        store.endpoints().create(&by, endpoint(), at(0)).await.unwrap();
        let ada = store.consents().record(&by, decision("ada"), at(1)).await.unwrap();
        let batch = vec![decision("bob"), decision("eve")];
        store.consents().record_batch(&by, batch, at(1)).await.unwrap();
        let lease = store.leases().open(at(1)).await.unwrap();
        let page = store.deliveries().claim_due(lease, &[], 10, at(1)).await.unwrap();
        let finished =
            page.claimed.iter().map(|row| refused((row.id, row.endpoint), lease)).collect();
        let report = Report { finished, given_back: Vec::new() };
        store.deliveries().report(report, at(1)).await.unwrap();
        let all = unsealed(&store, organization).await;
        let answer = format!("{:?}", b"answer-marker");
        for marker in [
            "email-marker",
            "metadata-marker",
            "203.0.113.77",
            "secret-marker",
            "header-secret-marker",
            &answer,
        ] {
            assert!(all.contains(marker), "{marker} is among what is opened");
        }
        before.push((by, ada, all));
    }
    let keys = Storage::keys(&*store);
    keys.reload(key_file(&[1, 2])).await.unwrap();
    while keys.rewrap(2, at(9)).await.unwrap().more {}
    drop(store);

    match open_under(key_file(&[1]), &data, 2) {
        Err(OpenError::Storage(StorageError::Unavailable(why))) => {
            assert_eq!(why, "the key file lacks master key mk_00000002, which this store needs");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened without the key that it needs"),
    }
    let store = open_under(key_file(&[2]), &data, 3).unwrap();
    assert_eq!(Storage::keys(&*store).in_use().await.unwrap(), ["mk_00000002"]);
    for (by, ada, all) in before {
        assert_eq!(unsealed(&store, by.organization).await, all);
        let again = store.consents().record(&by, decision("ada"), at(3)).await.unwrap();
        assert_eq!(again.subject, ada.subject, "people are found as before");
    }
    let lease = store.leases().open(at(3)).await.unwrap();
    let page = store.deliveries().claim_due(lease, &[], 100, at(3)).await.unwrap();
    assert_eq!(page.claimed.len(), 9, "what waits goes on, in each of them");
    for row in page.claimed {
        let open = OpenAttempt { delivery: row.id, lease, ends_by: at(10_000) };
        let opened = store.deliveries().open_attempt(open, at(3)).await.unwrap();
        assert!(matches!(opened, Opened::Send(_)), "{opened:?}");
    }
}

fn scan(data: &Path) {
    let mut all = Vec::new();
    for file in std::fs::read_dir(data).expect("the folder") {
        all.extend(std::fs::read(file.expect("a file").path()).expect("its bytes"));
    }
    let holds = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("purpose-in-clear"), "the scan reads what is there");
    for marker in ["-marker", "203.0.113.77", "sha256:", "whsec_"] {
        assert!(!holds(marker), "{marker} stands in clear");
    }
}

/// I11: soon after an erasure the person's wrapped key stands in no file, neither in the database nor in its log,
/// while the store goes on.
#[tokio::test]
async fn i11_an_erased_key_leaves_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data, 1).unwrap();
    let organization = store.accounts().create_organization("default", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    store.consents().record(&by, decision("ada"), at(1)).await.unwrap();
    let beside = rusqlite::Connection::open(data.join("abide.db")).unwrap();
    let wrapped: Vec<u8> =
        beside.query_row("SELECT wrapped_key FROM subjects", [], |row| row.get(0)).unwrap();
    let stands = || {
        std::fs::read_dir(&data).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes.windows(wrapped.len()).any(|window| window == wrapped)
        })
    };
    // The look at the start is over.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    store.consents().record(&by, decision("bob"), at(2)).await.unwrap();
    assert!(stands(), "the scan finds what is there");
    // A reader in the way holds the cut up; it comes when the reader has gone.
    beside.execute_batch("BEGIN; SELECT count(*) FROM subjects").unwrap();
    store.subjects().erase(&by, "ada", at(3)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    assert!(stands(), "a reader still needs the log");
    beside.execute_batch("COMMIT").unwrap();
    for _ in 0..100 {
        if !stands() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the key still stands in a file");
}

/// I6, I12: a record that cannot be read does not keep the others from ending in time, and is looked at again later.
#[tokio::test]
async fn a_damaged_record_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data, 1).unwrap();
    let organization = store.accounts().create_organization("default", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    let until = |reference, until| NewDecision {
        validity: Validity { from: None, until: Some(at(until)) },
        ..decision(reference)
    };
    let broken = store.consents().record(&by, until("ada", 500), at(1)).await.unwrap();
    let whole = store.consents().record(&by, until("bob", 600), at(1)).await.unwrap();
    let beside = rusqlite::Connection::open(data.join("abide.db")).unwrap();
    let harm = "UPDATE decisions SET sealed = x'00' WHERE decision = ?";
    assert_eq!(beside.execute(harm, [broken.decision.key()]).unwrap(), 1);
    let consents = store.consents();
    assert_eq!(consents.advance_due(at(1_000), 10).await.unwrap(), 2);
    let found = consents.get(organization, whole.id.id).await.unwrap().unwrap();
    assert_eq!(found.state, None, "its time is over");
    let kept: (i64, String) = beside
        .query_row(
            "SELECT next_change_at, state FROM consents WHERE consent = ?",
            [broken.id.id.key()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let again = at(1_000).plus_millis(3_600_000);
    assert_eq!(kept, (again.as_millis(), "GRANTED".to_owned()), "as it was, for an hour");
    assert_eq!(consents.advance_due(at(2_000), 10).await.unwrap(), 0);
}
