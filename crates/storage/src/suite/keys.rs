//! Master keys: adding, rotating, removing.

use super::world::{World, at, grant, key_file, ok};
use crate::{Storage, StorageError};

/// I11: rotation goes page by page, takes up where it was left, and everything opens under the new key alone.
pub async fn rotation_in_pages(store: &dyn Storage) {
    let mut made = Vec::new();
    for uri in ["one", "two", "three"] {
        let world = World::named(store, uri).await;
        let consent = world.record(grant("ada", "news"), at(1)).await;
        made.push((world, consent));
    }
    let keys = store.keys();
    let first = ok(keys.in_use().await);
    assert_eq!(first.len(), 1);
    let lacking = keys.reload(key_file(&[2])).await;
    assert!(matches!(lacking, Err(StorageError::Unavailable(_))), "{lacking:?}");
    ok(keys.reload(key_file(&[1, 2])).await);
    let page = ok(keys.rewrap(2, at(2)).await);
    assert_eq!((page.organizations, page.more), (2, true));
    assert_eq!(ok(keys.in_use().await).len(), 2);
    assert!(keys.reload(key_file(&[2])).await.is_err(), "one organization needs the old one");
    ok(keys.reload(key_file(&[1, 2])).await);
    let page = ok(keys.rewrap(2, at(2)).await);
    assert_eq!((page.organizations, page.more), (1, false));
    let page = ok(keys.rewrap(2, at(2)).await);
    assert_eq!((page.organizations, page.more), (0, false));
    ok(keys.reload(key_file(&[2])).await);
    assert_ne!(ok(keys.in_use().await), first);
    for (world, consent) in made {
        let found = ok(store.consents().get(world.organization, consent.id.id).await);
        assert_eq!(found.as_ref(), Some(&consent));
        let again = world.record(grant("ada", "news"), at(2)).await;
        assert_eq!(again.subject, consent.subject, "people are found as before");
        let deeds = world.deeds().await;
        assert_eq!(deeds.iter().filter(|deed| *deed == "organization.rewrap").count(), 1);
    }
}
