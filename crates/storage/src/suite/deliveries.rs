//! The engine's questions: hot rows, due work, attempts and their outcomes.

use std::sync::atomic::Ordering;

use abide_core::delivery::{DeliveryState, Outcome, Reason};
use abide_core::ids::{DeliveryId, LeaseId};

use super::world::{FIRST, HOLD, RETRY, SKIP, World, at, finished, finished_unopened, grant, ok};
use crate::Storage;
use crate::deliveries::{Ending, GiveBack, GivenBack, NOT_STARTED, Report, Sent};

/// I1, I3: a delivery with room is written hot and handed over with its event before the answer; one without is pending.
pub async fn hot_rows_are_handed_over_with_their_event(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    world.endpoint(SKIP).await;
    let engine = world.engine(at(0)).await;
    world.record(grant("ada", "marketing"), at(1)).await;
    let taken = engine.taken();
    let made = world.newest_deliveries().await;
    assert_eq!(taken.len(), 2);
    for (taken, made) in taken.iter().zip(&made) {
        assert_eq!(
            (taken.id, taken.endpoint, taken.event.id),
            (made.id, made.endpoint, made.event)
        );
        assert_eq!(Some(&*taken.event), world.event(made.event).await.as_ref());
        World::expect_state(made, DeliveryState::Hot);
    }
    assert_eq!(engine.freed(), 1, "one slot per event");
    engine.has_room.store(false, Ordering::Relaxed);
    world.record(grant("bob", "marketing"), at(2)).await;
    assert!(engine.taken().is_empty());
    for made in world.newest_deliveries().await {
        World::expect_state(&made, DeliveryState::Pending);
    }
}

/// I3: a slot dropped without a word loses nothing: its rows are found again by their lease, page by page, once.
pub async fn lost_rows_are_found_again(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let claimed = world.delivery("ada", at(1)).await;
    assert_eq!(world.claim(lease, at(1)).await, [claimed.id]);
    let engine = world.engine(at(1)).await;
    let mut hot = Vec::new();
    for reference in ["bob", "eve", "cy"] {
        hot.push(world.delivery(reference, at(2)).await);
    }
    assert_eq!(engine.taken().len(), 3);
    let newer = world.lease(at(3)).await;
    assert_eq!(lose_all(&world, newer, 2).await, 0, "a lease of another time finds none of them");
    assert!(lose_all(&world, engine.lease, 2).await >= 2, "paged");
    for hot in &hot {
        World::expect_state(&world.look_at(hot).await, DeliveryState::Pending);
    }
    World::expect_state(&world.look_at(&claimed).await, DeliveryState::Claimed);
    lose_all(&world, lease, 2).await;
    World::expect_state(&world.look_at(&claimed).await, DeliveryState::Pending);
    assert_eq!(world.claim(lease, at(100)).await.len(), 4);
}

pub(super) async fn lose_all(world: &World<'_>, lease: LeaseId, limit: u32) -> u32 {
    let mut after = DeliveryId::from_key(0);
    for page in 0..100 {
        match ok(world.store.deliveries().lose(lease, after, limit, at(50)).await) {
            Some(last) => after = last,
            None => return page,
        }
    }
    panic!("losing does not end");
}

/// I8, I9: due work comes oldest first and at most as much as asked for; nothing comes before its time or twice.
pub async fn due_rows_are_claimed_in_order(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let mut made = Vec::new();
    for n in 1..=5 {
        made.push(world.delivery(&format!("person_{n}"), at(n * 10)).await.id);
    }
    let lease = world.lease(at(0)).await;
    let deliveries = store.deliveries();
    let early = ok(deliveries.claim_due(lease, &[], 10, at(9)).await);
    assert_eq!((early.claimed.len(), early.more, early.next_due_at), (0, false, Some(at(10))));
    let first = ok(deliveries.claim_due(lease, &[], 2, at(35)).await);
    assert_eq!(first.claimed.iter().map(|row| row.id).collect::<Vec<_>>(), made[..2]);
    assert!(first.more);
    let second = ok(deliveries.claim_due(lease, &[], 2, at(35)).await);
    assert_eq!(second.claimed.iter().map(|row| row.id).collect::<Vec<_>>(), made[2..3]);
    assert_eq!((second.more, second.next_due_at), (false, Some(at(40))));
    assert_eq!(world.claim(lease, at(100)).await, made[3..]);
    assert!(world.claim(lease, at(100)).await.is_empty());
}

