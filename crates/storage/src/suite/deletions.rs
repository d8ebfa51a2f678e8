//! Organizations that are deleted.

use abide_core::access::{Actor, Caller, Scope};
use abide_core::consent::{NewDecision, Validity};
use abide_core::delivery::{DeliveryState, Outcome, Reason};
use abide_core::endpoint::EndpointState;
use abide_core::ids::KeyId;
use abide_core::organization::OrganizationState;
use abide_core::policy::{NewPolicy, PolicyType};
use abide_core::rate::RateLimit;

use super::delivery_log::note_all;
use super::world::{HOLD, RETRY, SKIP, World, at, finished, finished_unopened, grant, ok, refusal};
use crate::accounts::{NewKey, OrganizationPatch};
use crate::deletions::CarriedOut;
use crate::deliveries::{GiveBack, GivenBack, Report, Sent};
use crate::policies::PolicyFilter;
use crate::sealing::Secret;
use crate::{PageWanted, Storage, StorageError};

/// A day after the suite's beginning of time, in milliseconds.
const DAY: i64 = 24 * 3600 * 1000;

async fn key(world: &World<'_>) -> KeyId {
    let secret = Secret::from("x".to_owned()).hash();
    let new = NewKey {
        name: "k".to_owned(),
        scopes: vec![Scope::Admin],
        secret,
        expires_at: None,
        rate_limit: RateLimit::DEFAULT,
    };
    ok(world.store.accounts().create_key(&world.by, new, at(0)).await).id
}

fn policy(version: &str) -> NewPolicy {
    NewPolicy {
        policy_type: PolicyType::Custom,
        version: version.to_owned(),
        title: "Terms".to_owned(),
        content: "text".to_owned(),
        effective_date: None,
    }
}

/// Works deletions off; answers what each call did.
async fn carry_out(store: &dyn Storage, now: abide_core::Timestamp) -> Vec<CarriedOut> {
    let mut done = Vec::new();
    loop {
        match ok(store.deletions().carry_out(2, now).await) {
            CarriedOut::Nothing => return done,
            other => done.push(other),
        }
        assert!(done.len() < 1_000, "it comes to an end");
    }
}

/// I1, I13: a deletion is asked for by the organization's own name, once, audited, and taken back in its time; nobody
/// else's is touched.
pub async fn i13_a_deletion_is_asked_for_and_taken_back(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let (accounts, deletions) = (store.accounts(), store.deletions());
    let before = (ours.everything().await, theirs.everything().await);
    for confirm in ["theirs", "", "OURS"] {
        let refused = refusal(deletions.ask(&ours.by, confirm, 14, at(1)).await);
        assert!(refused.contains("`confirm`"), "{refused}");
    }
    let refused = refusal(deletions.ask(&ours.by, "ours", 91, at(1)).await);
    assert!(refused.contains("`grace_days`"), "{refused}");
    assert_eq!((ours.everything().await, theirs.everything().await), before);

    let asked = ok(deletions.ask(&ours.by, "ours", 14, at(1)).await);
    let state = OrganizationState::Deleting { deletes_at: at(1 + 14 * DAY) };
    assert_eq!(asked.state, state);
    assert_eq!(ok(accounts.organization_of(ours.organization).await).as_ref(), Some(&asked));
    assert_eq!(ours.deeds().await[0], "organization.delete");
    refusal(deletions.ask(&ours.by, "ours", 1, at(2)).await);
    let them = ok(accounts.organization_of(theirs.organization).await).expect("theirs");
    assert_eq!(them.state, OrganizationState::Active);
    assert!(carry_out(store, at(14 * DAY)).await.is_empty(), "not yet");

    let restored = ok(deletions.restore(&ours.by, at(14 * DAY)).await);
    assert_eq!(restored.state, OrganizationState::Active);
    assert_eq!(ours.deeds().await[..2], ["organization.restore", "organization.delete"]);
    ok(deletions.restore(&ours.by, at(14 * DAY)).await);
    assert_eq!(ours.deeds().await.len(), 3, "nothing was done twice");
    assert!(carry_out(store, at(100 * DAY)).await.is_empty());
    assert_eq!(theirs.everything().await, before.1);
}

