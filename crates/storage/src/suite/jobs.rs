//! Work over many deliveries.

use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, Outcome, Reason, Run};
use abide_core::endpoint::{DeliveryRules, EventFilter, Source};
use abide_core::event::{EventKind, sample};
use abide_core::ids::{EndpointId, JobId, LeaseId};
use abide_core::job::{JobKind, JobState, Plan, Progress, Wish};

use super::world::{HOLD, SKIP, TEST, World, at, finished_unopened, grant, ok, refusal};
use crate::Storage;
use crate::endpoints::EndpointPatch;
use crate::history::DeliveryView;
use crate::jobs::{Asked, GONE_HELD_MILLIS, JobView, MOST_RUNNING, Page};

pub(super) fn wish(kind: JobKind, endpoint: Option<EndpointId>) -> Wish {
    Wish {
        kind,
        endpoint,
        event_kind: None,
        states: Vec::new(),
        from: None,
        until: None,
        run: None,
        rate: None,
    }
}

/// No dialect's retries are whole series.
fn no_series() -> Arc<[&'static str]> {
    Arc::from([])
}

fn plan(wish: Wish) -> Plan {
    Plan::of(wish).expect("a wish that can be carried out")
}

pub(super) async fn create(world: &World<'_>, wish: Wish, now: Timestamp) -> JobView {
    match ok(world.store.jobs().create(&world.by, &plan(wish), now).await) {
        Asked::Created(job) => job,
        Asked::Running(job) => panic!("{} runs already", job.id),
    }
}

/// Works a job until its end, a second per page.
pub(super) async fn finish(world: &World<'_>, job: JobId, now: Timestamp) -> JobView {
    for page in 0..100 {
        let now = now.plus_millis(page * 1_000);
        if ok(world.store.jobs().work(job, no_series(), now).await) == Page::Ended {
            return look(world, job).await;
        }
    }
    panic!("the job does not end");
}

async fn look(world: &World<'_>, job: JobId) -> JobView {
    ok(world.store.jobs().get(world.organization, job).await).expect("the job")
}

/// Sends everything due, each with that outcome.
async fn send_all(world: &World<'_>, lease: LeaseId, outcome: Outcome, now: Timestamp) {
    for delivery in world.claim(lease, now).await {
        world.attempt(delivery, lease, outcome, now).await;
    }
}

async fn states(world: &World<'_>, endpoint: EndpointId) -> Vec<DeliveryState> {
    let all = world.everything().await.deliveries;
    all.iter().filter(|row| row.endpoint == endpoint).map(|row| row.state).collect()
}

