//! A node: a store on the shared database and an engine on it, on a thread and a runtime of its own, so that all of it can
//! stand still. It can also be stopped, and it can die.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use abide_engine::{Engine, Options};
use abide_storage::Storage as _;
use abide_storage::sealing::MasterKeys;
use abide_storage_postgres::{NodeName, PostgresOptions, PostgresStore, open_with_leases_of};
use anyhow::Context as _;
use parking_lot::MutexGuard;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::database::Database;
use super::ground::{Begun, Door, Ground, Node};
use super::orders::{Orders, Stand};
use super::wire::Wire;
use crate::chance::{Dice, SharedDice};
use crate::clock::SimulatedClock;
use crate::network::Network;
use crate::process::{little_room, parts};
use crate::rows::server::Server;
use crate::rows::{Nodes, Rows};
use crate::stage::{Life, Stage};

/// How long a lease lasts here, in milliseconds.
pub(crate) const LEASE_MILLIS: i64 = 1_500;
/// How often a node that does not come up is started again, and after how long.
const TRIES: u64 = 10;
const AGAIN: Duration = Duration::from_millis(300);
/// Starts of a run are fewer; each try draws otherwise.
const MOST_STARTS: u64 = 1_000;

/// See the module.
pub(crate) struct ServerNode {
    door: Door,
    wire: Wire,
    end: oneshot::Sender<End>,
    thread: thread::JoinHandle<()>,
    /// While it stands still.
    stands: Option<mpsc::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Where it stands.
    Dies,
    /// In good order.
    Stops,
}

/// The master keys, the same at every node.
pub(crate) fn masters(seed: u64) -> MasterKeys {
    let mut drawn = Dice::new(seed, 2);
    MasterKeys::generate(&mut |bytes: &mut [u8]| bytes.fill_with(|| drawn.next() as u8))
}

/// Opens a store on the database. Blocks.
pub(crate) fn open(url: &str, seed: u64, stream: u64) -> anyhow::Result<Arc<PostgresStore>> {
    let options = PostgresOptions {
        url,
        keys: masters(seed),
        chance: Arc::new(SharedDice::new(seed, 100 + stream)),
        node: NodeName { name: format!("node-{stream}"), role: "all" },
        machine: Arc::new(SimulatedClock::new()),
    };
    open_with_leases_of(options, LEASE_MILLIS).context("the store does not open")
}

impl Ground for Database {
    type Node = ServerNode;

    async fn begin(&self, seed: u64) -> anyhow::Result<Begun> {
        let url = self.url();
        // Makes the tables.
        let first = spawn_blocking(move || open(&url, seed, 0)).await??;
        let now = self.time().await?;
        let organization = first.accounts().create_organization("default", now).await?.id;
        spawn_blocking(move || first.close()).await?;
        let url = self.url();
        let rows = spawn_blocking(move || Server::new(url)).await??;
        let rows = Rows::new(Box::new(rows), Nodes::Several);
        Ok(Begun { organization, rows, clock: SimulatedClock::from(now) })
    }

    /// As whoever looks after a program does it: one that does not come up, because the server or the way to it was too slow,
    /// is started again.
    async fn start(&self, stage: &Arc<Stage>, start: u64) -> anyhow::Result<ServerNode> {
        let mut tried = 0;
        loop {
            match ServerNode::start(self, stage, start + tried * MOST_STARTS).await {
                Err(why) if tried < TRIES => {
                    stage.note(format!("node {start} does not come up: {why:#}"));
                }
                done => return done,
            }
            tried += 1;
            sleep(AGAIN).await;
        }
    }

    fn is_real(&self) -> bool {
        true
    }
}