/// I8: rows of an endpoint without room leave the due index and wait for its own task, which gets them oldest first.
pub async fn full_endpoints_stand_in_nobodys_way(store: &dyn Storage) {
    let world = World::new(store).await;
    let full = world.endpoint(SKIP).await;
    let mut waiting = Vec::new();
    for n in 1..=3 {
        waiting.push(world.delivery(&format!("person_{n}"), at(n)).await);
    }
    let free = world.endpoint(SKIP).await;
    world.record(grant("eve", "marketing"), at(4)).await;
    let lease = world.lease(at(5)).await;
    let deliveries = store.deliveries();
    let page = ok(deliveries.claim_due(lease, &[full], 10, at(10)).await);
    assert_eq!(page.claimed.iter().map(|row| row.endpoint).collect::<Vec<_>>(), [free]);
    assert_eq!(page.parked, 4);
    assert_eq!(ok(deliveries.parked_endpoints().await), [full]);
    let backlog = ok(deliveries.backlog(3).await);
    assert_eq!((backlog.pending, backlog.parked, backlog.held), (0, 3, 0), "counted up to three");
    assert_eq!(backlog.oldest_due_at, Some(at(1)));
    World::expect_state(&world.look_at(&waiting[0]).await, DeliveryState::Parked);
    assert!(world.claim(lease, at(10)).await.is_empty());
    let first = ok(deliveries.claim_parked(lease, full, 2, at(11)).await);
    assert_eq!(
        first.iter().map(|row| row.id).collect::<Vec<_>>(),
        waiting[..2].iter().map(|row| row.id).collect::<Vec<_>>()
    );
    assert_eq!(ok(deliveries.claim_parked(lease, full, 10, at(11)).await).len(), 2);
    assert!(ok(deliveries.parked_endpoints().await).is_empty());
}

/// I8, I9: however many rows an endpoint without room has, each call parks or takes a bounded page of them, and page by
/// page every row is met exactly once, oldest first, and again when it was parked anew.
pub async fn rows_are_parked_and_taken_in_pages(store: &dyn Storage) {
    const PAGE: u32 = 1_000;
    let world = World::new(store).await;
    let full = world.endpoint(SKIP).await;
    // One event for all that are new, then one for each that is changed.
    let people: Vec<_> = (0..PAGE).map(|n| grant(&format!("person_{n}"), "news")).collect();
    for now in 1..=4 {
        ok(store.consents().record_batch(&world.by, people.clone(), at(now)).await);
    }
    let mut waiting = Vec::new();
    for event in world.events().await {
        waiting.extend(world.deliveries_of(event).await.iter().map(|row| row.id));
    }
    assert!(waiting.len() > 3 * PAGE as usize, "{} rows", waiting.len());

    let lease = world.lease(at(10)).await;
    let deliveries = store.deliveries();
    let mut parked = Vec::new();
    loop {
        let page = ok(deliveries.claim_due(lease, &[full], 100, at(10)).await);
        assert!(page.claimed.is_empty());
        parked.push(page.parked);
        assert!(parked.len() < 100, "parking comes to an end");
        if !page.more {
            break;
        }
    }
    assert!(parked.iter().all(|rows| *rows <= PAGE) && parked.len() >= 4, "{parked:?}");
    assert_eq!(parked.iter().sum::<u32>(), waiting.len() as u32, "each once");
    let backlog = ok(deliveries.backlog(1_000_000).await);
    assert_eq!((backlog.pending, backlog.parked), (0, waiting.len() as u32));

    for round in ["at first", "parked anew"] {
        let mut taken = Vec::new();
        loop {
            let page = ok(deliveries.claim_parked(lease, full, PAGE, at(11)).await);
            assert!(page.len() <= PAGE as usize);
            let is_last = page.len() < PAGE as usize;
            taken.extend(page.iter().map(|row| row.id));
            assert!(taken.len() <= waiting.len(), "{round}: none twice");
            if is_last {
                break;
            }
        }
        // Ids grow with time, so their order is the order of falling due.
        assert_eq!(taken, waiting, "{round}: each once, oldest first");
        assert!(ok(deliveries.parked_endpoints().await).is_empty(), "{round}");
        let back = |id: &DeliveryId| GivenBack {
            delivery: *id,
            lease,
            to: GiveBack::Parked,
            sent: Sent::Nothing,
        };
        let given_back = taken.iter().map(back).collect();
        ok(deliveries.report(Report { finished: Vec::new(), given_back }, at(12)).await);
        assert_eq!(ok(deliveries.parked_endpoints().await), [full], "{round}");
    }
}

