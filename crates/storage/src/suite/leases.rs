//! Leases.

use super::world::{SKIP, World, at, grant, ok};
use crate::Storage;
use crate::leases::Chores;
use crate::nodes::{Node, Standing};

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

/// I3: the chores are this node's where there is no other, and stay its own.
pub async fn the_only_node_does_the_chores(store: &dyn Storage) {
    let world = World::new(store).await;
    world.lease(at(1)).await;
    for millis in [2, 3, 90_000] {
        assert_eq!(ok(store.leases().chores(at(millis)).await), Chores::Ours);
    }
    ok(store.consents().advance_due(at(90_000), 10).await);
    // Nothing of that stands where the leases of deliveries do.
    assert!(ok(store.leases().take_over(at(90_001)).await).is_empty());
}

/// A node is shown with what it holds: its leases, the deliveries that it read to send or has fresh in its memory, the chores.
pub async fn a_node_is_shown_with_what_it_holds(store: &dyn Storage) {
    let world = World::new(store).await;
    let shown = async || {
        let nodes = ok(store.nodes().nodes(at(3)).await);
        let [node] = <[_; 1]>::try_from(nodes).expect("one node");
        node
    };
    let idle = shown().await;
    assert_eq!((idle.standing, idle.leases.len()), (Standing::Alive, 0));
    assert!(!idle.name.is_empty() && !idle.version.is_empty());
    assert_eq!((idle.number, idle.role.as_str()), (0, "all"));
    assert!(idle.heard_at >= idle.started_at);

    world.endpoint(SKIP).await;
    for person in ["ada", "bob", "eve"] {
        world.record(grant(person, "news"), at(1)).await;
    }
    let (first, second) = (world.lease(at(1)).await, world.lease(at(2)).await);
    assert_eq!(world.claim(second, at(2)).await.len(), 3);
    ok(store.leases().chores(at(2)).await);
    let busy = shown().await;
    assert!(busy.does_chores);
    let held = |node: &Node| {
        let leases = node.leases.iter();
        leases.map(|one| (one.lease, one.epoch, one.claimed, one.hot)).collect::<Vec<_>>()
    };
    assert_eq!(held(&busy), [(first, 1, 0, 0), (second, 1, 3, 0)]);
    ok(store.leases().close(first).await);
    let engine = world.engine(at(2)).await;
    for person in ["fay", "gil"] {
        world.record(grant(person, "news"), at(3)).await;
    }
    let hot = shown().await;
    assert_eq!(held(&hot), [(second, 1, 3, 0), (engine.lease, 1, 0, 2)]);
    assert!(hot.leases.iter().all(|one| !one.is_at_least));
}
