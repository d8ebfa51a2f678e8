//! Tests that somebody sends to an endpoint.

use abide_core::delivery::DeliveryState;
use abide_core::endpoint::EndpointState;
use abide_core::event::{EventBody, EventKind};
use abide_core::ids::{EndpointId, EventId};
use abide_core::shell::Clock as _;
use abide_storage::Storage as _;
use abide_storage::history::DeliveryView;

use crate::receiver::{Act, Receiver, answer, repeat};
use crate::test_dialects::{LANE, SNAPSHOT};
use crate::world::{PATIENT, World, requests};

async fn test(world: &World, endpoint: EndpointId) -> EventId {
    let consent = world.record("sample", "marketing").await;
    let body = EventBody::Consent(consent);
    let endpoints = world.store.endpoints();
    let kind = EventKind::ConsentCreated;
    endpoints.test(&world.by, endpoint, kind, body, world.clock.now()).await.unwrap().event
}

/// Waits for a test's end.
async fn ended(world: &World, event: EventId) -> DeliveryView {
    let deadline = tokio::time::Instant::now() + PATIENT;
    loop {
        let all = world.store.history().deliveries_of(world.by.organization, event).await.unwrap();
        if all[0].state.is_final() {
            return all.into_iter().next().unwrap();
        }
        assert!(tokio::time::Instant::now() < deadline, "the test has not ended: {all:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// P25: a test reaches a paused endpoint, in any dialect, and is recorded like every delivery.
#[tokio::test(flavor = "multi_thread")]
async fn p25_a_test_reaches_a_stopped_endpoint() {
    let world = World::new().await;
    for dialect in [&SNAPSHOT, &LANE] {
        let script = repeat(10, &[Act::Read, answer("200 OK", "")]);
        let receiver = Receiver::start(vec![script]).await;
        let endpoint = world.endpoint(dialect, &receiver).await;
        world.set_active(endpoint, false).await;
        let event = test(&world, endpoint).await;
        let ended = ended(&world, event).await;
        assert_eq!((ended.state, ended.attempts[0].status), (DeliveryState::Delivered, Some(200)));
        let body = String::from_utf8(receiver.requests()[0].body.clone()).unwrap();
        assert!(body.contains(&event.to_string()), "{body}");
        assert_eq!(receiver.requests().len(), 1, "nothing else is sent to it");
    }
}

/// P25: a test is tried once; what it shows stops nothing, and says nothing of the endpoint's health.
#[tokio::test(flavor = "multi_thread")]
async fn p25_a_failed_test_is_not_tried_again_and_stops_nothing() {
    let world = World::new().await;
    let gone = vec![Act::Read, answer("410 Gone", "away")];
    let receiver = Receiver::start(vec![gone.clone(), gone.clone(), gone]).await;
    let endpoint = world.endpoint(&SNAPSHOT, &receiver).await;
    world.set_active(endpoint, false).await;
    for _ in 0..3 {
        let event = test(&world, endpoint).await;
        let ended = ended(&world, event).await;
        assert_eq!((ended.state, ended.attempts.len()), (DeliveryState::Failed, 1));
        assert_eq!(ended.attempts[0].status, Some(410));
        assert_eq!(ended.attempts[0].answer.as_deref(), Some(&b"away"[..]));
    }
    let endpoints = world.store.endpoints();
    let state = endpoints.get(world.by.organization, endpoint).await.unwrap().unwrap().state;
    assert_eq!(state, EndpointState::Paused);
}

/// P25, I8: a test goes past everything that waits for its endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn p25_a_test_waits_for_nothing() {
    let world = World::new().await;
    let hanging = || vec![Act::Read, Act::Hang];
    let receiver =
        Receiver::start(vec![hanging(), hanging(), vec![Act::Read, answer("200 OK", "")]]).await;
    let endpoint = world.endpoint(&SNAPSHOT, &receiver).await;
    for n in 0..5 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    requests(&receiver, 2).await;
    let event = test(&world, endpoint).await;
    assert_eq!(ended(&world, event).await.state, DeliveryState::Delivered);
}
