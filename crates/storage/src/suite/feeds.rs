//! Feeds as their readers get them, and the audit log by cursor.

use abide_core::Timestamp;
use abide_core::access::Scope;
use abide_core::consent::{LawfulBasis, PermissionState};
use abide_core::event::{EventBody, EventKind};
use abide_core::ids::EventId;
use abide_core::policy::{NewPolicy, PolicyType};
use abide_core::rate::RateLimit;

use super::world::{World, at, grant, ok};
use crate::Storage;
use crate::accounts::NewKey;
use crate::feeds::{AuditFilter, FeedPage, FeedStart, FeedWanted, ToldEvent};
use crate::sealing::Secret;

const ALL: FeedWanted = FeedWanted { after: 0, limit: 100 };

fn id_of(told: &ToldEvent) -> EventId {
    match told {
        ToldEvent::Whole(event) | ToldEvent::Test(event) => event.id,
        ToldEvent::Erased { id, .. } => *id,
    }
}

async fn events(world: &World<'_>, wanted: FeedWanted) -> FeedPage<ToldEvent> {
    ok(world.store.feeds().events_after(world.organization, None, wanted).await)
}

/// Whoever goes on from where a page ended reads every event once, in order; at the end the feed says so and can be read
/// on once more has happened.
pub async fn events_are_read_in_pages(store: &dyn Storage) {
    let world = World::new(store).await;
    let empty = events(&world, ALL).await;
    assert_eq!((empty.entries.len(), empty.next, empty.has_more), (0, 0, false));
    for (place, who) in ["ada", "bob", "cy", "dan", "eve"].into_iter().enumerate() {
        world.record(grant(who, "news"), at(place as i64)).await;
    }
    let mut read = Vec::new();
    let mut after = 0;
    for (count, has_more) in [(2, true), (2, true), (1, false)] {
        let page = events(&world, FeedWanted { after, limit: 2 }).await;
        assert_eq!((page.entries.len(), page.has_more), (count, has_more), "{after}");
        read.extend(page.entries.iter().map(id_of));
        after = page.next;
    }
    assert_eq!(read, world.events().await);
    let whole = events(&world, FeedWanted { after: 0, limit: 5 }).await;
    assert!(!whole.has_more, "a full page at the end is the last");
    let end = events(&world, FeedWanted { after, limit: 2 }).await;
    assert_eq!((end.entries.len(), end.next, end.has_more), (0, after, false));
    world.record(grant("fay", "news"), at(9)).await;
    let more = events(&world, FeedWanted { after, limit: 2 }).await;
    assert_eq!(more.entries.len(), 1);
    let beyond = events(&world, FeedWanted { after: u64::MAX >> 1, limit: 2 }).await;
    assert!(beyond.entries.is_empty() && !beyond.has_more);
}

/// A filter leaves out other kinds and not its place: the next page begins behind all that was looked at.
pub async fn events_are_filtered_by_kind(store: &dyn Storage) {
    let world = World::new(store).await;
    let record = world.record(grant("ada", "news"), at(1)).await;
    ok(store.consents().withdraw(&world.by, record.id.id, None, at(2)).await);
    world.record(grant("bob", "news"), at(3)).await;
    let of = async |kind, limit| {
        let wanted = FeedWanted { after: 0, limit };
        ok(store.feeds().events_after(world.organization, Some(kind), wanted).await)
    };
    let withdrawn = of(EventKind::ConsentWithdrawn, 100).await;
    assert_eq!((withdrawn.entries.len(), withdrawn.next, withdrawn.has_more), (1, 3, false));
    let created = of(EventKind::ConsentCreated, 1).await;
    assert_eq!((created.entries.len(), created.next, created.has_more), (1, 1, true));
    let none = of(EventKind::PolicyDeleted, 100).await;
    assert_eq!((none.entries.len(), none.next, none.has_more), (0, 3, false));
}

