//! Endpoints that fail for long.

use std::time::Duration;

use abide_core::delivery::{DeliveryState, Reason};
use abide_core::endpoint::{EndpointState, Failing};
use abide_core::ids::EndpointId;
use abide_core::shell::Clock as _;
use abide_dialects::consentproof::ConsentProof;
use abide_engine::Options;
use abide_storage::Storage;
use abide_storage::endpoints::{EndpointPatch, EndpointView};

use crate::receiver::{Act, Receiver, answer, repeat};
use crate::test_dialects::WATCHED;
use crate::world::{PATIENT, World, events};

const HALF_A_DAY: Duration = Duration::from_hours(12);

/// Waits until an endpoint is as it should be, and answers it.
async fn until(
    world: &World,
    endpoint: EndpointId,
    what: &str,
    good: impl Fn(&EndpointView) -> bool,
) -> EndpointView {
    let deadline = tokio::time::Instant::now() + PATIENT;
    loop {
        let found = world.store.endpoints().get(world.by.organization, endpoint).await.unwrap();
        let found = found.unwrap();
        if good(&found) {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not {what}: {found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Lets half days pass, in each of which everybody is told something once and it fails.
async fn fail(world: &World, half_days: std::ops::Range<usize>) {
    for half_day in half_days {
        world.advance(HALF_A_DAY);
        let before = world.deliveries().await.len();
        world.record(&format!("person {half_day}"), "marketing").await;
        let tried = |all: &[abide_storage::history::DeliveryView]| {
            all[before..].iter().all(|one| one.attempts.iter().any(|one| one.status == Some(500)))
        };
        world.until("tried", tried).await;
    }
}

/// SW-18: an endpoint that fails for days is warned of and stopped, where its dialect wants that, and goes on with all that
/// was held when it is resumed; one of a dialect that knows of no such stop, ConsentProof's, is tried on and on.
#[tokio::test(flavor = "multi_thread")]
async fn sw_18_an_endpoint_that_fails_for_days_is_stopped() {
    let options = Options {
        judge_every: Duration::ZERO,
        housekeeping_every: Duration::from_millis(20),
        ..Options::default()
    };
    let world = World::with(options).await;
    let bad = repeat(1_000, &[Act::Read, answer("500 Oops", "")]);
    let failing = Receiver::start(vec![bad.clone()]).await;
    let other = Receiver::start(vec![bad]).await;
    let endpoint = world.endpoint(&WATCHED, &failing).await;
    let unwatched = world.endpoint(&ConsentProof, &other).await;

    fail(&world, 0..6).await;
    let is_warned = |one: &EndpointView| matches!(one.failing, Some(Failing::Warned { .. }));
    let warned = until(&world, endpoint, "warned", is_warned).await;
    assert_eq!(warned.state, EndpointState::Active);
    assert_eq!(world.store.metrics().stopped_endpoints.get(), 0);
    fail(&world, 6..11).await;
    let is_stopped = |one: &EndpointView| matches!(one.failing, Some(Failing::Stopped { .. }));
    let stopped = until(&world, endpoint, "stopped", is_stopped).await;
    assert_eq!(stopped.state, EndpointState::Paused);
    assert_eq!(stopped.failing.map(Failing::since), warned.failing.map(Failing::since));
    let deadline = tokio::time::Instant::now() + PATIENT;
    while world.store.metrics().stopped_endpoints.get() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "not counted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let other = world.store.endpoints().get(world.by.organization, unwatched).await.unwrap();
    let other = other.unwrap();
    assert_eq!((other.state, other.failing), (EndpointState::Active, None));

    let sent = failing.requests().len();
    world.record("ada", "marketing").await;
    let held = |all: &[abide_storage::history::DeliveryView]| {
        let ours = all.iter().rev().find(|one| one.endpoint == endpoint).unwrap();
        (ours.state, ours.reason) == (DeliveryState::Held, Some(Reason::EndpointPaused))
    };
    let all = world.until("held", held).await;
    let held = all.iter().rev().find(|one| one.endpoint == endpoint).unwrap().event;
    assert_eq!(failing.requests().len(), sent);
    // Its owner mends it, and resumes it.
    let good = Receiver::start(vec![repeat(1_000, &[Act::Read, answer("200 OK", "")])]).await;
    let url = Some(format!("http://{}/", good.addr()));
    let patch = EndpointPatch { url, is_active: Some(true), ..EndpointPatch::default() };
    let endpoints = world.store.endpoints();
    let resumed = endpoints.change(&world.by, endpoint, patch, world.clock.now()).await.unwrap();
    assert_eq!((resumed.state, resumed.failing), (EndpointState::Active, None));
    let deadline = tokio::time::Instant::now() + PATIENT;
    while !events(&good.requests()).contains(&held) {
        assert!(tokio::time::Instant::now() < deadline, "what was held is not sent");
        // Whoever failed is called seldom until it answers.
        world.advance(Duration::from_mins(2));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
