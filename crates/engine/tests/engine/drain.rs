//! Stopping on purpose.

use std::time::Duration;

use abide_core::delivery::DeliveryState;

use crate::receiver::{Act, Receiver, answer};
use crate::test_dialects::SNAPSHOT;
use crate::world::{World, requests};

/// I2: draining lets open attempts end and records them, starts no other, and gives back the rest as due.
#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_what_is_open_and_gives_back_the_rest() {
    let world = World::new().await;
    // The second part of the answer comes a while after the drain has begun.
    let slow = vec![
        Act::Read,
        Act::Write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\n".to_vec()),
        Act::Drip(b'x', Duration::from_millis(400)),
    ];
    let receiver = Receiver::start(vec![slow]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    for n in 0..10 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    requests(&receiver, 2).await;
    world.engine.drain(Duration::from_secs(20)).await;
    let all = world.deliveries().await;
    let count = |state| all.iter().filter(|one| one.state == state).count();
    assert_eq!(count(DeliveryState::Delivered), 2);
    assert_eq!(count(DeliveryState::Pending), 8);
    assert_eq!(receiver.requests().len(), 2);
    world.record("late", "marketing").await;
    assert_eq!(world.deliveries().await[10].state, DeliveryState::Pending);
}

/// I2: an attempt that does not end within the bound is cut off, and its delivery is due again.
#[tokio::test(flavor = "multi_thread")]
async fn draining_is_bounded() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![vec![Act::Read, Act::Hang, answer("200 OK", "")]]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    world.record("ada", "marketing").await;
    requests(&receiver, 1).await;
    let drained = world.engine.drain(Duration::from_millis(200));
    tokio::time::timeout(Duration::from_secs(20), drained).await.unwrap();
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Pending);
}
