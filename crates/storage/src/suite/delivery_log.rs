//! Looking through deliveries, and one of them whole.

use abide_core::consent::PermissionState;
use abide_core::delivery::{DeliveryState, Outcome, Reason, Run};
use abide_core::event::EventKind;
use abide_core::ids::DeliveryId;

use super::world::{HOLD, RETRY, SKIP, World, at, grant, ok};
use crate::Storage;
use crate::deliveries::{AttemptTrigger, Ending};
use crate::delivery_log::{DeliveryFilter, DeliveryLine};

/// Every line of a filter, page by page; each page is held against the way it was asked for.
async fn all_of(world: &World<'_>, filter: &DeliveryFilter, limit: u32) -> Vec<DeliveryLine> {
    let mut all: Vec<DeliveryLine> = Vec::new();
    let mut before = None;
    loop {
        let log = world.store.delivery_log();
        let page = ok(log.list(world.organization, filter, before, limit).await);
        assert!(page.items.len() as u32 <= limit, "no more than asked for");
        all.extend(page.items);
        let Some(next) = page.next else { break };
        assert!(before.is_none_or(|before| next < before), "pages go back in time");
        before = Some(next);
    }
    assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first, each once");
    all
}

/// Notes all that is there; answers how many those were. Where others write to the same server, that waits for them.
pub(super) async fn note_all(store: &dyn Storage) -> u32 {
    let mut noted = 0;
    loop {
        match ok(store.delivery_log().note_new(1).await) {
            Some(0) => return noted,
            Some(more) => noted += more,
            None => tokio::task::yield_now().await,
        }
    }
}

fn ids(lines: &[DeliveryLine]) -> Vec<DeliveryId> {
    lines.iter().map(|line| line.id).collect()
}

/// P24: an organization's deliveries by page, newest first, narrowed by whatever is asked for, in every state.
pub async fn p24_deliveries_are_listed_by_page(store: &dyn Storage) {
    let world = World::new(store).await;
    let one = world.endpoint(HOLD).await;
    let two = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    let mut failed = Vec::new();
    for n in 0..6 {
        let now = at(n * 1_000);
        world.record(grant(&format!("person_{n}"), "news"), now).await;
        let claimed = world.claim(lease, now).await;
        assert_eq!(claimed.len(), 2);
        for (place, delivery) in claimed.into_iter().enumerate() {
            match (n, place) {
                (0 | 2, 0) | (3, 1) => {
                    world.attempt(delivery, lease, Outcome::Failed, now).await;
                    failed.push(delivery);
                }
                (1, _) => world.attempt(delivery, lease, Outcome::Skipped, now).await,
                (4, _) => world.attempt(delivery, lease, RETRY, now).await,
                (5, _) => {}
                _ => world.attempt(delivery, lease, Outcome::Delivered, now).await,
            }
        }
    }
    failed.reverse();
    let everything = all_of(&world, &DeliveryFilter::default(), 5).await;
    assert_eq!(everything.len(), 12);
    let rows = world.everything().await.deliveries;
    assert!(everything.iter().all(|line| rows.iter().any(|row| {
        (row.id, row.event, row.kind, row.endpoint, row.state, row.reason, row.due_at)
            == (line.id, line.event, line.kind, line.endpoint, line.state, line.reason, line.due_at)
            && row.attempts.last() == line.last_attempt.as_ref()
            && row.attempts.len() as u32 == line.attempts
    })));
    for state in DeliveryState::ALL {
        let expected: Vec<_> =
            everything.iter().filter(|line| line.state == state).map(|line| line.id).collect();
        let filter = DeliveryFilter { states: vec![state], ..DeliveryFilter::default() };
        for limit in [1, 2, 100] {
            assert_eq!(
                ids(&all_of(&world, &filter, limit).await),
                expected,
                "{state:?} by {limit}"
            );
        }
    }
    let states = vec![DeliveryState::Failed];
    let filter = DeliveryFilter { states: states.clone(), ..DeliveryFilter::default() };
    assert_eq!(ids(&all_of(&world, &filter, 2).await), failed);
    let of_two = DeliveryFilter { endpoint: Some(two), ..filter.clone() };
    assert_eq!(ids(&all_of(&world, &of_two, 9).await).len(), 1);
    let any_of_one = DeliveryFilter { endpoint: Some(one), ..DeliveryFilter::default() };
    assert_eq!(all_of(&world, &any_of_one, 4).await.len(), 6);
    let several = vec![DeliveryState::Skipped, DeliveryState::Failed, DeliveryState::Claimed];
    let several = DeliveryFilter { states: several, ..DeliveryFilter::default() };
    assert_eq!(all_of(&world, &several, 2).await.len(), 7);
    let span = DeliveryFilter { from: Some(at(1_000)), until: Some(at(3_000)), ..filter };
    assert_eq!(ids(&all_of(&world, &span, 9).await), failed[1..2]);
    let span = DeliveryFilter { states: Vec::new(), ..span };
    assert_eq!(all_of(&world, &span, 3).await.len(), 4, "from is in it, until is not");
    let event = everything[0].event;
    let of_event = DeliveryFilter { event: Some(event), ..DeliveryFilter::default() };
    assert_eq!(ids(&all_of(&world, &of_event, 1).await), ids(&everything[..2]));
    let denied = PermissionState::Denied;
    let updated = abide_core::consent::NewDecision { state: denied, ..grant("person_0", "news") };
    world.record(updated, at(9_000)).await;
    let kind =
        DeliveryFilter { kind: Some(EventKind::ConsentWithdrawn), ..DeliveryFilter::default() };
    let withdrawn = all_of(&world, &kind, 1).await;
    assert_eq!(withdrawn.len(), 2);
    assert!(withdrawn.iter().all(|line| line.kind == EventKind::ConsentWithdrawn));
    let kind = DeliveryFilter { states: vec![DeliveryState::Pending], ..kind };
    assert_eq!(all_of(&world, &kind, 9).await.len(), 2);
}

