//! Calls that are carried out once.

use std::any::Any;

use abide_core::access::Caller;
use abide_core::consent::ConsentView;
use abide_core::once::{Kept, Once, REMEMBERED_MILLIS};

use super::world::{World, at, grant, ok, refusal};
use crate::consents::RecordedBatch;
use crate::{Storage, StorageError, StorageResult};

fn answer(result: &dyn Any) -> Option<Kept> {
    let consents = match result.downcast_ref::<ConsentView>() {
        Some(one) => std::slice::from_ref(one),
        None => &result.downcast_ref::<RecordedBatch>()?.consents,
    };
    Some(Kept {
        status: 201,
        location: Some("/somewhere".to_owned()),
        body: consents.iter().flat_map(|one| one.reference.clone().into_bytes()).collect(),
        about: consents.iter().map(|one| one.subject).collect(),
    })
}

pub(super) fn once(by: &Caller, key: u8, request: u8) -> Caller {
    Caller { once: Some(Once { key: [key; 32], request: [request; 32], answer }), ..*by }
}

pub(super) fn replayed<T: std::fmt::Debug>(result: StorageResult<T>) -> Kept {
    match result {
        Err(StorageError::Replayed(kept)) => *kept,
        other => panic!("not replayed: {other:?}"),
    }
}

/// I1: a call under a key is carried out once; sent again it changes nothing and gets the answer of the first time.
pub async fn a_call_is_carried_out_once(store: &dyn Storage) {
    let world = World::new(store).await;
    let record = async |key, request, who: &str, now| {
        let by = once(&world.by, key, request);
        store.consents().record(&by, grant(who, "marketing"), now).await
    };
    ok(record(1, 1, "ada", at(1)).await);
    let before = world.everything().await;
    let again = replayed(record(1, 1, "ada", at(2)).await);
    assert_eq!((again.status, again.body.as_slice()), (201, &b"ada"[..]));
    assert_eq!(again.location.as_deref(), Some("/somewhere"));
    assert!(refusal(record(1, 2, "bea", at(2)).await).contains("another request"));
    assert_eq!(world.everything().await, before);
    ok(record(2, 1, "cyd", at(3)).await);
    // What was refused was not carried out: the key is free.
    refusal(store.consents().record_batch(&once(&world.by, 3, 1), Vec::new(), at(4)).await);
    let batch = vec![grant("dee", "news"), grant("eve", "news")];
    ok(store.consents().record_batch(&once(&world.by, 3, 1), batch.clone(), at(4)).await);
    let again = store.consents().record_batch(&once(&world.by, 3, 1), batch, at(5)).await;
    assert_eq!(replayed(again).body, b"deeeve");
    // What was answered is answered again while the organization is being deleted, too; nothing new is.
    ok(store.deletions().ask(&world.by, "default", 1, at(6)).await);
    assert_eq!(replayed(record(1, 1, "ada", at(7)).await).body, b"ada");
    refusal(record(9, 1, "fay", at(7)).await);
}

/// I13: a key is an organization's own.
pub async fn keys_of_organizations_are_apart(store: &dyn Storage) {
    let (we, they) = (World::named(store, "we").await, World::named(store, "they").await);
    for world in [&we, &they] {
        let by = once(&world.by, 1, 1);
        ok(store.consents().record(&by, grant("ada", "marketing"), at(1)).await);
        assert_eq!(world.decisions().await.len(), 1);
    }
}

/// A call is remembered for a day; then its key is as new, whether or not it was cleared away.
pub async fn a_call_is_remembered_for_a_day(store: &dyn Storage) {
    let world = World::new(store).await;
    let record = async |key, now| {
        store.consents().record(&once(&world.by, key, 1), grant("ada", "marketing"), now).await
    };
    for key in [1, 2] {
        ok(record(key, at(1)).await);
    }
    let late = at(1).plus_millis(REMEMBERED_MILLIS);
    replayed(record(1, late.plus_millis(-1)).await);
    ok(record(1, late).await);
    replayed(record(1, late).await);
    let forget = async |before| ok(store.idempotency().forget_calls(before, 10).await);
    assert_eq!(forget(at(0)).await, 0);
    assert_eq!(forget(at(1)).await, 1, "the other one");
    ok(record(2, at(2)).await);
    assert_eq!(ok(store.idempotency().forget_calls(late, 1).await), 1, "a page of one");
    assert_eq!(forget(late).await, 1);
}

/// I11: erasing a person erases the answers that are about them, alone or among others; that the calls were carried out
/// stays.
pub async fn erasing_a_person_erases_answers(store: &dyn Storage) {
    let world = World::new(store).await;
    let consents = store.consents();
    let alone = once(&world.by, 1, 1);
    ok(consents.record(&alone, grant("ada", "marketing"), at(1)).await);
    let among = once(&world.by, 2, 1);
    let batch = vec![grant("ada", "news"), grant("bea", "news")];
    ok(consents.record_batch(&among, batch.clone(), at(1)).await);
    let other = once(&world.by, 3, 1);
    ok(consents.record(&other, grant("bea", "marketing"), at(1)).await);
    ok(store.subjects().erase(&world.by, "ada", at(2)).await);
    let again = consents.record(&alone, grant("ada", "marketing"), at(3)).await;
    assert!(refusal(again).contains("erased"));
    assert!(refusal(consents.record_batch(&among, batch, at(3)).await).contains("erased"));
    replayed(consents.record(&other, grant("bea", "marketing"), at(3)).await);
}
