//! Endpoints that fail for long.

use std::time::Duration;

use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, ErrorClass, Outcome, Reason};
use abide_core::endpoint::{EndpointState, Failing};
use abide_core::ids::{EndpointId, LeaseId};

use super::world::{HOLD, SKIP, World, at, finished, grant, ok};
use crate::Storage;
use crate::deliveries::Ending;
use crate::endpoints::EndpointPatch;
use crate::failing::{Looked, Patience};

const HOUR: i64 = 3600 * 1000;
/// What the world's endpoints speak is stopped after five days of failing.
const PATIENCE: &[Patience] =
    &[Patience { dialect: "consentproof", stops_after: Duration::from_hours(5 * 24) }];

/// Tells the endpoints something every twelve hours, from the first of these to the last; each attempt ends so.
async fn work(world: &World<'_>, lease: LeaseId, outcome: Outcome, hours: (i64, i64)) {
    for hour in (hours.0..=hours.1).step_by(12) {
        let now = at(hour * HOUR);
        world.record(grant(&format!("person_{hour}"), "marketing"), now).await;
        for delivery in world.claim(lease, now).await {
            world.attempt(delivery, lease, outcome, now).await;
        }
    }
}

async fn look(world: &World<'_>, now: Timestamp) -> Vec<EndpointId> {
    let looked = ok(world.store.failing_endpoints().look(None, 9, PATIENCE, now).await);
    assert_eq!(looked.next, None);
    looked.changed
}

/// Judges an endpoint, and answers what its owner sees of it then. What a look finds is what a judgement changes.
async fn judge(
    world: &World<'_>,
    endpoint: EndpointId,
    now: Timestamp,
) -> (EndpointState, Option<Failing>) {
    let is_found = look(world, now).await.contains(&endpoint);
    let before = ok(world.store.endpoints().get(world.organization, endpoint).await);
    let judged = ok(world.store.failing_endpoints().judge(endpoint, PATIENCE, now).await);
    assert_eq!(judged.is_some(), is_found);
    let after = ok(world.store.endpoints().get(world.organization, endpoint).await).expect("there");
    let before = before.expect("there").failing;
    if let Some(judged) = judged {
        assert_eq!(judged.organization, world.organization);
        assert_eq!((judged.before, judged.failing), (before, after.failing));
        assert_ne!(judged.before, judged.failing);
    } else {
        assert_eq!(before, after.failing);
    }
    (after.state, after.failing)
}

/// SW-18: an endpoint that fails for long is warned of, then stopped as the system's deed; what waits is held; resumed it
/// goes on, and has its full time again; a success ends the warning.
pub async fn sw_18_what_fails_for_long_is_warned_of_and_stopped(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    let hour = |hour: i64| at(hour * HOUR);
    work(&world, lease, Outcome::Failed, (0, 48)).await;
    assert_eq!(judge(&world, endpoint, hour(59)).await, (EndpointState::Active, None));
    work(&world, lease, Outcome::Failed, (60, 60)).await;
    let warned = Some(Failing::Warned { since: hour(0), stops_at: hour(120) });
    assert_eq!(judge(&world, endpoint, hour(60)).await, (EndpointState::Active, warned));
    assert_eq!(judge(&world, endpoint, hour(61)).await, (EndpointState::Active, warned));
    work(&world, lease, Outcome::Failed, (72, 108)).await;
    assert_eq!(judge(&world, endpoint, hour(119)).await, (EndpointState::Active, warned));
    work(&world, lease, Outcome::Failed, (120, 120)).await;
    let waiting = world.delivery("ada", hour(120)).await;
    let stopped = Some(Failing::Stopped { since: hour(0), stopped_at: hour(121) });
    assert_eq!(judge(&world, endpoint, hour(121)).await, (EndpointState::Paused, stopped));
    assert_eq!(judge(&world, endpoint, hour(122)).await, (EndpointState::Paused, stopped));
    let audit = world.audit().await;
    let deed = (audit[0].action.as_str(), audit[0].actor.as_str(), audit[0].object.as_str());
    assert_eq!(deed, ("endpoint.stop_failing", "system", &*endpoint.to_string()));
    assert_eq!(audit.iter().filter(|entry| entry.action == "endpoint.stop_failing").count(), 1);
    let found = world.look_at(&waiting).await;
    assert_eq!((found.state, found.reason), (DeliveryState::Held, Some(Reason::EndpointPaused)));
    assert!(world.claim(lease, hour(122)).await.is_empty(), "nothing is sent there");
    let paused = world.set_active(endpoint, false, hour(122)).await;
    assert_eq!((paused.state, paused.failing), (EndpointState::Paused, stopped), "as it was");

    let resumed = world.set_active(endpoint, true, hour(130)).await;
    assert_eq!((resumed.state, resumed.failing), (EndpointState::Active, None));
    ok(store.deliveries().release_held(9, hour(130)).await);
    World::expect_state(&world.look_at(&waiting).await, DeliveryState::Pending);
    work(&world, lease, Outcome::Failed, (132, 180)).await;
    World::expect_state(&world.look_at(&waiting).await, DeliveryState::Failed);
    assert_eq!(judge(&world, endpoint, hour(190)).await, (EndpointState::Active, None));
    work(&world, lease, Outcome::Failed, (192, 192)).await;
    let warned = Some(Failing::Warned { since: hour(132), stops_at: hour(252) });
    assert_eq!(judge(&world, endpoint, hour(192)).await, (EndpointState::Active, warned));
    work(&world, lease, Outcome::Delivered, (193, 193)).await;
    assert_eq!(judge(&world, endpoint, hour(193)).await, (EndpointState::Active, None));
}

