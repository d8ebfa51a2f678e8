//! Kinds that are read anew when they are sent: the latest state of an object, and a person's state in a lane.

use abide_core::delivery::{DeliveryState, ErrorClass, Outcome, Run};
use abide_core::endpoint::{DeliveryRules, Source};
use abide_core::event::EventBody;

use super::deliveries::lose_all;
use super::world::{RETRY, SKIP, World, at, finished, grant, ok};
use crate::Storage;
use crate::deliveries::{Ending, FinishedAttempt, Fresh, Sent};
use crate::history::DeliveryView;

const LATEST: DeliveryRules = DeliveryRules { source: Source::Latest, ..SKIP };
const LANE: DeliveryRules = DeliveryRules { source: Source::Lane, ..SKIP };

fn unknown(finished: FinishedAttempt) -> FinishedAttempt {
    FinishedAttempt {
        ending: Ending::Unknown,
        status: None,
        error: Some(ErrorClass::Timeout),
        ..finished
    }
}

async fn change(world: &World<'_>, purpose: &str, now: i64) -> DeliveryView {
    world.record(grant("ada", purpose), at(now)).await;
    world.newest_deliveries().await.remove(0)
}

/// I6: the state is read and its signature time drawn together; the time strictly increases per object, though the
/// clock stands still or goes back.
pub async fn i6_latest_state_with_increasing_time(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(LATEST).await;
    let lease = world.lease(at(0)).await;
    let (one, two) = (change(&world, "news", 1).await, change(&world, "news", 2).await);
    assert_eq!(world.claim(lease, at(10)).await.len(), 2);
    let mut last = at(0);
    for (row, now) in [(&one, 10), (&two, 10), (&one, 10), (&two, 5), (&one, 3)] {
        let opening = world.send(row.id, lease, at(now)).await;
        let signed = opening.signed_at.expect("a signature time");
        assert!(signed > last && signed >= at(now));
        last = signed;
        assert_eq!(opening.object_version, 2);
        match opening.fresh {
            Fresh::Latest(view) => assert_eq!(view.version, 2),
            other => panic!("not the latest state: {other:?}"),
        }
    }
}

/// I2: events about several people or nobody have no state to read anew: they are their own content everywhere.
pub async fn batches_are_their_own_content(store: &dyn Storage) {
    for (uri, rules) in [("latest", LATEST), ("lane", LANE)] {
        let world = World::named(store, uri).await;
        world.endpoint(rules).await;
        let lease = world.lease(at(0)).await;
        let batch = vec![grant("ada", "news"), grant("bob", "news")];
        ok(store.consents().record_batch(&world.by, batch, at(1)).await);
        let row = world.newest_deliveries().await.remove(0);
        world.claim(lease, at(1)).await;
        let opening = world.send(row.id, lease, at(1)).await;
        assert!(matches!(opening.fresh, Fresh::Snapshot));
        assert!(matches!(opening.event.body, EventBody::Batch(_)));
    }
}

/// I7: a newer change supersedes what waits in the lane, and the person's whole state is sent.
pub async fn i7_newer_supersedes_waiting(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(LANE).await;
    let lease = world.lease(at(0)).await;
    let (old, new) = (change(&world, "news", 1).await, change(&world, "post", 2).await);
    let found = world.look_at(&old).await;
    World::expect_state(&found, DeliveryState::Superseded);
    assert_eq!(found.superseded_by, Some(new.id));
    assert_eq!(world.claim(lease, at(3)).await, [new.id]);
    let opening = world.send(new.id, lease, at(3)).await;
    match &opening.fresh {
        Fresh::Subject(state) => assert_eq!(state.consents.len(), 2),
        other => panic!("not the person's state: {other:?}"),
    }
    world.report(finished(new.id, lease, &opening, Outcome::Delivered, at(3)), at(4)).await;
    World::expect_state(&world.look_at(&new).await, DeliveryState::Delivered);
    assert!(world.claim(lease, at(1_000_000)).await.is_empty());
}

