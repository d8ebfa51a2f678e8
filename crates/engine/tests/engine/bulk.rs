//! Work over many deliveries, as the engine does it.

use std::collections::HashSet;
use std::time::Duration;

use abide_core::delivery::DeliveryState;
use abide_core::ids::JobId;
use abide_core::job::{JobKind, JobState, Plan, Wish};
use abide_core::shell::Clock;
use abide_engine::Options;
use abide_storage::jobs::{GONE_HELD_MILLIS, JobView};
use abide_storage::{Jobs, Storage};

use crate::receiver::{Act, Receiver, answer, repeat};
use crate::test_dialects::SNAPSHOT;
use crate::world::{Folder, PATIENT, World, events, requests};

fn good() -> Vec<Act> {
    repeat(1000, &[Act::Read, answer("200 OK", "")])
}

fn wish(kind: JobKind) -> Wish {
    Wish {
        kind,
        endpoint: None,
        event_kind: None,
        states: Vec::new(),
        from: None,
        until: None,
        run: None,
        rate: None,
    }
}

async fn create(world: &World, wish: Wish) -> JobId {
    let plan = Plan::of(wish).unwrap();
    let now = world.clock.now();
    let asked = Jobs::create(&*world.store, &world.by, &plan, now).await.unwrap();
    asked.into_job().id
}

async fn look(world: &World, job: JobId) -> JobView {
    Jobs::get(&*world.store, world.by.organization, job).await.unwrap().unwrap()
}

async fn until_done(world: &World, job: JobId) -> JobView {
    let deadline = tokio::time::Instant::now() + PATIENT;
    loop {
        let found = look(world, job).await;
        if found.state == JobState::Done {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not done: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// SW-19: a job that a crash cut off goes on after the restart, and touches each delivery once.
#[tokio::test(flavor = "multi_thread")]
async fn sw_19_a_job_outlives_a_crash() {
    let folder = Folder::new();
    let receiver = Receiver::start(vec![good()]).await;
    let world = World::on(folder.open().await, Options::default()).await;
    let endpoint = world.endpoint(&SNAPSHOT, &receiver).await;
    world.set_active(endpoint, false).await;
    for n in 0..30 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    let given_up =
        create(&world, Wish { endpoint: Some(endpoint), ..wish(JobKind::Discard) }).await;
    assert_eq!(until_done(&world, given_up).await.progress.done, 30);
    world.set_active(endpoint, true).await;
    let slow = Wish {
        states: vec![DeliveryState::Discarded],
        rate: Some(8),
        ..wish(JobKind::RetryFailed)
    };
    let job = create(&world, slow).await;
    let deadline = tokio::time::Instant::now() + PATIENT;
    while look(&world, job).await.progress.done < 8 {
        assert!(tokio::time::Instant::now() < deadline, "it does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(look(&world, job).await.state, JobState::Running);
    world.crash();

    let world = World::on(folder.open().await, Options::default()).await;
    let done = until_done(&world, job).await;
    assert_eq!((done.progress.looked, done.progress.done), (30, 30));
    let all = world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    assert_eq!(all.len(), 30);
    assert!(all.iter().all(|row| row.attempts.iter().all(|one| one.run == 2)), "asked for once");
}

/// SW-19: what an endpoint missed is sent under the ids of the events, once.
#[tokio::test(flavor = "multi_thread")]
async fn sw_19_a_new_endpoint_is_sent_what_was_before_it() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![good()]).await;
    for n in 0..20 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    let endpoint = world.endpoint(&SNAPSHOT, &receiver).await;
    let job =
        create(&world, Wish { endpoint: Some(endpoint), ..wish(JobKind::ReplayMissing) }).await;
    let done = until_done(&world, job).await;
    assert_eq!(done.progress.done, 20);
    let told: HashSet<_> = events(&requests(&receiver, 20).await).into_iter().collect();
    let all = world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    assert_eq!(all.iter().map(|one| one.event).collect::<HashSet<_>>(), told);
    assert_eq!((told.len(), receiver.requests().len()), (20, 20));
}

/// SW-13: what is held for an endpoint that stays gone is given up after a week, without anybody's doing.
#[tokio::test(flavor = "multi_thread")]
async fn sw_13_what_a_gone_endpoint_left_ends_after_a_week() {
    let options = Options { discard_every: Duration::ZERO, ..Options::default() };
    let world = World::with(options).await;
    let receiver = Receiver::start(vec![vec![Act::Read, answer("410 Gone", "")]]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    world.record("ada", "marketing").await;
    world.until("held", |all| all[0].state == DeliveryState::Held).await;
    let deadline = tokio::time::Instant::now() + PATIENT;
    let is_gone = async || {
        let page = abide_storage::PageWanted { page: 1, limit: 9 };
        let endpoints = world.store.endpoints();
        let all = endpoints.list(world.by.organization, None, page).await.unwrap();
        all.items[0].state == abide_core::endpoint::EndpointState::Gone
    };
    while !is_gone().await {
        assert!(tokio::time::Instant::now() < deadline, "not gone");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.advance(Duration::from_millis(GONE_HELD_MILLIS as u64 - 600_000));
    world.record("bob", "marketing").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Held, "not yet");
    world.advance(Duration::from_mins(10));
    let all = world.until("given up", |all| all[0].state == DeliveryState::Discarded).await;
    assert_eq!(all[1].state, DeliveryState::Held, "it waits for a week of its own");
}