/// While an organization is being deleted all that records or changes is refused with what to do about it, and leaves
/// nothing; what only takes away is not. Others go on.
pub async fn nothing_is_written_while_deleting(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let endpoint = ours.endpoint(HOLD).await;
    let record = ours.record(grant("ada", "news"), at(1)).await;
    let key = key(&ours).await;
    ok(store.deletions().ask(&ours.by, "ours", 1, at(2)).await);
    let before = ours.everything().await;
    let by = &ours.by;
    let refusals = [
        refusal(store.consents().record(by, grant("bob", "news"), at(3)).await),
        refusal(store.consents().record_batch(by, vec![grant("bob", "news")], at(3)).await),
        refusal(store.consents().withdraw(by, record.id.id, None, at(3)).await),
        refusal(store.policies().create(by, policy("1"), at(3)).await),
        refusal(store.purposes().create(by, "mail", at(3)).await),
        refusal(store.endpoints().delete(by, endpoint, at(3)).await),
        refusal(
            store.accounts().change_organization(by, OrganizationPatch::default(), at(3)).await,
        ),
    ];
    for refused in refusals {
        assert!(refused.contains("2024-01-16T") && refused.contains("restore"), "{refused}");
    }
    assert_eq!(ours.everything().await, before);
    assert_eq!(ok(store.consents().get(ours.organization, record.id.id).await), Some(record));
    theirs.record(grant("bob", "news"), at(3)).await;

    ok(store.accounts().revoke_key(by, key, at(4)).await);
    ok(store.subjects().erase(by, "ada", at(4)).await);
    ok(store.deletions().restore(by, at(5)).await);
    ours.record(grant("bob", "news"), at(6)).await;
}

/// What waits for an organization's endpoints is held while it is being deleted, whatever the endpoint's rules, and what is
/// under way ends as it ends; a restoration lets it go on. What time alone brings about waits, too.
pub async fn deliveries_wait_for_a_restoration(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let until = Validity { from: None, until: Some(at(5_000)) };
    let pending = world.delivery("ada", at(1)).await;
    let lease = world.lease(at(2)).await;
    let under_way = world.delivery("bob", at(2)).await;
    assert_eq!(world.claim(lease, at(2)).await, [pending.id, under_way.id]);
    let opening = world.send(under_way.id, lease, at(2)).await;
    world.give_back(pending.id, lease, Sent::Nothing, at(3)).await;
    world.record(NewDecision { validity: until, ..grant("cleo", "news") }, at(3)).await;

    let cursor = ok(store.endpoints().newest_change().await);
    ok(store.deletions().ask(&world.by, "default", 1, at(4)).await);
    assert_eq!(ok(store.endpoints().changed_since(cursor, 9).await).1, [endpoint]);
    let sending = ok(store.endpoints().sending(endpoint, at(4)).await).expect("the endpoint");
    assert_eq!(sending.state, EndpointState::Paused);
    world.report(finished(under_way.id, lease, &opening, RETRY, at(5)), at(5)).await;
    assert_eq!(ok(store.consents().advance_due(at(6_000), 10).await), 1);
    let ended = world.newest_deliveries().await.remove(0);
    assert!(world.claim(lease, at(60_000)).await.is_empty());
    ok(store.deliveries().release_held(100, at(60_000)).await);
    for waiting in [&pending, &under_way, &ended] {
        let found = world.look_at(waiting).await;
        World::expect_state(&found, DeliveryState::Held);
        assert_eq!(found.reason, Some(Reason::OrganizationDeleting));
    }
    let shown = ok(store.endpoints().get(world.organization, endpoint).await).expect("shown");
    assert_eq!(shown.state, EndpointState::Active, "its own state is as it was");

    let cursor = ok(store.endpoints().newest_change().await);
    ok(store.deletions().restore(&world.by, at(70_000)).await);
    assert_eq!(ok(store.endpoints().changed_since(cursor, 9).await).1, [endpoint]);
    while ok(store.deliveries().release_held(100, at(70_000)).await) > 0 {}
    let mut claimed = world.claim(lease, at(70_000)).await;
    claimed.sort();
    // Also that of the permission with an end, which was not given back above.
    assert!([pending.id, under_way.id, ended.id].iter().all(|id| claimed.contains(id)));
    world.attempt(pending.id, lease, Outcome::Delivered, at(70_001)).await;
}

