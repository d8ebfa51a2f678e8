//! Two stores on one database at once.

use std::sync::Arc;

use abide_storage::leases::Chores;
use abide_storage::suite;
use abide_storage::{Storage as _, StorageError};
use abide_storage_postgres::PostgresStore;
use proptest::prelude::*;

use crate::server::Database;

/// The stores of two nodes.
async fn two(database: &Database) -> [Arc<PostgresStore>; 2] {
    let open = async |seed| crate::another_store(database, seed).await;
    [open(1).await, open(2).await]
}

macro_rules! at_two_nodes {
    ($($case:ident),+) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let database = Database::new().await;
            let [one, two] = two(&database).await;
            suite::nodes::$case(&*one, &*two).await;
        }
    )+ };
}

at_two_nodes!(
    i1_the_same_new_things_are_made_once,
    i1_decisions_about_a_person_follow_each_other,
    feeds_are_read_while_both_write,
    a_pause_holds_at_every_node,
    what_is_asked_for_outlives_an_earlier_stop,
    a_stop_ends_what_was_asked_for_before,
    i5_nothing_is_claimed_twice,
    chores_are_done_by_one
);

/// I5: a node that lost the chores, because it was not heard of for too long, writes none of them; its heartbeat does not
/// bring them back.
#[tokio::test(flavor = "multi_thread")]
async fn i5_a_chore_is_refused_at_a_node_that_lost_them() {
    let database = Database::new().await;
    let [one, two] = two(&database).await;
    let now = suite::at(0);
    assert_eq!(one.leases().chores(now).await.unwrap(), Chores::Ours);
    one.leases().heartbeat(now).await.unwrap();
    let held = "SELECT leases.heartbeat_at - started_at FROM leases JOIN nodes USING (holder) WHERE lease = 0";
    assert!(database.ask(held).await >= 0, "a heartbeat confirms them");
    one.consents().advance_due(now, 10).await.unwrap();
    database.run("UPDATE leases SET heartbeat_at = 0 WHERE lease = 0").await;
    let taken = two.leases().take_over(now).await.unwrap();
    assert_eq!(taken, [], "they are no lease of deliveries");
    assert_eq!(two.leases().chores(now).await.unwrap(), Chores::Ours);
    assert_eq!(database.ask("SELECT epoch FROM leases WHERE lease = 0").await, 2);
    let refused = one.consents().advance_due(now, 10).await;
    assert!(matches!(refused, Err(StorageError::Refused(_))), "{refused:?}");
    one.leases().heartbeat(now).await.unwrap();
    assert_eq!(one.leases().chores(now).await.unwrap(), Chores::Anothers);
    two.consents().advance_due(now, 10).await.unwrap();
    // A node that is only asked while both look at once: one of them gets them.
    database.run("UPDATE leases SET heartbeat_at = 0 WHERE lease = 0").await;
    let both = tokio::join!(one.leases().chores(now), two.leases().chores(now));
    let both = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(both.iter().filter(|whose| **whose == Chores::Ours).count(), 1, "{both:?}");
}

/// Seeds, and steps of each of four walkers.
fn walks() -> (u64, usize) {
    match std::env::var("ABIDE_TEST_FORM").as_deref() {
        Ok("quick") => (1, 15),
        Ok("ci") => (3, 25),
        _ => (5, 40),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_two_nodes_do_the_invariants_hold() {
    let database = Database::new().await;
    let [one, two] = two(&database).await;
    let (seeds, steps) = walks();
    for seed in 1..=seeds {
        suite::nodes::whatever_two_nodes_do_the_invariants_hold(&*one, &*two, seed, steps).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: walks().0 as u32 + 1, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// I1, I2, I3, I5: the invariants hold over random walks of one node, too.
    #[test]
    fn random_walks(steps in prop::collection::vec(any::<(u8, u8)>(), 1..40)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let database = Database::new().await;
            let store = crate::store(&database).await;
            suite::walks::whatever_happens_the_invariants_hold(&*store, &steps).await;
        });
    }
}