/// I2: a row given back is where the giver says, keeps its promise, and moves only under its lease.
pub async fn rows_are_given_back(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let made = world.delivery("ada", at(1)).await;
    let lease = world.lease(at(1)).await;
    let other = world.lease(at(1)).await;
    let give = async |lease, to| {
        let given = GivenBack { delivery: made.id, lease, sent: Sent::Nothing, to };
        let report = Report { finished: Vec::new(), given_back: vec![given] };
        ok(store.deliveries().report(report, at(5)).await);
        let found = world.look_at(&made).await;
        super::world::keeps_its_promise(&found);
        found
    };
    world.claim(lease, at(1)).await;
    assert_eq!(give(other, GiveBack::Parked).await.state, DeliveryState::Claimed, "not its lease");
    assert_eq!(give(lease, GiveBack::Parked).await.state, DeliveryState::Parked);
    ok(store.deliveries().claim_parked(lease, endpoint, 1, at(2)).await);
    let due = give(lease, GiveBack::Due(at(70))).await;
    assert_eq!((due.state, due.due_at), (DeliveryState::Pending, Some(at(70))));
    world.claim(lease, at(70)).await;
    assert_eq!(give(lease, GiveBack::Stopped).await.state, DeliveryState::Pending, "not stopped");
    world.claim(lease, at(71)).await;
    let failed = give(lease, GiveBack::Unreadable).await;
    assert_eq!(failed.reason, Some(Reason::Unreadable));
}

/// I2: each outcome leads where core says, with number, reason and due time.
pub async fn outcomes_lead_where_core_says(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let cases = [
        (Outcome::Delivered, DeliveryState::Delivered, None),
        (Outcome::Skipped, DeliveryState::Skipped, Some(Reason::NothingToDo)),
        (Outcome::Failed, DeliveryState::Failed, Some(Reason::Refused)),
        (Outcome::Gone, DeliveryState::Held, Some(Reason::EndpointGone)),
    ];
    for (place, (outcome, state, reason)) in cases.into_iter().enumerate() {
        let made = world.delivery(&format!("person_{place}"), at(1)).await;
        assert_eq!(world.claim(lease, at(2)).await, [made.id]);
        world.attempt(made.id, lease, outcome, at(3)).await;
        let found = world.look_at(&made).await;
        World::expect_state(&found, state);
        assert_eq!(found.reason, reason);
        assert_eq!(found.attempts.len(), 1);
        assert_eq!(found.attempts[0].duration_millis, Some(1_000));
        if state.is_final() {
            assert_eq!(world.moved(made.id, lease, at(4)).await, state);
        }
    }
}

/// I2: a schedule is worked off attempt by attempt and ends as failed, saying so; the first body's hash is kept for
/// comparison and the answer can be read.
pub async fn a_schedule_is_worked_off(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let made = world.delivery("ada", at(0)).await;
    for (number, (now, due)) in
        (1..).zip([(0, Some(60_000)), (60_000, Some(360_000)), (360_000, None)])
    {
        assert_eq!(world.claim(lease, at(now)).await, [made.id]);
        let opening = world.send(made.id, lease, at(now)).await;
        assert_eq!((opening.number, opening.number_in_run), (number, number));
        assert_eq!(opening.first_sha256, (number > 1).then_some([1; 32]));
        world.report(finished(made.id, lease, &opening, RETRY, at(now)), at(now)).await;
        let found = world.look_at(&made).await;
        assert_eq!(found.due_at, due.map(at));
        assert!(world.claim(lease, at(due.unwrap_or(1_000_000) - 1)).await.is_empty());
    }
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Failed);
    assert_eq!(found.reason, Some(Reason::AttemptsUsedUp));
    for (attempt, number) in found.attempts.iter().zip(1..) {
        assert_eq!((attempt.number, attempt.late), (number, false));
        assert_eq!(attempt.answer.as_deref(), Some(&b"answer marker"[..]));
    }
}

