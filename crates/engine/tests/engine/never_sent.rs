//! Attempts that were opened and never sent, for reasons of this node.

use std::sync::Arc;
use std::time::Duration;

use abide_core::delivery::DeliveryState;
use abide_core::shell::Clock;
use abide_engine::Options;
use abide_storage::deliveries::{Ending, NOT_STARTED};

use crate::faulty::Faulty;
use crate::receiver::{Act, Receiver, answer, repeat};
use crate::test_dialects::{LANE, LATEST, POISON};
use crate::world::{World, requests};

/// More than the whole schedule of the dialect: as many steps would be used up.
const LATE: usize = 9;

/// I2, I7: attempts that the writer opened too late are recorded as not sent, free their lane, use up no step of the
/// schedule, and are not made again at once.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_opened_too_late_use_up_no_step() {
    let opened_valid = Duration::from_millis(100);
    let store = World::store();
    let slow = Faulty::late(&store, LATE, opened_valid);
    let options = Options { opened_valid, ..Options::default() };
    let world = World::through(Arc::new(slow), store, options).await;
    let bad = vec![Act::Read, answer("500 Oops", "")];
    let good = repeat(10, &[Act::Read, answer("200 OK", "")]);
    let receiver = Receiver::start(vec![bad, good]).await;
    world.endpoint(&LANE, &receiver).await;
    world.record("ada", "marketing").await;
    for tried in 1..=LATE {
        let all = world
            .until("given back", |all| all[0].attempts.len() == tried && all[0].due_at.is_some())
            .await;
        let attempt = &all[0].attempts[tried - 1];
        assert_eq!(attempt.ending, Some(Ending::NotSent));
        assert_eq!((attempt.error.as_deref(), attempt.status), (Some(NOT_STARTED), None));
        assert!(all[0].due_at.unwrap() > attempt.started_at.plus_millis(1_000), "not at once");
        assert!(receiver.requests().is_empty());
        world.advance(Duration::from_secs(2));
    }
    requests(&receiver, 1).await;
    world.until("tried again", |all| all[0].due_at.is_some()).await;
    world.advance(Duration::from_secs(2));
    let all = world.until("delivered", |all| all[0].state == DeliveryState::Delivered).await;
    assert_eq!((all.len(), all[0].attempts.len()), (1, LATE + 2), "nothing is sent once more");
    assert_eq!(receiver.requests().len(), 2);
}

/// I9, I2: a body for which the byte budget has no room is not sent, and its attempt uses up no step.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_room_uses_up_no_step() {
    let world = World::with(Options { queue_bytes: 4, ..Options::default() }).await;
    let receiver = Receiver::start(vec![vec![Act::Read, answer("200 OK", "")]]).await;
    world.endpoint(&LANE, &receiver).await;
    world.record("ada", "marketing").await;
    for tried in 1..=LATE {
        let all = world
            .until("given back", |all| all[0].attempts.len() == tried && all[0].due_at.is_some())
            .await;
        assert_eq!(all[0].attempts[tried - 1].ending, Some(Ending::NotSent));
        assert!(all[0].due_at.unwrap() > world.clock.now(), "not at once");
        world.advance(Duration::from_secs(2));
    }
    assert_eq!(receiver.connections(), 0);
}

/// I2: a panic between opening and sending leaves no attempt open; one that cuts off a send leaves its end unknown.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_is_recorded_by_what_was_sent() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![vec![Act::Read, Act::Hang]]).await;
    world.endpoint(&LATEST, &receiver).await;
    for person in [POISON, "ada"] {
        world.record(person, "marketing").await;
    }
    world.until("one panicked", |all| all[0].due_at.is_some()).await;
    requests(&receiver, 1).await;
    world.engine.drain(Duration::ZERO).await;
    let all = world.deliveries().await;
    let ends: Vec<_> = all.iter().map(|one| one.attempts[0].ending).collect();
    assert_eq!(ends, [Some(Ending::NotSent), Some(Ending::Unknown)]);
    assert!(all.iter().all(|one| one.state == DeliveryState::Pending));
}
