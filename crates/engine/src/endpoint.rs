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
use tokio::time::Instant;

use crate::facts::Facts;
use crate::hub::Hub;
use crate::job::{About, Job};
use crate::line::{Known, Line, Recruits, Verdict};
use crate::pools::Pool;
use crate::worker::{self, Seat};

/// An endpoint with work, or with a recent memory of it.
pub(crate) struct Endpoint {
    pub(crate) id: EndpointId,
    pub(crate) line: Mutex<Line>,
}

/// What a worker does next.
pub(crate) enum Next {
    Send(Job, Arc<Facts>),
    /// Its permit is of the wrong pool.
    Draw(Pool),
    /// There is no more for it; it is no longer counted.
    Leave,
}

impl Endpoint {
    pub(crate) fn new(id: EndpointId) -> Self {
        Self { id, line: Mutex::new(Line::new()) }
    }

    /// Whether what is known of it is no longer what these facts say.
    pub(crate) fn has_changed_since(&self, facts: &Facts) -> bool {
        match &self.line.lock().known {
            Known::Facts(known) => known.version != facts.version || known.state != facts.state,
            Known::Missing => true,
            Known::Nothing | Known::Loading => false,
        }
    }

    /// Puts a job in line and a worker to it where one may start. The job comes back when the endpoint was retired.
    pub(crate) fn push(self: &Arc<Self>, hub: &Arc<Hub>, mut job: Job) -> Result<(), Job> {
        let mut line = self.line.lock();
        if line.retired {
            return Err(job);
        }
        let now = hub.clock.now();
        let refused = match &line.known {
            Known::Facts(facts) if !facts.admits(&job) => Some(GiveBack::Stopped),
            Known::Missing => Some(GiveBack::Unreadable),
            Known::Facts(_) | Known::Nothing | Known::Loading => {
                if hub.is_draining() {
                    Some(GiveBack::Due(now))
                } else if line.rests(now) || line.queue.len() >= line.bound(hub) {
                    Some(GiveBack::Parked)
                } else {
                    None
                }
            }
        };
        if let Some(to) = refused {
            self.mark_crowd(hub, &mut line, now);
            drop(line);
            hub.reporter.give_back(job, self.id, to);
            return Ok(());
        }
        if line.health.is_suspect() {
            job.shed(&hub.room);
        }
        if line.queue.is_empty() {
            line.waits_since = Instant::now();
        }
        line.queue.push_back(job);
        let recruits = line.staff(hub, now);
        let unknown = matches!(line.known, Known::Nothing);
        if unknown {
            line.known = Known::Loading;
        }
        drop(line);
        if unknown {
            hub.load_soon(self);
        }
        self.start(hub, recruits);
        Ok(())
    }

    /// New facts, or a first look: gives back what may no longer be sent, starts what may.
    pub(crate) fn learn(self: &Arc<Self>, hub: &Arc<Hub>, mut known: Known) {
        let mut back = Vec::new();
        let mut line = self.line.lock();
        let now = hub.clock.now();
        let was_stopped =
            matches!(&line.known, Known::Facts(facts) if facts.state != EndpointState::Active);
        if let (Known::Facts(new), Known::Facts(before)) = (&mut known, &line.known)
            && let Some(new) = Arc::get_mut(new)
        {
            new.keep_credentials(before);
        }
        match &known {
            Known::Facts(facts) => {
                let (keep, gone): (VecDeque<_>, VecDeque<_>) =
                    line.queue.drain(..).partition(|job| facts.admits(job));
                line.queue = keep;
                back.extend(gone.into_iter().map(|job| (job, GiveBack::Stopped)));
                if was_stopped && facts.state == EndpointState::Active {
                    line.health = Health::default();
                }
            }
            Known::Missing => {
                back.extend(line.queue.drain(..).map(|job| (job, GiveBack::Unreadable)));
            }
            Known::Nothing | Known::Loading => {}
        }
        line.known = known;
        let recruits = line.staff(hub, now);
        self.settle(hub, &mut line, now);
        drop(line);
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
        let mut line = self.line.lock();
        let now = hub.clock.now();
        hub.pulse.worker_moved(Instant::now());
        line.judge(hub, verdict, now, &mut back);
        let others = line.in_flight - 1;
        let next = match (line.health.turn(others, now), &line.known) {
            _ if hub.is_draining() || line.queue.is_empty() => Next::Leave,
            (Turn::Full | Turn::Rests(_), _) => Next::Leave,
            (Turn::Healthy, _) if pool == Pool::Suspect => Next::Draw(Pool::Healthy),
            (Turn::Suspect, _) if pool == Pool::Healthy => Next::Draw(Pool::Suspect),
            (Turn::Healthy | Turn::Suspect, Known::Facts(facts)) => {
                let facts = Arc::clone(facts);
                match line.queue.pop_front() {
                    Some(job) => Next::Send(job, facts),
                    None => Next::Leave,
                }
            }
            (_, Known::Nothing | Known::Loading | Known::Missing) => Next::Leave,
        };
        match &next {
            Next::Send(..) => {
                if seat.sit() {
                    line.starting -= 1;
                }
                if seat.connection.is_none() {
                    seat.connection = line.idle.pop().map(|(_, connection)| connection);
                }
            }
            Next::Draw(_) => {}
            Next::Leave => line.leave(hub, seat),
        }
        let recruits = line.staff(hub, now);
        self.settle(hub, &mut line, now);
        drop(line);
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
        let mut line = self.line.lock();
        line.leave(hub, seat);
        if ran {
            let recruits = line.staff(hub, hub.clock.now());
            drop(line);
            self.start(hub, recruits);
        }
    }

