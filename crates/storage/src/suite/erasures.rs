//! Erasures as the journal keeps them, and done again.

use abide_core::Timestamp;
use abide_core::delivery::DeliveryState;
use abide_core::ids::{AuditEntryId, OrganizationId, SubjectId};
use abide_core::organization::OrganizationState;

use super::world::{HOLD, World, at, grant, ok, refusal};
use crate::Storage;
use crate::deletions::CarriedOut;
use crate::deliveries::{GiveBack, GivenBack, Report, Sent};
use crate::erasures::{Erasure, Gone, Repeated};

/// Long after everything that the cases draw.
fn entry(number: i64) -> AuditEntryId {
    AuditEntryId::from_key((at(1_000_000).as_millis() << 21) + number)
}

fn of(world: &World<'_>, number: i64, subject: SubjectId) -> Erasure {
    let organization = world.organization;
    Erasure { entry: entry(number), organization, gone: Gone::Person(subject), at: at(500) }
}

async fn all(store: &dyn Storage) -> Vec<Erasure> {
    ok(store.erasures().erasures_after(None, 100).await)
}

async fn destroy(store: &dyn Storage, world: &World<'_>, uri: &str, now: Timestamp) {
    ok(store.deletions().ask(&world.by, uri, 0, now).await);
    assert_eq!(ok(store.deletions().carry_out(1, now).await), CarriedOut::Destroyed);
}

/// I11: whoever is erased and whatever is destroyed is told once, in order, page by page.
pub async fn i11_erasures_are_told_in_order(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let mut expected = Vec::new();
    for (world, reference) in [(&ours, "ada"), (&theirs, "bob"), (&ours, "eve")] {
        let made = world.record(grant(reference, "news"), at(1)).await;
        ok(store.subjects().erase(&world.by, reference, at(2)).await);
        expected.push((world.organization, Gone::Person(made.subject), at(2)));
    }
    destroy(store, &theirs, "theirs", at(3)).await;
    expected.push((theirs.organization, Gone::Organization, at(3)));
    let told = all(store).await;
    let facts: Vec<_> = told.iter().map(|one| (one.organization, one.gone, one.at)).collect();
    assert_eq!(facts, expected);
    assert!(told.is_sorted_by(|one, next| one.entry < next.entry));
    let erasures = store.erasures();
    assert_eq!(ok(erasures.erasures_after(None, 2).await), told[..2]);
    assert_eq!(ok(erasures.erasures_after(Some(told[1].entry), 2).await), told[2..]);
    assert_eq!(ok(erasures.erasures_after(Some(told[3].entry), 2).await), []);
    // Also when its rows have gone.
    while ok(store.deletions().carry_out(9, at(4)).await) != CarriedOut::Nothing {}
    assert_eq!(all(store).await.last(), told.last());
}

/// I11, I2: done again, an erasure is what it was: nothing of the person opens, what waits has ended, nobody finds them, and
/// it is on record under its entry. Others stay as they are, and a second time does nothing.
pub async fn i11_an_erasure_is_done_again(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(HOLD).await;
    let engine = world.engine(at(0)).await;
    let hot = world.delivery("ada", at(1)).await;
    engine.has_room.store(false, std::sync::atomic::Ordering::Relaxed);
    let made = world.record(grant("ada", "post"), at(1)).await;
    let waiting = world.newest_deliveries().await.remove(0);
    let bob = world.delivery("bob", at(1)).await;
    let gone_since = SubjectId::from_key(1);
    let erasures = vec![of(&world, 1, made.subject), of(&world, 2, gone_since)];
    let done = ok(store.erasures().repeat(erasures.clone(), at(9)).await);
    assert_eq!(done, Repeated { people: 1, organizations: 0, deliveries: 1 });
    assert_eq!(ok(store.consents().get(world.organization, made.id.id).await), None);
    World::expect_state(&world.look_at(&waiting).await, DeliveryState::Erased);
    World::expect_state(&world.look_at(&bob).await, DeliveryState::Pending);
    let back = GivenBack {
        delivery: hot.id,
        lease: engine.lease,
        sent: Sent::Nothing,
        to: GiveBack::Unreadable,
    };
    ok(store
        .deliveries()
        .report(Report { finished: Vec::new(), given_back: vec![back] }, at(9))
        .await);
    World::expect_state(&world.look_at(&hot).await, DeliveryState::Erased);
    refusal(store.subjects().erase(&world.by, "ada", at(10)).await);
    assert_eq!(world.deeds().await[0], "subject.erase_again");
    assert_eq!(all(store).await, erasures, "on record as they were, also who was not there");

    let before = world.everything().await;
    assert_eq!(ok(store.erasures().repeat(erasures, at(11)).await), Repeated::default());
    assert_eq!(world.everything().await, before);
    let anew = world.record(grant("ada", "news"), at(12)).await;
    assert_ne!(anew.subject, made.subject, "whoever comes again is somebody new");
}

/// I11: an organization whose keys were destroyed goes again, and what is left of it as after any deletion.
pub async fn i11_a_destroyed_organization_goes_again(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    ours.endpoint(HOLD).await;
    let made = ours.record(grant("ada", "news"), at(1)).await;
    theirs.record(grant("bob", "news"), at(1)).await;
    let before = theirs.everything().await;
    let organization = ours.organization;
    let gone = Erasure { entry: entry(1), organization, gone: Gone::Organization, at: at(500) };
    // Asked for and not due at the time of the backup.
    ok(store.deletions().ask(&ours.by, "ours", 14, at(2)).await);
    let erasures = vec![gone, of(&ours, 2, made.subject)];
    let done = ok(store.erasures().repeat(erasures.clone(), at(1_000)).await);
    assert_eq!((done.people, done.organizations), (0, 1));
    let found = ok(store.accounts().organization_of(organization).await).expect("its mark");
    assert_eq!(found.state, OrganizationState::Deleted { deleted_at: at(500) });
    assert_eq!(all(store).await, [gone]);
    assert_eq!(ok(store.erasures().repeat(erasures, at(1_001)).await), Repeated::default());
    let mut removed = 0;
    while ok(store.deletions().carry_out(9, at(1_002)).await) != CarriedOut::Nothing {
        removed += 1;
    }
    assert!(removed > 0, "its rows go at once, not after the days that it had been given");
    assert_eq!(ok(store.history().events(organization, 0, 10).await), []);
    assert_eq!(theirs.everything().await, before);
}

/// I13: an erasure names a person of its own organization, and is done in no other.
pub async fn i13_an_erasure_is_done_in_its_organization(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let made = theirs.record(grant("bob", "news"), at(1)).await;
    let before = (ours.everything().await, theirs.everything().await);
    let nobodys = OrganizationId::from_key(1);
    let erasures = vec![
        of(&ours, 1, made.subject),
        Erasure { organization: nobodys, ..of(&ours, 2, made.subject) },
        Erasure { organization: nobodys, gone: Gone::Organization, ..of(&ours, 3, made.subject) },
    ];
    assert_eq!(ok(store.erasures().repeat(erasures, at(9)).await), Repeated::default());
    assert_eq!((ours.everything().await, theirs.everything().await), before);
    assert!(ok(store.consents().get(theirs.organization, made.id.id).await).is_some());
}
