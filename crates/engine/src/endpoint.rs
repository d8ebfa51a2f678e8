//! One endpoint's own line (I8): what waits for it in memory, how much it is trusted with, its idle connections, and
//! its workers, which exist only while there is work.
//!
//! Everything is under one lock per endpoint, held for moments and never over an await.

use std::collections::VecDeque;
use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::delivery::{Health, Turn};
use abide_core::endpoint::EndpointState;
use abide_core::ids::{EndpointId, SubjectId};
use abide_storage::deliveries::GiveBack;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::facts::Facts;
use crate::hub::Hub;
use crate::job::{About, Job};
use crate::outbound::Connection;
use crate::pools::Pool;
use crate::worker::{self, Seat};

/// An endpoint with work, or with a recent memory of it.
pub(crate) struct Endpoint {
    pub(crate) id: EndpointId,
    pub(crate) state: Mutex<State>,
}

/// What is known of an endpoint's row.
pub(crate) enum Known {
    Nothing,
    Loading,
    /// There is no such row.
    Missing,
    Facts(Arc<Facts>),
}

pub(crate) struct State {
    pub(crate) known: Known,
    pub(crate) queue: VecDeque<Job>,
    pub(crate) health: Health,
    pub(crate) parked: Parked,
    /// Workers under way, each with one attempt at most.
    in_flight: u16,
    /// Those of them that have not taken a job yet.
    starting: u16,
    workers: Vec<AbortHandle>,
    idle: Vec<(Instant, Connection)>,
    /// Whether it has answered well since this node began.
    proven: bool,
    /// Whether the store knows it as one without room.
    crowded: bool,
    /// Taken out of the registry; whoever still has it looks again.
    retired: bool,
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

/// What a worker does next.
pub(crate) enum Next {
    Send(Job, Arc<Facts>),
    /// Its permit is of the wrong pool.
    Draw(Pool),
    /// There is no more for it; it is no longer counted.
    Leave,
}

/// Workers to start, all of one pool.
#[derive(Debug, Clone, Copy)]
struct Recruits {
    pool: Pool,
    count: u16,
}

impl Endpoint {
    pub(crate) fn new(id: EndpointId) -> Self {
        let state = State {
            known: Known::Nothing,
            queue: VecDeque::new(),
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
        };
        Self { id, state: Mutex::new(state) }
    }

    /// Puts a job in line and a worker to it where one may start. The job comes back when the endpoint was retired.
    pub(crate) fn push(self: &Arc<Self>, hub: &Arc<Hub>, mut job: Job) -> Result<(), Job> {
        let mut state = self.state.lock();
        if state.retired {
            return Err(job);
        }
        let now = hub.clock.now();
        let refused = match &state.known {
            Known::Facts(facts) if !facts.admits(job.delivery) => Some(GiveBack::Stopped),
            Known::Missing => Some(GiveBack::Unreadable),
            Known::Facts(_) | Known::Nothing | Known::Loading => {
                if hub.is_draining() {
                    Some(GiveBack::Due(now))
                } else if state.rests(now) || state.queue.len() >= state.bound(hub) {
                    Some(GiveBack::Parked)
                } else {
                    None
                }
            }
        };
        if let Some(to) = refused {
            self.mark_crowd(hub, &mut state, now);
            drop(state);
            hub.reporter.give_back(job, self.id, to);
            return Ok(());
        }
        if state.health.is_suspect() {
            job.shed(&hub.room);
        }
        state.queue.push_back(job);
        let recruits = state.staff(hub, now);
        let unknown = matches!(state.known, Known::Nothing);
        if unknown {
            state.known = Known::Loading;
        }
        drop(state);
        if unknown {
            hub.load_soon(self);
        }
        self.start(hub, recruits);
        Ok(())
    }

