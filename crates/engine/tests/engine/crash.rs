//! What a process that died leaves behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use abide_core::delivery::DeliveryState;
use abide_core::ids::LeaseId;
use abide_core::shell::Clock;
use abide_engine::Options;
use abide_storage::{Committed, HotDelivery, Room, Slot, Storage};

use crate::faulty::Faulty;
use crate::receiver::{Act, Receiver, answer, repeat};
use crate::test_dialects::SNAPSHOT;
use crate::world::{Folder, TestClock, World, add_endpoint, caller, events, record, requests};

fn good() -> Vec<Act> {
    repeat(1000, &[Act::Read, answer("200 OK", "")])
}

/// An engine that dies between a commit and taking what was committed.
struct Dying(LeaseId);

impl Room for Dying {
    fn reserve(&self, _deliveries: usize, _bytes: usize) -> Option<Slot> {
        Some(Slot::new(self.0, Box::new(|| ())))
    }
}

impl Committed for Dying {
    fn take(&self, _slot: Slot, _deliveries: Vec<HotDelivery>) {}
}

/// I3: what was committed hot and never reached a queue is found by its lease at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn committed_and_never_taken_is_found_again() {
    let folder = Folder::new();
    let receiver = Receiver::start(vec![good()]).await;
    let clock = TestClock::default();
    {
        let store = folder.open().await;
        let by = caller(&store, clock.now()).await;
        let lease = store.leases().start(clock.now()).await.unwrap().lease;
        let dying = Arc::new(Dying(lease));
        store.attach(Arc::<Dying>::clone(&dying), dying);
        add_endpoint(&store, &by, &SNAPSHOT, &receiver, clock.now()).await;
        for n in 0..50 {
            record(&*store, &by, &format!("person {n}"), "marketing", clock.now()).await;
        }
        Storage::close(&*store);
    }
    let world =
        World::on(folder.open().await, Options { lose_page: 8, ..Options::default() }).await;
    let all = world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    assert_eq!(all.len(), 50);
    let told: HashSet<_> = events(&receiver.requests()).into_iter().collect();
    assert_eq!(told.len(), 50);
}

/// I3: an engine that dies with attempts open and deliveries waiting loses none, and what it sends twice carries the
/// same id.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_loses_nothing() {
    let folder = Folder::new();
    let hanging = vec![Act::Read, Act::Hang];
    let receiver = Receiver::start(vec![hanging.clone(), hanging, good()]).await;
    let world = World::on(folder.open().await, Options::default()).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    let endless = world.endpoint(&SNAPSHOT, &receiver).await;
    world.set_active(endless, false).await;
    for n in 0..30 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    requests(&receiver, 2).await;
    world.crash();

    let world = World::on(folder.open().await, Options::default()).await;
    let all = world
        .until("delivered", |all| {
            all.iter()
                .filter(|one| one.endpoint != endless)
                .all(|one| one.state == DeliveryState::Delivered)
        })
        .await;
    assert_eq!(all.len(), 60);
    let told = events(&receiver.requests());
    assert_eq!(told.len(), 32, "two attempts were open");
    assert_eq!(told.iter().collect::<HashSet<_>>().len(), 30);
    assert!(told[2..].contains(&told[0]) && told[2..].contains(&told[1]));
}

/// I3: a lease without work in memory is worked off while the engine runs, so what fell between commit and queue does
/// not wait for a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_dropped_is_found_without_a_restart() {
    let options = Options {
        lease_every: Duration::from_millis(500),
        heartbeat_every: Duration::from_millis(200),
        ..Options::default()
    };
    let store = World::store();
    let loses = Arc::new(AtomicBool::new(false));
    let losing = Faulty::losing(&store, Arc::clone(&loses));
    let world = World::through(Arc::new(losing), store, options).await;
    let receiver = Receiver::start(vec![good()]).await;
    world.endpoint(&SNAPSHOT, &receiver).await;
    loses.store(true, Ordering::Relaxed);
    world.record("ada", "marketing").await;
    loses.store(false, Ordering::Relaxed);
    let all = world.until("delivered", |all| all[0].state == DeliveryState::Delivered).await;
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(all[0].attempts.len(), 1);
}
