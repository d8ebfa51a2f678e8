//! Endpoints that are stopped, and people who are erased.

use std::time::Duration;

use abide_core::delivery::{DeliveryState, Reason};
use abide_core::endpoint::EndpointState;
use abide_core::shell::Clock;
use abide_dialects::consentproof::ConsentProof;
use abide_storage::{Storage, Subjects};

use crate::receiver::{Act, Receiver, answer, repeat};
use crate::test_dialects::SNAPSHOT;
use crate::world::{World, decision, requests, text};

fn hanging() -> Vec<Act> {
    vec![Act::Read, Act::Hang]
}

fn good() -> Vec<Act> {
    repeat(1000, &[Act::Read, answer("200 OK", "")])
}

/// I2: what waits in memory when its endpoint is paused is held, nothing of it is sent, and it goes on with the
/// endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_endpoint_gets_nothing_until_it_goes_on() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![hanging(), hanging(), good()]).await;
    let endpoint = world.endpoint(&SNAPSHOT, &receiver).await;
    for n in 0..6 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    requests(&receiver, 2).await;
    world.set_active(endpoint, false).await;
    let all = world
        .until("held", |all| all[2..].iter().all(|one| one.state == DeliveryState::Held))
        .await;
    assert!(all[2..].iter().all(|one| one.reason == Some(Reason::EndpointPaused)));
    world.record("late", "marketing").await;
    world.advance(Duration::from_hours(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.requests().len(), 2, "an attempt started at a stopped endpoint");
    assert_eq!(world.deliveries().await[6].state, DeliveryState::Held);

    // The two that hang take all that an unknown endpoint is trusted with: what is released waits behind them.
    world.set_active(endpoint, true).await;
    world
        .until("released", |all| {
            all.iter()
                .all(|one| one.state == DeliveryState::Claimed || one.state == DeliveryState::Hot)
        })
        .await;
}

/// I2: what waits when a webhook of a dialect that cancels is stopped ends as cancelled, and stays so (P11).
#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_webhook_cancels_what_waits() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![hanging(), hanging(), good()]).await;
    let endpoint = world.endpoint(&ConsentProof, &receiver).await;
    for n in 0..6 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    requests(&receiver, 2).await;
    world.set_active(endpoint, false).await;
    world
        .until("cancelled", |all| all[2..].iter().all(|one| one.state == DeliveryState::Cancelled))
        .await;
    world.record("nobody", "marketing").await;
    assert_eq!(world.deliveries().await.len(), 6, "an inactive webhook queues nothing");
}

/// I2, I11: an organization that is being deleted is sent nothing, whatever its dialect does with what waits; restored it
/// goes on; and once its time has come, everything of it goes by itself, also beside attempts that do not end.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_organization_gets_nothing_and_goes() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![hanging(), hanging(), good()]).await;
    world.endpoint(&ConsentProof, &receiver).await;
    for n in 0..6 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    requests(&receiver, 2).await;
    let organization = world.store.accounts().organization_of(world.by.organization);
    let uri = organization.await.unwrap().unwrap().uri;
    let deletions = world.store.deletions();
    deletions.ask(&world.by, &uri, 1, world.clock.now()).await.unwrap();
    let all = world
        .until("held", |all| all[2..].iter().all(|one| one.state == DeliveryState::Held))
        .await;
    assert!(all[2..].iter().all(|one| one.reason == Some(Reason::OrganizationDeleting)));
    assert_eq!(receiver.requests().len(), 2);

    deletions.restore(&world.by, world.clock.now()).await.unwrap();
    world
        .until("released", |all| {
            all.iter()
                .all(|one| one.state == DeliveryState::Claimed || one.state == DeliveryState::Hot)
        })
        .await;

    deletions.ask(&world.by, &uri, 0, world.clock.now()).await.unwrap();
    let history = world.store.history();
    for _ in 0..1_000 {
        let deeds = history.audit(world.by.organization, 1).await.unwrap();
        if deeds[0].action == "organization.empty" {
            assert!(history.events(world.by.organization, 0, 9).await.unwrap().is_empty());
            assert_eq!(receiver.requests().len(), 2, "something was sent");
            assert_eq!(world.engine.is_alive(), Ok(()));
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it was not emptied");
}

/// I2: an endpoint whose receiver answers that it is gone stops, and what waits for it is held.
#[tokio::test(flavor = "multi_thread")]
async fn a_gone_endpoint_stops_and_holds() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![vec![Act::Read, answer("410 Gone", "")], good()]).await;
    let endpoint = world.endpoint(&SNAPSHOT, &receiver).await;
    world.record("ada", "marketing").await;
    let all = world.until("held", |all| all[0].state == DeliveryState::Held).await;
    assert_eq!(all[0].reason, Some(Reason::EndpointGone));
    let get = || world.store.endpoints().get(world.by.organization, endpoint);
    for _ in 0..500 {
        if get().await.unwrap().unwrap().state == EndpointState::Gone {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(get().await.unwrap().unwrap().state, EndpointState::Gone);
    world.record("bea", "marketing").await;
    assert_eq!(world.deliveries().await[1].state, DeliveryState::Held);
    world.set_active(endpoint, true).await;
    world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    assert_eq!(receiver.requests().len(), 3);
}

/// I11: what waits in memory for an erased person ends at once, also behind attempts that do not end.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_leaves_the_queues_at_once() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![hanging()]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    for person in ["one", "two", "quentin", "four"] {
        world.record(person, "marketing").await;
    }
    requests(&receiver, 2).await;
    Subjects::erase(&*world.store, &world.by, "quentin", world.clock.now()).await.unwrap();
    let all = world.until("erased", |all| all[2].state == DeliveryState::Erased).await;
    assert_eq!(all[3].state, DeliveryState::Hot);
}

/// I11: no attempt starts for a person who was erased, though the event was in memory; others are still told of, also
/// those who share an event with them.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_is_not_sent() {
    let world = World::new().await;
    // The first two answers take seconds, and everything else waits behind them.
    let slow = vec![
        Act::Read,
        Act::Write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\n".to_vec()),
        Act::Drip(b'x', Duration::from_millis(600)),
    ];
    let receiver = Receiver::start(vec![slow.clone(), slow, good()]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    world.record("one", "marketing").await;
    world.record("two", "marketing").await;
    requests(&receiver, 2).await;
    world.record("quentin", "marketing").await;
    let batch = ["quentin", "ada"].map(|person| decision(person, "analytics")).to_vec();
    let consents: &dyn abide_storage::Consents = &*world.store;
    consents.record_batch(&world.by, batch, world.clock.now()).await.unwrap();
    Subjects::erase(&*world.store, &world.by, "quentin", world.clock.now()).await.unwrap();

    let all = world.until("erased", |all| all[2].state == DeliveryState::Erased).await;
    assert_eq!(all[2].reason, Some(Reason::SubjectErased));
    world.until("told of the other", |all| all[3].state == DeliveryState::Delivered).await;
    for seen in receiver.requests() {
        assert!(!text(&seen).contains("quentin"), "{}", text(&seen));
    }
    assert!(receiver.requests().iter().any(|seen| text(seen).ends_with("of=ada")));
}