    /// New facts, or a first look: gives back what may no longer be sent, starts what may.
    pub(crate) fn learn(self: &Arc<Self>, hub: &Arc<Hub>, known: Known) {
        let mut back = Vec::new();
        let mut state = self.state.lock();
        let now = hub.clock.now();
        let was_stopped =
            matches!(&state.known, Known::Facts(facts) if facts.state != EndpointState::Active);
        match &known {
            Known::Facts(facts) => {
                let (keep, gone): (VecDeque<_>, VecDeque<_>) =
                    state.queue.drain(..).partition(|job| facts.admits(job.delivery));
                state.queue = keep;
                back.extend(gone.into_iter().map(|job| (job, GiveBack::Stopped)));
                if was_stopped && facts.state == EndpointState::Active {
                    state.health = Health::default();
                }
            }
            Known::Missing => {
                back.extend(state.queue.drain(..).map(|job| (job, GiveBack::Unreadable)));
            }
            Known::Nothing | Known::Loading => {}
        }
        state.known = known;
        let recruits = state.staff(hub, now);
        self.settle(hub, &mut state, now);
        drop(state);
        self.start(hub, recruits);
        for (job, to) in back {
            hub.reporter.give_back(job, self.id, to);
        }
    }

    /// What the worker of `seat` does next, after an attempt that went as `verdict` says.
    pub(crate) fn next(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        seat: &mut Seat,
        pool: Pool,
        verdict: Verdict,
    ) -> Next {
        let mut back = Vec::new();
        let mut state = self.state.lock();
        let now = hub.clock.now();
        state.judge(hub, verdict, now, &mut back);
        let others = state.in_flight - 1;
        let next = match (state.health.turn(others, now), &state.known) {
            _ if hub.is_draining() || state.queue.is_empty() => Next::Leave,
            (Turn::Full | Turn::Rests(_), _) => Next::Leave,
            (Turn::Healthy, _) if pool == Pool::Suspect => Next::Draw(Pool::Healthy),
            (Turn::Suspect, _) if pool == Pool::Healthy => Next::Draw(Pool::Suspect),
            (Turn::Healthy | Turn::Suspect, Known::Facts(facts)) => {
                let facts = Arc::clone(facts);
                match state.queue.pop_front() {
                    Some(job) => Next::Send(job, facts),
                    None => Next::Leave,
                }
            }
            (_, Known::Nothing | Known::Loading | Known::Missing) => Next::Leave,
        };
        match &next {
            Next::Send(..) => {
                if seat.sit() {
                    state.starting -= 1;
                }
                if seat.connection.is_none() {
                    seat.connection = state.idle.pop().map(|(_, connection)| connection);
                }
            }
            Next::Draw(_) => {}
            Next::Leave => state.leave(hub, seat),
        }
        let recruits = state.staff(hub, now);
        self.settle(hub, &mut state, now);
        drop(state);
        self.start(hub, recruits);
        for (job, to) in back {
            hub.reporter.give_back(job, self.id, to);
        }
        next
    }

    /// A worker ended without asking: it panicked, was aborted, or never ran. Another takes its place, but not in
    /// the last case, which would go on for ever.
    pub(crate) fn left(self: &Arc<Self>, hub: &Arc<Hub>, seat: &mut Seat) {
        let ran = seat.has_sat();
        let mut state = self.state.lock();
        state.leave(hub, seat);
        if ran {
            let recruits = state.staff(hub, hub.clock.now());
            drop(state);
            self.start(hub, recruits);
        }
    }

    /// Rows of it were parked, durably.
    pub(crate) fn note_parked(self: &Arc<Self>, hub: &Arc<Hub>) {
        let mut state = self.state.lock();
        state.parked.some = true;
        state.parked.times += 1;
        self.ask_parked(hub, &mut state, hub.clock.now());
    }

    /// Gives back everything that waits.
    pub(crate) fn give_back_all(&self, hub: &Hub, to: GiveBack) {
        let jobs: Vec<Job> = self.state.lock().queue.drain(..).collect();
        for job in jobs {
            hub.reporter.give_back(job, self.id, to);
        }
    }

    /// Drops what is kept of these people: their own deliveries end, those about others too are read anew.
    pub(crate) fn forget(self: &Arc<Self>, hub: &Hub, concerns: &dyn Fn(SubjectId) -> bool) {
        let mut back = Vec::new();
        let mut state = self.state.lock();
        for mut job in std::mem::take(&mut state.queue) {
            match job.event().map_or(About::Others, |event| event.is_about(concerns)) {
                About::ThemAlone => back.push(job),
                About::ThemAmongOthers => {
                    job.shed(&hub.room);
                    state.queue.push_back(job);
                }
                About::Others => state.queue.push_back(job),
            }
        }
        self.settle(hub, &mut state, hub.clock.now());
        drop(state);
        for job in back {
            hub.reporter.give_back(job, self.id, GiveBack::Unreadable);
        }
    }

