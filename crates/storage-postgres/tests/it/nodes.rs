//! Two stores on one database at once.

use std::sync::Arc;

use abide_storage::suite;
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
    i5_nothing_is_claimed_twice
);

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
