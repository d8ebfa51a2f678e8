//! Starting, watching and stopping the engine.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use abide_core::shell::{Chance, Clock};
use abide_dialects::Dialect;
use abide_storage::{Storage, StorageError};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::due::DueBell;
use crate::erasures::Erased;
use crate::hub::{Hub, Work};
use crate::leases::LeaseBook;
use crate::outbound::{ByteBudget, Courier, Guard, Resolve, StandIn, TlsRoots};
use crate::parked::ParkedLine;
use crate::pools::Pools;
use crate::pulse::Pulse;
use crate::registry::Registry;
use crate::reporter::Reporter;
use crate::room::{Front, RoomBook};
use crate::{Options, bulk, changes, clockwork, due, leases, parked, reporter};

/// What an engine is made of.
pub struct EngineParts {
    /// The store it works for.
    pub storage: Arc<dyn Storage>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws tokens and jitter.
    pub chance: Arc<dyn Chance>,
    /// The dialects it speaks: [`abide_dialects::all`], or more in tests.
    pub dialects: &'static [&'static dyn Dialect],
    /// Which addresses may be called.
    pub guard: Guard,
    /// Looks names up.
    pub resolver: Arc<dyn Resolve>,
    /// Whose certificates are trusted.
    pub roots: TlsRoots,
    /// Bounds and rhythms.
    pub options: Options,
}

/// Why the engine did not start.
#[derive(Debug)]
pub enum StartError {
    /// The store did not answer.
    Storage(StorageError),
    /// There is no certificate to trust.
    Tls(rustls::Error),
}

/// A running engine. Dropping it stops it where it stands, as a crash would; [`Engine::drain`] comes first.
pub struct Engine {
    hub: Arc<Hub>,
    loops: Mutex<JoinSet<()>>,
}

/// How long outcomes may take to be recorded after the last attempt ended.
const RECORDING: Duration = Duration::from_secs(5);

impl Engine {
    /// Takes over what a dead predecessor left, names itself to the store, and begins to work. To be called within
    /// the runtime that it will use.
    pub async fn start(parts: EngineParts) -> Result<Engine, StartError> {
        Self::start_with(parts, None).await
    }

    /// The same without a way out: requests go to a stand-in for the network. For simulations.
    pub async fn start_simulated(
        parts: EngineParts,
        network: Arc<dyn StandIn>,
    ) -> Result<Engine, StartError> {
        Self::start_with(parts, Some(network)).await
    }

    async fn start_with(
        parts: EngineParts,
        stand_in: Option<Arc<dyn StandIn>>,
    ) -> Result<Engine, StartError> {
        let EngineParts { storage, clock, chance, dialects, guard, resolver, roots, options } =
            parts;
        let budget = ByteBudget::new(options.queue_bytes);
        let room = Arc::new(RoomBook::new(options.queue_deliveries, budget.clone()));
        let courier = match stand_in {
            None => Courier::new(guard, resolver, roots, budget).map_err(StartError::Tls)?,
            Some(network) => Courier::simulated(guard, resolver, budget, network),
        };
        let began = Instant::now();
        let own = options.longest_own_deadline;
        let deadlines = dialects.iter().map(|dialect| dialect.deadline());
        let longest = deadlines.fold(own, Ord::max);
        let pulse = Pulse::new(began, Arc::clone(&clock), longest, &options);
        let before = pulse.now();
        let started = storage.leases().start(clock.now()).await?;
        pulse.confirmed(before);
        let hub = Arc::new(Hub {
            leases: LeaseBook::new(started.lease),
            pools: Pools::new(options.healthy_permits, options.suspect_permits),
            reporter: Reporter::new(options.report_backlog),
            registry: Registry::default(),
            due: DueBell::default(),
            parked: ParkedLine::default(),
            erased: Erased::default(),
            runtime: Handle::current(),
            chores: AtomicBool::new(false),
            release: tokio::sync::Notify::new(),
            work: Work::default(),
            storage,
            clock,
            chance,
            dialects,
            courier,
            options,
            room,
            pulse,
        });
        let cursors = changes::begin(&hub).await?;
        let mut loops = JoinSet::new();
        loops.spawn(leases::beat(Arc::clone(&hub)));
        loops.spawn(leases::renew(Arc::clone(&hub), started.taken_over));
        loops.spawn(changes::watch(Arc::clone(&hub), cursors));
        loops.spawn(reporter::record(Arc::clone(&hub)));
        loops.spawn(due::claim(Arc::clone(&hub)));
        loops.spawn(parked::serve(Arc::clone(&hub)));
        loops.spawn(clockwork::tick(Arc::clone(&hub)));
        loops.spawn(clockwork::release(Arc::clone(&hub)));
        loops.spawn(bulk::work(Arc::clone(&hub)));
        let front = Arc::new(Front(Arc::downgrade(&hub)));
        let committed: Arc<Front> = Arc::clone(&front);
        hub.storage.attach(front, committed);
        Ok(Engine { hub, loops: Mutex::new(loops) })
    }

    /// Whether the engine does its work; else what stands still, in words for an operator.
    pub fn is_alive(&self) -> Result<(), Vec<String>> {
        let mut problems = self.hub.pulse.problems();
        if self.hub.reporter.is_failing() {
            problems.push("outcomes cannot be recorded".to_owned());
        }
        problems.extend(self.hub.standstill().map(str::to_owned));
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Deliveries in memory, waiting or under way.
    pub fn deliveries_in_memory(&self) -> usize {
        self.hub.room.deliveries()
    }

    /// Stops starting attempts, lets open ones end within `bound`, records their outcomes and gives back the rest as
    /// due now. What could not be recorded in the end is found by its lease at the next start.
    pub async fn drain(&self, bound: Duration) {
        let hub = &self.hub;
        hub.begin_draining();
        let now = hub.clock.now();
        let endpoints = hub.registry.all();
        for endpoint in &endpoints {
            endpoint.give_back_all(hub, abide_storage::deliveries::GiveBack::Due(now));
        }
        if timeout(bound, hub.quiet()).await.is_err() {
            for endpoint in hub.registry.all() {
                endpoint.abort_workers();
            }
            let _ = timeout(RECORDING, hub.quiet()).await;
        }
        if timeout(RECORDING, hub.reporter.flushed()).await.is_err() {
            tracing::warn!("not every outcome could be recorded; the next start finds them");
        } else {
            leases::close_spent(hub).await;
        }
        self.loops.lock().abort_all();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.hub.begin_draining();
        self.loops.lock().abort_all();
        for endpoint in self.hub.registry.all() {
            endpoint.abort_workers();
        }
    }
}

impl From<StorageError> for StartError {
    fn from(why: StorageError) -> Self {
        StartError::Storage(why)
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Storage(why) => write!(f, "the engine cannot start: {why}"),
            StartError::Tls(why) => write!(f, "no certificates to trust: {why}"),
        }
    }
}

impl std::error::Error for StartError {}
