//! Leases.

use super::world::{World, at, ok};
use crate::Storage;

/// I3: a node starts with a lease of its own, opens newer ones, keeps them alive and closes the old.
pub async fn leases_begin_and_end(store: &dyn Storage) {
    let world = World::new(store).await;
    let leases = store.leases();
    let started = ok(leases.start(at(1)).await);
    assert!(started.taken_over.is_empty());
    let next = world.lease(at(2)).await;
    assert!(next > started.lease, "lease ids grow");
    ok(leases.heartbeat(at(3)).await);
    ok(leases.close(started.lease).await);
    ok(leases.close(started.lease).await);
    let again = ok(leases.start(at(4)).await);
    assert!(again.taken_over.is_empty(), "its own leases are nobody's to take over");
    assert!(again.lease > next);
}
