//! The driver: carries out a plan at two nodes, starts what died, and asks the judge.

use std::sync::Arc;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::ids::{DeliveryId, EndpointId};
use abide_core::shell::Clock as _;
use abide_storage::endpoints::EndpointPatch;
use abide_storage::feeds::{FeedWanted, ToldEvent};
use abide_storage::{Storage, StorageResult};
use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::callers::{Call, Doors};
use super::ground::{Begun, Door, Ground, Node as _};
use super::orders::Orders;
use super::plan::{NodesDeed, NodesPlan};
use crate::chance::Dice;
use crate::judge::{Asked, Judge};
use crate::plan::Deed;
use crate::stage::Stage;
use crate::world::{Course, decision, new_endpoint, reference};

/// How often the rows are looked at beside all requests, and the feed is read.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// How long everything may take to come to rest in the end.
const REST_WITHIN: Duration = Duration::from_mins(1);
/// For how long it must rest: a report may still be on its way.
const RESTS_FOR: Duration = Duration::from_millis(1_200);
/// How long before the run people decided: no decision is taken in the future.
const DECIDED_BEFORE: i64 = 3_600_000;

/// Carries out a plan on new ground.
pub(crate) async fn live(plan: &NodesPlan, ground: &impl Ground) -> anyhow::Result<Course> {
    let seed = plan.seed;
    let Begun { organization, rows, clock } = ground.begin(seed).await?;
    let began = clock.now();
    let stage = Arc::new(Stage::new(seed, clock, Judge::new(rows)));
    let mut driver = Driver {
        by: Caller::new(organization, Actor::Operator),
        dice: Dice::new(seed, 5),
        began,
        starts: 0,
        calls: 0,
        slots: [Slot::empty(), Slot::empty()],
        doors: Arc::default(),
        asked: JoinSet::new(),
        told: Vec::new(),
        beside: JoinSet::new(),
        stage: Arc::clone(&stage),
        ground,
    };
    if ground.is_real() {
        driver.beside.spawn(looks(Arc::clone(&stage)));
    }
    for slot in 0..2 {
        driver.start(slot).await?;
    }
    for step in &plan.steps {
        driver.wait(step.after).await?;
        if stage.is_broken() {
            break;
        }
        stage.note(format!("node {}: {:?}", step.node, step.deed));
        driver.does(usize::from(step.node) % 2, &step.deed).await?;
    }
    if !stage.is_broken() {
        driver.ends().await?;
    }
    driver.beside.shutdown().await;
    for slot in 0..2 {
        driver.die(slot).await?;
    }
    let broken = stage.judge.lock().broken.take();
    Ok(Course { broken, trace: stage.take_trace() })
}

