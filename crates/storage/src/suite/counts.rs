//! How deliveries went, in numbers.

use abide_core::Timestamp;
use abide_core::delivery::{Outcome, Run};
use abide_core::ids::{EndpointId, LeaseId};

use super::world::{FIRST, HOLD, RETRY, World, at, finished, finished_unopened, grant, ok};
use crate::Storage;
use crate::counts::{
    BUCKET_MILLIS, FOLD_AFTER_MILLIS, FOLDED_MILLIS, Happened, Point, Step, Totals,
};
use crate::deliveries::{GiveBack, GivenBack, Report, Sent};

async fn totals(world: &World<'_>, endpoint: EndpointId) -> Totals {
    let asked = [endpoint];
    ok(world.store.counts().totals(world.organization, &asked).await)[0]
}

async fn series(
    world: &World<'_>,
    of: Option<EndpointId>,
    step: Step,
    until: Timestamp,
) -> Vec<Point> {
    let span = (Timestamp::from_millis(0), until);
    ok(world.store.counts().series(world.organization, of, step, span, 1_000).await)
}

fn sum(points: &[Point]) -> Happened {
    points.iter().fold(Happened::default(), |sum, point| Happened {
        attempts_successful: sum.attempts_successful + point.happened.attempts_successful,
        attempts_failed: sum.attempts_failed + point.happened.attempts_failed,
        attempts_blameless: sum.attempts_blameless + point.happened.attempts_blameless,
        successful: sum.successful + point.happened.successful,
        failed: sum.failed + point.happened.failed,
    })
}

fn happened(attempts: (u64, u64), ended: (u64, u64)) -> Happened {
    Happened {
        attempts_successful: attempts.0,
        attempts_failed: attempts.1,
        successful: ended.0,
        failed: ended.1,
        ..Happened::default()
    }
}

/// Sends what is due, each with this outcome; answers how many.
async fn work(world: &World<'_>, lease: LeaseId, outcome: Outcome, now: Timestamp) -> usize {
    let claimed = world.claim(lease, now).await;
    for delivery in &claimed {
        world.attempt(*delivery, lease, outcome, now).await;
    }
    claimed.len()
}

/// P10: each delivery is in the totals once, as its last end was, however often it was tried or asked for again.
pub async fn p10_totals_count_each_delivery_once(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let other = world.endpoint_for(HOLD, abide_core::endpoint::EventFilter::Only(vec![])).await.id;
    let lease = world.lease(at(0)).await;
    assert_eq!(totals(&world, endpoint).await, Totals::default());
    let made = world.delivery("ada", at(0)).await;
    work(&world, lease, RETRY, at(1_000)).await;
    let found = totals(&world, endpoint).await;
    assert_eq!((found.total(), found.last_attempt_at), (0, Some(at(1_000))), "it has not ended");
    work(&world, lease, Outcome::Failed, at(61_000)).await;
    let failed = Totals { successful: 0, failed: 1, last_attempt_at: Some(at(61_000)) };
    assert_eq!(totals(&world, endpoint).await, failed);
    let retry = async |now| ok(store.history().retry(&world.by, made.id, Run::Single, now).await);
    retry(at(70_000)).await;
    assert_eq!(totals(&world, endpoint).await.total(), 0, "it is on its way again");
    work(&world, lease, Outcome::Delivered, at(70_000)).await;
    let delivered = Totals { successful: 1, failed: 0, last_attempt_at: Some(at(70_000)) };
    assert_eq!(totals(&world, endpoint).await, delivered);
    retry(at(80_000)).await;
    work(&world, lease, Outcome::Skipped, at(80_000)).await;
    assert_eq!(totals(&world, endpoint).await.successful, 1);
    world.delivery("bob", at(90_000)).await;
    work(&world, lease, Outcome::Gone, at(90_000)).await;
    let found = totals(&world, endpoint).await;
    assert_eq!((found.successful, found.failed), (1, 0), "what is held has not ended");
    assert_eq!(totals(&world, other).await, Totals::default());
    let points = series(&world, Some(endpoint), Step::Bucket, at(100_000)).await;
    assert_eq!(sum(&points), happened((2, 3), (2, 1)), "what happened, each time it happened");
    assert_eq!(series(&world, None, Step::Bucket, at(100_000)).await, points);
    assert!(series(&world, Some(other), Step::Bucket, at(100_000)).await.is_empty());
}

