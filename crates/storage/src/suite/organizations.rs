//! Organizations: founded, changed, listed; their keys in pages; their purposes.

use abide_core::access::{Actor, Caller, Scope};
use abide_core::ids::KeyId;
use abide_core::rate::RateLimit;

use super::world::{World, at, grant, ok, refusal};
use crate::Storage;
use crate::accounts::{NewKey, NewOrganization, OrganizationPatch};
use crate::sealing::Secret;

fn key(name: &str) -> NewKey {
    NewKey {
        name: name.to_owned(),
        scopes: vec![Scope::Admin],
        secret: Secret::from("abs_marker".to_owned()).hash(),
        expires_at: None,
        rate_limit: RateLimit::DEFAULT,
    }
}

/// I1, I13: an organization and its first key come together or not at all, told in both logs, and the founder's own
/// organization stays apart.
pub async fn founding_makes_a_key(store: &dyn Storage) {
    let world = World::new(store).await;
    let accounts = store.accounts();
    let new = |uri: &str| NewOrganization {
        uri: uri.to_owned(),
        name: Some("Two Ltd".to_owned()),
        key: key("first"),
    };
    let (two, first) = ok(accounts.found_organization(&world.by, new("two"), at(1)).await);
    assert_eq!((two.uri.as_str(), two.name.as_deref()), ("two", Some("Two Ltd")));
    assert!(!two.strict_purposes);
    assert_eq!(first.organization, two.id);
    assert_eq!(ok(accounts.organization_of(two.id).await).as_ref(), Some(&two));
    assert_eq!(ok(accounts.keys(two.id).await).len(), 1);
    assert!(ok(accounts.keys(world.organization).await).is_empty());
    assert_eq!(world.deeds().await[0], "organization.create");
    let theirs: Vec<_> = ok(store.history().audit(two.id, 10).await);
    let deeds: Vec<_> = theirs.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(deeds, ["key.create", "organization.create"]);

    let before = world.everything().await;
    let nameless = NewKey { scopes: Vec::new(), ..key("x") };
    for bad in [
        new("two"),
        new("Two!"),
        NewOrganization { name: Some(" ".to_owned()), ..new("three") },
        NewOrganization { key: nameless, ..new("three") },
        NewOrganization { key: key(""), ..new("three") },
    ] {
        refusal(accounts.found_organization(&world.by, bad, at(2)).await);
    }
    assert_eq!(world.everything().await, before);
    assert_eq!(ok(accounts.organization("three").await), None);

    let page = ok(accounts.organizations_after(None, 1).await);
    assert_eq!(page.len(), 1);
    let rest = ok(accounts.organizations_after(Some(page[0].id), 10).await);
    assert_eq!(rest, [two]);
}

/// A change of an organization is audited once, and one that changes nothing not at all.
pub async fn an_organization_changes(store: &dyn Storage) {
    let world = World::new(store).await;
    let accounts = store.accounts();
    let named = |name: Option<&str>| OrganizationPatch {
        name: Some(name.map(str::to_owned)),
        ..OrganizationPatch::default()
    };
    let changed = ok(accounts.change_organization(&world.by, named(Some("Us")), at(1)).await);
    assert_eq!(changed.name.as_deref(), Some("Us"));
    let again = ok(accounts.change_organization(&world.by, named(Some("Us")), at(2)).await);
    assert_eq!(again, changed);
    assert_eq!(world.deeds().await.iter().filter(|deed| *deed == "organization.change").count(), 1);
    refusal(accounts.change_organization(&world.by, named(Some("a\nb")), at(3)).await);
    let removed = ok(accounts.change_organization(&world.by, named(None), at(4)).await);
    assert_eq!(removed.name, None);
    assert_eq!(ok(accounts.organization_of(world.organization).await), Some(removed));
}

