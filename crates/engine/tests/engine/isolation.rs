//! One endpoint's trouble is no other's.

use std::time::Duration;

use abide_core::delivery::DeliveryState;
use abide_engine::Options;

use crate::receiver::{Act, Receiver, answer, repeat};
use crate::test_dialects::SNAPSHOT;
use crate::world::{World, requests};

/// I8: with as many endpoints hanging as healthy, and more of their attempts open than there are permits for suspects,
/// the healthy ones get everything while the others hang.
#[tokio::test(flavor = "multi_thread")]
async fn hanging_endpoints_delay_no_healthy_one() {
    const EACH: usize = 20;
    const DECISIONS: usize = 40;
    let world = World::with(Options { suspect_permits: 2, ..Options::default() }).await;
    let hanging = Receiver::start(vec![vec![Act::Read, Act::Hang]]).await;
    let healthy = Receiver::start(vec![repeat(1000, &[Act::Read, answer("200 OK", "")])]).await;
    for _ in 0..EACH {
        world.endpoint(&SNAPSHOT, &hanging).await;
        world.endpoint(&SNAPSHOT, &healthy).await;
    }
    for n in 0..DECISIONS {
        world.record(&format!("person {n}"), "marketing").await;
    }
    // The hanging ones never answer and their deadline is longer than anybody waits here.
    assert_eq!(requests(&healthy, EACH * DECISIONS).await.len(), EACH * DECISIONS);
    assert_eq!(hanging.requests().len(), EACH * 2, "no more than two attempts to an unknown one");
}

/// I8: an endpoint that fails three times rests; what waits for it is parked, not lost, and goes on when its rest is
/// over, beginning with a single attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_endpoint_rests_and_goes_on() {
    let world = World::new().await;
    let bad = vec![Act::Read, answer("500 Oops", "")];
    let good = repeat(1000, &[Act::Read, answer("200 OK", "")]);
    let receiver = Receiver::start(vec![bad.clone(), bad.clone(), bad, good]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    for n in 0..3 {
        world.record(&format!("person {n}"), "marketing").await;
        requests(&receiver, n + 1).await;
        world.until("recorded", |all| all.iter().all(|one| one.due_at.is_some())).await;
    }
    for n in 3..20 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    world
        .until("parked", |all| all[3..].iter().all(|one| one.state == DeliveryState::Parked))
        .await;
    assert_eq!(receiver.requests().len(), 3, "nothing is sent while it rests");
    world.advance(Duration::from_secs(6));
    world
        .until("delivered", |all| all[3..].iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    world.advance(Duration::from_mins(1));
    let all = world
        .until("all delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    assert_eq!(all.len(), 20);
}

/// I9: beyond its queue an endpoint's deliveries are parked, and come back as it works them off.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_is_parked_and_comes_back() {
    let options =
        Options { endpoint_queue: 8, endpoint_queue_unproven: 8, page: 4, ..Options::default() };
    let world = World::with(options).await;
    // Two answers take seconds; then the endpoint has proved itself.
    let slow = vec![
        Act::Read,
        Act::Write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\n".to_vec()),
        Act::Drip(b'x', Duration::from_millis(600)),
    ];
    let good = repeat(1000, &[Act::Read, answer("200 OK", "")]);
    let receiver = Receiver::start(vec![slow.clone(), slow, good]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    for n in 0..40 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    world
        .until("parked", |all| {
            all.iter().filter(|one| one.state == DeliveryState::Parked).count() == 30
        })
        .await;
    assert_eq!(world.engine.deliveries_in_memory(), 10, "two open, eight waiting");
    let all = world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    assert_eq!((all.len(), receiver.requests().len()), (40, 40));
}