/// P24, I9, I13: an organization's deliveries, and an endpoint's, are found without looking at all of the many that others
/// have between them; those that came since the last note are found too.
pub async fn p24_few_deliveries_are_found_beside_many(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let quiet = ours.endpoint(SKIP).await;
    let mut expected = Vec::new();
    for _ in 0..100 {
        theirs.endpoint(SKIP).await;
    }
    let crowd = async |n: i64| {
        for person in 0..4 {
            theirs.record(grant(&format!("person_{n}_{person}"), "news"), at(n)).await;
        }
    };
    let list = async |world: &World<'_>, endpoint, before, limit| {
        let filter = DeliveryFilter { endpoint, ..DeliveryFilter::default() };
        ok(store.delivery_log().list(world.organization, &filter, before, limit).await)
    };
    for n in 0..3 {
        expected.insert(0, ours.delivery(&format!("person_{n}"), at(10 * n)).await.id);
        crowd(10 * n + 1).await;
    }
    for endpoint in [None, Some(quiet)] {
        assert_eq!(ids(&list(&ours, endpoint, None, 9).await.items), expected, "before a note");
    }
    assert_eq!(ok(store.delivery_log().note_new(1_204).await), Some(0), "there are not so many");
    assert_eq!(note_all(store).await, 1_203);
    for endpoint in [None, Some(quiet)] {
        let page = list(&ours, endpoint, None, 9).await;
        assert_eq!((ids(&page.items), page.next), (expected.clone(), None));
        assert!(page.looked < 20, "{} rows for three deliveries", page.looked);
        let page = list(&ours, endpoint, Some(expected[0]), 1).await;
        assert_eq!(ids(&page.items), expected[1..2]);
        let page = list(&ours, endpoint, page.next, 9).await;
        assert_eq!((ids(&page.items), page.next), (expected[2..].to_vec(), None));
    }
    let theirs_all = all_of(&theirs, &DeliveryFilter::default(), 100).await;
    assert_eq!(theirs_all.len(), 1_200);

    expected.insert(0, ours.delivery("later", at(100)).await.id);
    crowd(101).await;
    let page = list(&ours, Some(quiet), None, 9).await;
    assert_eq!(ids(&page.items), expected, "what came since stands above");
    assert!(note_all(store).await > 0);
    let page = list(&ours, Some(quiet), None, 9).await;
    assert_eq!(ids(&page.items), expected);
    assert!(page.looked < 20, "{} rows for four deliveries", page.looked);
    let page = list(&theirs, Some(quiet), None, 9).await;
    assert_eq!((page.items.len(), page.next), (0, None), "an endpoint of others shows nothing");
    assert_eq!(all_of(&theirs, &DeliveryFilter::default(), 100).await.len(), 1_600);
}

/// P24: what an engine has in hand is listed, by its state too.
pub async fn p24_what_is_being_sent_is_listed(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(HOLD).await;
    let engine = world.engine(at(1)).await;
    world.record(grant("ada", "news"), at(2)).await;
    let hot: Vec<_> = engine.taken().iter().map(|hot| hot.id).collect();
    assert_eq!(hot.len(), 1);
    for states in [Vec::new(), vec![DeliveryState::Hot]] {
        let filter = DeliveryFilter { states, ..DeliveryFilter::default() };
        assert_eq!(ids(&all_of(&world, &filter, 9).await), hot, "{filter:?}");
    }
}