/// SW-19: every failed delivery of the frozen filter runs again, at the job's rate, but for those of stopped and deleted
/// endpoints, which are counted; what fails later is not touched.
pub async fn sw_19_failed_deliveries_run_again(store: &dyn Storage) {
    let world = World::new(store).await;
    let good = world.endpoint(HOLD).await;
    let paused = world.endpoint(HOLD).await;
    let deleted = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    for n in 0..5 {
        world.record(grant(&format!("person_{n}"), "news"), at(n)).await;
    }
    send_all(&world, lease, Outcome::Failed, at(10)).await;
    world.record(grant("well", "news"), at(11)).await;
    send_all(&world, lease, Outcome::Delivered, at(12)).await;
    world.set_active(paused, false, at(13)).await;
    ok(store.endpoints().delete(&world.by, deleted, at(13)).await);
    let wish = Wish { rate: Some(2), ..wish(JobKind::RetryFailed, None) };
    let estimate = ok(store.jobs().estimate(world.organization, &plan(wish.clone()), at(19)).await);
    let job = create(&world, wish.clone(), at(20)).await;
    assert_eq!(
        (job.state, job.progress, job.created_at),
        (JobState::Running, Progress::default(), at(20))
    );
    assert_eq!(job.created_by, "operator");
    assert_eq!(world.deeds().await[0], "job.create");
    world.record(grant("later", "news"), at(21)).await;
    send_all(&world, lease, Outcome::Failed, at(22)).await;

    assert_eq!(ok(store.jobs().work(job.id, no_series(), at(1_020)).await), Page::More);
    assert_eq!(look(&world, job.id).await.progress.done, 2, "two a second");
    assert_eq!(ok(store.jobs().work(job.id, no_series(), at(1_030)).await), Page::Paced);
    let again = Wish { rate: Some(9), ..wish };
    let twin = ok(store.jobs().create(&world.by, &plan(again), at(1_030)).await);
    assert!(matches!(&twin, Asked::Running(same) if same.id == job.id), "{twin:?}");
    assert_eq!(world.deeds().await[0], "consent.record", "a second one leaves nothing");
    assert_eq!(ok(store.jobs().running(JobId::from_key(0), 9).await), [job.id]);
    let ended = finish(&world, job.id, at(2_000)).await;
    assert!(ok(store.jobs().running(JobId::from_key(0), 9).await).is_empty());
    let expected = Progress {
        looked: 15,
        done: 5,
        endpoint_stopped: 5,
        endpoint_deleted: 5,
        ..Progress::default()
    };
    assert_eq!((ended.state, ended.progress), (JobState::Done, expected));
    assert_eq!((estimate.progress, estimate.at_least), (expected, false), "as was estimated");
    assert!(ended.ended_at.is_some());
    assert_eq!(world.deeds().await[0], "job.end");
    let mut expected = vec![DeliveryState::Pending; 5];
    expected.extend([DeliveryState::Delivered, DeliveryState::Failed]);
    assert_eq!(states(&world, good).await, expected);
    let rows = world.everything().await.deliveries;
    let row = rows.iter().find(|row| row.endpoint == good).expect("the first");
    let whole = ok(store.delivery_log().delivery(world.organization, row.id).await);
    let run = whole.expect("the delivery").runs.remove(1);
    assert_eq!((run.number, run.run), (2, Run::Single));
    let asked = run.asked.expect("somebody");
    assert_eq!((asked.by.as_str(), asked.job), ("operator", Some(job.id)));
    let totals = ok(store.counts().totals(world.organization, &[good]).await)[0];
    assert_eq!((totals.successful, totals.failed), (1, 1), "five are on their way again");
}

/// SW-19: a retry keeps to its endpoint, kind, states and times, and opens the run that was wished for, or the dialect's.
pub async fn sw_19_a_retry_keeps_to_its_filter(store: &dyn Storage) {
    let world = World::new(store).await;
    let one = world.endpoint(SKIP).await;
    let two = world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let made = world.record(grant("ada", "news"), at(1_000)).await;
    send_all(&world, lease, Outcome::Failed, at(1_000)).await;
    ok(store.consents().withdraw(&world.by, made.id.id, None, at(2_000)).await);
    send_all(&world, lease, Outcome::Failed, at(2_000)).await;
    world.record(grant("bob", "news"), at(3_000)).await;
    world.set_active(one, false, at(3_001)).await;
    world.claim(lease, at(3_001)).await;
    world.set_active(one, true, at(3_002)).await;
    let count = async |wish: Wish| {
        let estimate = store.jobs().estimate(world.organization, &plan(wish), at(4_000)).await;
        ok(estimate).progress.done
    };
    let all = wish(JobKind::RetryFailed, None);
    assert_eq!(count(all.clone()).await, 4);
    assert_eq!(count(Wish { endpoint: Some(two), ..all.clone() }).await, 2);
    let kind = Some(EventKind::ConsentWithdrawn);
    assert_eq!(count(Wish { event_kind: kind, ..all.clone() }).await, 2);
    assert_eq!(count(Wish { from: Some(at(1_001)), ..all.clone() }).await, 2);
    assert_eq!(count(Wish { until: Some(at(2_000)), ..all.clone() }).await, 2);
    let cancelled = vec![DeliveryState::Cancelled];
    assert_eq!(count(Wish { states: cancelled.clone(), ..all.clone() }).await, 1);
    let both = vec![DeliveryState::Cancelled, DeliveryState::Failed];
    assert_eq!(count(Wish { states: both, ..all.clone() }).await, 5);

    let wished = Wish { states: cancelled, run: Some(Run::Series), ..all.clone() };
    let job = create(&world, wished, at(5_000)).await;
    finish(&world, job.id, at(5_000)).await;
    let other = create(&world, Wish { endpoint: Some(two), ..all.clone() }, at(6_000)).await;
    assert_eq!(
        ok(store.jobs().work(other.id, Arc::from(["consentproof"]), at(7_000)).await),
        Page::Ended
    );
    let third = create(&world, Wish { endpoint: Some(one), ..all }, at(8_000)).await;
    assert_eq!(ok(store.jobs().work(third.id, no_series(), at(9_000)).await), Page::Ended);
    let mut runs = Vec::new();
    for delivery in world.claim(lease, at(10_000)).await {
        runs.push(world.send(delivery, lease, at(10_000)).await.run);
    }
    let (series, single) = (Run::Series, Run::Single);
    assert_eq!(runs, [series, series, series, single, single], "in the order of asking");
    let list = async |before, limit| {
        let listed = ok(store.jobs().list(world.organization, before, limit).await);
        listed.iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 2).await, [third.id, other.id]);
    assert_eq!(list(Some(other.id), 2).await, [job.id]);
}

