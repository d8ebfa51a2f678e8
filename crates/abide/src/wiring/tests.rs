//! What is wired together, where only the whole shows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use abide_storage::StorageError;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use super::*;

/// Chance, for as long as nobody is unlucky: then the store's writer, when it draws, loses its disk. The kernel refuses
/// every sync of that thread from there on.
#[derive(Default)]
struct BadLuck(AtomicBool);

impl Chance for BadLuck {
    fn fill(&self, bytes: &mut [u8]) {
        OsChance.fill(bytes);
        if self.0.load(Ordering::Relaxed) && thread::current().name() == Some("abide-writer") {
            refuse_syncs();
        }
    }
}

fn refuse_syncs() {
    let filter = SeccompFilter::new(
        [libc::SYS_fsync, libc::SYS_fdatasync].map(|call| (call, Vec::new())).into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EIO.cast_unsigned()),
        std::env::consts::ARCH.try_into().expect("an architecture with filters"),
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
    apply_filter(&program).expect("a kernel with filters");
}

/// I1: a store that can write no more makes the node not ready at once, and says why.
#[tokio::test]
async fn i1_a_store_that_stopped_writing_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().join("data"), folder.path().join("keys"));
    let keys = folder::prepare(&place, &OsChance).unwrap();
    let luck = Arc::new(BadLuck::default());
    let storage: Arc<dyn Storage> = abide_storage_sqlite::open(SqliteOptions {
        data: &place.data,
        keys: keys.keys,
        chance: Arc::clone(&luck) as _,
        commit_delay: None,
    })
    .unwrap();
    let ground = Ground {
        storage,
        key_file: place.key_file,
        clock: Arc::new(SystemClock),
        chance: Arc::new(OsChance),
        dashboard: None,
    };
    let serving = Serving {
        listen: ([127, 0, 0, 1], 0).into(),
        dev: false,
        allow_network: Vec::new(),
        public_url: None,
        trusted_proxies: Vec::new(),
        drain: Duration::ZERO,
        role: Role::All,
        node_name: String::new(),
        log: String::new(),
        commit_delay: None,
    };
    let engine = Arc::new(start_engine(&ground, &serving).await.unwrap());
    let ready = WhileItMoves { engine: Some(engine), storage: Arc::clone(&ground.storage) };
    assert_eq!(ready.check(), Ok(()));

    luck.0.store(true, Ordering::Relaxed);
    let accounts = ground.storage.accounts();
    let made = accounts.create_organization("unlucky", ground.clock.now()).await;
    assert!(matches!(made, Err(StorageError::Unknown(_))), "{made:?}");
    let reasons = ready.check().expect_err("not ready");
    assert!(reasons[0].starts_with("a commit failed (disk I/O error)"), "{reasons:?}");
}