/// I7: one attempt of a lane is open at a time; the newer delivery waits for its end and is woken by it.
pub async fn i7_one_open_attempt(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(LANE).await;
    let lease = world.lease(at(0)).await;
    let old = change(&world, "news", 1).await;
    world.claim(lease, at(1)).await;
    let first = world.send(old.id, lease, at(1)).await;
    let new = change(&world, "post", 2).await;
    assert_eq!(world.claim(lease, at(2)).await, [new.id]);
    assert_eq!(world.moved(new.id, lease, at(2)).await, DeliveryState::Pending);
    assert_eq!(world.look_at(&new).await.due_at, Some(at(10_001)), "until the open one must end");
    World::expect_state(&world.look_at(&old).await, DeliveryState::Claimed);
    world.report(finished(old.id, lease, &first, RETRY, at(3)), at(3)).await;
    World::expect_state(&world.look_at(&old).await, DeliveryState::Superseded);
    assert_eq!(world.claim(lease, at(3)).await, [new.id], "woken");
    let second = world.send(new.id, lease, at(0)).await;
    assert!(second.signed_at > first.signed_at);
    assert!(second.object_version > first.object_version);
}

/// I7: what a receiver has confirmed is not sent again by the schedule, only by hand.
pub async fn i7_confirmed_is_sent_again_by_hand_only(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(LANE).await;
    let lease = world.lease(at(0)).await;
    let row = change(&world, "news", 1).await;
    world.claim(lease, at(1)).await;
    world.attempt(row.id, lease, Outcome::Delivered, at(1)).await;
    ok(store.history().retry(&world.by, row.id, Run::Single, at(2)).await);
    world.claim(lease, at(2)).await;
    let opening = world.send(row.id, lease, at(2)).await;
    assert_eq!(opening.number, 2);
    world.report(finished(row.id, lease, &opening, Outcome::Delivered, at(2)), at(3)).await;
    World::expect_state(&world.look_at(&row).await, DeliveryState::Delivered);
    assert!(world.claim(lease, at(1_000_000)).await.is_empty());
}

/// I7: after an attempt of unknown end the current state is sent once more.
pub async fn i7_unknown_end_is_sent_once_more(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(LANE).await;
    let lease = world.lease(at(0)).await;
    let row = change(&world, "news", 1).await;
    world.claim(lease, at(1)).await;
    let opening = world.send(row.id, lease, at(1)).await;
    world.report(unknown(finished(row.id, lease, &opening, RETRY, at(1))), at(2)).await;
    assert_eq!(world.claim(lease, at(60_001)).await, [row.id]);
    world.attempt(row.id, lease, Outcome::Delivered, at(60_001)).await;
    World::expect_state(&world.look_at(&row).await, DeliveryState::Delivered);
    assert!(world.claim(lease, at(1_000_000)).await.is_empty());
}

/// I7: an attempt of which nothing was sent frees its lane at once and leaves nothing to send again; the delivery that
/// waited for it is woken and takes its place.
pub async fn i7_never_sent_frees_the_lane(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(LANE).await;
    let lease = world.lease(at(0)).await;
    let row = change(&world, "news", 1).await;
    world.claim(lease, at(1)).await;
    let first = world.send(row.id, lease, at(1)).await;
    world.give_back(row.id, lease, Sent::Nothing, at(2)).await;
    assert_eq!(world.claim(lease, at(2)).await, [row.id]);
    let second = world.send(row.id, lease, at(2)).await;
    assert!(second.signed_at > first.signed_at, "I6: also after one that was not sent");
    let new = change(&world, "post", 3).await;
    world.claim(lease, at(3)).await;
    assert_eq!(world.moved(new.id, lease, at(3)).await, DeliveryState::Pending, "one at a time");
    world.give_back(row.id, lease, Sent::Nothing, at(4)).await;
    let found = world.look_at(&row).await;
    World::expect_state(&found, DeliveryState::Superseded);
    assert_eq!(world.claim(lease, at(4)).await, [new.id], "woken");
    world.send(new.id, lease, at(4)).await;
    // A stop ends it while it is open: nothing was sent, so nothing is said again.
    world.set_active(endpoint, false, at(5)).await;
    assert_eq!(world.moved(new.id, lease, at(5)).await, DeliveryState::Cancelled);
    world.give_back(new.id, lease, Sent::Nothing, at(6)).await;
    assert_eq!(world.deliveries_of(new.event).await.len(), 1);
    world.set_active(endpoint, true, at(7)).await;
    let newest = change(&world, "mail", 8).await;
    assert_eq!(world.claim(lease, at(8)).await, [newest.id]);
    world.attempt(newest.id, lease, Outcome::Delivered, at(8)).await;
    assert!(world.claim(lease, at(1_000_000)).await.is_empty());
}

