//! The judge: knows what was asked of the product and what it answered, looks at the rows after every commit and at every
//! request as it arrives, and says which invariant is broken.
//!
//! It shares no code with what it judges but ids, the names of states, and what verifies a signature.

use std::collections::{BTreeMap, HashMap, HashSet};

use abide_core::delivery::DeliveryState;
use abide_core::endpoint::Source;
use abide_core::ids::{ConsentId, DecisionId, DeliveryId, EndpointId, EventId};

use crate::receivers::{Ended, Receiver, Request};
use crate::rows::{
    AttemptRow, Changed, DecisionRow, DeliveryRow, EndpointRow, LeaseRow, Nodes, Rows,
};
use crate::speech::Speech;

mod answers;
mod ending;
mod jobs;
mod requests;

pub(crate) use answers::{Asked, Said};

/// A broken invariant: which, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its number in the design, or a word for what has none.
    pub invariant: &'static str,
    /// What was seen, in words.
    pub what: String,
}

/// How long after a stop or an erasure attempts may still begin, in milliseconds: two seconds, and what a simulated commit
/// takes to be answered.
const MAY_STILL_BEGIN: i64 = 2_050;
/// The same on a machine that has other things to do.
const MAY_STILL_BEGIN_IN_REAL_TIME: i64 = 2_700;

/// See the module.
pub(crate) struct Judge {
    pub(crate) rows: Rows,
    pub(crate) receivers: Vec<Receiver>,
    pub(crate) broken: Option<Broken>,
    deliveries: BTreeMap<i64, DeliveryRow>,
    endpoints: BTreeMap<i64, EndpointRow>,
    /// In which version an endpoint was stopped, and since when it is known to be.
    stopped_since: HashMap<i64, (u32, i64)>,
    ever_stopped: HashSet<i64>,
    erased_since: HashMap<i64, i64>,
    last_decision: i64,
    known_decisions: HashSet<i64>,
    /// The decision in force per record: when it was obtained, and what it says.
    in_force: HashMap<i64, (i64, String)>,
    leases: HashMap<i64, LeaseRow>,
    /// Leases that ended, with the attempts of theirs that were recorded by then.
    ended_leases: HashMap<i64, HashSet<(i64, u32)>>,
    /// Attempts per delivery of which nobody said that anything was sent.
    unsent: HashMap<i64, u32>,
    /// Decisions that were answered with success.
    accepted: Vec<i64>,
    /// The events of the feed, as they were read in it.
    feed: Vec<i64>,
    /// Deliveries that somebody asked to be sent again.
    retried: HashSet<i64>,
    jobs: jobs::Jobs,
    /// Crashes there had been when a delivery was made.
    crashes_before: HashMap<i64, u32>,
    /// When an end that settles nothing was recorded last in a lane: unknown, or late.
    doubts: HashMap<(i64, i64), i64>,
    doubtful: HashSet<(i64, u32, i64)>,
    pub(crate) crashes: u32,
    pub(crate) clock_jumps: u32,
}

impl Judge {
    pub(crate) fn new(rows: Rows) -> Self {
        Self {
            rows,
            receivers: Vec::new(),
            broken: None,
            deliveries: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            stopped_since: HashMap::new(),
            ever_stopped: HashSet::new(),
            erased_since: HashMap::new(),
            last_decision: 0,
            known_decisions: HashSet::new(),
            in_force: HashMap::new(),
            leases: HashMap::new(),
            ended_leases: HashMap::new(),
            unsent: HashMap::new(),
            accepted: Vec::new(),
            feed: Vec::new(),
            retried: HashSet::new(),
            jobs: jobs::Jobs::default(),
            crashes_before: HashMap::new(),
            doubts: HashMap::new(),
            doubtful: HashSet::new(),
            crashes: 0,
            clock_jumps: 0,
        }
    }

    /// Notes the first broken invariant; what follows from it is of no interest.
    pub(crate) fn breaks(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.broken.get_or_insert_with(|| Broken { invariant, what: what.into() });
    }

    /// A call that recorded decisions was answered with success.
    pub(crate) fn accepted(&mut self, decisions: impl IntoIterator<Item = DecisionId>) {
        for id in decisions {
            self.accepted.push(id.key());
            if !self.rows.has_decision(id.key()).unwrap_or(false) {
                self.breaks("I1", format!("{id} was answered with success and is not stored"));
            }
        }
    }

