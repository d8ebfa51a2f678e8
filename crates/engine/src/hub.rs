//! What all tasks of the engine share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use abide_core::ids::EndpointId;
use abide_core::shell::{Chance, Clock};
use abide_dialects::Dialect;
use abide_storage::deliveries::Claimed;
use abide_storage::{Storage, StorageResult};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::Options;
use crate::due::DueBell;
use crate::endpoint::Endpoint;
use crate::erasures::Erased;
use crate::facts::Facts;
use crate::job::Job;
use crate::leases::{Hold, LeaseBook};
use crate::line::Known;
use crate::outbound::Courier;
use crate::parked::ParkedLine;
use crate::pools::Pools;
use crate::pulse::Pulse;
use crate::registry::Registry;
use crate::reporter::Reporter;
use crate::room::{Place, Places, RoomBook};

/// The engine behind its tasks.
pub(crate) struct Hub {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) dialects: &'static [&'static dyn Dialect],
    pub(crate) courier: Courier,
    pub(crate) options: Options,
    pub(crate) room: Arc<RoomBook>,
    pub(crate) leases: LeaseBook,
    pub(crate) registry: Registry,
    pub(crate) pools: Pools,
    pub(crate) reporter: Reporter,
    pub(crate) due: DueBell,
    pub(crate) parked: ParkedLine,
    pub(crate) erased: Erased,
    pub(crate) pulse: Pulse,
    pub(crate) runtime: Handle,
    /// Whether this node does the chores, as it was seen last. The store refuses them where that is no longer so.
    pub(crate) chores: AtomicBool,
    /// Rung when held rows may be released.
    pub(crate) release: Notify,
    pub(crate) work: Work,
}

/// How much is under way, and whether more may start.
#[derive(Debug, Default)]
pub(crate) struct Work {
    draining: AtomicBool,
    workers: AtomicUsize,
    quiet: Notify,
}

/// How long to wait before an endpoint that could not be loaded is tried again.
const LOAD_AGAIN: Duration = Duration::from_millis(500);

impl Hub {
    /// Puts a job into its endpoint's line.
    pub(crate) fn enqueue(self: &Arc<Self>, endpoint: EndpointId, mut job: Job) {
        // An endpoint is retired at most once between two looks at the registry.
        while let Err(returned) = self.registry.find_or_add(endpoint).push(self, job) {
            job = returned;
        }
    }

    /// Puts claimed deliveries into their lines, each in a place that was taken for it.
    pub(crate) fn enqueue_claimed(
        self: &Arc<Self>,
        claimed: Vec<Claimed>,
        hold: &Arc<Hold>,
        mut places: Places,
    ) {
        for row in claimed {
            // No more are claimed than there are places; one that was is in memory all the same.
            let place = places.next().unwrap_or_else(|| Place::taken(&self.room));
            self.enqueue(row.endpoint, Job::by_id(row.id, Arc::clone(hold), place));
        }
    }

    /// Loads an endpoint's facts in the background, as often as it takes.
    pub(crate) fn load_soon(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        let (hub, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
        self.runtime.spawn(async move {
            while let Err(why) = hub.load(&endpoint).await {
                tracing::warn!(endpoint = %endpoint.id, %why, "an endpoint could not be loaded");
                if hub.is_draining() {
                    break;
                }
                tokio::time::sleep(LOAD_AGAIN).await;
            }
        });
    }

    /// Loads an endpoint's facts.
    pub(crate) async fn load(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> StorageResult<()> {
        let known = match self.storage.endpoints().sending(endpoint.id, self.clock.now()).await? {
            Some(row) => Known::Facts(Arc::new(Facts::of(row, self.dialects, &self.courier))),
            None => Known::Missing,
        };
        endpoint.learn(self, known);
        Ok(())
    }

    /// The receiver answered that the endpoint is gone: it stops, durably.
    pub(crate) async fn gone(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        let endpoints = self.storage.endpoints();
        match endpoints.gone(endpoint.id, self.clock.now()).await {
            Ok(()) => {
                tracing::info!(endpoint = %endpoint.id, "stopped: its receiver answered that it is gone");
            }
            // The next delivery will be answered the same.
            Err(why) => tracing::error!(endpoint = %endpoint.id, %why, "could not be stopped"),
        }
        if let Err(why) = self.load(endpoint).await {
            tracing::warn!(endpoint = %endpoint.id, %why, "an endpoint could not be loaded");
        }
    }

    /// Whether deliveries wait and no worker moves, in words for an operator. Endpoints are only asked when no worker
    /// has moved for long.
    pub(crate) fn standstill(&self) -> Option<&'static str> {
        let since = self.pulse.workers_still_since()?;
        if self.is_draining() || !self.registry.any_has_waited_since(since) {
            return None;
        }
        Some(if self.pools.are_used_up() {
            "the workers that send stand still and hold every permit"
        } else {
            "the workers that send stand still, although permits are free"
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.work.draining.load(Ordering::Relaxed)
    }

    /// From now on nothing starts.
    pub(crate) fn begin_draining(&self) {
        self.work.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn one_worker_more(&self) {
        self.work.workers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn one_worker_less(&self) {
        if self.work.workers.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.work.quiet.notify_waiters();
        }
    }

    /// Waits until no worker is under way.
    pub(crate) async fn quiet(&self) {
        loop {
            let quiet = self.work.quiet.notified();
            if self.work.workers.load(Ordering::Relaxed) == 0 {
                return;
            }
            quiet.await;
        }
    }
}
