//! A node: a store on the shared database and an engine on it, on a thread and a runtime of its own, so that all of it can
//! stand still. It can also be stopped, and it can die.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use abide_core::shell::Clock;
use abide_engine::{Engine, Options};
use abide_storage::Storage;
use abide_storage::sealing::MasterKeys;
use abide_storage_postgres::{NodeName, PostgresOptions, PostgresStore, open_with_leases_of};
use anyhow::Context as _;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::database::Database;
use super::wire::Wire;
use crate::chance::{Dice, SharedDice};
use crate::network::Network;
use crate::process::{little_room, parts};
use crate::stage::{Life, Stage};

/// How long a lease lasts here, in milliseconds.
pub(crate) const LEASE_MILLIS: i64 = 1_500;

/// A node that lives, for whoever calls it.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) life: Arc<Life>,
    /// Where calls run.
    pub(crate) works: Handle,
    pub(crate) store: Arc<dyn Storage>,
    /// The time as it knows it.
    pub(crate) clock: Arc<dyn Clock>,
}

/// See the module.
pub(crate) struct Node {
    pub(crate) door: Door,
    pub(crate) wire: Wire,
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
    };
    open_with_leases_of(options, LEASE_MILLIS).context("the store does not open")
}

impl Node {
    /// Starts the `start`th node of a run.
    pub(crate) async fn start(
        database: &Database,
        stage: &Arc<Stage>,
        start: u64,
    ) -> anyhow::Result<Self> {
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

    /// Nothing of it moves until [`Node::thaw`], and nothing gets from it to the database or back.
    pub(crate) fn freeze(&mut self) {
        let (thaws, thawed) = mpsc::channel();
        self.wire.hold();
        self.door.works.spawn(async move {
            // Holds up the thread on which all of it runs.
            let _ = thawed.recv();
        });
        self.stands = Some(thaws);
    }

    /// Goes on where it stood.
    pub(crate) fn thaw(&mut self) {
        self.wire.release();
        self.stands = None;
    }

    /// Stops in good order: open attempts may end.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.ends(End::Stops).await
    }

    /// Ends where it stands.
    pub(crate) async fn die(self) -> anyhow::Result<()> {
        self.door.life.end();
        self.ends(End::Dies).await
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
        let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
        self.door.life.end();
        joined.map_err(|_| anyhow::anyhow!("a node panicked"))
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
fn options() -> Options {
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