    /// Closes connections idle since before `idle_since`; answers whether the endpoint itself has been without work
    /// since before `used_since`, and is retired then.
    pub(crate) fn sweep(&self, idle_since: Instant, used_since: Instant) -> bool {
        let mut state = self.state.lock();
        state.idle.retain(|(since, _)| *since >= idle_since);
        state.retired = state.in_flight == 0
            && state.queue.is_empty()
            && state.idle.is_empty()
            && !state.parked.some
            && !state.crowded
            && state.last_used < used_since;
        state.retired
    }

    /// Ends every worker where it stands; their guards give back what they worked on.
    pub(crate) fn abort_workers(&self) {
        let workers = std::mem::take(&mut self.state.lock().workers);
        for worker in workers {
            worker.abort();
        }
    }

    /// Starts workers. Never under the lock: a runtime that is shutting down drops them at once, and they leave.
    fn start(self: &Arc<Self>, hub: &Arc<Hub>, recruits: Recruits) {
        for _ in 0..recruits.count {
            let seat = Seat::new(Arc::clone(hub), Arc::clone(self));
            let worker = hub.runtime.spawn(worker::work(seat, recruits.pool)).abort_handle();
            let mut state = self.state.lock();
            state.workers.retain(|worker| !worker.is_finished());
            state.workers.push(worker);
        }
    }

    /// Tells the due loop when the endpoint begins or ceases to have no room.
    fn mark_crowd(&self, hub: &Hub, state: &mut State, now: Timestamp) {
        let bound = state.bound(hub);
        let limit = if state.crowded { bound / 2 } else { bound };
        let crowded = state.rests(now) || state.queue.len() >= limit.max(1);
        if crowded != state.crowded {
            state.crowded = crowded;
            hub.due.crowded(self.id, crowded);
        }
    }

    /// Gets in line for parked rows, when there may be some and there is room for them.
    pub(crate) fn ask_parked(self: &Arc<Self>, hub: &Hub, state: &mut State, now: Timestamp) {
        if state.parked.some && !state.parked.asked {
            let at = match state.health.turn(0, now) {
                Turn::Rests(until) => until,
                _ if state.room_for_parked(hub) == 0 => return,
                Turn::Healthy | Turn::Suspect | Turn::Full => now,
            };
            state.parked.asked = true;
            hub.parked.ask(self, at);
        }
    }

    /// What follows from any change: the due loop knows whether there is room, and parked rows are asked for.
    pub(crate) fn settle(self: &Arc<Self>, hub: &Hub, state: &mut State, now: Timestamp) {
        self.mark_crowd(hub, state, now);
        self.ask_parked(hub, state, now);
    }
}

impl State {
    /// Workers to start for what waits, as far as the endpoint is trusted. They are counted from now on.
    fn staff(&mut self, hub: &Hub, now: Timestamp) -> Recruits {
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
            Known::Facts(facts) if facts.state == EndpointState::Deleted => {
                return hub.options.page as usize;
            }
            Known::Facts(_) | Known::Loading | Known::Missing => return 0,
            Known::Nothing => {}
        }
        let bound = self.bound(hub);
        if self.queue.len() > bound / 2 {
            return 0;
        }
        if self.health.limit() <= 1 {
            return usize::from(self.in_flight == 0 && self.queue.is_empty());
        }
        (bound - self.queue.len()).min(hub.options.page as usize)
    }

    fn rests(&self, now: Timestamp) -> bool {
        self.health.is_suspect() && matches!(self.health.turn(0, now), Turn::Rests(_))
    }

    fn bound(&self, hub: &Hub) -> usize {
        if self.health.is_suspect() {
            hub.options.endpoint_queue_suspect
        } else if self.proven && !hub.room.is_scarce() {
            hub.options.endpoint_queue
        } else {
            hub.options.endpoint_queue_unproven
        }
    }

    /// Lets an attempt count for the endpoint's health. One that becomes suspect keeps ids only, and fewer of them;
    /// one whose breaker opens keeps nothing.
    fn judge(
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

    fn leave(&mut self, hub: &Hub, seat: &mut Seat) {
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
}