/// SW-19: an endpoint is sent what it wants and was not sent, from before it was there and from while it was stopped,
/// under the same event ids, once.
pub async fn sw_19_missed_events_are_sent(store: &dyn Storage) {
    let world = World::new(store).await;
    let only = vec![EventKind::ConsentCreated, EventKind::ConsentBatchCreated];
    let early = world.record(grant("early", "news"), at(1_000)).await;
    world.record(grant("erased", "news"), at(2_000)).await;
    let endpoint = world.endpoint_for(SKIP, EventFilter::Only(only)).await.id;
    let lease = world.lease(at(3_000)).await;
    world.record(grant("told", "news"), at(3_000)).await;
    send_all(&world, lease, Outcome::Delivered, at(3_000)).await;
    world.set_active(endpoint, false, at(4_000)).await;
    world.record(grant("missed", "news"), at(5_000)).await;
    let batch = vec![grant("one", "news"), grant("two", "news")];
    ok(store.consents().record_batch(&world.by, batch, at(6_000)).await);
    ok(store.consents().withdraw(&world.by, early.id.id, None, at(7_000)).await);
    world.set_active(endpoint, true, at(8_000)).await;
    ok(store.subjects().erase(&world.by, "erased", at(8_000)).await);
    assert_eq!(states(&world, endpoint).await, [DeliveryState::Delivered]);

    let all = wish(JobKind::ReplayMissing, Some(endpoint));
    let part = Wish { from: Some(at(5_000)), until: Some(at(6_000)), ..all.clone() };
    let estimate =
        ok(store.jobs().estimate(world.organization, &plan(part.clone()), at(9_000)).await);
    assert_eq!((estimate.progress.looked, estimate.progress.done), (1, 1));
    let job = create(&world, part, at(9_000)).await;
    world.set_active(endpoint, false, at(9_001)).await;
    world.record(grant("after", "news"), at(9_002)).await;
    world.set_active(endpoint, true, at(9_003)).await;
    assert_eq!(finish(&world, job.id, at(10_000)).await.progress.done, 1);
    let kind = Some(EventKind::ConsentBatchCreated);
    let job = create(&world, Wish { event_kind: kind, ..all.clone() }, at(20_000)).await;
    assert_eq!(finish(&world, job.id, at(20_000)).await.progress.done, 1);
    let job = create(&world, all.clone(), at(30_000)).await;
    let progress = finish(&world, job.id, at(30_000)).await.progress;
    let expected = Progress { looked: 7, done: 2, erased: 1, ..Progress::default() };
    assert_eq!(progress, expected, "the first, and the one after");
    let job = create(&world, all, at(40_000)).await;
    assert_eq!(finish(&world, job.id, at(40_000)).await.progress.done, 0, "nothing twice");

    let made = world.everything().await.deliveries;
    let waiting: Vec<&DeliveryView> =
        made.iter().filter(|row| row.state == DeliveryState::Pending).collect();
    assert_eq!(waiting.len(), 4);
    for row in waiting {
        let whole = ok(store.delivery_log().delivery(world.organization, row.id).await);
        let runs = whole.expect("the delivery").runs;
        assert!(runs[0].asked.as_ref().is_some_and(|asked| asked.job.is_some()));
        assert_eq!(runs.len(), 1);
    }
    send_all(&world, lease, Outcome::Delivered, at(50_000)).await;
    assert_eq!(states(&world, endpoint).await, [DeliveryState::Delivered; 5]);
}