/// P24: what a stop holds or cancels is listed as held or cancelled at once, and not as what its row says still.
pub async fn p24_a_stop_shows_in_lists_at_once(store: &dyn Storage) {
    let world = World::new(store).await;
    let holds = world.endpoint(HOLD).await;
    let cancels = world.endpoint(SKIP).await;
    world.record(grant("ada", "news"), at(1)).await;
    let list = async |state| {
        let filter = DeliveryFilter { states: vec![state], ..DeliveryFilter::default() };
        let found = all_of(&world, &filter, 9).await;
        found.iter().map(|line| line.endpoint).collect::<Vec<_>>()
    };
    assert_eq!(list(DeliveryState::Pending).await, [cancels, holds]);
    world.set_active(holds, false, at(2)).await;
    world.set_active(cancels, false, at(2)).await;
    assert!(list(DeliveryState::Pending).await.is_empty());
    assert_eq!(list(DeliveryState::Held).await, [holds]);
    assert_eq!(list(DeliveryState::Cancelled).await, [cancels]);
    let lease = world.lease(at(3)).await;
    assert!(world.claim(lease, at(3)).await.is_empty(), "now the rows follow");
    assert_eq!(list(DeliveryState::Held).await, [holds]);
    assert_eq!(list(DeliveryState::Cancelled).await, [cancels]);
    world.set_active(holds, true, at(4)).await;
    ok(store.deliveries().release_held(9, at(4)).await);
    assert_eq!(list(DeliveryState::Pending).await, [holds]);
}

/// P24, P26: one delivery with its runs, who asked for them, and what each attempt showed.
pub async fn p24_a_delivery_is_shown_whole(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    let made = world.delivery("ada", at(0)).await;
    let whole = async || {
        let found = store.delivery_log().delivery(world.organization, made.id).await;
        ok(found).expect("the delivery")
    };
    assert!(whole().await.delivery.attempts.is_empty());
    world.claim(lease, at(0)).await;
    world.attempt(made.id, lease, RETRY, at(10)).await;
    world.claim(lease, at(60_010)).await;
    world.attempt(made.id, lease, Outcome::Failed, at(60_010)).await;
    for (run, now) in [(Run::Single, 70_000), (Run::Series, 70_001)] {
        ok(store.history().retry(&world.by, made.id, run, at(now)).await);
    }
    world.claim(lease, at(80_000)).await;
    world.attempt(made.id, lease, RETRY, at(80_000)).await;
    world.claim(lease, at(200_000)).await;
    world.attempt(made.id, lease, Outcome::Failed, at(200_000)).await;
    ok(store.history().retry(&world.by, made.id, Run::Single, at(300_000)).await);
    world.claim(lease, at(300_000)).await;
    let found = whole().await;
    assert_eq!(found.delivery, world.look_at(&made).await);
    let runs: Vec<_> = found
        .runs
        .iter()
        .map(|run| (run.number, run.run, run.asked.as_ref().map(|asked| asked.at)))
        .collect();
    let expected = [
        (1, Run::First, None),
        (2, Run::Series, Some(at(70_001))),
        (3, Run::Single, Some(at(300_000))),
    ];
    assert_eq!(runs, expected, "one that was replaced before it began is none");
    assert_eq!(found.runs[1].asked.as_ref().map(|asked| asked.by.as_str()), Some("operator"));
    assert_eq!(found.discarded, None);
    let attempts: Vec<_> = found
        .delivery
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.run, attempt.trigger, attempt.started_at))
        .collect();
    let by = AttemptTrigger::Schedule;
    assert_eq!(
        attempts,
        [
            (1, 1, by, at(10)),
            (2, 1, by, at(60_010)),
            (3, 2, AttemptTrigger::Manual, at(80_000)),
            (4, 2, by, at(200_000)),
        ]
    );
    let first = &found.delivery.attempts[0];
    assert_eq!((first.status, first.ending), (Some(503), Some(Ending::Answered)));
    assert_eq!((first.body_length, first.endpoint_version), (Some(100), Some(1)));
    assert_eq!(first.body_sha256, Some([1; 32]));
    assert_eq!(first.answer.as_deref(), Some(&b"answer marker"[..]));
    assert_eq!(found.delivery.state, DeliveryState::Claimed);
    assert_eq!(found.delivery.reason, None::<Reason>);
}