/// I11: once its time has come an organization's keys are destroyed first; nothing of it opens or is opened by anything.
/// Its rows follow page by page, until the mark and the entries of its deletion are all there is. Another one's stay.
pub async fn i11_a_deleted_organization_is_unreadable_and_goes(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    for world in [&ours, &theirs] {
        world.endpoint(HOLD).await;
        ok(store.policies().create(&world.by, policy("1"), at(1)).await);
        for who in ["ada", "bob", "cleo"] {
            world.record(grant(who, "news"), at(1)).await;
        }
        ok(store.subjects().erase(&world.by, "bob", at(2)).await);
        let lease = world.lease(at(2)).await;
        for delivery in world.claim(lease, at(2)).await {
            world.attempt(delivery, lease, RETRY, at(3)).await;
        }
    }
    let record = ours.record(grant("ada", "mail"), at(4)).await;
    let event = *ours.events().await.last().expect("an event");
    let key = key(&ours).await;
    assert!(ok(store.accounts().key(key).await).is_some());
    note_all(store).await;
    let before = theirs.everything().await;
    ok(store.deletions().ask(&ours.by, "ours", 0, at(5)).await);

    assert_eq!(ok(store.deletions().carry_out(2, at(5)).await), CarriedOut::Destroyed);
    assert!(ok(store.accounts().key(key).await).is_none(), "a key that was known opens nothing");
    let mark = ok(store.accounts().organization_of(ours.organization).await).expect("the mark");
    assert_eq!(mark.state, OrganizationState::Deleted { deleted_at: at(5) });
    assert_eq!((mark.uri.as_str(), mark.name), ("ours", None));
    let org = ours.organization;
    let gone = |refused: String| assert!(refused.contains("organization"), "{refused}");
    gone(refusal(store.consents().get(org, record.id.id).await));
    gone(refusal(store.history().event(org, event).await));
    gone(refusal(store.consents().record(&ours.by, grant("ada", "news"), at(6)).await));
    gone(refusal(store.subjects().erase(&ours.by, "ada", at(6)).await));
    gone(refusal(store.deletions().restore(&ours.by, at(6)).await));

    let steps = carry_out(store, at(6)).await;
    let (last, removed) = steps.split_last().expect("rows went");
    assert_eq!(*last, CarriedOut::Emptied);
    assert!(removed.len() > 5 && removed.iter().all(|step| *step == CarriedOut::Removed));
    assert_eq!(
        ours.deeds().await,
        ["organization.empty", "organization.destroy_keys", "organization.delete"]
    );
    assert!(ours.events().await.is_empty() && ours.decisions().await.is_empty());
    let page = PageWanted { page: 1, limit: 9 };
    let policies = ok(store.policies().list(org, PolicyFilter::default(), page).await);
    assert_eq!((policies.total, ok(store.endpoints().list(org, None, page).await).total), (0, 0));
    assert!(ok(store.accounts().keys(org).await).is_empty());
    assert!(carry_out(store, at(7)).await.is_empty(), "nothing is left to do");

    assert_eq!(theirs.everything().await, before);
    theirs.record(grant("ada", "news"), at(8)).await;
    ok(store.keys().rewrap(10, at(9)).await);
}

