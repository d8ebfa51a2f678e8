//! What must not overtake itself: latest-state kinds by their signature time, lanes by one open attempt.

use std::time::Duration;

use abide_core::consent::ConsentPatch;
use abide_core::delivery::DeliveryState;
use abide_core::shell::Clock;
use abide_dialects::Dialect;
use abide_storage::Consents;

use crate::receiver::{Act, Receiver, Seen, answer, repeat};
use crate::test_dialects::{LANE, LATEST};
use crate::world::{SECRET, World, number, received, requests};

fn good() -> Vec<Act> {
    repeat(1000, &[Act::Read, answer("200 OK", "")])
}

fn signed_at(seen: &Seen) -> i64 {
    received(seen).header("x-signed-at").unwrap().parse().unwrap()
}

async fn change(world: &World, consent: abide_core::ids::ConsentId, granted: bool) {
    let patch = ConsentPatch { granted: Some(granted), ..ConsentPatch::default() };
    let consents: &dyn Consents = &*world.store;
    consents.change(&world.by, consent, patch, world.clock.now()).await.unwrap();
}

/// I6: a kind whose receivers order by signature time is signed with strictly increasing times, over the state that
/// was read with the time; a retry is signed anew. (T27)
#[tokio::test(flavor = "multi_thread")]
async fn signature_times_of_one_object_strictly_increase() {
    let world = World::new().await;
    let bad = vec![Act::Read, answer("500 Oops", "")];
    let receiver = Receiver::start(vec![bad.clone(), bad, good()]).await;
    world.endpoint(&LATEST, &receiver).await;
    let consent = world.record("ada", "marketing").await.id;
    for n in 0..12 {
        change(&world, consent.id, n % 2 == 1).await;
    }
    let deadline = Duration::from_secs(1);
    for _ in 0..20 {
        if world.deliveries().await.iter().all(|one| one.state == DeliveryState::Delivered) {
            break;
        }
        world.advance(deadline);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    let mut seen = receiver.requests();
    assert!(seen.len() > 13, "13 deliveries, and some failed first: {}", seen.len());
    for one in &seen {
        LATEST.verify(&received(one), SECRET, world.clock.now()).unwrap();
    }
    seen.sort_by_key(signed_at);
    for pair in seen.windows(2) {
        assert!(signed_at(&pair[0]) < signed_at(&pair[1]), "two were signed with the same time");
        assert!(
            number(&pair[0], "version") <= number(&pair[1], "version"),
            "a later signature over an older state"
        );
    }
    assert_eq!(number(seen.last().unwrap(), "version"), 13);
}

/// I7: in a lane one attempt is open at a time, no older state starts after a newer one was acknowledged, and after a
/// timeout the current state is sent once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_does_not_overtake_itself() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![vec![Act::Read, Act::Hang], good()]).await;
    world.endpoint(&LANE, &receiver).await;
    let consent = world.record("ada", "marketing").await.id;
    requests(&receiver, 1).await;
    for n in 0..6 {
        change(&world, consent.id, n % 2 == 1).await;
    }
    assert_eq!(receiver.requests().len(), 1, "one attempt at a time");
    // The deadline of a second passes; the newest delivery waits until the attempt must have ended.
    let seen = requests(&receiver, 2).await;
    world.until("at rest", |all| all.iter().all(|one| one.state.is_final())).await;
    assert_eq!(number(seen.last().unwrap(), "changes"), 7, "the current state, not the one told");
    let seen = receiver.requests();
    for pair in seen.windows(2) {
        assert!(signed_at(&pair[0]) < signed_at(&pair[1]));
        assert!(number(&pair[0], "version") <= number(&pair[1], "version"));
    }
    let all = world.deliveries().await;
    assert_eq!(all.last().unwrap().state, DeliveryState::Delivered);
    assert!(all[1..6].iter().all(|one| one.state == DeliveryState::Superseded));
}
