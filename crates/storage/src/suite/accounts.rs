//! Organizations and API keys.

use abide_core::access::Scope;
use abide_core::ids::KeyId;
use abide_core::rate::RateLimit;

use super::world::{World, at, ok, refusal};
use crate::Storage;
use crate::accounts::NewKey;
use crate::sealing::Secret;

/// P30, I12: a key opens from its creation to the answer of its revocation.
pub async fn keys_open_until_revoked(store: &dyn Storage) {
    let world = World::new(store).await;
    let accounts = store.accounts();
    let secret = Secret::from("abs_marker".to_owned());
    let new = NewKey {
        name: "shop".to_owned(),
        scopes: vec![Scope::ConsentRead, Scope::WebhooksWrite],
        secret: secret.hash(),
        rate_limit: RateLimit::DEFAULT,
        expires_at: None,
    };
    let made = ok(accounts.create_key(&world.by, new.clone(), at(1)).await);
    let found = ok(accounts.key(made.id).await).expect("the key");
    assert_eq!((found.organization, &found.scopes), (world.organization, &new.scopes));
    assert!(found.secret.matches("abs_marker") && !found.secret.matches("abs_other"));
    let known = ok(accounts.key(made.id).await).expect("the key, from memory");
    assert_eq!(known.revoked_at, None);
    let revoked = ok(accounts.revoke_key(&world.by, made.id, at(2)).await);
    assert_eq!(revoked.revoked_at, Some(at(2)));
    for _ in 0..2 {
        let after = ok(accounts.key(made.id).await).expect("the key stays as a mark");
        assert_eq!(after.revoked_at, Some(at(2)));
    }
    let again = ok(accounts.revoke_key(&world.by, made.id, at(3)).await);
    assert_eq!(again.revoked_at, Some(at(2)));
    assert_eq!(
        world.deeds().await.iter().filter(|deed| *deed == "key.revoke").count(),
        1,
        "revoking twice is no mistake and no second deed"
    );
    assert_eq!(ok(accounts.keys(world.organization).await).len(), 1);
    assert!(ok(accounts.key(KeyId::from_key(1)).await).is_none());
    refusal(accounts.create_key(&world.by, NewKey { scopes: Vec::new(), ..new }, at(4)).await);
    refusal(accounts.revoke_key(&world.by, KeyId::from_key(1), at(4)).await);
}

/// P33: a key keeps its limit, and what it has used of it is counted in one place while it is known.
pub async fn keys_have_their_own_limit(store: &dyn Storage) {
    let world = World::new(store).await;
    let accounts = store.accounts();
    let secret = Secret::from("abs_marker".to_owned());
    let rate_limit = RateLimit::new(2).expect("a limit");
    let new = NewKey {
        name: "till".to_owned(),
        scopes: vec![Scope::ConsentRead],
        secret: secret.hash(),
        rate_limit,
        expires_at: None,
    };
    let made = ok(accounts.create_key(&world.by, new, at(1)).await);
    assert_eq!(made.rate_limit, rate_limit);
    assert_eq!(ok(accounts.keys(world.organization).await)[0].rate_limit, rate_limit);
    let mut remaining = Vec::new();
    for _ in 0..3 {
        let key = ok(accounts.key(made.id).await).expect("the key");
        remaining.push(key.meter.take(key.rate_limit, at(2)).map(|quota| quota.remaining).ok());
    }
    assert_eq!(remaining, [Some(1), Some(0), None]);
}

/// I13: an organization's name is its own.
pub async fn organization_names_are_unique(store: &dyn Storage) {
    let world = World::named(store, "one").await;
    let accounts = store.accounts();
    for bad in ["one", "", "One", "a b", "ä"] {
        refusal(accounts.create_organization(bad, at(1)).await);
    }
    let two = ok(accounts.create_organization("two", at(1)).await);
    assert_eq!(ok(accounts.organization("two").await).as_ref(), Some(&two));
    assert_eq!(ok(accounts.organization("three").await), None);
    let all: Vec<_> = ok(accounts.organizations().await).iter().map(|found| found.id).collect();
    assert_eq!(all, [world.organization, two.id]);
}
