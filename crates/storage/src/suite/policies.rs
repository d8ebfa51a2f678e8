//! Policies.

use abide_core::consent::NewDecision;
use abide_core::event::{EventBody, EventKind};
use abide_core::policy::{NewPolicy, PolicyPatch, PolicyType, content_hash};

use super::world::{SKIP, World, at, grant, ok, refusal};
use crate::policies::PolicyFilter;
use crate::{PageWanted, Storage};

/// A version to be created.
pub(crate) fn new(version: &str) -> NewPolicy {
    NewPolicy {
        policy_type: PolicyType::CookiePolicy,
        version: version.to_owned(),
        title: "Cookies".to_owned(),
        content: "We bake.".to_owned(),
        effective_date: None,
    }
}

/// P36, P37, I1: each change of a policy is told with its delivery and its audit entry, and says what it left.
pub async fn each_change_is_told(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let policies = store.policies();
    let made = ok(policies.create(&world.by, new("1"), at(1)).await);
    assert_eq!(made.content_hash, content_hash("We bake."));
    let retitled = PolicyPatch { title: Some("Biscuits".to_owned()), ..PolicyPatch::default() };
    let changed = ok(policies.change(&world.by, made.id.id, retitled.clone(), at(2)).await);
    let again = ok(policies.change(&world.by, made.id.id, retitled, at(3)).await);
    assert_eq!((again.updated_at, &again.title), (changed.updated_at, &changed.title));
    let shown = ok(policies.get(world.organization, made.id.id).await).expect("the policy");
    assert_eq!(shown.content.as_deref(), Some("We bake."));
    let deleted = ok(policies.delete(&world.by, made.id.id, at(4)).await);
    assert_eq!((deleted.is_active, deleted.deleted_at), (false, Some(at(4))));
    assert_eq!(
        world.kinds().await,
        [EventKind::PolicyCreated, EventKind::PolicyUpdated, EventKind::PolicyDeleted]
    );
    let all = world.everything().await;
    assert_eq!(all.deliveries.len(), 3);
    assert_eq!(
        world.deeds().await[..3],
        ["policy.delete", "policy.change", "policy.create"].map(str::to_owned)
    );
    match world.event(all.events[2]).await.expect("the deletion").body {
        EventBody::Policy(told) => {
            assert_eq!((told.title.as_str(), told.content), ("Biscuits", None));
        }
        other => panic!("no policy: {other:?}"),
    }
}

/// P36: a version's name is taken once while it lives; a deleted one takes no new decisions and is in no list.
pub async fn versions_are_unique_while_they_live(store: &dyn Storage) {
    let world = World::new(store).await;
    let policies = store.policies();
    let made = ok(policies.create(&world.by, new("1"), at(1)).await);
    let before = world.everything().await;
    refusal(policies.create(&world.by, new("1"), at(2)).await);
    refusal(policies.create(&world.by, new(""), at(2)).await);
    refusal(policies.change(&world.by, made.id.id, PolicyPatch::default(), at(2)).await);
    assert_eq!(world.everything().await, before);
    let on = |policy| NewDecision { policy: Some(policy), ..grant("ada", "cookies") };
    let shown = world.record(on(made.id.id.into()), at(3)).await;
    ok(policies.delete(&world.by, made.id.id, at(4)).await);
    refusal(policies.delete(&world.by, made.id.id, at(4)).await);
    refusal(store.consents().record(&world.by, on(made.id.id.into()), at(5)).await);
    let withdrawn = ok(store.consents().withdraw(&world.by, shown.id.id, None, at(5)).await);
    assert_eq!(withdrawn.policy, Some(made.id), "what was shown stays");
    ok(policies.create(&world.by, new("1"), at(6)).await);
    ok(policies.create(&world.by, new("2"), at(7)).await);
    let page = PageWanted { page: 1, limit: 1 };
    let all = PolicyFilter::default();
    let listed = ok(policies.list(world.organization, all, page).await);
    assert_eq!((listed.total, listed.items[0].version.as_str()), (2, "2"));
    let closed = PolicyFilter { is_active: Some(false), policy_type: None };
    assert_eq!(ok(policies.list(world.organization, closed, page).await).total, 0);
}
