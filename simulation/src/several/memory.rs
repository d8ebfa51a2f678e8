//! Nodes on one database in memory, on the simulated clock: the statements of several nodes, one transaction at a time. The same
//! plan always runs the same way.
//!
//! One that stands still is cut off from everything: nothing gets from it to the database or to a receiver, and nothing back.
//! Its timers go on; what it would have sent meanwhile finds nobody.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use abide_core::shell::Clock as _;
use abide_engine::Engine;
use abide_storage::Storage;
use abide_storage_sqlite::{NodeInPlace, Passage, SqliteNode, Way, keep, open_node_in_place};
use anyhow::Context as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_local};

use super::ground::{Begun, Door, Ground, Node};
use super::node::{LEASE_MILLIS, masters, options};
use super::orders::{Cut, Fate, Orders};
use crate::chance::SharedDice;
use crate::clock::SimulatedClock;
use crate::network::Network;
use crate::process::parts;
use crate::rows::embedded::Embedded;
use crate::rows::{Nodes, Rows};
use crate::stage::{Life, Stage};

type Store = abide_storage_sql::SqlStore<SqliteNode>;

/// A database in memory, by its name.
pub(crate) struct Memory {
    name: String,
}

/// See the module.
pub(crate) struct MemoryNode {
    door: Door,
    orders: Arc<Mutex<Orders>>,
    engine: Engine,
    works: JoinHandle<()>,
}

impl Memory {
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }

    fn open(
        &self,
        seed: u64,
        number: u64,
        clock: Arc<SimulatedClock>,
        way: Box<dyn Way>,
    ) -> anyhow::Result<(Arc<Store>, JoinHandle<()>)> {
        let (store, works) = open_node_in_place(NodeInPlace {
            database: &self.name,
            number: number.try_into()?,
            lease_millis: LEASE_MILLIS,
            keys: masters(seed),
            chance: Arc::new(SharedDice::new(seed, 100 + number)),
            clock,
            way,
        })
        .context("the store does not open")?;
        Ok((store, spawn_local(works)))
    }
}

impl Ground for Memory {
    type Node = MemoryNode;

    async fn begin(&self, seed: u64) -> anyhow::Result<Begun> {
        let rows = Rows::new(Box::new(Embedded::new(keep(&self.name)?)), Nodes::Several);
        let clock = SimulatedClock::new();
        let (first, works) =
            self.open(seed, 0, Arc::new(SimulatedClock::new()), Box::new(Clear))?;
        let organization = first.accounts().create_organization("default", clock.now()).await?.id;
        works.abort();
        Ok(Begun { organization, rows, clock })
    }

    async fn start(&self, stage: &Arc<Stage>, start: u64) -> anyhow::Result<MemoryNode> {
        let (life, orders) = (Arc::new(Life::default()), Arc::<Mutex<Orders>>::default());
        let way = Road {
            stage: Arc::clone(stage),
            life: Arc::clone(&life),
            orders: Arc::clone(&orders),
            start,
            then: Fate::Passes,
        };
        let clock = Arc::clone(&stage.clock);
        let (store, works) = self.open(stage.seed, start, Arc::clone(&clock), Box::new(way))?;
        let parts = parts(Arc::<Store>::clone(&store), clock, (stage.seed, start), options());
        let network = Network { stage: Arc::clone(stage), life: Arc::clone(&life) };
        let engine = Engine::start_simulated(parts, Arc::new(network)).await;
        let engine = engine.context("the engine does not start")?;
        let clock = Arc::<SimulatedClock>::clone(&stage.clock);
        let door = Door { life, works: Handle::current(), store, clock };
        Ok(MemoryNode { door, orders, engine, works })
    }

    fn is_real(&self) -> bool {
        false
    }
}

impl Node for MemoryNode {
    fn door(&self) -> &Door {
        &self.door
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock()
    }

    /// Between two transactions nobody has a connection to lose.
    fn cut_all(&self) {}

    fn freeze(&mut self) {
        self.door.life.stand_still();
    }

    fn freeze_when_committed(&mut self) {
        let life = Arc::clone(&self.door.life);
        self.orders().stand_still(Box::new(move || life.stand_still()));
    }

    fn thaw(&mut self) {
        self.orders().go_on();
        self.door.life.go_on();
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.thaw();
        self.engine.drain(Duration::from_secs(1)).await;
        self.die().await
    }

    async fn die(self) -> anyhow::Result<()> {
        self.door.life.end();
        drop(self.engine);
        self.works.abort();
        // It ends as told.
        let _ = self.works.await;
        Ok(())
    }
}

/// A way on which nothing goes wrong.
struct Clear;

impl Way for Clear {
    fn gets_through(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::ready(()))
    }

    fn committing(&mut self, _: bool) -> Passage {
        Passage::Arrives
    }

    fn committed(&mut self) -> Passage {
        Passage::Arrives
    }
}

/// The way from a node to its database.
struct Road {
    stage: Arc<Stage>,
    life: Arc<Life>,
    orders: Arc<Mutex<Orders>>,
    start: u64,
    /// What becomes of the commit under way once it is one.
    then: Fate,
}

impl Road {
    fn note(&self, what: &str) {
        self.stage.judge.lock().crashes += 1;
        self.stage.note(format!("node {}: {what}", self.start));
    }
}

impl Way for Road {
    fn gets_through(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let life = Arc::clone(&self.life);
        Box::pin(async move { life.lives().await })
    }

    fn committing(&mut self, writes_decisions: bool) -> Passage {
        let fate = self.orders.lock().fate(writes_decisions);
        if let Fate::IsCut(Cut::BeforeCommit) = fate {
            self.note("a connection is cut before a COMMIT");
            return Passage::IsLost;
        }
        self.then = fate;
        Passage::Arrives
    }

    fn committed(&mut self) -> Passage {
        self.stage.judge.lock().look(self.stage.clock.elapsed_millis());
        match std::mem::replace(&mut self.then, Fate::Passes) {
            Fate::Passes => Passage::Arrives,
            Fate::IsCut(_) => {
                self.note("a connection is cut after a COMMIT");
                Passage::IsLost
            }
            Fate::IsLast(stand) => {
                stand();
                self.note("it stands still after a COMMIT");
                Passage::Arrives
            }
        }
    }
}