/// P10: hot successes, repeated reports, late outcomes and rows given back are each counted for what they are.
pub async fn p10_reports_are_counted_once(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let engine = world.engine(at(0)).await;
    let happened_so_far = async || sum(&series(&world, Some(endpoint), Step::Day, at(9_000)).await);
    let mut finished_rows = Vec::new();
    for reference in ["ada", "bob", "eve"] {
        let hot = world.delivery(reference, at(1)).await;
        let row = (hot.id, hot.endpoint);
        finished_rows.push(finished_unopened(row, engine.lease, FIRST, Outcome::Delivered, at(2)));
    }
    let report = Report { finished: finished_rows, given_back: Vec::new() };
    ok(store.deliveries().report(report.clone(), at(3)).await);
    assert_eq!(happened_so_far().await, happened((3, 0), (3, 0)));
    ok(store.deliveries().report(report, at(4)).await);
    assert_eq!(happened_so_far().await, happened((3, 0), (3, 0)), "reported again");
    let late = world.delivery("cy", at(5)).await;
    super::deliveries::lose_all(&world, engine.lease, 9).await;
    let row = (late.id, late.endpoint);
    let outcome = finished_unopened(row, engine.lease, FIRST, Outcome::Delivered, at(6));
    world.report(outcome, at(6)).await;
    assert_eq!(happened_so_far().await, happened((4, 0), (3, 0)), "a late one moves no delivery");
    let lease = world.lease(at(50)).await;
    world.claim(lease, at(60)).await;
    let opening = world.send(late.id, lease, at(60)).await;
    world.give_back(late.id, lease, Sent::Nothing, at(61)).await;
    assert_eq!(happened_so_far().await, happened((4, 0), (3, 0)), "never begun");
    world.report(finished(late.id, lease, &opening, RETRY, at(62)), at(62)).await;
    world.claim(lease, at(70)).await;
    world.send(late.id, lease, at(70)).await;
    world.give_back(late.id, lease, Sent::Perhaps, at(71)).await;
    let cut_off = Happened { attempts_blameless: 1, ..happened((4, 1), (3, 0)) };
    assert_eq!(
        happened_so_far().await,
        cut_off,
        "its end is unknown, and not the endpoint's doing"
    );
    world.claim(lease, at(80)).await;
    let to = GiveBack::Unreadable;
    let unreadable = GivenBack { delivery: late.id, lease, sent: Sent::Nothing, to };
    let report = Report { finished: Vec::new(), given_back: vec![unreadable] };
    ok(store.deliveries().report(report, at(81)).await);
    assert_eq!(happened_so_far().await, Happened { failed: 1, ..cut_off });
    let found = totals(&world, endpoint).await;
    assert_eq!((found.successful, found.failed), (3, 1));
}

/// P10: figures over time come in the steps asked for; what is old is folded into days, and no total changes by it.
pub async fn p10_figures_over_time_are_folded(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    let day = FOLDED_MILLIS;
    // 10:30 of the first day, and half a day later.
    let times = [0, BUCKET_MILLIS, 2 * BUCKET_MILLIS, day / 2, day, 40 * day];
    for (place, now) in times.into_iter().enumerate() {
        world.delivery(&format!("person_{place}"), at(now)).await;
        assert_eq!(work(&world, lease, Outcome::Delivered, at(now)).await, 1);
    }
    let until = at(41 * day);
    let points = series(&world, Some(endpoint), Step::Bucket, until).await;
    let starts: Vec<_> = points.iter().map(|point| point.start).collect();
    assert_eq!(starts, times.map(at), "half past ten is where a bucket begins");
    let per_hour = series(&world, Some(endpoint), Step::Hour, until).await;
    assert_eq!(per_hour[0].start, at(-BUCKET_MILLIS * 6), "a whole hour, from ten");
    assert_eq!((per_hour.len(), per_hour[0].happened.successful), (4, 3));
    let per_day = series(&world, Some(endpoint), Step::Day, until).await;
    let counts: Vec<_> = per_day.iter().map(|point| point.happened.successful).collect();
    assert_eq!(counts, [4, 1, 1]);
    let before = totals(&world, endpoint).await;
    let fold = async |now: Timestamp| {
        let mut after = 0;
        let before = now.plus_millis(-FOLD_AFTER_MILLIS);
        for _ in 0..9 {
            let Some(next) = ok(store.counts().fold(after, 1, before).await) else { return };
            after = next;
        }
        panic!("folding does not end");
    };
    fold(until).await;
    fold(until).await;
    let folded = series(&world, Some(endpoint), Step::Bucket, until).await;
    let counts: Vec<_> = folded.iter().map(|point| point.happened.successful).collect();
    assert_eq!(counts, [4, 1, 1]);
    assert_eq!(folded[2].start, at(40 * day), "the newest stays as it is");
    assert_eq!(series(&world, Some(endpoint), Step::Day, until).await, per_day);
    assert_eq!(series(&world, None, Step::Day, until).await, per_day);
    assert_eq!(totals(&world, endpoint).await, before);
    world.delivery("late", at(80 * day)).await;
    work(&world, lease, Outcome::Failed, at(80 * day)).await;
    fold(at(90 * day)).await;
    let found = totals(&world, endpoint).await;
    assert_eq!((found.successful, found.failed), (6, 1));
    let span = (at(0), at(90 * day));
    let newest = store.counts().series(world.organization, None, Step::Day, span, 1).await;
    assert_eq!(ok(newest)[0].happened, happened((0, 1), (0, 1)), "the newest where not all fit");
}

/// P24: what waits for an endpoint is counted up to a bound, with the age of the oldest.
pub async fn p24_what_waits_is_counted(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    let waiting =
        async |at_most| ok(store.counts().waiting(world.organization, endpoint, at_most).await);
    assert_eq!(waiting(9).await, crate::counts::Waiting::default());
    for n in 0..4 {
        world.record(grant(&format!("person_{n}"), "news"), at(n)).await;
    }
    ok(store.deliveries().claim_due(lease, &[endpoint], 9, at(1)).await);
    let found = waiting(9).await;
    assert_eq!((found.pending, found.parked, found.held), (2, 2, 0));
    assert_eq!((found.at_least, found.oldest_since), (false, Some(at(0))));
    world.set_active(endpoint, false, at(5)).await;
    world.claim(lease, at(5)).await;
    ok(store.deliveries().release_held(9, at(5)).await);
    let found = waiting(9).await;
    assert_eq!((found.pending, found.parked, found.held), (0, 0, 4));
    let found = waiting(3).await;
    assert_eq!((found.held, found.at_least), (3, true));
}
