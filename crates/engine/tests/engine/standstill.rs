//! Sending that has come to a standstill is seen.

use std::sync::Arc;
use std::time::Duration;

use abide_core::delivery::DeliveryState;
use abide_engine::Options;
use abide_storage::Storage;
use abide_storage_sqlite::SqliteStore;

use crate::faulty::Faulty;
use crate::receiver::{Act, Receiver, answer};
use crate::test_dialects::{LANE, LANE_ALONE};
use crate::world::{PATIENT, World};

/// A bound of a second and a half: the deadline of the one dialect, and these.
fn options() -> Options {
    Options {
        opened_valid: Duration::from_millis(100),
        longest_own_deadline: Duration::ZERO,
        worker_slack: Duration::from_millis(400),
        ..Options::default()
    }
}

/// An engine that speaks a dialect with a deadline of a second and nothing else.
async fn hasty(storage: Arc<dyn Storage>, store: Arc<SqliteStore>, options: Options) -> World {
    World::made_of(store, |parts| {
        parts.storage = storage;
        parts.dialects = LANE_ALONE;
        parts.options = options;
    })
    .await
}

/// More than an unknown endpoint is trusted with at a time.
async fn record_three(world: &World) {
    for person in ["ada", "bea", "cyd"] {
        world.record(person, "marketing").await;
    }
}

async fn problems(world: &World) -> Vec<String> {
    let seen = tokio::time::timeout(PATIENT, async {
        loop {
            if let Err(problems) = world.engine.is_alive() {
                return problems;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    seen.await.unwrap()
}

/// I2: jobs that wait while no worker moves for longer than an attempt can take make the engine say so. One without
/// work is alive however long nothing moves, and still when work has just come.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_stand_still_are_seen() {
    let good = vec![Act::Read, answer("200 OK", ""), Act::Hang];
    let receiver = Receiver::start(vec![good, vec![Act::Read, Act::Hang]]).await;
    let store = World::store();
    let done = hasty(Arc::<SqliteStore>::clone(&store), store, options()).await;
    done.endpoint(&LANE, &receiver).await;
    done.record("ada", "marketing").await;
    done.until("delivered", |all| all[0].state == DeliveryState::Delivered).await;

    let store = World::store();
    let none = Options { healthy_permits: 0, suspect_permits: 0, ..options() };
    let idle = hasty(Arc::<SqliteStore>::clone(&store), store, none).await;
    idle.endpoint(&LANE, &receiver).await;

    let store = World::store();
    let never = Faulty::late(&store, usize::MAX, Duration::from_hours(1));
    let stuck = hasty(Arc::new(never), store, options()).await;
    stuck.endpoint(&LANE, &receiver).await;
    record_three(&stuck).await;
    assert_eq!(stuck.engine.is_alive(), Ok(()), "an attempt may take its time");
    let expected = "the workers that send stand still, although permits are free";
    assert_eq!(problems(&stuck).await, [expected]);

    assert_eq!(done.engine.is_alive(), Ok(()), "nothing waits any more");
    assert_eq!(idle.engine.is_alive(), Ok(()), "nothing waits yet");
    record_three(&idle).await;
    assert_eq!(idle.engine.is_alive(), Ok(()), "nothing waits for long");
    assert_eq!(problems(&idle).await, ["the workers that send stand still and hold every permit"]);
}

/// I2: attempts that take as long as they may are no standstill, however long others wait for their permit.
#[tokio::test(flavor = "multi_thread")]
async fn slow_attempts_are_no_standstill() {
    let receiver = Receiver::start(vec![vec![Act::Read, Act::Hang]]).await;
    let store = World::store();
    let few = Options { healthy_permits: 1, ..options() };
    let world = hasty(Arc::<SqliteStore>::clone(&store), store, few).await;
    for _ in 0..5 {
        world.endpoint(&LANE, &receiver).await;
    }
    world.record("ada", "marketing").await;
    // Each attempt ends at its deadline of a second, and leaves the permit to the next.
    let deadline = tokio::time::Instant::now() + PATIENT;
    while receiver.requests().len() < 5 {
        assert_eq!(world.engine.is_alive(), Ok(()));
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
