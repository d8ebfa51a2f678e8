//! Erasing people.

use abide_core::consent::{NewDecision, SubjectInput, Validity};
use abide_core::delivery::{DeliveryState, Run};
use abide_core::event::EventBody;

use super::world::{
    FIRST, HOLD, RETRY, SKIP, World, at, finished, finished_unopened, grant, ok, refusal,
};
use crate::Storage;
use crate::deliveries::{GiveBack, GivenBack, Report, Sent};

/// I11: after erasing, nothing of the person can be read, what waits has ended, and it is on record.
pub async fn an_erased_person_is_unreadable(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(HOLD).await;
    let subject =
        SubjectInput { reference: "ada".to_owned(), email: Some("ada@example.org".to_owned()) };
    let validity = Validity { from: None, until: Some(at(500)) };
    let made = world.record(NewDecision { subject, validity, ..grant("", "news") }, at(1)).await;
    let row = world.newest_deliveries().await.remove(0);
    let other = world.delivery("bob", at(1)).await;
    let lease = world.lease(at(1)).await;
    world.claim(lease, at(1)).await;
    world.attempt(row.id, lease, RETRY, at(1)).await;
    assert!(world.look_at(&row).await.attempts[0].answer.is_some());

    let erased = ok(store.subjects().erase(&world.by, "ada", at(2)).await);
    assert_eq!((erased.subject, erased.deliveries), (made.subject, 1));
    assert_eq!(ok(store.consents().get(world.organization, made.id.id).await), None);
    refusal(store.consents().withdraw(&world.by, made.id.id, None, at(3)).await);
    assert_eq!(world.event(row.event).await, None);
    let found = world.look_at(&row).await;
    World::expect_state(&found, DeliveryState::Erased);
    assert_eq!(found.attempts[0].answer, None);
    World::expect_state(&world.look_at(&other).await, DeliveryState::Claimed);
    refusal(store.history().retry(&world.by, row.id, Run::Single, at(3)).await);
    refusal(store.subjects().erase(&world.by, "ada", at(3)).await);
    let entry = &world.audit().await[0];
    assert_eq!(entry.action, "subject.erase");
    assert_eq!(entry.object, made.subject.to_string());
    ok(store.consents().advance_due(at(1_000), 10).await);
    assert_eq!(world.events().await.len(), 2, "time tells nothing about an erased person");
}

/// I9, I11: the engine hears of each erasure once, page by page, from where it began.
pub async fn the_engine_hears_of_erasures(store: &dyn Storage) {
    let world = World::new(store).await;
    let subjects = store.subjects();
    assert_eq!(ok(subjects.newest_erasure().await), 0);
    let mut erased = Vec::new();
    for reference in ["ada", "bob", "eve", "cy"] {
        world.record(grant(reference, "news"), at(1)).await;
        erased.push(ok(subjects.erase(&world.by, reference, at(2)).await).subject);
    }
    let (cursor, first) = ok(subjects.erased_since(0, 3).await);
    assert_eq!(first, erased[..3]);
    let (cursor, rest) = ok(subjects.erased_since(cursor, 3).await);
    assert_eq!(rest, erased[3..]);
    assert_eq!(ok(subjects.erased_since(cursor, 3).await), (cursor, Vec::new()));
    assert_eq!(ok(subjects.newest_erasure().await), cursor, "nothing old is behind it");
    world.record(grant("new", "news"), at(-5_000)).await;
    let new = ok(subjects.erase(&world.by, "new", at(-5_000)).await).subject;
    assert_eq!(ok(subjects.erased_since(cursor, 3).await).1, [new], "whatever the clock does");
}