/// I7: an attempt that was cut off in its send is over, and the current state is sent once more.
pub async fn i7_cut_off_is_sent_once_more(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(LANE).await;
    let lease = world.lease(at(0)).await;
    let row = change(&world, "news", 1).await;
    world.claim(lease, at(1)).await;
    world.send(row.id, lease, at(1)).await;
    let new = change(&world, "post", 2).await;
    world.give_back(row.id, lease, Sent::Perhaps, at(3)).await;
    World::expect_state(&world.look_at(&row).await, DeliveryState::Superseded);
    assert_eq!(world.claim(lease, at(3)).await, [new.id]);
    world.attempt(new.id, lease, Outcome::Delivered, at(3)).await;
    assert!(world.claim(lease, at(1_000_000)).await.is_empty());
}

/// I7, I5: a late outcome moves nothing and makes one more delivery of the current state; repeating it makes none.
pub async fn i7_late_recording_is_sent_once_more(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(LANE).await;
    let (lost, lease) = (world.lease(at(0)).await, world.lease(at(0)).await);
    let row = change(&world, "news", 1).await;
    world.claim(lost, at(1)).await;
    let first = world.send(row.id, lost, at(1)).await;
    lose_all(&world, lost, 10).await;
    world.claim(lease, at(100)).await;
    assert_eq!(world.moved(row.id, lease, at(100)).await, DeliveryState::Pending, "still open");
    assert_eq!(world.claim(lease, at(20_000)).await, [row.id]);
    world.attempt(row.id, lease, Outcome::Delivered, at(20_000)).await;
    assert!(world.claim(lease, at(1_000_000)).await.is_empty());
    for _ in 0..2 {
        world.report(finished(row.id, lost, &first, Outcome::Delivered, at(1)), at(30_000)).await;
    }
    World::expect_state(&world.look_at(&row).await, DeliveryState::Delivered);
    let all = world.deliveries_of(row.event).await;
    assert_eq!(all.len(), 2, "one more, and its owner sees it");
    assert_eq!(world.claim(lease, at(30_001)).await, [all[1].id]);
    world.attempt(all[1].id, lease, Outcome::Delivered, at(30_001)).await;
    assert_eq!(world.deliveries_of(row.event).await.len(), 2);
}

/// I7, I2: a lane is free again when its open attempt's delivery was cancelled before anybody could close it.
pub async fn i7_a_cancelled_open_attempt_frees_its_lane(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(LANE).await;
    let (lost, lease) = (world.lease(at(0)).await, world.lease(at(0)).await);
    let old = change(&world, "news", 1).await;
    world.claim(lost, at(1)).await;
    world.send(old.id, lost, at(1)).await;
    lose_all(&world, lost, 10).await;
    world.set_active(endpoint, false, at(60)).await;
    world.claim(lease, at(61)).await;
    world.set_active(endpoint, true, at(62)).await;
    World::expect_state(&world.look_at(&old).await, DeliveryState::Cancelled);
    let new = change(&world, "post", 63).await;
    assert_eq!(world.claim(lease, at(20_000)).await, [new.id]);
    world.attempt(new.id, lease, Outcome::Delivered, at(20_000)).await;
    World::expect_state(&world.look_at(&new).await, DeliveryState::Delivered);
}