/// SW-19, I7: in a lane, what was missed is sent as the state is now; an endpoint that was told a newer state is not told
/// an older event.
pub async fn i7_a_replay_in_a_lane_sends_the_state(store: &dyn Storage) {
    const LANE: DeliveryRules = DeliveryRules { source: Source::Lane, ..SKIP };
    let world = World::new(store).await;
    world.record(grant("ada", "news"), at(1)).await;
    world.record(grant("ada", "post"), at(2)).await;
    world.record(grant("bob", "news"), at(3)).await;
    let endpoint = world.endpoint(LANE).await;
    let lease = world.lease(at(4)).await;
    world.record(grant("bob", "post"), at(5)).await;
    send_all(&world, lease, Outcome::Delivered, at(6)).await;
    let job = create(&world, wish(JobKind::ReplayMissing, Some(endpoint)), at(10)).await;
    let progress = finish(&world, job.id, at(1_000)).await.progress;
    assert_eq!((progress.looked, progress.done, progress.told_newer), (4, 2, 1));
    let claimed = world.claim(lease, at(5_000)).await;
    assert_eq!(claimed.len(), 1, "the second carries the state of both");
    world.attempt(claimed[0], lease, Outcome::Delivered, at(5_000)).await;
    let mut found = states(&world, endpoint).await;
    found.sort_unstable();
    assert_eq!(
        found,
        [DeliveryState::Delivered, DeliveryState::Delivered, DeliveryState::Superseded]
    );
}

/// SW-19: a replay leaves out a stopped endpoint's events, and counts them.
pub async fn sw_19_a_stopped_endpoint_is_sent_nothing(store: &dyn Storage) {
    let world = World::new(store).await;
    world.record(grant("ada", "news"), at(1)).await;
    let endpoint = world.endpoint(SKIP).await;
    let job = create(&world, wish(JobKind::ReplayMissing, Some(endpoint)), at(10)).await;
    world.set_active(endpoint, false, at(11)).await;
    let progress = finish(&world, job.id, at(1_000)).await.progress;
    assert_eq!((progress.done, progress.endpoint_stopped), (0, 1));
    assert!(world.everything().await.deliveries.is_empty());
    let again = create(&world, wish(JobKind::ReplayMissing, Some(endpoint)), at(2_000)).await;
    ok(store.endpoints().delete(&world.by, endpoint, at(2_001)).await);
    assert_eq!(finish(&world, again.id, at(3_000)).await.progress.endpoint_deleted, 1);
}

/// I2: what waits is given up by somebody's wish: held, parked and pending rows, and nothing that is being sent or came
/// later; each says that it was, and who wished it.
pub async fn i2_what_waits_is_given_up(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let other =
        world.endpoint_for(HOLD, EventFilter::Only(vec![EventKind::ConsentCreated])).await.id;
    let lease = world.lease(at(0)).await;
    for n in 0..4 {
        world.record(grant(&format!("person_{n}"), "news"), at(n)).await;
    }
    let deliveries = store.deliveries();
    let claimed = ok(deliveries.claim_due(lease, &[other], 2, at(9)).await).claimed;
    assert!(claimed.len() == 2 && claimed.iter().all(|row| row.endpoint == endpoint));
    world.attempt(claimed[0].id, lease, Outcome::Gone, at(9)).await;
    ok(deliveries.claim_due(lease, &[endpoint], 1, at(9)).await);
    for n in 4..8 {
        world.record(grant(&format!("person_{n}"), "news"), at(10)).await;
    }
    let before = states(&world, endpoint).await;
    let (held, claimed) = (DeliveryState::Held, DeliveryState::Claimed);
    let mut expected = vec![held, claimed, DeliveryState::Parked, DeliveryState::Parked];
    expected.extend([DeliveryState::Pending; 4]);
    assert_eq!(before, expected);
    let untouched = states(&world, other).await;

    let job = create(&world, wish(JobKind::Discard, Some(endpoint)), at(10)).await;
    world.record(grant("later", "news"), at(11)).await;
    let progress = finish(&world, job.id, at(1_000)).await.progress;
    assert_eq!(progress.done, 7);
    let mut expected = vec![DeliveryState::Discarded; 8];
    expected[before.iter().position(|state| *state == DeliveryState::Claimed).expect("one")] =
        DeliveryState::Claimed;
    expected.push(DeliveryState::Pending);
    assert_eq!(states(&world, endpoint).await, expected);
    assert_eq!(states(&world, other).await[..8], untouched[..]);
    for row in world.everything().await.deliveries {
        if row.state == DeliveryState::Discarded {
            assert_eq!(row.reason, Some(Reason::DiscardedByHand));
            let whole = ok(store.delivery_log().delivery(world.organization, row.id).await);
            let asked = whole.expect("the delivery").discarded.expect("somebody");
            assert_eq!((asked.by.as_str(), asked.job), ("operator", Some(job.id)));
        }
    }
    let again = wish(JobKind::RetryFailed, Some(endpoint));
    let again = Wish { states: vec![DeliveryState::Discarded], ..again };
    let job = create(&world, again, at(2_000)).await;
    assert_eq!(finish(&world, job.id, at(3_000)).await.progress.done, 7, "and asked for again");
}