/// I11: what is about an erased person keeps its place in the feeds and tells nothing of them; a batch keeps the others.
pub async fn erased_people_keep_their_places(store: &dyn Storage) {
    let world = World::new(store).await;
    world.record(grant("ada", "news"), at(1)).await;
    let both = vec![grant("ada", "mail"), grant("bob", "mail")];
    ok(store.consents().record_batch(&world.by, both, at(2)).await);
    let before = events(&world, ALL).await;
    let decisions = ok(store.feeds().decisions_after(world.organization, ALL).await);
    let references: Vec<_> =
        decisions.entries.iter().map(|told| told.reference.as_deref()).collect();
    assert_eq!(references, [Some("ada"), Some("ada"), Some("bob")]);

    ok(store.subjects().erase(&world.by, "ada", at(3)).await);
    let after = events(&world, ALL).await;
    assert_eq!(
        after.entries.iter().map(id_of).collect::<Vec<_>>(),
        before.entries.iter().map(id_of).collect::<Vec<_>>()
    );
    let (first, second) = (&after.entries[0], &after.entries[1]);
    let kind = EventKind::ConsentCreated;
    assert_eq!(*first, ToldEvent::Erased { id: id_of(first), kind, created_at: at(1) });
    match second {
        ToldEvent::Whole(event) => match &event.body {
            EventBody::Batch(batch) => assert_eq!(batch.consents.len(), 1),
            other => panic!("no batch: {other:?}"),
        },
        other => panic!("bob is still there: {other:?}"),
    }
    let one = ok(store.feeds().told_event(world.organization, id_of(first)).await);
    assert_eq!(one.as_ref(), Some(first));
    ok(store.subjects().erase(&world.by, "bob", at(4)).await);
    let gone = events(&world, ALL).await;
    assert!(gone.entries.iter().all(|told| matches!(told, ToldEvent::Erased { .. })));
    let gone = ok(store.feeds().decisions_after(world.organization, ALL).await);
    assert!(gone.entries.iter().all(|told| told.reference.is_none()));
    for (one, other) in gone.entries.iter().zip(&decisions.entries) {
        let told = (one.id, one.subject, one.commitment);
        assert_eq!(told, (other.id, other.subject, other.commitment));
    }
}

/// The ledger's feed tells each decision as it was recorded, in pages.
pub async fn decisions_are_read_in_pages(store: &dyn Storage) {
    let world = World::new(store).await;
    let record = world.record(grant("ada", "news"), at(1)).await;
    ok(store.consents().withdraw(&world.by, record.id.id, None, at(2)).await);
    world.record(grant("bob", "mail"), at(3)).await;
    let wanted = FeedWanted { after: 0, limit: 2 };
    let page = ok(store.feeds().decisions_after(world.organization, wanted).await);
    assert_eq!((page.entries.len(), page.next, page.has_more), (2, 2, true));
    let [granted, withdrawn] = page.entries.as_slice() else { panic!("two decisions") };
    assert_eq!((granted.consent, withdrawn.consent), (record.id.id, record.id.id));
    assert_eq!(granted.id, record.decision);
    assert_eq!(granted.subject, record.subject);
    assert_eq!(
        (granted.state, withdrawn.state),
        (PermissionState::Granted, PermissionState::Denied)
    );
    assert_eq!((granted.basis, granted.purpose_name.as_str()), (LawfulBasis::Consent, "news"));
    assert_eq!((granted.recorded_at, withdrawn.recorded_at), (at(1), at(2)));
    assert_eq!(granted.recorded_by, "operator");
    assert_ne!(granted.commitment, withdrawn.commitment);
    let wanted = FeedWanted { after: page.next, limit: 2 };
    let rest = ok(store.feeds().decisions_after(world.organization, wanted).await);
    assert_eq!((rest.entries.len(), rest.has_more), (1, false));
    let all = ok(store.feeds().decisions_after(world.organization, ALL).await);
    let ids: Vec<_> = all.entries.iter().map(|told| told.id).collect();
    assert_eq!(ids, world.decisions().await);
}