    /// Rows of it were parked, durably.
    pub(crate) fn note_parked(self: &Arc<Self>, hub: &Arc<Hub>) {
        let mut line = self.line.lock();
        line.parked.some = true;
        line.parked.times += 1;
        self.ask_parked(hub, &mut line, hub.clock.now());
    }

    /// Gives back everything that waits.
    pub(crate) fn give_back_all(&self, hub: &Hub, to: GiveBack) {
        let jobs: Vec<Job> = self.line.lock().queue.drain(..).collect();
        for job in jobs {
            hub.reporter.give_back(job, self.id, to);
        }
    }

    /// Drops what is kept of these people: their own deliveries end, those about others too are read anew.
    pub(crate) fn forget(self: &Arc<Self>, hub: &Hub, concerns: &dyn Fn(SubjectId) -> bool) {
        let mut back = Vec::new();
        let mut line = self.line.lock();
        for mut job in std::mem::take(&mut line.queue) {
            match job.event().map_or(About::Others, |event| event.is_about(concerns)) {
                About::ThemAlone => back.push(job),
                About::ThemAmongOthers => {
                    job.shed(&hub.room);
                    line.queue.push_back(job);
                }
                About::Others => line.queue.push_back(job),
            }
        }
        self.settle(hub, &mut line, hub.clock.now());
        drop(line);
        for job in back {
            hub.reporter.give_back(job, self.id, GiveBack::Unreadable);
        }
    }

    /// See [`Line::sweep`].
    pub(crate) fn sweep(&self, idle_since: Instant, used_since: Instant) -> bool {
        self.line.lock().sweep(idle_since, used_since)
    }

    /// Ends every worker where it stands; their guards give back what they worked on.
    pub(crate) fn abort_workers(&self) {
        let workers = std::mem::take(&mut self.line.lock().workers);
        for worker in workers {
            worker.abort();
        }
    }

    /// Starts workers. Never under the lock: a runtime that is shutting down drops them at once, and they leave.
    fn start(self: &Arc<Self>, hub: &Arc<Hub>, recruits: Recruits) {
        for _ in 0..recruits.count {
            let seat = Seat::new(Arc::clone(hub), Arc::clone(self));
            let worker = hub.runtime.spawn(worker::work(seat, recruits.pool)).abort_handle();
            let mut line = self.line.lock();
            line.workers.retain(|worker| !worker.is_finished());
            line.workers.push(worker);
        }
    }

    /// Tells the due loop when the endpoint begins or ceases to have no room.
    fn mark_crowd(&self, hub: &Hub, line: &mut Line, now: Timestamp) {
        let bound = line.bound(hub);
        let limit = if line.crowded { bound / 2 } else { bound };
        let crowded = line.rests(now) || line.queue.len() >= limit.max(1);
        if crowded != line.crowded {
            line.crowded = crowded;
            hub.due.crowded(self.id, crowded);
        }
    }

    /// Gets in line for parked rows, when there may be some and there is room for them.
    pub(crate) fn ask_parked(self: &Arc<Self>, hub: &Hub, line: &mut Line, now: Timestamp) {
        if line.parked.some && !line.parked.asked {
            let at = match line.health.turn(0, now) {
                Turn::Rests(until) => until,
                _ if line.room_for_parked(hub) == 0 => return,
                Turn::Healthy | Turn::Suspect | Turn::Full => now,
            };
            line.parked.asked = true;
            hub.parked.ask(self, at);
        }
    }

    /// What follows from any change: the due loop knows whether there is room, and parked rows are asked for.
    pub(crate) fn settle(self: &Arc<Self>, hub: &Hub, line: &mut Line, now: Timestamp) {
        self.mark_crowd(hub, line, now);
        self.ask_parked(hub, line, now);
    }
}