    /// Somebody is about to ask for another run.
    pub(crate) fn retries(&mut self, delivery: i64) {
        self.retried.insert(delivery);
    }

    /// Somebody is about to stop an endpoint. It may be started again in the same batch, so that no row ever shows it.
    pub(crate) fn stops(&mut self, endpoint: i64) {
        self.ever_stopped.insert(endpoint);
    }

    /// Whether somebody asked for another run.
    pub(crate) fn is_retried(&self, delivery: i64) -> bool {
        self.retried.contains(&delivery)
    }

    /// I1, I3: whatever was answered with success is there.
    pub(crate) fn all_accepted_are_there(&mut self) {
        for decision in self.accepted.clone() {
            if !self.rows.has_decision(decision).unwrap_or(false) {
                let id = DecisionId::from_key(decision);
                return self.breaks("I1", format!("{id} was accepted and is not stored"));
            }
        }
    }

    pub(crate) fn deliveries(&self) -> impl Iterator<Item = &DeliveryRow> {
        self.deliveries.values()
    }

    pub(crate) fn receiver_of(&self, endpoint: i64) -> Option<&Receiver> {
        self.receivers.iter().find(|one| one.endpoint == Some(endpoint))
    }

    /// The endpoint of that number among those that are stored.
    pub(crate) fn endpoint(&self, number: u8) -> Option<EndpointId> {
        let all: Vec<i64> = self.receivers.iter().filter_map(|one| one.endpoint).collect();
        let key = all.get(usize::from(number).checked_rem(all.len())?)?;
        Some(EndpointId::from_key(*key))
    }

    pub(crate) fn is_active(&self, endpoint: i64) -> bool {
        self.endpoints.get(&endpoint).is_some_and(|one| one.state == "active")
    }

    /// Looks at the rows after a commit.
    pub(crate) fn look(&mut self, now: i64) {
        if let Err(why) = self.try_look(now) {
            // Nobody but the writer writes: whoever finds a lock finds a transaction that is not over.
            self.breaks("I1", format!("after a commit the rows cannot be read: {why}"));
        }
    }

    fn try_look(&mut self, now: i64) -> anyhow::Result<()> {
        if self.broken.is_some() || self.rows.looks()? == Changed::No {
            return Ok(());
        }
        let before = self.look_at_endpoints(now)?;
        for (_, subject) in self.rows.erasures()? {
            self.erased_since.entry(subject).or_insert(now);
        }
        self.look_at_deliveries(now)?;
        self.look_at_jobs()?;
        self.look_at_decisions(&before)?;
        self.rows.looked()
    }

    fn may_still_begin(&self) -> i64 {
        match self.rows.nodes {
            Nodes::One => MAY_STILL_BEGIN,
            Nodes::Several => MAY_STILL_BEGIN_IN_REAL_TIME,
        }
    }

    /// Answers how the endpoints stood before.
    fn look_at_endpoints(&mut self, now: i64) -> anyhow::Result<BTreeMap<i64, EndpointRow>> {
        let found: BTreeMap<_, _> =
            self.rows.endpoints()?.into_iter().map(|one| (one.id, one)).collect();
        for (id, endpoint) in &found {
            let number = endpoint.url.rsplit('/').next().and_then(|text| text.parse().ok());
            if let Some(receiver) = number.and_then(|at: usize| self.receivers.get_mut(at)) {
                receiver.endpoint = Some(*id);
            }
            if endpoint.state == "active" {
                self.stopped_since.remove(id);
            } else {
                let since = self.stopped_since.entry(*id).or_insert((endpoint.version, now));
                if since.0 != endpoint.version {
                    // It may have been started and stopped again.
                    *since = (endpoint.version, now);
                }
                self.ever_stopped.insert(*id);
            }
        }
        Ok(std::mem::replace(&mut self.endpoints, found))
    }

