//! What runs beside all calls, on a thread of its own: the node's beat and the time, and the doorbell of other nodes. What may
//! take longer is [`Upkeep`]'s.

use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use abide_storage::StorageResult;
use abide_storage_sql::shared::Shared;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::address::Address;
use crate::connection::Connection;
use crate::time::{DatabaseClock, REPLACED};
use crate::upkeep::Upkeep;
use crate::{doorbell, node};

const BEAT_EVERY: Duration = Duration::from_secs(1);
const RING: &str = "NOTIFY abide";
/// Least time between two rings for other nodes.
const RING_EVERY: Duration = Duration::from_millis(100);
/// How long it may take until the doorbell can be heard, or rung: all else here waits meanwhile.
const LISTENING: Duration = Duration::from_secs(2);
/// After so long it is tried again. Until then the node looks for others' work by itself.
const LISTEN_AGAIN: Duration = Duration::from_secs(10);

/// The thread; ends when this is dropped, and takes the node off the list.
pub(crate) struct Companion {
    upkeep: Option<Upkeep>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Companion {
    pub(crate) fn start(
        address: Address,
        vital: Duration,
        shared: Arc<Shared>,
        clock: Arc<DatabaseClock>,
    ) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let upkeep = Upkeep::start(address.clone(), Arc::clone(&clock))?;
        let thread = thread::Builder::new().name("abide-node".to_owned()).spawn(move || {
            let beside = Beside { address, vital, shared, clock, connection: None };
            beside.run(&runtime, stopped);
        })?;
        Ok(Self { upkeep: Some(upkeep), stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        drop(self.upkeep.take());
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

struct Beside {
    address: Address,
    /// How long an answer is waited for that says whether this node may go on.
    vital: Duration,
    shared: Arc<Shared>,
    clock: Arc<DatabaseClock>,
    connection: Option<Connection>,
}

/// What the thread wakes for.
enum Woken {
    Stop,
    Beat,
    /// Another node has rung.
    Rung,
    /// This one has.
    Ring,
    /// The doorbell's connection is lost.
    Deaf,
}

/// The doorbell's own connection.
struct Ears {
    client: Client,
    rings: mpsc::UnboundedReceiver<i32>,
    own: i32,
}

impl Beside {
    fn run(mut self, runtime: &Runtime, stopped: oneshot::Receiver<()>) {
        let mut stopped = pin!(stopped);
        let mut ears: Option<Ears> = None;
        let (mut next_beat, mut listen_again) = (Instant::now(), Instant::now());
        let mut last_ring: Option<Instant> = None;
        loop {
            if ears.is_none() && listen_again <= Instant::now() {
                let listening = async { timeout(LISTENING, listen(&self.address)).await };
                ears = runtime.block_on(listening).ok().flatten();
                listen_again = Instant::now() + LISTEN_AGAIN;
            }
            let woken = runtime.block_on(async {
                let until_ring =
                    last_ring.map_or(Duration::ZERO, |at| RING_EVERY.saturating_sub(at.elapsed()));
                tokio::select! {
                    biased;
                    _ = &mut stopped => Woken::Stop,
                    () = tokio::time::sleep_until(next_beat.into()) => Woken::Beat,
                    heard = hear(ears.as_mut()) => heard,
                    () = async {
                        tokio::time::sleep(until_ring).await;
                        self.shared.others.notified().await;
                    } => Woken::Ring,
                }
            });
            match woken {
                Woken::Stop => break,
                Woken::Rung => self.shared.rung_elsewhere(),
                Woken::Deaf => {
                    ears = None;
                    // What was rung meanwhile was not heard.
                    self.shared.rung_elsewhere();
                }
                Woken::Ring => {
                    last_ring = Some(Instant::now());
                    if let Some(Ears { client, .. }) = &ears {
                        let ring = client.batch_execute(RING);
                        let rung = runtime.block_on(async { timeout(LISTENING, ring).await });
                        if !matches!(rung, Ok(Ok(()))) {
                            ears = None;
                        }
                    } else if let Some(connection) = &self.connection
                        && connection.simple(RING).is_err()
                    {
                        // Others may hear, also where this node cannot.
                        self.connection = None;
                    }
                }
                Woken::Beat => {
                    next_beat = Instant::now() + BEAT_EVERY;
                    if let Err(why) = self.beat() {
                        self.connection = None;
                        tracing::warn!(%why, "the node's beat did not reach the database");
                    }
                }
            }
        }
        // Also where it ends before its first beat: whoever waits for all nodes to be gone would wait for it.
        let connection = connected(&mut self.connection, &self.address, self.vital);
        let left = connection.and_then(|connection| node::leave(connection, self.shared.holder));
        if let Err(why) = left {
            tracing::debug!(%why, "the node could not be taken off the list");
        }
    }

    fn beat(&mut self) -> StorageResult<()> {
        let Self { address, vital, shared, clock, connection } = self;
        let connection = connected(connection, address, *vital)?;
        clock.measure(connection)?;
        if !node::beat(connection, shared.holder)? {
            clock.replaced();
            tracing::error!("{REPLACED}");
        }
        shared.forget_ended(connection)
    }
}

/// The kept connection, made where there is none; whoever asks there waits no longer than that.
fn connected<'k>(
    kept: &'k mut Option<Connection>,
    address: &Address,
    vital: Duration,
) -> StorageResult<&'k Connection> {
    let connection = match kept.take() {
        Some(connection) => connection,
        None => {
            let opened = Connection::open(address)?;
            opened.be_patient_for(vital);
            opened
        }
    };
    Ok(kept.insert(connection))
}

/// Listens for other nodes; `None` where that cannot be done now.
async fn listen(address: &Address) -> Option<Ears> {
    let (client, rings) = doorbell::listen(address, "abide").await?.ok()?;
    let own = client.query_one("SELECT pg_backend_pid()", &[]).await.ok()?.get(0);
    Some(Ears { client, rings, own })
}

async fn hear(ears: Option<&mut Ears>) -> Woken {
    let Some(ears) = ears else { return std::future::pending().await };
    loop {
        match ears.rings.recv().await {
            Some(by) if by == ears.own => {}
            Some(_) => return Woken::Rung,
            None => return Woken::Deaf,
        }
    }
}
