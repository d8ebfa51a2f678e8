//! Tests that somebody sends to an endpoint.

use std::sync::atomic::Ordering;

use abide_core::delivery::{DeliveryState, Outcome, Reason, Run};
use abide_core::event::{BatchView, EventBody, EventKind};
use abide_core::ids::{BatchId, DeliveryId};

use super::world::{RETRY, SKIP, TEST, World, at, finished_unopened, grant, ok, refusal};
use crate::deliveries::Sent;
use crate::{Storage, StorageError};

/// P25: a test is one hot delivery to one endpoint, also to one that is stopped; it stands in no feed, and its content
/// comes back as it was sent.
pub async fn a_test_goes_to_its_endpoint_alone(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    world.endpoint(SKIP).await;
    let consent = world.record(grant("ada", "marketing"), at(1)).await;
    let engine = world.engine(at(2)).await;
    world.set_active(endpoint, false, at(3)).await;
    let before = world.everything().await;
    let policy = ok(store.policies().create(&world.by, super::policies::new("1"), at(4)).await);
    engine.taken();
    let bodies = [
        (EventKind::ConsentUpdated, EventBody::Consent(consent.clone())),
        (EventKind::PolicyCreated, EventBody::Policy(policy)),
        (
            EventKind::ConsentBatchCreated,
            EventBody::Batch(BatchView { id: BatchId::from_key(9), consents: vec![consent; 2] }),
        ),
    ];
    for (kind, body) in bodies {
        let sent = store.endpoints().test(&world.by, endpoint, kind, body.clone(), at(5)).await;
        let sent = ok(sent);
        let [hot] = &engine.taken()[..] else { panic!("one delivery") };
        assert_eq!((hot.id, hot.endpoint, hot.run), (sent.delivery, endpoint, Run::Test));
        assert_eq!((hot.event.id, hot.event.kind, &hot.event.body), (sent.event, kind, &body));
        assert_eq!(world.event(sent.event).await.map(|event| event.body), Some(body));
        let [row] = &ok(store.history().deliveries_of(world.organization, sent.event).await)[..]
        else {
            panic!("one delivery")
        };
        assert_eq!((row.id, row.endpoint, row.state), (hot.id, endpoint, DeliveryState::Hot));
    }
    let events = world.events().await;
    assert!(events.len() == before.events.len() + 1, "the policy, and no test, is in the feed");
    let audit = ok(store.history().audit(world.organization, 3).await);
    assert!(audit.iter().all(|entry| entry.action == "endpoint.test"));
}

/// P25: a test that is sent before anything has happened leaves the first number of the feed to the first event.
pub async fn a_test_can_come_before_the_first_event(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let _engine = world.engine(at(2)).await;
    let body = abide_core::event::sample(EventKind::ConsentCreated).body;
    ok(store.endpoints().test(&world.by, endpoint, EventKind::ConsentCreated, body, at(3)).await);
    world.record(grant("ada", "marketing"), at(4)).await;
    assert_eq!(world.events().await.len(), 1, "gap-free from 1, and no test");
}

/// P25: what a test showed is recorded as an attempt, and the endpoint's state says nothing to it.
pub async fn a_test_is_one_attempt_whatever_it_shows(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let consent = world.record(grant("ada", "marketing"), at(1)).await;
    let engine = world.engine(at(2)).await;
    world.set_active(endpoint, false, at(3)).await;
    for (outcome, state) in
        [(Outcome::Delivered, DeliveryState::Delivered), (RETRY, DeliveryState::Failed)]
    {
        let body = EventBody::Consent(consent.clone());
        let kind = EventKind::ConsentCreated;
        let sent = ok(store.endpoints().test(&world.by, endpoint, kind, body, at(4)).await);
        assert_eq!(engine.taken().remove(0).id, sent.delivery);
        let report =
            finished_unopened((sent.delivery, endpoint), engine.lease, TEST, outcome, at(5));
        world.report(report, at(5)).await;
        let row = &ok(store.history().deliveries_of(world.organization, sent.event).await)[0];
        assert_eq!((row.state, row.attempts.len()), (state, 1));
    }
    // Nor does a test say anything of the endpoint.
    let totals = ok(store.counts().totals(world.organization, &[endpoint]).await);
    assert_eq!(totals, [crate::counts::Totals::default()]);
}

/// P25, I13: a test of an endpoint that is not there, or another's, is refused; without room there is none.
pub async fn a_test_needs_its_endpoint_and_room(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let body = EventBody::Consent(world.record(grant("ada", "marketing"), at(1)).await);
    let test = async |world: &World<'_>| {
        let endpoints = world.store.endpoints();
        endpoints.test(&world.by, endpoint, EventKind::ConsentCreated, body.clone(), at(3)).await
    };
    assert_eq!(test(&world).await, Err(StorageError::Busy), "there is no engine");
    let engine = world.engine(at(2)).await;
    engine.has_room.store(false, Ordering::Relaxed);
    let before = world.everything().await;
    assert_eq!(test(&world).await, Err(StorageError::Busy));
    assert_eq!(world.everything().await, before);
    engine.has_room.store(true, Ordering::Relaxed);
    refusal(test(&World::named(store, "other").await).await);
    ok(store.endpoints().delete(&world.by, endpoint, at(3)).await);
    refusal(test(&world).await);
    assert!(engine.taken().is_empty());
}

/// P25: a test that is cut off, by a crash or a stop, ends as failed with its reason: it is not made again, later, among
/// ordinary work; and nobody retries one.
pub async fn a_test_that_is_cut_off_is_over(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let consent = world.record(grant("ada", "marketing"), at(1)).await;
    let engine = world.engine(at(2)).await;
    let test = async || {
        let (kind, body) = (EventKind::ConsentCreated, EventBody::Consent(consent.clone()));
        ok(store.endpoints().test(&world.by, endpoint, kind, body, at(3)).await)
    };
    let (lost, given_back) = (test().await, test().await);
    world.give_back(given_back.delivery, engine.lease, Sent::Perhaps, at(4)).await;
    let deliveries = store.deliveries();
    while ok(deliveries.lose(engine.lease, DeliveryId::from_key(0), 10, at(4)).await).is_some() {}
    for sent in [lost, given_back] {
        let row = &ok(store.history().deliveries_of(world.organization, sent.event).await)[0];
        assert_eq!((row.state, row.reason), (DeliveryState::Failed, Some(Reason::TestCutOff)));
        let again = store.history().retry(&world.by, sent.delivery, Run::Single, at(5)).await;
        assert!(refusal(again).contains("a test is not retried"));
    }
    let lease = world.lease(at(6)).await;
    assert!(!world.claim(lease, at(6)).await.contains(&lost.delivery));
}