    /// I5: what is recorded under a lease that has ended, or was taken over by another node, is recorded as late. A lease
    /// has one holder in an epoch.
    fn look_at_leases(&mut self, attempts: &[AttemptRow]) -> anyhow::Result<()> {
        let found = self.rows.leases()?.into_iter().map(|one| (one.id, one));
        let leases: HashMap<i64, LeaseRow> = found.collect();
        for attempt in attempts.iter().filter(|one| one.ending.is_some() && !one.late) {
            let known = self.ended_leases.get(&attempt.lease);
            if known.is_some_and(|known| !known.contains(&(attempt.delivery, attempt.number))) {
                let id = DeliveryId::from_key(attempt.delivery);
                let what = format!(
                    "attempt {} of {id} was recorded under a lease that had ended, and not as late",
                    attempt.number
                );
                self.breaks("I5", what);
            }
        }
        let gone = self.leases.keys().filter(|id| !leases.contains_key(*id));
        let taken_over = leases
            .values()
            .filter(|one| self.rows.nodes == Nodes::Several && one.epoch > 1)
            .map(|one| &one.id);
        let ended: Vec<i64> = gone.chain(taken_over).copied().collect();
        for lease in ended {
            let of = attempts.iter().filter(|one| one.lease == lease && one.ending.is_some());
            let of = of.map(|one| (one.delivery, one.number));
            self.ended_leases.entry(lease).or_insert_with(|| of.collect());
        }
        let usurped = leases.values().find(|now| {
            let was = self.leases.get(&now.id);
            was.is_some_and(|was| {
                now.epoch < was.epoch || now.epoch == was.epoch && now.holder != was.holder
            })
        });
        if usurped.is_some() {
            self.breaks("I3", "a lease has another holder in the same epoch, or an older epoch");
        }
        self.leases = leases;
        Ok(())
    }

    fn look_at_deliveries(&mut self, now: i64) -> anyhow::Result<()> {
        let attempts = self.rows.attempts()?;
        self.look_at_leases(&attempts)?;
        self.unsent.clear();
        for one in &attempts {
            if matches!(one.ending.as_deref(), None | Some("not_sent")) {
                *self.unsent.entry(one.delivery).or_default() += 1;
            }
        }
        let found: BTreeMap<_, _> =
            self.rows.deliveries()?.into_iter().map(|one| (one.id, one)).collect();
        let before = std::mem::take(&mut self.deliveries);
        for (id, row) in &found {
            let old = before.get(id);
            if old == Some(row) {
                continue;
            }
            self.crashes_before.entry(*id).or_insert(self.crashes);
            if let Some(problem) = self.shape_of(row, &found) {
                self.breaks("I2", format!("{}: {problem}", DeliveryId::from_key(*id)));
            }
            self.judge_move(old, row);
        }
        if let Some(id) = before.keys().find(|id| !found.contains_key(id)) {
            self.breaks("I3", format!("{} is gone", DeliveryId::from_key(*id)));
        }
        for delivery in self.rows.open_in_lanes()? {
            let row = found.get(&delivery);
            if row.is_some_and(|row| row.state == DeliveryState::Superseded) {
                let id = DeliveryId::from_key(delivery);
                self.breaks("I7", format!("{id} was superseded while its attempt was open"));
            }
        }
        self.deliveries = found;
        self.look_for_doubts(&attempts, now);
        Ok(())
    }

    /// I7: when an end was recorded last in a lane after which nobody knows what arrived last.
    fn look_for_doubts(&mut self, attempts: &[AttemptRow], now: i64) {
        for attempt in attempts {
            let Some(row) = self.deliveries.get(&attempt.delivery) else { continue };
            let Some(subject) = row.subject else { continue };
            // One that comes late and was followed by no other is in order all the same.
            let followed = || {
                attempts.iter().any(|other| {
                    let of = self.deliveries.get(&other.delivery);
                    other.order > attempt.order
                        && of.is_some_and(|of| {
                            (of.endpoint, of.subject) == (row.endpoint, row.subject)
                        })
                })
            };
            let doubtful = match attempt.ending.as_deref() {
                None | Some("not_sent") => false,
                Some("unknown") => true,
                Some(_) => attempt.late && followed(),
            };
            let known = (attempt.delivery, attempt.number, attempt.lease);
            if doubtful && self.doubtful.insert(known) {
                self.doubts.insert((row.endpoint, subject), now);
            }
        }
    }

