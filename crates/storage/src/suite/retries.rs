//! Another run of a delivery, asked for by hand.

use abide_core::delivery::{DeliveryState, Outcome, Run};

use super::world::{HOLD, RETRY, SKIP, World, at, ok, refusal};
use crate::Storage;

/// P26, I5: a final delivery is sent once more, numbered on, audited; one attempt, or a whole series.
pub async fn a_final_delivery_runs_again(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let made = world.delivery("ada", at(0)).await;
    world.claim(lease, at(0)).await;
    world.attempt(made.id, lease, Outcome::Failed, at(0)).await;
    let retry = async |run, now| ok(store.history().retry(&world.by, made.id, run, at(now)).await);
    retry(Run::Single, 10).await;
    assert_eq!(world.deeds().await[0], "delivery.retry");
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Pending);
    assert_eq!(found.due_at, Some(at(10)));
    world.claim(lease, at(10)).await;
    let opening = world.send(made.id, lease, at(10)).await;
    assert_eq!((opening.number, opening.number_in_run, opening.run), (2, 1, Run::Single));
    let before = world.audit().await.len();
    retry(Run::Single, 11).await;
    assert_eq!(world.audit().await.len(), before, "it is being sent: nothing to do");
    let report = super::world::finished(made.id, lease, &opening, RETRY, at(11));
    world.report(report, at(11)).await;
    World::expect_state(&world.look_at(&made).await, DeliveryState::Failed);
    retry(Run::Series, 20).await;
    world.claim(lease, at(20)).await;
    world.attempt(made.id, lease, RETRY, at(20)).await;
    let found = world.look_at(&made).await;
    assert_eq!((found.state, found.due_at), (DeliveryState::Pending, Some(at(60_020))));
    retry(Run::Single, 30).await;
    world.claim(lease, at(30)).await;
    world.attempt(made.id, lease, Outcome::Delivered, at(30)).await;
    let found = world.look_at(&made).await;
    World::expect_state(&found, DeliveryState::Delivered);
    let numbers: Vec<_> = found.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

/// P26: what a stop cancelled can be retried once the endpoint is back, and a later stop cancels it again.
pub async fn a_cancelled_delivery_runs_again(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let made = world.delivery("ada", at(0)).await;
    world.set_active(endpoint, false, at(1)).await;
    world.claim(lease, at(1)).await;
    refusal(store.history().retry(&world.by, made.id, Run::Single, at(2)).await);
    world.set_active(endpoint, true, at(3)).await;
    ok(store.history().retry(&world.by, made.id, Run::Series, at(4)).await);
    World::expect_state(&world.look_at(&made).await, DeliveryState::Pending);
    ok(store.deliveries().claim_due(lease, &[endpoint], 10, at(4)).await);
    ok(store.deliveries().release_held(10, at(4)).await);
    assert_eq!(ok(store.deliveries().claim_parked(lease, endpoint, 9, at(4)).await).len(), 1);
    world.attempt(made.id, lease, RETRY, at(4)).await;
    World::expect_state(&world.look_at(&made).await, DeliveryState::Pending);
    world.set_active(endpoint, false, at(5)).await;
    world.set_active(endpoint, true, at(6)).await;
    World::expect_state(&world.look_at(&made).await, DeliveryState::Cancelled);
    assert!(world.claim(lease, at(1_000_000)).await.is_empty());
}

/// P26: a held delivery is refused, and so is one of a stopped endpoint, leaving nothing.
pub async fn a_held_delivery_is_refused(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let made = world.delivery("ada", at(0)).await;
    let lease = world.lease(at(0)).await;
    world.claim(lease, at(0)).await;
    world.attempt(made.id, lease, Outcome::Gone, at(0)).await;
    let before = world.everything().await;
    refusal(store.history().retry(&world.by, made.id, Run::Single, at(1)).await);
    assert_eq!(world.everything().await, before);
    ok(store.endpoints().gone(endpoint, at(2)).await);
    refusal(store.history().retry(&world.by, made.id, Run::Single, at(3)).await);
}