/// Where purposes are strict, a decision for an unknown one is refused whole, alone and in a batch; a known one is taken,
/// and what was recorded before can still be changed.
pub async fn strict_purposes_are_kept(store: &dyn Storage) {
    let world = World::new(store).await;
    let record = world.record(grant("ada", "news"), at(1)).await;
    let strict = |strict| OrganizationPatch {
        strict_purposes: Some(strict),
        ..OrganizationPatch::default()
    };
    let accounts = store.accounts();
    ok(accounts.change_organization(&world.by, strict(true), at(2)).await);
    let before = world.everything().await;
    let refused = refusal(store.consents().record(&world.by, grant("bob", "mail"), at(3)).await);
    assert!(refused.contains("`consent_type`"), "{refused}");
    let batch = vec![grant("bob", "news"), grant("bob", "mail")];
    let refused = refusal(store.consents().record_batch(&world.by, batch, at(3)).await);
    assert!(refused.contains("`consents[1].consent_type`"), "{refused}");
    assert_eq!(world.everything().await, before);

    world.record(grant("bob", "news"), at(4)).await;
    ok(store.consents().withdraw(&world.by, record.id.id, None, at(5)).await);
    let made = ok(store.purposes().create(&world.by, "mail", at(6)).await);
    world.record(grant("bob", "mail"), at(7)).await;
    let listed = ok(store.purposes().list_after(world.organization, None, 10).await);
    assert_eq!(
        listed.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(),
        ["news", "mail"]
    );
    assert_eq!(listed[1], made, "the decision took the purpose that was there");

    ok(accounts.change_organization(&world.by, strict(false), at(8)).await);
    world.record(grant("bob", "post"), at(9)).await;
    let other = World::named(store, "other").await;
    other.record(grant("bob", "anything"), at(10)).await;
}

/// I13: purposes are unique, listed in pages, and each organization's own.
pub async fn purposes_are_created_and_listed(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let purposes = store.purposes();
    let news = ok(purposes.create(&ours.by, "news", at(1)).await);
    let mail = ok(purposes.create(&ours.by, "mail", at(2)).await);
    let same_name = ok(purposes.create(&theirs.by, "news", at(3)).await);
    assert_ne!(same_name.id, news.id);
    let before = ours.everything().await;
    for bad in ["news", "", "a\tb"] {
        refusal(purposes.create(&ours.by, bad, at(4)).await);
    }
    assert_eq!(ours.everything().await, before);
    assert_eq!(ours.deeds().await[..2], ["purpose.create", "purpose.create"].map(str::to_owned));
    let page = ok(purposes.list_after(ours.organization, None, 1).await);
    assert_eq!(page, std::slice::from_ref(&news));
    let rest = ok(purposes.list_after(ours.organization, Some(news.id), 5).await);
    assert_eq!(rest, [mail]);
    assert_eq!(ok(purposes.get(ours.organization, news.id).await), Some(news.clone()));
    assert_eq!(ok(purposes.get(theirs.organization, news.id).await), None);
    let record = ours.record(grant("ada", "news"), at(5)).await;
    assert_eq!(record.purpose, "news");
    assert_eq!(ok(purposes.list_after(ours.organization, None, 9).await).len(), 2);
}

/// I12, I13: keys in pages and one by one, with their end and their last use; another organization sees none of them.
pub async fn keys_are_read_in_pages(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let accounts = store.accounts();
    let lasting = ok(accounts.create_key(&ours.by, key("lasting"), at(1)).await);
    let ending = NewKey { expires_at: Some(at(100)), ..key("ending") };
    let ending = ok(accounts.create_key(&ours.by, ending, at(2)).await);
    assert_eq!((lasting.expires_at, ending.expires_at), (None, Some(at(100))));
    let past = NewKey { expires_at: Some(at(3)), ..key("past") };
    let refused = refusal(accounts.create_key(&ours.by, past, at(3)).await);
    assert!(refused.contains("`expires_at`"), "{refused}");

    let ids = async |after, limit| -> Vec<KeyId> {
        let found = ok(accounts.keys_after(ours.organization, after, limit).await);
        found.iter().map(|key| key.id).collect()
    };
    assert_eq!(ids(None, 10).await, [lasting.id, ending.id]);
    assert_eq!(ids(None, 1).await, [lasting.id]);
    assert_eq!(ids(Some(lasting.id), 1).await, [ending.id]);
    assert!(ids(Some(ending.id), 1).await.is_empty());
    assert!(ok(accounts.keys_after(theirs.organization, None, 10).await).is_empty());
    assert!(ok(accounts.key_of(theirs.organization, ending.id).await).is_none());

    let read = async || ok(accounts.key_of(ours.organization, ending.id).await).expect("the key");
    assert_eq!((read().await.expires_at, read().await.last_used_at), (Some(at(100)), None));
    ok(accounts.note_key_use(ending.id, at(50)).await);
    ok(accounts.note_key_use(ending.id, at(40)).await);
    assert_eq!(read().await.last_used_at, Some(at(50)), "the latest, whatever came last");
    let known = ok(accounts.key(ending.id).await).expect("the key");
    assert_eq!(known.expires_at, Some(at(100)), "authentication hears of its end");
    let by = Caller::new(ours.organization, Actor::Operator);
    ok(accounts.revoke_key(&by, ending.id, at(60)).await);
    assert_eq!(read().await.revoked_at, Some(at(60)));
}