    /// I2: what a state promises.
    fn shape_of(&self, row: &DeliveryRow, all: &BTreeMap<i64, DeliveryRow>) -> Option<String> {
        let state = row.state.as_str();
        match row.state {
            DeliveryState::Hot | DeliveryState::Claimed => match row.lease {
                None => Some(format!("{state} without a lease")),
                Some(lease) if !self.leases.contains_key(&lease) => {
                    Some(format!("{state} under a lease that there is not"))
                }
                Some(_) => None,
            },
            _ if row.lease.is_some() => Some(format!("{state} under a lease")),
            DeliveryState::Pending | DeliveryState::Parked => {
                row.due_at.is_none().then(|| format!("{state} without a due time"))
            }
            DeliveryState::Held => row.reason.is_none().then(|| "held without a reason".to_owned()),
            DeliveryState::Superseded => {
                let by = row.superseded_by.and_then(|by| all.get(&by));
                let stands = by.is_some_and(|by| {
                    // Two nodes do not draw their ids in the order of their commits.
                    (by.id > row.id || self.rows.nodes == Nodes::Several && by.id != row.id)
                        && by.endpoint == row.endpoint
                        && by.subject == row.subject
                });
                (!stands).then(|| "superseded by nothing that carries its state".to_owned())
            }
            DeliveryState::Delivered => None,
            DeliveryState::Skipped
            | DeliveryState::Failed
            | DeliveryState::Cancelled
            | DeliveryState::Erased
            | DeliveryState::Discarded => {
                row.reason.is_none().then(|| format!("{state} without a reason"))
            }
        }
    }

    fn judge_move(&mut self, old: Option<&DeliveryRow>, row: &DeliveryRow) {
        let id = DeliveryId::from_key(row.id);
        if let Some(old) = old
            && old.state.is_final()
            && old.state != row.state
        {
            let by_somebody = self.retried.contains(&row.id) || self.may_be_run_again_by_job(old);
            let asked = row.asked != old.asked && by_somebody;
            if !asked || old.state == DeliveryState::Erased {
                let what = format!("{id} was {} and is {}", old.state.as_str(), row.state.as_str());
                return self.breaks("I5", what);
            }
        }
        if old.is_some_and(|old| old.state == row.state) {
            return;
        }
        match row.state {
            DeliveryState::Delivered => self.judge_delivered(row),
            DeliveryState::Failed => self.judge_failed(row),
            DeliveryState::Discarded => self.judge_discarded(old, row),
            DeliveryState::Cancelled if !self.ever_stopped.contains(&row.endpoint) => {
                self.breaks("I2", format!("{id} was cancelled, and its endpoint never stopped"));
            }
            DeliveryState::Held if !self.ever_stopped.contains(&row.endpoint) => {
                self.breaks("I2", format!("{id} is held, and its endpoint never stopped"));
            }
            _ => {}
        }
    }

    /// I3: what is called delivered was confirmed by its receiver.
    fn judge_delivered(&mut self, row: &DeliveryRow) {
        let Some(receiver) = self.receiver_of(row.endpoint) else { return };
        let confirmed = match (receiver.speech.source(), row.subject) {
            (Source::Lane, Some(subject)) => {
                receiver.has_confirmed_state(subject, row.event as u64)
            }
            _ => receiver.has_confirmed(row.event),
        };
        if !confirmed {
            let id = DeliveryId::from_key(row.id);
            self.breaks("I3", format!("{id} is called delivered, and its receiver never said so"));
        }
    }

    /// I2: what is called failed was tried as often as its schedule says, or was refused.
    fn judge_failed(&mut self, row: &DeliveryRow) {
        let id = DeliveryId::from_key(row.id);
        let Some(receiver) = self.receiver_of(row.endpoint) else { return };
        let told = receiver.times_told(row.event);
        let before = self.crashes_before.get(&row.id).copied().unwrap_or(0);
        let mut crashes = self.crashes - before;
        if self.rows.nodes == Nodes::Several {
            // A node that is slow for a moment need not have been told to be.
            crashes += self.unsent.get(&row.id).copied().unwrap_or(0);
        }
        let refused = receiver
            .requests
            .iter()
            .any(|one| matches!(one.ended, Some((_, Ended::Answered(400)))));
        let schedule = receiver.speech.dialect().schedule();
        let wanted = if row.run == "single" { 1 } else { schedule.delays.len() as u32 + 1 };
        match row.reason.as_deref() {
            // Attempts that were cut off before they left count in the schedule too.
            Some("attempts_used_up") if told + crashes >= wanted => {}
            Some("attempts_used_up") => {
                let what = format!("{id} failed after {told} of {wanted} attempts");
                self.breaks("I2", what);
            }
            Some("refused") if refused => {}
            reason => self.breaks("I2", format!("{id} failed without cause: {reason:?}")),
        }
    }