/// I11: the same reference afterwards is another person with another record.
pub async fn the_reference_is_free_again(store: &dyn Storage) {
    let world = World::new(store).await;
    let before = world.record(grant("ada", "news"), at(1)).await;
    ok(store.subjects().erase(&world.by, "ada", at(2)).await);
    let after = world.record(grant("ada", "news"), at(3)).await;
    assert_ne!(after.subject, before.subject);
    assert_ne!(after.id, before.id);
    assert_eq!(after.version, 1);
    assert_eq!(ok(store.consents().get(world.organization, before.id.id).await), None);
    assert_eq!(ok(store.consents().get(world.organization, after.id.id).await), Some(after));
}

/// I11, I2: hot deliveries end as erased by whatever way they come back.
pub async fn hot_deliveries_follow(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(HOLD).await;
    let engine = world.engine(at(0)).await;
    let opened = world.delivery("ada", at(1)).await;
    world.record(grant("ada", "news"), at(1)).await;
    let given = world.newest_deliveries().await.remove(0);
    world.record(grant("ada", "post"), at(1)).await;
    let failed = world.newest_deliveries().await.remove(0);
    ok(store.subjects().erase(&world.by, "ada", at(2)).await);
    let lease = engine.lease;
    assert_eq!(world.moved(opened.id, lease, at(3)).await, DeliveryState::Erased);
    let back =
        GivenBack { delivery: given.id, lease, sent: Sent::Nothing, to: GiveBack::Unreadable };
    let report = Report {
        finished: vec![finished_unopened((failed.id, failed.endpoint), lease, FIRST, RETRY, at(3))],
        given_back: vec![back],
    };
    ok(store.deliveries().report(report, at(3)).await);
    for row in [&opened, &given, &failed] {
        World::expect_state(&world.look_at(row).await, DeliveryState::Erased);
    }
}

/// I11, P16: a batch event loses only the erased person's part, and ends as erased with the last of them.
pub async fn a_batch_loses_only_the_erased_part(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let batch = vec![grant("ada", "news"), grant("bob", "news")];
    let recorded = ok(store.consents().record_batch(&world.by, batch, at(1)).await);
    let row = world.newest_deliveries().await.remove(0);
    ok(store.subjects().erase(&world.by, "ada", at(2)).await);
    match world.event(row.event).await.expect("bob's part").body {
        EventBody::Batch(view) => assert_eq!(view.consents, recorded.consents[1..]),
        other => panic!("no batch: {other:?}"),
    }
    let lease = world.lease(at(3)).await;
    world.claim(lease, at(3)).await;
    world.send(row.id, lease, at(3)).await;
    ok(store.subjects().erase(&world.by, "bob", at(4)).await);
    assert_eq!(world.event(row.event).await, None);
    let back = GivenBack { delivery: row.id, lease, sent: Sent::Nothing, to: GiveBack::Unreadable };
    let report = Report { finished: Vec::new(), given_back: vec![back] };
    ok(store.deliveries().report(report, at(5)).await);
    World::expect_state(&world.look_at(&row).await, DeliveryState::Erased);
}

/// I11: of answers about a batch nothing is kept, and what a retry sends without an erased person's part is not held
/// against the first attempt's bytes.
pub async fn a_batch_keeps_no_answers(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let batch = vec![grant("ada", "news"), grant("bob", "news")];
    ok(store.consents().record_batch(&world.by, batch, at(1)).await);
    let row = world.newest_deliveries().await.remove(0);
    let lease = world.lease(at(1)).await;
    let mut now = at(1);
    for _ in 0..2 {
        world.claim(lease, now).await;
        let opening = world.send(row.id, lease, now).await;
        assert_eq!(opening.first_sha256.is_some(), opening.number == 2);
        world.report(finished(row.id, lease, &opening, RETRY, now), now).await;
        now = world.look_at(&row).await.due_at.expect("a retry");
    }
    let answers: Vec<_> = world.look_at(&row).await.attempts;
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|attempt| attempt.answer.is_none()));
    ok(store.subjects().erase(&world.by, "ada", now).await);
    world.claim(lease, now).await;
    assert_eq!(world.send(row.id, lease, now).await.first_sha256, None);
}