/// The name of a deleted organization is free, and the new one of that name has nothing of the old.
pub async fn a_freed_name_is_taken_again(store: &dyn Storage) {
    let old = World::named(store, "ours").await;
    old.record(grant("ada", "news"), at(1)).await;
    ok(store.deletions().ask(&old.by, "ours", 0, at(2)).await);
    refusal(store.accounts().create_organization("ours", at(2)).await);
    carry_out(store, at(2)).await;
    assert!(ok(store.accounts().organization("ours").await).is_none());
    let new = World::named(store, "ours").await;
    assert_ne!(new.organization, old.organization);
    assert!(new.events().await.is_empty());
    let found = ok(store.accounts().organization("ours").await).expect("the new one");
    assert_eq!(found.id, new.organization);
    let all = ok(store.accounts().organizations().await);
    assert_eq!(all.iter().filter(|one| one.uri == "ours").count(), 2, "the mark, and the new one");
    new.record(grant("ada", "news"), at(3)).await;
}

/// I5: what nodes still had in hand of a deleted organization ends without a fault, also for others in the same report.
pub async fn late_work_of_a_deleted_organization_harms_nobody(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let endpoint = ours.endpoint(HOLD).await;
    theirs.endpoint(HOLD).await;
    let until = Validity { from: None, until: Some(at(1_000)) };
    ours.record(NewDecision { validity: until, ..grant("ada", "news") }, at(1)).await;
    let delivery = ours.newest_deliveries().await.remove(0);
    let other = theirs.delivery("bob", at(1)).await;
    let another = ours.delivery("cleo", at(1)).await;
    let lease = ours.lease(at(2)).await;
    assert_eq!(ours.claim(lease, at(2)).await.len(), 3);
    let opening = ours.send(delivery.id, lease, at(2)).await;
    let of_others = theirs.send(other.id, lease, at(2)).await;
    ok(store.deletions().ask(&ours.by, "ours", 0, at(3)).await);
    assert_eq!(ok(store.deletions().carry_out(2, at(3)).await), CarriedOut::Destroyed);

    assert!(ok(store.endpoints().sending(endpoint, at(4)).await).is_none());
    assert_eq!(ours.moved(another.id, lease, at(4)).await, DeliveryState::Cancelled);
    let with_answer = |attempt: crate::deliveries::FinishedAttempt| {
        crate::deliveries::FinishedAttempt { answer: Some(b"no".to_vec()), ..attempt }
    };
    let late = with_answer(finished(delivery.id, lease, &opening, RETRY, at(5)));
    let sound = finished(other.id, lease, &of_others, Outcome::Delivered, at(5));
    let report = Report { finished: vec![late, sound], given_back: Vec::new() };
    ok(store.deliveries().report(report, at(5)).await);
    World::expect_state(&theirs.look_at(&other).await, DeliveryState::Delivered);
    ok(store.consents().advance_due(at(2_000), 10).await);
    assert_eq!(ok(store.consents().advance_due(at(2_000), 10).await), 0, "judged no more");

    carry_out(store, at(6)).await;
    let gone = Report {
        finished: vec![finished_unopened(
            (delivery.id, endpoint),
            lease,
            (2, 2, opening.run),
            RETRY,
            at(7),
        )],
        given_back: vec![GivenBack {
            delivery: another.id,
            lease,
            sent: Sent::Nothing,
            to: GiveBack::Unreadable,
        }],
    };
    ok(store.deliveries().report(gone, at(7)).await);
    ours.moved(delivery.id, lease, at(7)).await;
    assert!(ok(store.deliveries().claim_parked(lease, endpoint, 9, at(7)).await).is_empty());
    ok(store.endpoints().gone(endpoint, at(7)).await);
    ok(store.deliveries().release_held(9, at(7)).await);
    let by = Caller::new(ours.organization, Actor::Operator);
    let late = store.consents().record(&by, grant("ada", "news"), at(8)).await;
    assert!(matches!(late, Err(StorageError::Refused(_))));
}
