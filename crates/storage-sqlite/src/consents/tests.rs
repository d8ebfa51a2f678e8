//! What a refused decision costs its neighbours.

use abide_core::access::Actor;
use abide_storage::Accounts as _;
use abide_storage::suite::{Dice, at, masters};

use super::*;

/// Somebody grants news until an instant.
fn until(email: Option<&str>, millis: i64) -> NewDecision {
    NewDecision {
        subject: SubjectInput { reference: "ada".to_owned(), email: email.map(str::to_owned) },
        purpose: "news".to_owned(),
        basis: LawfulBasis::Consent,
        state: PermissionState::Granted,
        policy: None,
        metadata: None,
        ip_address: None,
        obtained_at: None,
        validity: Validity { from: None, until: Some(at(millis)) },
    }
}

/// P37: a record without room for one more decision given for a time refuses it before anything is written, so that the
/// calls beside it are not run again: alone, in a batch, and as a change of particulars.
#[tokio::test]
async fn p37_a_record_without_room_refuses_before_it_writes() {
    let store = SqliteStore::open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    let organization = store.create_organization("us", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    let mut record = None;
    // Each shorter than the one before: all of them may come into force again.
    for now in 0..MAX_CANDIDATES as i64 {
        let made = store.record(&by, until(None, 10_000 - now), at(now)).await;
        record = Some(made.unwrap().id);
    }
    let record = record.unwrap();
    let said = store
        .write(1, move |tx| {
            let new = until(Some("ada@example.org"), 5_000);
            let before = tx.connection().total_changes();
            let alone = record_one(tx, &by, &new, at(300)).map(|_| ());
            let batch = record_batch(tx, &by, std::slice::from_ref(&new), at(300)).map(|_| ());
            let patch = ConsentPatch {
                email: Some(Some("ada@example.org".to_owned())),
                ..ConsentPatch::default()
            };
            let Existing { shown, decided, .. } = existing(tx, organization, record.id, at(300))?;
            let patched = NewDecision { obtained_at: None, ..patched(&shown, decided, &patch) };
            let shorter = NewDecision { validity: new.validity, ..patched };
            let change = follow(tx, &by, &shown, &shorter, None, at(300)).map(|_| ());
            assert_eq!(tx.connection().total_changes(), before, "something was written");
            Ok([alone, batch, change].map(|refused| refused.unwrap_err().to_string()))
        })
        .await
        .unwrap();
    for refused in said {
        assert!(refused.contains("valid_until") && refused.contains("200"), "{refused}");
    }
    // One that outdoes what is there has room.
    store.record(&by, until(None, 20_000), at(301)).await.unwrap();
}