/// SW-19: a job is stopped between two pages: what is done stays done. One that is done cannot be stopped.
pub async fn sw_19_a_job_is_stopped(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    for n in 0..4 {
        world.record(grant(&format!("person_{n}"), "news"), at(n)).await;
    }
    send_all(&world, lease, Outcome::Failed, at(10)).await;
    let wish = Wish { rate: Some(1), ..wish(JobKind::RetryFailed, Some(endpoint)) };
    let job = create(&world, wish.clone(), at(20)).await;
    assert_eq!(ok(store.jobs().work(job.id, no_series(), at(20)).await), Page::More);
    let stopped = ok(store.jobs().cancel(&world.by, job.id, at(30)).await);
    assert_eq!((stopped.state, stopped.ended_at), (JobState::Cancelled, Some(at(30))));
    assert_eq!(world.deeds().await[0], "job.cancel");
    assert_eq!(ok(store.jobs().cancel(&world.by, job.id, at(40)).await), stopped, "once");
    assert_eq!(ok(store.jobs().work(job.id, no_series(), at(5_000)).await), Page::Ended);
    assert_eq!(look(&world, job.id).await, stopped);
    let waits = states(&world, endpoint).await;
    assert_eq!(waits.iter().filter(|state| **state == DeliveryState::Pending).count(), 1);
    let another = create(&world, wish, at(6_000)).await;
    assert_ne!(another.id, job.id);
    finish(&world, another.id, at(7_000)).await;
    refusal(store.jobs().cancel(&world.by, another.id, at(60_000)).await);
    refusal(store.jobs().cancel(&world.by, JobId::from_key(1), at(60_000)).await);
}

/// SW-19: a page changes few deliveries, however many the job may do now, so that it holds nobody up for long; and nothing is
/// done twice where two look for the next page at once.
pub async fn sw_19_a_page_of_a_job_is_short(store: &dyn Storage) {
    let world = World::new(store).await;
    for n in 0..120 {
        world.record(grant(&format!("person_{n}"), "news"), at(n)).await;
    }
    let endpoint = world.endpoint(HOLD).await;
    let wish = Wish { rate: Some(1_000), ..wish(JobKind::ReplayMissing, Some(endpoint)) };
    let job = create(&world, wish, at(100)).await;
    let work = || store.jobs().work(job.id, no_series(), at(10_000));
    assert_eq!(ok(work().await), Page::More);
    let progress = look(&world, job.id).await.progress;
    assert!((1..=64).contains(&progress.done), "{progress:?}");
    let (one, other) = tokio::join!(work(), work());
    assert!([ok(one), ok(other)].contains(&Page::More));
    let progress = finish(&world, job.id, at(20_000)).await.progress;
    assert_eq!((progress.looked, progress.done), (120, 120));
    assert_eq!(states(&world, endpoint).await.len(), 120);
}

