//! What is kept for a time only.

use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, Outcome, Run};
use abide_core::ids::OrganizationId;
use abide_core::retention::{Retention, RetentionPatch};

use super::delivery_log::note_all;
use super::world::{HOLD, RETRY, SKIP, World, at, finished, grant, ok, refusal};
use crate::Storage;
use crate::delivery_log::DeliveryFilter;
use crate::feeds::{FeedStart, FeedWanted, ToldEvent};

/// A day in milliseconds.
const DAY: i64 = 24 * 3600 * 1000;
const NOTHING: RetentionPatch =
    RetentionPatch { deliveries_days: None, events_days: None, audit_days: None };

/// Walks through everything, some rows at a time, after new deliveries were noted.
async fn walk(store: &dyn Storage, now: Timestamp) {
    note_all(store).await;
    let mut place = None;
    for _ in 0..1_000 {
        place = ok(store.retentions().remove_old(place, 2, now).await);
        if place.is_none() {
            return;
        }
    }
    panic!("it does not come to an end");
}

async fn keep(world: &World<'_>, patch: RetentionPatch) {
    ok(world.store.retentions().change_retention(&world.by, patch, at(0)).await);
}

/// The numbers and whole events of the feed.
async fn feed(store: &dyn Storage, of: OrganizationId) -> (u64, usize) {
    let after = ok(store.retentions().events_removed_through(of).await);
    let wanted = FeedWanted { after, limit: 100 };
    let page = ok(store.feeds().events_after(of, None, wanted).await);
    let whole = page.entries.iter().filter(|one| matches!(one, ToldEvent::Whole(_))).count();
    (page.next, whole)
}

async fn deliveries(world: &World<'_>) -> usize {
    let filter = DeliveryFilter::default();
    let list = world.store.delivery_log().list(world.organization, &filter, None, 100).await;
    ok(list).items.len()
}

/// Sends the newest delivery, which arrives.
async fn arrives(world: &World<'_>, reference: &str, now: Timestamp) {
    let row = world.delivery(reference, now).await;
    let lease = world.lease(now).await;
    world.claim(lease, now).await;
    let opening = world.send(row.id, lease, now).await;
    let done = finished(row.id, lease, &opening, Outcome::Delivered, now);
    world.report(done, now).await;
    World::expect_state(&world.look_at(&row).await, DeliveryState::Delivered);
}

/// Rules are an organization's own; a change keeps what it does not name, has bounds, and is audited once.
pub async fn i13_rules_are_changed_in_one_organization(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let retentions = store.retentions();
    assert_eq!(ok(retentions.retention(ours.organization).await), Retention::default());
    let patch = RetentionPatch { events_days: Some(Some(90)), ..NOTHING };
    ok(retentions.change_retention(&ours.by, patch, at(1)).await);
    let patch = RetentionPatch { deliveries_days: Some(Some(30)), ..NOTHING };
    let changed = ok(retentions.change_retention(&ours.by, patch, at(2)).await);
    let expected = Retention { deliveries_days: Some(30), events_days: Some(90), audit_days: None };
    assert_eq!(changed, expected);
    ok(retentions.change_retention(&ours.by, patch, at(3)).await);
    assert_eq!(ours.deeds().await.iter().filter(|deed| deed.contains("retention")).count(), 2);
    let short = RetentionPatch { events_days: Some(Some(29)), ..NOTHING };
    assert!(
        refusal(retentions.change_retention(&ours.by, short, at(4)).await).contains("events_days")
    );
    assert_eq!(ok(retentions.retention(ours.organization).await), expected);
    assert_eq!(ok(retentions.retention(theirs.organization).await), Retention::default());
    let forever =
        RetentionPatch { deliveries_days: Some(None), events_days: Some(None), ..NOTHING };
    let changed = ok(retentions.change_retention(&ours.by, forever, at(5)).await);
    assert!(changed.is_for_ever());
}