    /// I1: what followed from each new decision was committed with it.
    fn look_at_decisions(&mut self, before: &BTreeMap<i64, EndpointRow>) -> anyhow::Result<()> {
        let after = match self.rows.nodes {
            Nodes::One => self.last_decision,
            Nodes::Several => 0,
        };
        for mut decision in self.rows.decisions(after)? {
            self.last_decision = decision.id;
            if self.known_decisions.insert(decision.id) {
                self.rows.complete(&mut decision)?;
                self.judge_decision(&decision, before)?;
            }
        }
        Ok(())
    }

    fn judge_decision(
        &mut self,
        decision: &DecisionRow,
        before: &BTreeMap<i64, EndpointRow>,
    ) -> anyhow::Result<()> {
        let id = DecisionId::from_key(decision.id);
        if !decision.audited {
            self.breaks("I1", format!("{id} stands without its audit entry"));
        }
        let stood = self.in_force.get(&decision.consent).cloned();
        let comes_into_force =
            stood.as_ref().is_none_or(|(obtained_at, _)| decision.obtained_at >= *obtained_at);
        let expected: &[&str] = match (&stood, decision.state.as_str()) {
            _ if !comes_into_force => &[],
            (None, _) => &["consent.created", "consent.batch_created"],
            (Some((_, was)), "DENIED") if was == "GRANTED" => &["consent.withdrawn"],
            _ => &["consent.updated"],
        };
        if comes_into_force {
            let stands = (decision.obtained_at, decision.state.clone());
            self.in_force.insert(decision.consent, stands);
        }
        let consent = ConsentId::from_key(decision.consent);
        match (decision.events.as_slice(), expected) {
            ([], []) => {}
            ([(event, kind)], expected) if expected.contains(&kind.as_str()) => {
                self.judge_fan_out(*event, before)?;
            }
            (found, _) => {
                let kinds: Vec<_> = found.iter().map(|(_, kind)| kind.as_str()).collect();
                let what = format!("{id} of {consent} made {kinds:?} in place of {expected:?}");
                self.breaks("I1", what);
            }
        }
        Ok(())
    }

    /// I1: an event has a delivery to each endpoint that wanted it when it happened, and to no other. What changed in the
    /// same batch may have changed before it or after.
    fn judge_fan_out(
        &mut self,
        event: i64,
        before: &BTreeMap<i64, EndpointRow>,
    ) -> anyhow::Result<()> {
        let told = self.rows.told_to(event)?;
        let wants = |endpoint: Option<&EndpointRow>| {
            endpoint.is_some_and(|one| match one.state.as_str() {
                "active" => true,
                "deleted" => false,
                _ => one.queues_while_stopped,
            })
        };
        let mut problem = None;
        for (id, endpoint) in &self.endpoints {
            let (then, now) = (wants(before.get(id)), wants(Some(endpoint)));
            let found = told.iter().filter(|to| *to == id).count();
            let steady = match (self.rows.nodes, before.get(id)) {
                (Nodes::One, was) => was.is_none_or(|was| endpoint.version <= was.version + 1),
                (Nodes::Several, was) => was.is_some_and(|was| endpoint.version == was.version),
            };
            if found > 1 || steady && then == now && found != usize::from(now) {
                problem = Some((*id, found, now));
            }
        }
        if let Some((endpoint, found, wanted)) = problem {
            let id = EventId::from_key(event);
            let whose = self.receivers.iter().position(|one| one.endpoint == Some(endpoint));
            let what = format!(
                "{id} has {found} deliveries to endpoint {whose:?}, which {} it",
                if wanted { "wants" } else { "does not want" }
            );
            self.breaks("I1", what);
        }
        Ok(())
    }

    /// The name of a receiver's endpoint in what people read.
    pub(crate) fn name(index: usize, speech: Speech) -> String {
        format!("endpoint {index} ({speech:?})")
    }

    pub(crate) fn request_mut(&mut self, receiver: usize, request: usize) -> &mut Request {
        &mut self.receivers[receiver].requests[request]
    }
}