/// SW-19: a job stands still while its organization is being deleted, and goes on where it was when that is taken back;
/// another organization's goes on all the time.
pub async fn sw_19_a_job_stands_still_during_a_deletion(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let lease = ours.lease(at(0)).await;
    let mut jobs = Vec::new();
    for world in [&ours, &theirs] {
        world.endpoint(HOLD).await;
        for n in 0..3 {
            world.record(grant(&format!("person_{n}"), "news"), at(n)).await;
        }
        send_all(world, lease, Outcome::Failed, at(10)).await;
        let wish = Wish { rate: Some(1), ..wish(JobKind::RetryFailed, None) };
        jobs.push(create(world, wish, at(20)).await.id);
    }
    let [of_ours, of_theirs] = jobs[..] else { panic!("two jobs") };
    let work = async |job, now| ok(store.jobs().work(job, no_series(), now).await);
    assert_eq!(work(of_ours, at(1_000)).await, Page::More);
    ok(store.deletions().ask(&ours.by, "ours", 1, at(1_500)).await);
    let before = (look(&ours, of_ours).await, ours.everything().await);
    assert_eq!(before.0.progress.done, 1);
    assert_eq!(ok(store.jobs().running(JobId::from_key(0), 9).await), [of_theirs]);
    assert_eq!(work(of_ours, at(3_000)).await, Page::Suspended);
    assert_eq!((look(&ours, of_ours).await, ours.everything().await), before);
    assert_eq!(finish(&theirs, of_theirs, at(3_000)).await.progress.done, 3);

    ok(store.deletions().restore(&ours.by, at(60_000)).await);
    assert_eq!(ok(store.jobs().running(JobId::from_key(0), 9).await), [of_ours]);
    let ended = finish(&ours, of_ours, at(61_000)).await;
    assert_eq!((ended.state, ended.progress.done), (JobState::Done, 3));
}

/// SW-19: a retry leaves alone what somebody asked for since it was created, though it failed again; and failed tests.
pub async fn sw_19_a_retry_leaves_what_moved_on_and_tests(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    let made = world.delivery("ada", at(1)).await;
    send_all(&world, lease, Outcome::Failed, at(2)).await;
    let job = create(&world, wish(JobKind::RetryFailed, None), at(20)).await;
    ok(store.history().retry(&world.by, made.id, Run::Single, at(25)).await);
    send_all(&world, lease, Outcome::Failed, at(26)).await;
    let progress = finish(&world, job.id, at(30)).await.progress;
    assert_eq!((progress.done, progress.moved_on), (0, 1), "{progress:?}");
    World::expect_state(&world.look_at(&made).await, DeliveryState::Failed);

    let later = create(&world, wish(JobKind::RetryFailed, None), at(20_000)).await;
    assert_eq!(finish(&world, later.id, at(21_000)).await.progress.done, 1, "and not for ever");
    send_all(&world, lease, Outcome::Delivered, at(22_000)).await;
    let engine = world.engine(at(23_000)).await;
    let (kind, body) = (EventKind::ConsentCreated, sample(EventKind::ConsentCreated).body);
    let sent = ok(store.endpoints().test(&world.by, endpoint, kind, body, at(24_000)).await);
    assert_eq!(engine.taken().remove(0).id, sent.delivery);
    let test = (sent.delivery, endpoint);
    let report = finished_unopened(test, engine.lease, TEST, Outcome::Failed, at(24_000));
    world.report(report, at(24_000)).await;
    let tests = create(&world, wish(JobKind::RetryFailed, None), at(25_000)).await;
    assert_eq!(finish(&world, tests.id, at(26_000)).await.progress.done, 0);
    let row = &ok(store.history().deliveries_of(world.organization, sent.event).await)[0];
    assert_eq!((row.id, row.state), (sent.delivery, DeliveryState::Failed));
}

