//! Two organizations in one store.

use abide_core::access::Scope;
use abide_core::consent::{ConsentPatch, NewDecision};
use abide_core::delivery::Run;
use abide_core::policy::{NewPolicy, PolicyPatch, PolicyType};
use abide_core::rate::RateLimit;

use super::world::{SKIP, World, at, grant, ok, refusal};
use crate::accounts::NewKey;
use crate::endpoints::EndpointPatch;
use crate::policies::PolicyFilter;
use crate::sealing::Secret;
use crate::{PageWanted, Storage};

/// I13: no id of one organization reads or changes anything when another asks, and nothing is counted together.
pub async fn i13_no_id_opens_anothers_rows(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let policy = NewPolicy {
        policy_type: PolicyType::Custom,
        version: "1".to_owned(),
        title: "Terms".to_owned(),
        content: "text".to_owned(),
        effective_date: None,
    };
    for world in [&ours, &theirs] {
        world.endpoint(SKIP).await;
        ok(store.policies().create(&world.by, policy.clone(), at(1)).await);
    }
    let endpoint = theirs.endpoint(SKIP).await;
    let page = PageWanted { page: 1, limit: 100 };
    let listed =
        ok(store.policies().list(theirs.organization, PolicyFilter::default(), page).await);
    assert_eq!(listed.total, 1);
    let policy = listed.items[0].id.id;
    let consent = theirs.record(grant("ada", "news"), at(2)).await;
    let own = ours.record(grant("ada", "news"), at(2)).await;
    assert_ne!(own.subject, consent.subject, "one reference, two people");
    let event = *theirs.events().await.last().expect("an event");
    let delivery = theirs.deliveries_of(event).await.remove(0);
    let secret = Secret::from("x".to_owned()).hash();
    let new = NewKey {
        name: "k".to_owned(),
        scopes: vec![Scope::Admin],
        secret,
        rate_limit: RateLimit::DEFAULT,
        expires_at: None,
    };
    let key = ok(store.accounts().create_key(&theirs.by, new, at(2)).await).id;
    let before = (ours.everything().await, theirs.everything().await);

    let (we, by) = (ours.organization, &ours.by);
    let granted = ConsentPatch { granted: Some(true), ..ConsentPatch::default() };
    let titled = PolicyPatch { title: Some("Ours".to_owned()), ..PolicyPatch::default() };
    let stopped = EndpointPatch { is_active: Some(false), ..EndpointPatch::default() };
    assert_eq!(ok(store.consents().get(we, consent.id.id).await), None);
    refusal(store.consents().change(by, consent.id.id, granted, at(3)).await);
    refusal(store.consents().withdraw(by, consent.id.id, None, at(3)).await);
    let on_theirs = NewDecision { policy: Some(policy.into()), ..grant("bob", "news") };
    refusal(store.consents().record(by, on_theirs, at(3)).await);
    assert_eq!(ok(store.policies().get(we, policy).await), None);
    refusal(store.policies().change(by, policy, titled, at(3)).await);
    refusal(store.policies().delete(by, policy, at(3)).await);
    assert_eq!(ok(store.endpoints().get(we, endpoint).await), None);
    refusal(store.endpoints().change(by, endpoint, stopped, at(3)).await);
    refusal(store.endpoints().delete(by, endpoint, at(3)).await);
    assert_eq!(ok(store.endpoints().list(we, Some("consentproof"), page).await).total, 1);
    assert_eq!(ok(store.history().event(we, event).await), None);
    assert!(ok(store.history().deliveries_of(we, event).await).is_empty());
    refusal(store.history().retry(by, delivery.id, Run::Single, at(3)).await);
    refusal(store.accounts().revoke_key(by, key, at(3)).await);
    assert!(ok(store.accounts().keys(we).await).is_empty());
    let policies = ok(store.policies().list(we, PolicyFilter::default(), page).await);
    assert!(policies.items.iter().all(|found| found.id != policy.into()));
    assert_eq!((ours.everything().await, theirs.everything().await), before);

    ok(store.subjects().erase(by, "ada", at(4)).await);
    assert_eq!(ok(store.consents().get(theirs.organization, consent.id.id).await), Some(consent));
    assert_eq!(theirs.everything().await, before.1);
}