/// Who has no place in a feed yet can begin at a time or at the end: what was recorded at that time or later follows, and
/// nothing of before; other organizations' entries move no place.
pub async fn a_feed_is_begun_at_a_time_or_its_end(store: &dyn Storage) {
    let (world, other) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let feeds = store.feeds();
    let starts = async |start| {
        let events = ok(feeds.events_start(world.organization, start).await);
        let decisions = ok(feeds.decisions_start(world.organization, start).await);
        assert_eq!(events, decisions, "each of these decisions makes one event");
        events
    };
    for start in [FeedStart::End, FeedStart::Time(at(0)), FeedStart::Time(at(10_000))] {
        assert_eq!(starts(start).await, 0, "an empty feed: {start:?}");
    }
    for number in 1..=9 {
        other.record(grant(&format!("their-{number}"), "news"), at(number * 1_000)).await;
        world.record(grant(&format!("our-{number}"), "news"), at(number * 1_000)).await;
    }
    world.record(grant("another", "news"), at(9_000)).await;
    assert_eq!(starts(FeedStart::End).await, 10);
    for (time, expected) in
        [(0, 0), (1_000, 0), (1_001, 1), (5_000, 4), (8_999, 8), (9_000, 8), (9_001, 10)]
    {
        assert_eq!(starts(FeedStart::Time(at(time))).await, expected, "{time}");
    }
    let far = Timestamp::parse("9999-12-31T23:59:59Z").unwrap_or_else(|_| at(1 << 42));
    assert_eq!(starts(FeedStart::Time(far)).await, 10);
    let wanted = FeedWanted { after: starts(FeedStart::Time(at(8_500))).await, limit: 100 };
    assert_eq!(events(&world, wanted).await.entries.len(), 2);
}

/// The audit log, newest first, by cursor and by each filter.
pub async fn the_audit_log_is_read_in_pages(store: &dyn Storage) {
    let world = World::new(store).await;
    let policy = NewPolicy {
        policy_type: PolicyType::Custom,
        version: "1".to_owned(),
        title: "Terms".to_owned(),
        content: "text".to_owned(),
        effective_date: None,
    };
    let policy = ok(store.policies().create(&world.by, policy, at(10)).await);
    for place in 0..4 {
        world.record(grant("ada", &format!("p{place}")), at(20 + place)).await;
    }
    let feeds = store.feeds();
    let wanted = world.audit().await;
    let mut read = Vec::new();
    let mut after = None;
    loop {
        let page =
            ok(feeds.audit_before(world.organization, AuditFilter::default(), after, 3).await);
        assert!(page.entries.len() == 3 || page.next.is_none());
        read.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let shown: Vec<_> = read.iter().map(|entry| (entry.at, &entry.action, &entry.object)).collect();
    let expected: Vec<_> =
        wanted.iter().map(|entry| (entry.at, &entry.action, &entry.object)).collect();
    assert_eq!(shown, expected);

    let count = async |filter: AuditFilter| {
        ok(feeds.audit_before(world.organization, filter, None, 100).await).entries.len()
    };
    let none = AuditFilter::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(count(AuditFilter { action: text("consent.record"), ..none() }).await, 4);
    assert_eq!(count(AuditFilter { object: Some(policy.id.to_string()), ..none() }).await, 1);
    assert_eq!(count(AuditFilter { actor: text("system"), ..none() }).await, 0);
    assert_eq!(count(AuditFilter { actor: text("operator"), ..none() }).await, wanted.len());
    let spanned = AuditFilter { from: Some(at(10)), to: Some(at(21)), ..none() };
    let inside = wanted.iter().filter(|entry| entry.at >= at(10) && entry.at < at(21)).count();
    assert_eq!(count(spanned).await, inside);
    assert_eq!(count(AuditFilter { from: Some(at(30)), ..none() }).await, 0);
    assert_eq!(count(AuditFilter { to: Some(at(0)), ..none() }).await, 0);
}

/// I13: feeds, events and the log of one organization show nothing of another's.
pub async fn i13_feeds_are_apart(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    theirs.record(grant("ada", "news"), at(1)).await;
    let event = theirs.events().await[0];
    let feeds = store.feeds();
    assert!(events(&ours, ALL).await.entries.is_empty());
    assert!(ok(feeds.decisions_after(ours.organization, ALL).await).entries.is_empty());
    assert_eq!(ok(feeds.told_event(ours.organization, event).await), None);
    assert!(ok(feeds.told_event(theirs.organization, event).await).is_some());
    let secret = Secret::from("x".to_owned()).hash();
    let new = NewKey {
        name: "k".to_owned(),
        scopes: vec![Scope::Admin],
        secret,
        expires_at: None,
        rate_limit: RateLimit::DEFAULT,
    };
    ok(store.accounts().create_key(&theirs.by, new, at(2)).await);
    let log = ok(feeds.audit_before(ours.organization, AuditFilter::default(), None, 100).await);
    let actions: Vec<_> = log.entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["organization.create"]);
    assert_eq!(
        ok(feeds.epoch().await),
        ok(feeds.epoch().await),
        "one epoch while nothing is restored"
    );
}