/// SW-18: silence, failures of Abide's own, another URL, a dialect that knows of no such stop, and an organization that is
/// being deleted stop nobody; a stop that cancels cancels; each endpoint is looked at once.
pub async fn sw_18_only_what_failed_itself_is_stopped(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let hour = |hour: i64| at(hour * HOUR);
    work(&world, lease, Outcome::Failed, (0, 0)).await;
    assert_eq!(judge(&world, endpoint, hour(240)).await.1, None, "there was nothing to tell");
    for (n, (error, ending)) in [
        (Some(ErrorClass::DnsBusy), Ending::NotSent),
        (None, Ending::Unknown),
        (Some(ErrorClass::NoRootCertificates), Ending::NotSent),
    ]
    .into_iter()
    .cycle()
    .take(12)
    .enumerate()
    {
        let now = hour(240 + 12 * n as i64);
        world.record(grant(&format!("own_{n}"), "marketing"), now).await;
        for delivery in world.claim(lease, now).await {
            let opening = world.send(delivery, lease, now).await;
            let attempt = finished(delivery, lease, &opening, Outcome::Failed, now);
            let attempt =
                crate::deliveries::FinishedAttempt { status: None, error, ending, ..attempt };
            world.report(attempt, now).await;
        }
    }
    assert_eq!(judge(&world, endpoint, hour(400)).await.1, None, "it had no part in them");

    work(&world, lease, Outcome::Failed, (480, 600)).await;
    let now = hour(600);
    assert_eq!(look(&world, now).await, [endpoint]);
    let others = &[Patience { dialect: "another", ..PATIENCE[0] }];
    let look_for = async |patience: &[Patience]| {
        ok(store.failing_endpoints().look(None, 9, patience, now).await).changed
    };
    assert!(look_for(others).await.is_empty());
    assert_eq!(ok(store.failing_endpoints().judge(endpoint, others, now).await), None);
    ok(store.deletions().ask(&world.by, "default", 1, now).await);
    assert!(look(&world, now).await.is_empty());
    assert_eq!(ok(store.failing_endpoints().judge(endpoint, PATIENCE, now).await), None);
    ok(store.deletions().restore(&world.by, now).await);
    let elsewhere = World::named(store, "elsewhere").await;
    let another = elsewhere.endpoint(HOLD).await;
    let page = async |after| ok(store.failing_endpoints().look(after, 1, PATIENCE, now).await);
    assert_eq!(page(None).await, Looked { changed: vec![endpoint], next: Some(endpoint) });
    let last = Looked { changed: vec![], next: Some(another) };
    assert_eq!(page(Some(endpoint)).await, last);
    assert_eq!(page(Some(another)).await, Looked { changed: vec![], next: None });

    let url = Some("https://example.com/mended".to_owned());
    let patch = EndpointPatch { url, ..EndpointPatch::default() };
    ok(store.endpoints().change(&world.by, endpoint, patch, hour(601)).await);
    assert_eq!(judge(&world, endpoint, hour(602)).await, (EndpointState::Active, None));
    work(&world, lease, Outcome::Failed, (612, 744)).await;
    let waiting = world.delivery("ada", hour(744)).await;
    let warned = Some(Failing::Warned { since: hour(612), stops_at: hour(769) });
    assert_eq!(judge(&world, endpoint, hour(745)).await, (EndpointState::Active, warned), "first");
    assert_eq!(judge(&world, endpoint, hour(768)).await, (EndpointState::Active, warned));
    let stopped = Some(Failing::Stopped { since: hour(612), stopped_at: hour(769) });
    assert_eq!(judge(&world, endpoint, hour(769)).await, (EndpointState::Paused, stopped));
    World::expect_state(&world.look_at(&waiting).await, DeliveryState::Cancelled);
    ok(store.endpoints().delete(&world.by, endpoint, hour(770)).await);
    assert_eq!(ok(store.failing_endpoints().judge(endpoint, PATIENCE, hour(771)).await), None);
}

/// SW-18, I13: those that need somebody are found among however many, and nobody else's.
pub async fn sw_18_what_needs_somebody_is_found(store: &dyn Storage) {
    let world = World::new(store).await;
    let lease = world.lease(at(0)).await;
    let gone = world.endpoint(HOLD).await;
    ok(store.endpoints().gone(gone, at(0)).await);
    let warned = world.endpoint(HOLD).await;
    work(&world, lease, Outcome::Failed, (1, 61)).await;
    let now = at(61 * HOUR);
    judge(&world, warned, now).await;
    let sound = world.endpoint(HOLD).await;
    let paused = world.endpoint(HOLD).await;
    world.set_active(paused, false, now).await;
    let found = async |world: &World<'_>, limit| {
        let found = ok(world.store.failing_endpoints().troubled(world.organization, limit).await);
        found.iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(found(&world, 9).await, [warned, gone], "not {sound}");
    assert_eq!(found(&world, 1).await, [warned]);
    assert!(found(&World::named(store, "elsewhere").await, 9).await.is_empty());
    ok(store.endpoints().delete(&world.by, warned, now).await);
    ok(store.endpoints().delete(&world.by, gone, now).await);
    assert!(found(&world, 9).await.is_empty());
}