/// I2: an attempt that was opened and never reported counts.
pub async fn a_lost_opened_attempt_counts(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let made = world.delivery("ada", at(0)).await;
    for number in 1..=2 {
        let lease = world.lease(at(0)).await;
        world.claim(lease, at(100)).await;
        let opening = world.send(made.id, lease, at(100)).await;
        assert_eq!(opening.number, number);
        lose_all(&world, lease, 10).await;
    }
    let lease = world.lease(at(0)).await;
    world.claim(lease, at(100)).await;
    world.attempt(made.id, lease, RETRY, at(100)).await;
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Failed);
    assert_eq!(found.attempts.len(), 3);
    assert_eq!(found.attempts[0].duration_millis, None, "its end is unknown");
}

/// I2, P23: an attempt that was opened and of which nothing was sent takes no step of the schedule; it is recorded as not
/// sent, once, and its number is not used again.
pub async fn an_attempt_never_sent_takes_no_step(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let made = world.delivery("ada", at(0)).await;
    let lease = world.lease(at(0)).await;
    for number in 1..=5 {
        world.claim(lease, at(100)).await;
        let opening = world.send(made.id, lease, at(100)).await;
        assert_eq!((opening.number, opening.number_in_run), (number, 1));
        for _ in 0..2 {
            world.give_back(made.id, lease, Sent::Nothing, at(100)).await;
        }
        let found = world.look_at(&made).await;
        assert_eq!((found.state, found.due_at), (DeliveryState::Pending, Some(at(100))));
        let attempt = found.attempts.last().expect("an attempt");
        assert_eq!((attempt.ending, attempt.late), (Some(Ending::NotSent), false));
        assert_eq!(attempt.error.as_deref(), Some(NOT_STARTED));
    }
    // The whole schedule is still there.
    for (now, due) in [(100, Some(60_100)), (60_100, Some(360_100)), (360_100, None)] {
        assert_eq!(world.claim(lease, at(now)).await, [made.id]);
        world.attempt(made.id, lease, RETRY, at(now)).await;
        assert_eq!(world.look_at(&made).await.due_at, due.map(at));
    }
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Failed);
    let numbers: Vec<_> = found.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// I2: an attempt that was cut off in its send counts, and its end is unknown; an end that is recorded stays.
pub async fn an_attempt_cut_off_counts(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let made = world.delivery("ada", at(0)).await;
    let lease = world.lease(at(0)).await;
    world.claim(lease, at(0)).await;
    let first = world.send(made.id, lease, at(0)).await;
    world.give_back(made.id, lease, Sent::Perhaps, at(0)).await;
    world.claim(lease, at(0)).await;
    world.give_back(made.id, lease, Sent::Nothing, at(0)).await;
    world.claim(lease, at(0)).await;
    let second = world.send(made.id, lease, at(0)).await;
    assert_eq!((second.number, second.number_in_run), (2, 2));
    world.report(finished(made.id, lease, &first, RETRY, at(0)), at(1)).await;
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Claimed);
    let attempt = &found.attempts[0];
    assert_eq!((attempt.ending, attempt.duration_millis), (Some(Ending::Unknown), None));
}

/// I5, I2: what is given back of a delivery that a stop has ended meanwhile moves nothing, and is kept as late.
pub async fn an_attempt_never_sent_of_an_ended_delivery_is_late(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let made = world.delivery("ada", at(0)).await;
    let lease = world.lease(at(0)).await;
    world.claim(lease, at(0)).await;
    world.send(made.id, lease, at(0)).await;
    world.set_active(endpoint, false, at(1)).await;
    assert_eq!(world.moved(made.id, lease, at(1)).await, DeliveryState::Cancelled);
    world.give_back(made.id, lease, Sent::Nothing, at(2)).await;
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Cancelled);
    assert_eq!((found.attempts[0].ending, found.attempts[0].late), (Some(Ending::NotSent), true));
}

