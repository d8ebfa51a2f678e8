//! What one endpoint's lock protects: what waits, how much the endpoint is trusted with, who works, which connections
//! are idle. Every rule about them is here; `endpoint.rs` calls them and does what follows outside the lock.

use std::collections::VecDeque;
use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::delivery::{Health, Turn};
use abide_core::endpoint::EndpointState;
use abide_storage::deliveries::GiveBack;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::facts::Facts;
use crate::hub::Hub;
use crate::job::Job;
use crate::outbound::Connection;
use crate::pools::Pool;
use crate::worker::Seat;

/// What is known of an endpoint's row.
pub(crate) enum Known {
    Nothing,
    Loading,
    /// There is no such row.
    Missing,
    Facts(Arc<Facts>),
}

/// An endpoint's line.
pub(crate) struct Line {
    pub(crate) known: Known,
    pub(crate) queue: VecDeque<Job>,
    /// When the queue last ceased to be empty.
    pub(crate) waits_since: Instant,
    pub(crate) health: Health,
    pub(crate) parked: Parked,
    /// Workers under way, each with one attempt at most.
    pub(crate) in_flight: u16,
    /// Those of them that have not taken a job yet.
    pub(crate) starting: u16,
    pub(crate) workers: Vec<AbortHandle>,
    pub(crate) idle: Vec<(Instant, Connection)>,
    /// Whether it has answered well since this node began.
    proven: bool,
    /// Whether the store knows it as one without room.
    pub(crate) crowded: bool,
    /// Taken out of the registry; whoever still has it looks again.
    pub(crate) retired: bool,
    last_used: Instant,
}

/// What is known of the endpoint's parked rows.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    /// There may be some.
    pub(crate) some: bool,
    /// It is in line to be asked for.
    pub(crate) asked: bool,
    /// Counts the times that rows were parked, so that a page read before the last time proves nothing.
    pub(crate) times: u64,
}

/// How an attempt went, for the endpoint's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    Badly,
    /// There was none, or it says nothing.
    Neither,
    /// The receiver says that the endpoint is gone.
    Gone,
}

/// Workers to start, all of one pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recruits {
    pub(crate) pool: Pool,
    pub(crate) count: u16,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            known: Known::Nothing,
            queue: VecDeque::new(),
            waits_since: Instant::now(),
            health: Health::default(),
            parked: Parked::default(),
            in_flight: 0,
            starting: 0,
            workers: Vec::new(),
            idle: Vec::new(),
            proven: false,
            crowded: false,
            retired: false,
            last_used: Instant::now(),
        }
    }

    /// Workers to start for what waits, as far as the endpoint is trusted. They are counted from now on.
    pub(crate) fn staff(&mut self, hub: &Hub, now: Timestamp) -> Recruits {
        let mut recruits = Recruits { pool: Pool::Healthy, count: 0 };
        let Known::Facts(_) = self.known else { return recruits };
        while self.queue.len() > usize::from(self.starting) && !hub.is_draining() {
            recruits.pool = match self.health.turn(self.in_flight, now) {
                Turn::Healthy => Pool::Healthy,
                Turn::Suspect => Pool::Suspect,
                Turn::Full | Turn::Rests(_) => return recruits,
            };
            recruits.count += 1;
            self.in_flight += 1;
            self.starting += 1;
        }
        recruits
    }

    /// How many parked rows may come now: half a queue, one where the endpoint must prove itself first.
    pub(crate) fn room_for_parked(&self, hub: &Hub) -> usize {
        match &self.known {
            Known::Facts(facts) if facts.state == EndpointState::Active => {}
            // Asking for them is how those of a stopped endpoint are held or cancelled; none of them comes.
            Known::Facts(_) => return hub.options.page as usize,
            Known::Loading | Known::Missing => return 0,
            Known::Nothing => {}
        }
        // The bound that they meet when they come: they must not be claimed where they make memory scarce themselves and
        // are parked again for that, only to be claimed anew.
        let bound = self.bound_with(hub, hub.options.page as usize);
        if self.queue.len() > bound / 2 {
            return 0;
        }
        if self.health.limit() <= 1 {
            return usize::from(self.in_flight == 0 && self.queue.is_empty());
        }
        (bound - self.queue.len()).min(hub.options.page as usize)
    }

    /// Whether there has always been a job waiting since `before`.
    pub(crate) fn has_waited_since(&self, before: Instant) -> bool {
        !self.queue.is_empty() && self.waits_since <= before
    }

    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        self.health.is_suspect() && matches!(self.health.turn(0, now), Turn::Rests(_))
    }

    pub(crate) fn bound(&self, hub: &Hub) -> usize {
        self.bound_with(hub, 0)
    }

    /// The bound once so many more deliveries are in memory.
    fn bound_with(&self, hub: &Hub, more: usize) -> usize {
        if self.health.is_suspect() {
            hub.options.endpoint_queue_suspect
        } else if self.proven && !hub.room.is_scarce_with(more) {
            hub.options.endpoint_queue
        } else {
            hub.options.endpoint_queue_unproven
        }
    }

    /// Lets an attempt count for the endpoint's health. One that becomes suspect keeps ids only, and fewer of them;
    /// one whose breaker opens keeps nothing.
    pub(crate) fn judge(
        &mut self,
        hub: &Hub,
        verdict: Verdict,
        now: Timestamp,
        back: &mut Vec<(Job, GiveBack)>,
    ) {
        match verdict {
            Verdict::Neither => return,
            Verdict::Well => {
                self.health.succeeded();
                self.proven = true;
                return;
            }
            Verdict::Badly | Verdict::Gone => self.health.failed(now),
        }
        let mut keep = self.bound(hub).min(self.queue.len());
        if self.rests(now) {
            keep = 0;
            // Whatever the due loop meets of it from now on is parked.
            self.parked.some = true;
        }
        back.extend(self.queue.drain(keep..).map(|job| (job, GiveBack::Parked)));
        for job in &mut self.queue {
            job.shed(&hub.room);
        }
    }

    pub(crate) fn leave(&mut self, hub: &Hub, seat: &mut Seat) {
        self.in_flight -= 1;
        if seat.sit() {
            self.starting -= 1;
        }
        seat.rise();
        self.last_used = Instant::now();
        if let Some(connection) = seat.connection.take() {
            self.idle.push((self.last_used, connection));
        }
        hub.one_worker_less();
    }

    /// Closes connections idle since before `idle_since`; answers whether the endpoint itself has been without work
    /// since before `used_since`, and is retired then.
    pub(crate) fn sweep(&mut self, idle_since: Instant, used_since: Instant) -> bool {
        self.idle.retain(|(since, _)| *since >= idle_since);
        self.retired = self.in_flight == 0
            && self.queue.is_empty()
            && self.idle.is_empty()
            && !self.parked.some
            && !self.crowded
            && self.last_used < used_since;
        self.retired
    }
}