/// I7, I5: the late outcome of an attempt neither closes its delivery's next one, under another lease or the same, nor
/// moves the delivery; the state is sent once more after both.
pub async fn i7_a_late_outcome_closes_no_other_attempt(store: &dyn Storage) {
    for (uri, same_lease) in [("other", false), ("same", true)] {
        let world = World::named(store, uri).await;
        world.endpoint(LANE).await;
        let (lost, other) = (world.lease(at(0)).await, world.lease(at(0)).await);
        let lease = if same_lease { lost } else { other };
        let row = change(&world, "news", 1).await;
        assert_eq!(world.claim(lost, at(1)).await, [row.id]);
        let first = world.send(row.id, lost, at(1)).await;
        lose_all(&world, lost, 10).await;
        assert_eq!(world.claim(lease, at(20_000)).await, [row.id]);
        let second = world.send(row.id, lease, at(20_000)).await;
        assert_eq!((first.number, second.number), (1, 2));

        let late = finished(row.id, lost, &first, Outcome::Delivered, at(1));
        world.report(late, at(20_001)).await;
        let found = world.look_at(&row).await;
        World::expect_state(&found, DeliveryState::Claimed);
        assert!(found.attempts[0].late, "{uri}");
        let new = change(&world, "post", 20_002).await;
        assert_eq!(world.claim(lease, at(20_002)).await, [new.id]);
        let moved = world.moved(new.id, lease, at(20_002)).await;
        assert_eq!(moved, DeliveryState::Pending, "{uri}: the second attempt is still open");

        world
            .report(finished(row.id, lease, &second, Outcome::Delivered, at(20_003)), at(20_003))
            .await;
        World::expect_state(&world.look_at(&row).await, DeliveryState::Delivered);
        assert_eq!(world.claim(lease, at(20_003)).await, [new.id], "{uri}: woken");
        let third = world.send(new.id, lease, at(20_003)).await;
        assert!(third.object_version > second.object_version, "{uri}");
        world
            .report(finished(new.id, lease, &third, Outcome::Delivered, at(20_004)), at(20_004))
            .await;
        assert!(world.claim(lease, at(1_000_000)).await.is_empty(), "{uri}");
    }
}

/// I7: a late success confirms nothing and makes no second delivery beside the one that is on its way; after that one's
/// own success the state is sent once more, since the late one may have arrived after it.
pub async fn i7_a_late_outcome_beside_an_open_attempt_is_sent_once_more(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(LANE).await;
    let (lost, lease) = (world.lease(at(0)).await, world.lease(at(0)).await);
    let row = change(&world, "news", 1).await;
    world.claim(lost, at(1)).await;
    let first = world.send(row.id, lost, at(1)).await;
    lose_all(&world, lost, 10).await;
    world.claim(lease, at(20_000)).await;
    let second = world.send(row.id, lease, at(20_000)).await;
    world.report(finished(row.id, lost, &first, Outcome::Delivered, at(1)), at(20_001)).await;
    assert_eq!(world.deliveries_of(row.event).await.len(), 1, "it is under way already");
    world
        .report(finished(row.id, lease, &second, Outcome::Delivered, at(20_002)), at(20_002))
        .await;
    World::expect_state(&world.look_at(&row).await, DeliveryState::Delivered);
    let all = world.deliveries_of(row.event).await;
    assert_eq!(all.len(), 2, "once more");
    assert_eq!(world.claim(lease, at(20_003)).await, [all[1].id]);
    world.attempt(all[1].id, lease, Outcome::Delivered, at(20_003)).await;
    assert_eq!(world.deliveries_of(row.event).await.len(), 2);
    assert!(world.claim(lease, at(1_000_000)).await.is_empty());
}