/// I5: an outcome under a lost lease moves nothing, before and after the end, and is kept marked late.
pub async fn late_outcomes_move_nothing(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let made = world.delivery("ada", at(0)).await;
    let (lost, lease) = (world.lease(at(0)).await, world.lease(at(0)).await);
    world.claim(lost, at(1)).await;
    let first = world.send(made.id, lost, at(1)).await;
    assert_eq!(world.moved(made.id, lease, at(1)).await, DeliveryState::Claimed, "wrong lease");
    lose_all(&world, lost, 10).await;
    assert_eq!(world.moved(made.id, lost, at(1)).await, DeliveryState::Pending);
    world.claim(lease, at(60)).await;
    for outcome in [Outcome::Gone, Outcome::Delivered] {
        world.report(finished(made.id, lost, &first, outcome, at(2)), at(61)).await;
        World::expect_state(&world.look_at(&made).await, DeliveryState::Claimed);
    }
    world.attempt(made.id, lease, Outcome::Failed, at(62)).await;
    world.report(finished(made.id, lost, &first, Outcome::Delivered, at(2)), at(63)).await;
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Failed);
    let late: Vec<_> =
        found.attempts.iter().map(|attempt| (attempt.number, attempt.late)).collect();
    assert_eq!(late, [(1, true), (2, false)]);
}

/// I5: the outcome of an attempt that another one of the same lease has followed is late too.
pub async fn an_earlier_attempts_outcome_moves_nothing(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let made = world.delivery("ada", at(0)).await;
    let lease = world.lease(at(0)).await;
    world.claim(lease, at(1)).await;
    let first = world.send(made.id, lease, at(1)).await;
    lose_all(&world, lease, 10).await;
    world.claim(lease, at(60)).await;
    let second = world.send(made.id, lease, at(60)).await;
    world.report(finished(made.id, lease, &first, Outcome::Delivered, at(1)), at(61)).await;
    World::expect_state(&world.look_at(&made).await, DeliveryState::Claimed);
    world.report(finished(made.id, lease, &second, Outcome::Failed, at(60)), at(62)).await;
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Failed);
    let late: Vec<_> =
        found.attempts.iter().map(|attempt| (attempt.number, attempt.late)).collect();
    assert_eq!(late, [(1, true), (2, false)]);
}

/// I5: the same report twice is one attempt, and no late one.
pub async fn a_repeated_report_changes_nothing(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let engine = world.engine(at(0)).await;
    let made = world.delivery("ada", at(1)).await;
    let hot = engine.taken().remove(0);
    let lease = engine.lease;
    let report = finished_unopened((hot.id, hot.endpoint), lease, FIRST, Outcome::Delivered, at(2));
    world.report(report.clone(), at(3)).await;
    let once = world.look_at(&made).await;
    World::expect_state(&once, DeliveryState::Delivered);
    assert_eq!((once.attempts.len(), once.attempts[0].late), (1, false));
    world.report(report, at(4)).await;
    assert_eq!(world.look_at(&made).await, once);
}

/// P23: a hot delivery's failed first attempt goes on under the schedule like any other.
pub async fn a_hot_failure_is_retried(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(HOLD).await;
    let engine = world.engine(at(0)).await;
    let made = world.delivery("ada", at(0)).await;
    let lease = engine.lease;
    world
        .report(finished_unopened((made.id, made.endpoint), lease, FIRST, RETRY, at(1)), at(1))
        .await;
    let found = world.look_at(&made).await;
    assert_eq!((found.state, found.due_at), (DeliveryState::Pending, Some(at(60_001))));
    world.claim(lease, at(60_001)).await;
    let opening = world.send(made.id, lease, at(60_001)).await;
    assert_eq!((opening.number, opening.first_sha256), (2, Some([1; 32])));
}

/// P11: due rows of a stopped endpoint without room follow their endpoint rather than being parked for nobody.
pub async fn full_endpoints_rows_follow_a_stop(store: &dyn Storage) {
    for (rules, state) in [(HOLD, DeliveryState::Held), (SKIP, DeliveryState::Cancelled)] {
        let world = World::named(store, state.as_str()).await;
        let endpoint = world.endpoint(rules).await;
        let row = world.delivery("ada", at(1)).await;
        world.set_active(endpoint, false, at(2)).await;
        let lease = world.lease(at(3)).await;
        let page = ok(store.deliveries().claim_due(lease, &[endpoint], 10, at(3)).await);
        assert_eq!((page.claimed.len(), page.parked, page.stopped), (0, 0, 1));
        World::expect_state(&world.look_at(&row).await, state);
    }
}
