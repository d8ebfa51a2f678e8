//! One delivery from the decision to the record of its outcome.

use std::time::Duration;

use abide_core::delivery::{DeliveryState, Reason};
use abide_core::shell::Clock;
use abide_dialects::Dialect;
use abide_dialects::consentproof::ConsentProof;
use abide_storage::Storage;

use crate::receiver::{Act, Receiver, answer, repeat};
use crate::test_dialects::{HASTY, POISON, SNAPSHOT};
use crate::world::{PATIENT, SECRET, World, events, received, requests, text};

fn good() -> Vec<Act> {
    repeat(1000, &[Act::Read, answer("200 OK", "")])
}

/// I6: a recorded consent arrives with a signature over the bytes that were sent, under the endpoint's secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_consent_arrives_signed() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![good()]).await;
    world.endpoint(&ConsentProof, &receiver).await;
    world.record("ada", "marketing").await;

    let seen = requests(&receiver, 1).await;
    let now = world.clock.now();
    let verified = ConsentProof.verify(&received(&seen[0]), SECRET, now).unwrap();
    assert!(ConsentProof.verify(&received(&seen[0]), "another secret", now).is_err());
    let told = world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    assert_eq!(told.len(), 1);
    assert_eq!(verified.event_id, told[0].event.to_string());
    assert_eq!(told[0].attempts.len(), 1);
    let attempt = &told[0].attempts[0];
    assert_eq!((attempt.number, attempt.status, attempt.late), (1, Some(200), false));
    let sha256 = abide_core::consent::hash::sha256(&seen[0].body);
    assert_eq!(attempt.body_sha256, Some(sha256));
    assert_eq!(attempt.answer, None, "what a good answer says is not kept");
}

/// I3: a failed attempt is made again when its schedule says so, with the same event id and the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_made_again_with_the_same_bytes() {
    let world = World::new().await;
    let script = [Act::Read, answer("503 Busy", "come back"), Act::Read, answer("200 OK", "")];
    let receiver = Receiver::start(vec![script.to_vec()]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    world.record("ada", "marketing").await;

    let failed = world.until("recorded", |all| all[0].due_at.is_some()).await;
    assert_eq!(failed[0].state, DeliveryState::Pending);
    assert_eq!(failed[0].attempts[0].status, Some(503));
    assert_eq!(failed[0].attempts[0].answer.as_deref(), Some(b"come back".as_slice()));
    world.advance(Duration::from_secs(50));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.requests().len(), 1, "not before its time");
    world.advance(Duration::from_secs(20));

    let seen = requests(&receiver, 2).await;
    assert_eq!(text(&seen[0]), text(&seen[1]));
    assert_eq!(receiver.connections(), 1, "over the connection that was open");
    let done = world.until("delivered", |all| all[0].state == DeliveryState::Delivered).await;
    assert_eq!(done[0].attempts.len(), 2);
}

/// I2: an answer that the dialect reads as nothing to do, or as refused, ends the delivery and says why.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_end_a_delivery() {
    for (status, state, reason) in [
        ("204 No Content", DeliveryState::Skipped, Reason::NothingToDo),
        ("400 Bad Request", DeliveryState::Failed, Reason::Refused),
    ] {
        let world = World::new().await;
        let receiver = Receiver::start(vec![vec![Act::Read, answer(status, "")]]).await;
        world.endpoint(&SNAPSHOT, &receiver).await;
        world.record("ada", "marketing").await;
        let done = world.until("final", |all| all[0].state.is_final()).await;
        assert_eq!((done[0].state, done[0].reason), (state, Some(reason)), "{status}");
    }
}

/// I2: no answer within the deadline is a timeout, recorded as one, and tried again.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_is_a_timeout() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![vec![Act::Read, Act::Hang], good()]).await;
    world.endpoint(&HASTY, &receiver).await;
    world.record("ada", "marketing").await;
    let failed = world.until("recorded", |all| !all[0].attempts.is_empty()).await;
    let attempt = &failed[0].attempts[0];
    assert_eq!((attempt.error.as_deref(), attempt.status), (Some("timeout"), None));
    world.advance(Duration::from_secs(61));
    world.until("delivered", |all| all[0].state == DeliveryState::Delivered).await;
    let seen = events(&receiver.requests());
    assert_eq!(seen[0], seen[1]);
}

/// I4: while receivers hang, the store answers: nothing of it is held across a network call.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_answers_while_receivers_hang() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![vec![Act::Read, Act::Hang]]).await;
    for _ in 0..20 {
        world.endpoint(&SNAPSHOT, &receiver).await;
    }
    world.record("ada", "marketing").await;
    requests(&receiver, 20).await;
    // In memory the store has a single connection: one transaction left open would block this for ever.
    let more = async {
        for n in 0..20 {
            world.record(&format!("person {n}"), "marketing").await;
        }
        world.deliveries().await
    };
    let all = tokio::time::timeout(PATIENT, more).await.unwrap();
    assert_eq!(all.len(), 21 * 20);
    assert!(all.iter().all(|one| !one.state.is_final()));
}

/// I3: a panic while a delivery is rendered loses neither it nor the ones behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_rendering_loses_nothing() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![good()]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    for person in ["ada", POISON, "bea", "cyd"] {
        world.record(person, "marketing").await;
    }
    let all = world
        .until("three of four delivered", |all| {
            all.iter().filter(|one| one.state == DeliveryState::Delivered).count() == 3
                && all.iter().any(|one| one.state == DeliveryState::Pending)
        })
        .await;
    let waiting = all.iter().find(|one| one.state == DeliveryState::Pending).unwrap();
    assert!(waiting.due_at.unwrap() > world.clock.now(), "not again at once, for ever");
}

/// I9: deliveries beyond the room in memory wait in the store, and all of them arrive.
#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_waits_in_the_store() {
    let options = abide_engine::Options { queue_deliveries: 4, ..Default::default() };
    let world = World::with(options).await;
    let receiver = Receiver::start(vec![good()]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    for n in 0..60 {
        world.record(&format!("person {n}"), "marketing").await;
        assert!(world.engine.deliveries_in_memory() <= 4);
    }
    let all = world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    assert_eq!(all.len(), 60);
    assert_eq!(receiver.requests().len(), 60);
}

/// I2: an engine whose store takes nothing more says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_its_store_is_not_alive() {
    let options = abide_engine::Options {
        heartbeat_every: Duration::from_millis(200),
        heartbeat_valid: Duration::from_secs(2),
        ..Default::default()
    };
    let world = World::with(options).await;
    assert_eq!(world.engine.is_alive(), Ok(()));
    world.store.close();
    let problems = tokio::time::timeout(PATIENT, async {
        loop {
            if let Err(problems) = world.engine.is_alive() {
                return problems;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(!problems.await.unwrap().is_empty());
}