/// Looks at the rows, for ever.
async fn looks(stage: Arc<Stage>) {
    loop {
        sleep(LOOK_EVERY).await;
        let stage = Arc::clone(&stage);
        let look = move || stage.judge.lock().look(stage.clock.elapsed_millis());
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

/// Reads on in the feed of a node for as long as that lives.
async fn reads(stage: Arc<Stage>, door: Door, by: Caller) {
    let mut after = 0;
    while !door.life.is_over() {
        match read(&door.store, by, after).await {
            Ok((events, next)) => {
                stage.judge.lock().reads_feed(after, &events, next);
                after = next;
            }
            Err(why) => stage.note(format!("the feed cannot be read: {why}")),
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn read(store: &Arc<dyn Storage>, by: Caller, after: u64) -> StorageResult<(Vec<i64>, u64)> {
    let wanted = FeedWanted { after, limit: 100 };
    let page = store.feeds().events_after(by.organization, None, wanted).await?;
    let events = page.entries.iter().map(|told| match told {
        ToldEvent::Whole(event) | ToldEvent::Test(event) => event.id.key(),
        ToldEvent::Erased { id, .. } => id.key(),
    });
    Ok((events.collect(), page.next))
}

struct Driver<'a, G: Ground> {
    by: Caller,
    dice: Dice,
    /// The time that all nodes go by when the run began.
    began: Timestamp,
    starts: u64,
    calls: u64,
    slots: [Slot<G::Node>; 2],
    doors: Doors,
    /// Calls that record decisions, under way.
    asked: JoinSet<Asked>,
    told: Vec<Asked>,
    /// What goes on beside the plan.
    beside: JoinSet<()>,
    stage: Arc<Stage>,
    ground: &'a G,
}

/// A place for a node.
struct Slot<N> {
    node: Option<N>,
    /// When one starts here, or the one that stands still goes on.
    next: Option<Instant>,
}

impl<N> Slot<N> {
    fn empty() -> Self {
        Self { node: None, next: None }
    }
}

impl<G: Ground> Driver<'_, G> {
    async fn start(&mut self, slot: usize) -> anyhow::Result<()> {
        self.starts += 1;
        self.stage.note(format!("node {slot} starts, as {}", self.starts));
        let node = self.ground.start(&self.stage, self.starts).await?;
        let door = node.door().clone();
        if self.ground.is_real() {
            door.works.spawn(reads(Arc::clone(&self.stage), door.clone(), self.by));
        }
        self.doors.lock()[slot] = Some(door);
        self.slots[slot] = Slot { node: Some(node), next: None };
        Ok(())
    }

    async fn die(&mut self, slot: usize) -> anyhow::Result<()> {
        self.doors.lock()[slot] = None;
        match self.slots[slot].node.take() {
            Some(node) => node.die().await,
            None => Ok(()),
        }
    }

    /// Lets that much time pass; what is due meanwhile is done.
    async fn wait(&mut self, millis: u32) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_millis(millis.into());
        loop {
            for slot in 0..2 {
                if self.slots[slot].next.is_some_and(|at| at <= Instant::now()) {
                    self.slots[slot].next = None;
                    match &mut self.slots[slot].node {
                        Some(node) => {
                            self.stage.note(format!("node {slot} goes on"));
                            node.thaw();
                        }
                        None => self.start(slot).await?,
                    }
                }
            }
            let next = self.slots.iter().filter_map(|slot| slot.next).fold(until, Instant::min);
            tokio::time::sleep_until(next).await;
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    async fn does(&mut self, at: usize, deed: &NodesDeed) -> anyhow::Result<()> {
        let then = |millis: &u32| Some(Instant::now() + Duration::from_millis((*millis).into()));
        match deed {
            NodesDeed::Usual(deed) => return self.usual(at, deed),
            NodesDeed::Die(down) => {
                self.stage.judge.lock().crashes += 1;
                self.die(at).await?;
                self.slots[at].next = then(down);
                return Ok(());
            }
            NodesDeed::Stop(down) => {
                self.doors.lock()[at] = None;
                if let Some(node) = self.slots[at].node.take() {
                    node.stop().await?;
                }
                self.slots[at].next = then(down);
                return Ok(());
            }
            NodesDeed::Cut { .. }
            | NodesDeed::CutAll
            | NodesDeed::Slow { .. }
            | NodesDeed::Freeze(_)
            | NodesDeed::FreezeCommitted(_) => {}
        }
        let slot = &mut self.slots[at];
        let Some(node) = &mut slot.node else { return Ok(()) };
        match deed {
            NodesDeed::Cut { at, of, passes } => node.orders().cut_at(*at, *of, *passes),
            NodesDeed::CutAll => {
                self.stage.judge.lock().crashes += 1;
                node.cut_all();
            }
            NodesDeed::Slow { of, commits, by } => {
                node.orders().slow_down(Duration::from_millis((*by).into()), *of, *commits);
            }
            NodesDeed::Freeze(millis) if slot.next.is_none() => {
                self.stage.judge.lock().crashes += 1;
                node.freeze();
                slot.next = then(millis);
            }
            NodesDeed::FreezeCommitted(millis) if slot.next.is_none() => {
                node.freeze_when_committed();
                slot.next = then(millis);
            }
            NodesDeed::Freeze(_)
            | NodesDeed::FreezeCommitted(_)
            | NodesDeed::Usual(_)
            | NodesDeed::Die(_)
            | NodesDeed::Stop(_) => {}
        }
        Ok(())
    }

    /// Records decisions on a purpose, at a node, and does not wait for the answer.
    fn decide(&mut self, at: usize, people: &[u8], purpose: u8, granted: bool) {
        self.calls += 1;
        let number = self.calls;
        let obtained_at = self.began.as_millis() - DECIDED_BEFORE + number as i64;
        let mut people = people.to_vec();
        people.sort_unstable();
        people.dedup();
        let new = people.iter().map(|person| abide_core::consent::NewDecision {
            obtained_at: Some(Timestamp::from_millis(obtained_at)),
            ..decision(*person, purpose, granted)
        });
        let call = Call { by: self.by, new: new.collect(), number, obtained_at };
        let call = if self.dice.percent(60) { call.once() } else { call };
        let once = if call.by.once.is_some() { ", under a key" } else { "" };
        self.stage.note(format!("call {number}: people {people:?} decide on {purpose}{once}"));
        self.asked.spawn(call.made(Arc::clone(&self.stage), Arc::clone(&self.doors), at));
    }

    /// Makes another call, at a node, and does not wait for the answer.
    fn call<F, T>(
        &self,
        at: usize,
        what: String,
        call: impl FnOnce(Arc<dyn Storage>, Timestamp) -> F + Send + 'static,
    ) where
        F: Future<Output = StorageResult<T>> + Send + 'static,
        T: Send + 'static,
    {
        let door = {
            let doors = self.doors.lock();
            doors[at].clone().or_else(|| doors[1 - at].clone())
        };
        let Some(door) = door else { return };
        let stage = Arc::clone(&self.stage);
        door.works.clone().spawn(async move {
            let answer = call(Arc::clone(&door.store), door.clock.now()).await;
            let said = answer.err().map(|why| format!(": {why}")).unwrap_or_default();
            stage.note(format!("answered: {what}{said}"));
        });
    }

    fn usual(&mut self, at: usize, deed: &Deed) -> anyhow::Result<()> {
        let by = self.by;
        match deed {
            Deed::Endpoint(speech) => {
                let (number, new) =
                    new_endpoint(&mut self.stage.judge.lock(), &mut self.dice, *speech);
                self.call(
                    at,
                    format!("endpoint {number} is created"),
                    move |store, now| async move { store.endpoints().create(&by, new, now).await },
                );
            }
            Deed::Decide { person, purpose, granted } => {
                self.decide(at, &[*person], *purpose, *granted);
            }
            Deed::Batch { people, purpose } => self.decide(at, people, *purpose, true),
            Deed::Answers { endpoint, manners } => {
                let mut judge = self.stage.judge.lock();
                let count = judge.receivers.len();
                if count > 0 {
                    let receiver = &mut judge.receivers[usize::from(*endpoint) % count];
                    receiver.manners.extend(manners);
                }
            }
            Deed::Pause(endpoint) => self.set_active(at, *endpoint, false),
            Deed::Resume(endpoint) => self.set_active(at, *endpoint, true),
            Deed::Delete(endpoint) => {
                if let Some(id) = self.endpoint(*endpoint) {
                    self.stage.judge.lock().stops(id.key());
                    self.call(at, "an endpoint is deleted".to_owned(), move |store, now| async move {
                        store.endpoints().delete(&by, id, now).await
                    });
                }
            }
            Deed::Erase(person) => {
                let reference = reference(*person);
                self.call(at, format!("person {person} is erased"), move |store, now| async move {
                    store.subjects().erase(&by, &reference, now).await
                });
            }
            Deed::Retry(number) => self.retry(at, *number),
            Deed::RetryFailed { .. }
            | Deed::Discard { .. }
            | Deed::Crash { .. }
            | Deed::Stop { .. }
            | Deed::Clock(_) => {
                anyhow::bail!("{deed:?} is for one node alone")
            }
        }
        Ok(())
    }

    /// The endpoint of that number among those that are stored.
    fn endpoint(&self, number: u8) -> Option<EndpointId> {
        self.stage.judge.lock().endpoint(number)
    }

    fn set_active(&self, at: usize, number: u8, active: bool) {
        let Some(id) = self.endpoint(number) else { return };
        let by = self.by;
        let patch = EndpointPatch { is_active: Some(active), ..EndpointPatch::default() };
        if !active {
            self.stage.judge.lock().stops(id.key());
        }
        let what = if active { "resumed" } else { "paused" };
        self.call(at, format!("endpoint {number} is {what}"), move |store, now| async move {
            store.endpoints().change(&by, id, patch, now).await
        });
    }

    fn retry(&self, at: usize, number: u8) {
        let found = {
            let mut judge = self.stage.judge.lock();
            let all: Vec<_> = judge.deliveries().map(|row| (row.id, row.endpoint)).collect();
            let found = usize::from(number).checked_rem(all.len()).map(|place| all[place]);
            if let Some((delivery, _)) = found {
                judge.retries(delivery);
            }
            found.and_then(|(delivery, endpoint)| {
                Some((delivery, judge.receiver_of(endpoint)?.speech.dialect().by_hand()))
            })
        };
        let Some((delivery, run)) = found else { return };
        let (by, id) = (self.by, DeliveryId::from_key(delivery));
        self.call(at, format!("delivery {number} is sent again"), move |store, now| async move {
            store.history().retry(&by, id, run, now).await
        });
    }

    /// Nothing goes wrong any more: everything comes to rest, and is as it should be.
    async fn ends(&mut self) -> anyhow::Result<()> {
        self.stage.note("nothing goes wrong any more");
        for receiver in &mut self.stage.judge.lock().receivers {
            receiver.manners.clear();
        }
        for slot in &self.slots {
            if let Some(node) = &slot.node {
                *node.orders() = Orders::default();
            }
        }
        while self.slots.iter().any(|slot| slot.next.is_some()) {
            self.wait(20).await?;
        }
        let answers = async {
            while let Some(asked) = self.asked.join_next().await {
                self.told.push(asked?);
            }
            anyhow::Ok(())
        };
        if let Ok(answered) = timeout(REST_WITHIN, answers).await {
            answered?;
        } else {
            self.stage.judge.lock().breaks("answer", "a call is never answered");
            return Ok(());
        }
        let began = Instant::now();
        let mut rests_since = None;
        while began.elapsed() < REST_WITHIN && !self.stage.is_broken() {
            sleep(LOOK_EVERY).await;
            let rests = self.stage.judge.lock().is_at_rest();
            rests_since = if rests { rests_since.or_else(|| Some(Instant::now())) } else { None };
            if rests_since.is_some_and(|since: Instant| since.elapsed() >= RESTS_FOR) {
                break;
            }
        }
        self.told_and_read().await
    }

    /// The last look.
    async fn told_and_read(&mut self) -> anyhow::Result<()> {
        if self.ground.is_real() {
            let door = self.doors.lock()[0].clone().context("a node is there")?;
            let mut after = 0;
            loop {
                let (events, next) = read(&door.store, self.by, after).await?;
                self.stage.judge.lock().reads_feed(after, &events, next);
                if next == after {
                    break;
                }
                after = next;
            }
        }
        let mut judge = self.stage.judge.lock();
        judge.look(self.stage.clock.elapsed_millis());
        judge.judge_ending();
        judge.judge_answers(&self.told);
        if self.ground.is_real() {
            judge.judge_feed();
        }
        Ok(())
    }
}