/// I3, I13: an event goes with its deliveries once its time is over; decisions stay, the feed goes on with the numbers that
/// it had, and nothing is touched where nobody asked for it.
pub async fn i13_old_events_go_and_decisions_stay(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    for world in [&ours, &theirs] {
        world.endpoint(SKIP).await;
    }
    for number in 0..5 {
        arrives(&ours, &format!("ada-{number}"), at(number)).await;
        arrives(&theirs, &format!("bob-{number}"), at(number)).await;
    }
    let before = (ours.everything().await, theirs.everything().await);
    walk(store, at(1_000 * DAY)).await;
    assert_eq!((ours.everything().await, theirs.everything().await), before, "kept for ever");

    keep(&ours, RetentionPatch { events_days: Some(Some(20)), ..NOTHING }).await;
    walk(store, at(20 * DAY)).await;
    assert_eq!(feed(store, ours.organization).await, (5, 5), "not yet");
    arrives(&ours, "eve", at(10 * DAY)).await;
    walk(store, at(21 * DAY)).await;
    assert_eq!(ok(store.retentions().events_removed_through(ours.organization).await), 5);
    assert_eq!(feed(store, ours.organization).await, (6, 1));
    assert_eq!(deliveries(&ours).await, 1);
    assert_eq!(ours.decisions().await.len(), 6, "decisions stay");
    let known = ours.record(grant("ada-0", "marketing"), at(21 * DAY)).await;
    assert_eq!(known.version, 2, "and so do records");
    assert_eq!(theirs.everything().await, before.1);

    // Also the newest: the next one's number comes after it.
    walk(store, at(100 * DAY)).await;
    let removed = ok(store.retentions().events_removed_through(ours.organization).await);
    assert_eq!((removed, feed(store, ours.organization).await), (6, (7, 1)), "one is pending");
    for start in [FeedStart::End, FeedStart::Time(at(0))] {
        let behind = ok(store.feeds().events_start(ours.organization, start).await);
        assert_eq!(behind, if start == FeedStart::End { 7 } else { 6 });
    }
    assert_eq!(deliveries(&theirs).await, 5);
}

/// I2, I3: what has not ended stays, and its event with it, however old; when it ends, it goes.
pub async fn i2_what_waits_stays_with_its_event(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let pending = world.delivery("ada", at(1)).await;
    world.set_active(endpoint, false, at(2)).await;
    let held = world.delivery("bob", at(3)).await;
    let days =
        RetentionPatch { deliveries_days: Some(Some(14)), events_days: Some(Some(14)), ..NOTHING };
    keep(&world, days).await;
    walk(store, at(50 * DAY)).await;
    for row in [&pending, &held] {
        assert!(!world.look_at(row).await.state.is_final());
        assert!(world.event(row.event).await.is_some());
    }
    assert_eq!(deliveries(&world).await, 2);
    assert_eq!(ok(store.retentions().events_removed_through(world.organization).await), 0);
    ok(store.endpoints().delete(&world.by, endpoint, at(51 * DAY)).await);
    while ok(store.deliveries().release_held(10, at(51 * DAY)).await) > 0 {}
    let lease = world.lease(at(51 * DAY)).await;
    let _ = world.claim(lease, at(51 * DAY)).await;
    walk(store, at(52 * DAY)).await;
    let left = deliveries(&world).await;
    assert_eq!(left, 0, "ended, both have gone");
    assert_eq!(ok(store.retentions().events_removed_through(world.organization).await), 2);
}

/// Deliveries go before their events where that is asked for, each with its attempts; one that was tried lately stays.
pub async fn deliveries_go_before_their_events(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    arrives(&world, "ada", at(1)).await;
    arrives(&world, "bob", at(2)).await;
    let late = world.newest_deliveries().await.remove(0);
    ok(store.history().retry(&world.by, late.id, Run::Single, at(30 * DAY)).await);
    let lease = world.lease(at(30 * DAY)).await;
    world.claim(lease, at(30 * DAY)).await;
    world.attempt(late.id, lease, RETRY, at(30 * DAY)).await;
    assert!(world.look_at(&late).await.state.is_final());
    keep(&world, RetentionPatch { deliveries_days: Some(Some(14)), ..NOTHING }).await;
    walk(store, at(31 * DAY)).await;
    assert_eq!(deliveries(&world).await, 1, "tried a day ago");
    assert_eq!(world.look_at(&late).await.attempts.len(), 2);
    assert_eq!(world.events().await.len(), 2, "events stay");
    walk(store, at(60 * DAY)).await;
    assert_eq!(deliveries(&world).await, 0);
    arrives(&world, "eve", at(61 * DAY)).await;
    assert_eq!(deliveries(&world).await, 1, "lists go on");
}

/// Audit entries go after their time, in their organization alone.
pub async fn i13_old_audit_entries_go(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    for world in [&ours, &theirs] {
        for number in 0..5 {
            world.record(grant("ada", "news"), at(number)).await;
        }
        world.record(grant("ada", "news"), at(40 * DAY)).await;
    }
    let before = theirs.deeds().await.len();
    let patch = RetentionPatch { audit_days: Some(Some(30)), ..NOTHING };
    ok(store.retentions().change_retention(&ours.by, patch, at(41 * DAY)).await);
    walk(store, at(45 * DAY)).await;
    let left = ours.audit().await;
    assert!(left.iter().all(|entry| entry.at >= at(15 * DAY)), "{left:?}");
    assert!(left.iter().any(|entry| entry.action.starts_with("consent.")));
    assert_eq!(theirs.deeds().await.len(), before);
    assert_eq!(ours.decisions().await.len(), 6);
}
