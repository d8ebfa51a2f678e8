//! The suite of `abide-storage`, run against this store in a folder and in memory.

use std::sync::Arc;

use abide_storage::suite::{self, Dice, masters};
use abide_storage_sqlite::{SqliteOptions, SqliteStore};
use proptest::prelude::*;

fn in_folder() -> (Arc<SqliteStore>, Option<tempfile::TempDir>) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteOptions {
        data: &folder.path().join("data"),
        keys: masters(),
        chance: Arc::new(Dice::default()),
        commit_delay: None,
    };
    (abide_storage_sqlite::open(options).expect("a store"), Some(folder))
}

fn in_memory() -> (Arc<SqliteStore>, Option<tempfile::TempDir>) {
    (
        abide_storage_sqlite::open_in_memory(masters(), Arc::new(Dice::default()))
            .expect("a store"),
        None,
    )
}

/// A test per case and kind of store.
macro_rules! conforms {
    ($($area:ident: $($case:ident),+;)+) => {
        mod folder { $(mod $area { $(
            #[tokio::test]
            async fn $case() {
                let (store, _folder) = crate::in_folder();
                crate::suite::$area::$case(&*store).await;
            }
        )+ })+ }
        mod memory { $(mod $area { $(
            #[tokio::test]
            async fn $case() {
                let (store, _) = crate::in_memory();
                crate::suite::$area::$case(&*store).await;
            }
        )+ })+ }
    };
}

abide_storage::for_every_case!(conforms);

/// Longer where the whole test command runs, shorter on every commit.
fn walks() -> u32 {
    let quick = std::env::var("ABIDE_TEST_FORM").is_ok_and(|form| form == "quick");
    if quick { 10 } else { 60 }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: walks(), failure_persistence: None, ..ProptestConfig::default()
    })]

    /// I1, I2, I3, I5: the invariants hold over random walks.
    #[test]
    fn random_walks(steps in prop::collection::vec(any::<(u8, u8)>(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (store, _) = in_memory();
        runtime.block_on(suite::walks::whatever_happens_the_invariants_hold(&*store, &steps));
    }
}