impl ServerNode {
    /// Starts the `start`th node of a run.
    async fn start(database: &Database, stage: &Arc<Stage>, start: u64) -> anyhow::Result<Self> {
        let noting = Arc::clone(stage);
        let note = move |what: &str| {
            noting.judge.lock().crashes += 1;
            noting.note(format!("node {start}: {what}"));
        };
        let wire = Wire::new(database.place()?, Box::new(note)).await?;
        let url = database.url_at(wire.port());
        let life = Arc::new(Life::default());
        let (end, ends) = oneshot::channel();
        let (ready, began) = oneshot::channel();
        let thread = thread::Builder::new().name(format!("node-{start}")).spawn({
            let (stage, life) = (Arc::clone(stage), Arc::clone(&life));
            move || {
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a runtime of one thread");
                let store = match open(&url, stage.seed, start) {
                    Ok(store) => store,
                    Err(why) => return drop(ready.send(Err(why))),
                };
                let door = Door {
                    life,
                    works: runtime.handle().clone(),
                    clock: store.database().clock(),
                    store: Arc::<PostgresStore>::clone(&store),
                };
                runtime.block_on(works(door, stage, start, ready, ends));
                runtime.shutdown_background();
                store.close();
            }
        })?;
        let door = began.await.context("a node died as it began")??;
        Ok(Self { door, wire, end, thread, stands: None })
    }

    /// What makes it stand still, until [`Node::thaw`].
    fn stand(&mut self) -> Stand {
        let (thaws, thawed) = mpsc::channel();
        self.stands = Some(thaws);
        let works = self.door.works.clone();
        Box::new(move || {
            works.spawn(async move {
                // Holds up the thread on which all of it runs.
                let _ = thawed.recv();
            });
        })
    }

    async fn ends(mut self, how: End) -> anyhow::Result<()> {
        if how == End::Dies {
            drop(self.wire);
        } else {
            self.wire.release();
        }
        self.stands = None;
        // One that has died has nobody to tell.
        let _ = self.end.send(how);
        let thread = self.thread;
        let joined = spawn_blocking(move || thread.join()).await?;
        self.door.life.end();
        joined.map_err(|_| anyhow::anyhow!("a node panicked"))
    }
}

impl Node for ServerNode {
    fn door(&self) -> &Door {
        &self.door
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.wire.orders()
    }

    fn cut_all(&self) {
        self.wire.cut_all();
    }

    fn freeze(&mut self) {
        self.wire.hold();
        self.stand()();
    }

    fn freeze_when_committed(&mut self) {
        let stand = self.stand();
        self.orders().stand_still(stand);
    }

    fn thaw(&mut self) {
        self.wire.release();
        self.stands = None;
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.ends(End::Stops).await
    }

    async fn die(self) -> anyhow::Result<()> {
        self.door.life.end();
        self.ends(End::Dies).await
    }
}

async fn works(
    door: Door,
    stage: Arc<Stage>,
    start: u64,
    ready: oneshot::Sender<anyhow::Result<Door>>,
    ends: oneshot::Receiver<End>,
) {
    let (storage, clock) = (Arc::clone(&door.store), Arc::clone(&door.clock));
    let parts = parts(storage, clock, (stage.seed, start), options());
    let network = Network { stage, life: Arc::clone(&door.life) };
    let engine = match Engine::start_simulated(parts, Arc::new(network)).await {
        Ok(engine) => engine,
        Err(why) => return drop(ready.send(Err(why.into()))),
    };
    if ready.send(Ok(door)).is_err() {
        return;
    }
    if let Ok(End::Stops) = ends.await {
        engine.drain(Duration::from_secs(1)).await;
    }
}

/// As usual, with the rhythms of a short lease.
pub(crate) fn options() -> Options {
    Options {
        heartbeat_every: Duration::from_millis(250),
        heartbeat_valid: Duration::from_secs(1),
        take_over_every: Duration::from_millis(200),
        lease_every: Duration::from_secs(2),
        opened_valid: Duration::from_millis(500),
        look_every: Duration::from_millis(250),
        due_every: Duration::from_millis(500),
        housekeeping_every: Duration::from_millis(500),
        ..little_room()
    }
}
