//! A process: a store on the data that its predecessors left, and an engine on it. It can be stopped, and it can die.
//!
//! The only file that names a store. Another one takes its place here and in `rows.rs`.

use std::sync::Arc;
use std::time::Duration;

use abide_core::shell::Clock;
use abide_engine::outbound::{Guard, SystemResolver, TlsRoots};
use abide_engine::{Engine, EngineParts, Options};
use abide_storage::Storage;
use abide_storage::sealing::MasterKeys;
use abide_storage_sqlite::InPlace;
use anyhow::Context as _;
use tokio::task::JoinHandle;

use crate::chance::{Dice, SharedDice};
use crate::network::Network;
use crate::post::Post;
use crate::speech::DIALECTS;
use crate::stage::{Life, Stage, Watched};

/// Where the data lies.
pub(crate) struct Ground {
    /// The name of the database in memory.
    pub(crate) database: String,
    /// Processes that began on it.
    starts: u64,
}

/// See the module.
pub(crate) struct Process {
    pub(crate) life: Arc<Life>,
    pub(crate) store: Arc<dyn Storage>,
    engine: Option<Engine>,
    writer: JoinHandle<()>,
}

impl Ground {
    pub(crate) fn new(database: String) -> Self {
        Self { database, starts: 0 }
    }

    /// Opens the data and starts an engine on it. A process that dies on the way has none.
    pub(crate) async fn start(&mut self, stage: &Arc<Stage>) -> anyhow::Result<Process> {
        self.starts += 1;
        let life = Arc::new(Life::default());
        let mut drawn = Dice::new(stage.seed, 2);
        let keys = MasterKeys::generate(&mut |bytes: &mut [u8]| {
            bytes.fill_with(|| drawn.next() as u8);
        });
        let watched = Watched { stage: Arc::clone(stage), life: Arc::clone(&life), since: (0, 0) };
        let (store, works) = abide_storage_sqlite::open_in_place(InPlace {
            database: &self.database,
            keys,
            chance: Arc::new(SharedDice::new(stage.seed, 100 + self.starts)),
            batches: Box::new(watched),
        })
        .context("the store does not open")?;
        let writer = tokio::task::spawn_local(works);
        let store: Arc<dyn Storage> = store;
        let post = Post::new(Arc::clone(&store), Arc::clone(stage), Arc::clone(&life));
        let storage: Arc<dyn Storage> = Arc::new(post);
        let clock = Arc::<crate::clock::SimulatedClock>::clone(&stage.clock);
        let parts = parts(storage, clock, (stage.seed, self.starts), options());
        let network = Network { stage: Arc::clone(stage), life: Arc::clone(&life) };
        let starting = Engine::start_simulated(parts, Arc::new(network));
        let engine = tokio::select! {
            biased;
            () = life.ends() => None,
            started = starting => Some(started.context("the engine does not start")?),
        };
        Ok(Process { life, store, engine, writer })
    }
}

/// What the `start`th engine of a seed's run consists of.
pub(crate) fn parts(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    (seed, start): (u64, u64),
    options: Options,
) -> EngineParts {
    EngineParts {
        storage,
        clock,
        chance: Arc::new(SharedDice::new(seed, 10_000 + start)),
        dialects: DIALECTS,
        guard: Guard::default(),
        resolver: Arc::new(SystemResolver::default()),
        roots: TlsRoots::PlatformIfAny,
        options,
    }
}

/// So little room that a short run fills it.
pub(crate) fn little_room() -> Options {
    Options {
        queue_deliveries: 64,
        endpoint_queue_unproven: 8,
        endpoint_queue_suspect: 2,
        page: 8,
        lose_page: 4,
        ..Options::default()
    }
}

/// Rhythms as usual where anything depends on them, and slower where they only cost time.
fn options() -> Options {
    Options {
        look_every: Duration::from_secs(1),
        due_every: Duration::from_secs(2),
        lease_every: Duration::from_secs(7),
        housekeeping_every: Duration::from_secs(5),
        jobs_every: Duration::from_secs(10),
        backlog_every: Duration::from_secs(30),
        ..little_room()
    }
}

impl Process {
    /// Stops in good order: open attempts may end.
    pub(crate) async fn stop(&self) {
        if let Some(engine) = &self.engine {
            tokio::select! {
                biased;
                () = self.life.ends() => {}
                () = engine.drain(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Ends where it stands: what is not committed is undone, and nobody is answered any more.
    pub(crate) async fn die(self) {
        self.life.end();
        drop(self.engine);
        self.writer.abort();
        // It ends as told.
        let _ = self.writer.await;
        self.store.close();
    }
}