/// I13: a job sees nothing of another organization, and none sees it; nor do too many run at once.
pub async fn i13_jobs_keep_to_their_organization(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let lease = ours.lease(at(0)).await;
    let mut endpoints = Vec::new();
    for world in [&ours, &theirs] {
        endpoints.push(world.endpoint(HOLD).await);
        world.record(grant("ada", "news"), at(1)).await;
    }
    send_all(&ours, lease, Outcome::Failed, at(2)).await;
    let before = theirs.everything().await;
    let job = create(&ours, wish(JobKind::RetryFailed, None), at(3)).await;
    assert_eq!(finish(&ours, job.id, at(4)).await.progress.done, 1);
    assert_eq!(theirs.everything().await, before);
    assert_eq!(ok(store.jobs().get(theirs.organization, job.id).await), None);
    assert!(ok(store.jobs().list(theirs.organization, None, 9).await).is_empty());
    refusal(store.jobs().cancel(&theirs.by, job.id, at(5)).await);
    let other = plan(wish(JobKind::Discard, Some(endpoints[0])));
    let text = refusal(store.jobs().create(&theirs.by, &other, at(5)).await);
    assert!(text.starts_with("`endpoint`"), "{text}");
    refusal(store.jobs().estimate(theirs.organization, &other, at(5)).await);
    for n in 1..=i64::from(MOST_RUNNING) {
        create(&ours, Wish { from: Some(at(n)), ..wish(JobKind::RetryFailed, None) }, at(6)).await;
    }
    let one_more = plan(wish(JobKind::RetryFailed, None));
    refusal(store.jobs().create(&ours.by, &one_more, at(7)).await);
    ok(store.jobs().create(&theirs.by, &one_more, at(7)).await);
    let log = store.delivery_log();
    let filter = crate::delivery_log::DeliveryFilter::default();
    let listed = ok(log.list(ours.organization, &filter, None, 9).await).items;
    assert_eq!(listed.len(), 1);
    assert_eq!(ok(log.delivery(theirs.organization, listed[0].id).await), None);
    let of_theirs = filter_of(endpoints[1]);
    assert!(ok(log.list(ours.organization, &of_theirs, None, 9).await).items.is_empty());
    let totals = ok(store.counts().totals(theirs.organization, &[endpoints[0]]).await);
    assert_eq!(totals, [crate::counts::Totals::default()]);
}

fn filter_of(endpoint: EndpointId) -> crate::delivery_log::DeliveryFilter {
    crate::delivery_log::DeliveryFilter { endpoint: Some(endpoint), ..Default::default() }
}

/// SW-13, I2: what is held for an endpoint that answered 410 is given up after a week, by the system and on record; what is
/// held for a paused one stays, and so does what is younger.
pub async fn sw_13_a_gone_endpoints_deliveries_end(store: &dyn Storage) {
    let world = World::new(store).await;
    let gone = world.endpoint(HOLD).await;
    let paused = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    world.record(grant("ada", "news"), at(0)).await;
    ok(store.endpoints().gone(gone, at(1_000)).await);
    world.set_active(paused, false, at(1_000)).await;
    world.claim(lease, at(1_000)).await;
    world.record(grant("bob", "news"), at(2_000)).await;
    let discard = async |now: Timestamp| {
        ok(store.jobs().discard_gone(now.plus_millis(-GONE_HELD_MILLIS), 9, now).await)
    };
    assert_eq!(discard(at(GONE_HELD_MILLIS + 999)).await, 0, "not yet a week");
    // A change that is no return does not begin the week anew.
    let note = EndpointPatch { description: Some(None), ..EndpointPatch::default() };
    ok(store.endpoints().change(&world.by, gone, note, at(5_000)).await);
    ok(store.deletions().ask(&world.by, "default", 30, at(5_000)).await);
    assert_eq!(discard(at(GONE_HELD_MILLIS + 1_000)).await, 0, "nothing of what may be restored");
    ok(store.deletions().restore(&world.by, at(5_000)).await);
    assert_eq!(discard(at(GONE_HELD_MILLIS + 1_000)).await, 1);
    let entry = world.audit().await.remove(0);
    assert_eq!((entry.actor.as_str(), entry.action.as_str()), ("system", "endpoint.discard_held"));
    assert_eq!(entry.object, gone.to_string());
    assert_eq!(states(&world, gone).await, [DeliveryState::Discarded, DeliveryState::Held]);
    assert_eq!(states(&world, paused).await, [DeliveryState::Held; 2]);
    let ended = world.everything().await.deliveries.remove(0);
    assert_eq!(ended.reason, Some(Reason::DiscardedAfterGone));
    world.set_active(gone, true, at(6_000)).await;
    assert_eq!(discard(at(3 * GONE_HELD_MILLIS)).await, 0, "it is back");
    assert_eq!(ok(store.deliveries().release_held(9, at(6_001)).await), 1);
    assert_eq!(states(&world, gone).await, [DeliveryState::Discarded, DeliveryState::Pending]);
}
