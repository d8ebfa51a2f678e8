//! The driver: carries out a plan, step by step, starts what died, and asks the judge.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use abide_core::access::{Actor, Caller};
use abide_core::consent::{LawfulBasis, NewDecision, PermissionState, SubjectInput, Validity};
use abide_core::endpoint::{EndpointAuth, EventFilter, Overrides};
use abide_core::ids::{DeliveryId, EndpointId};
use abide_core::shell::Clock as _;
use abide_dialects::SecretForm;
use abide_storage::endpoints::{EndpointPatch, NewEndpoint};
use abide_storage::sealing::Secret;
use abide_storage::{Storage, StorageResult};
use anyhow::Context as _;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Dice;
use crate::clock::SimulatedClock;
use crate::judge::{Broken, Judge};
use crate::plan::{Deed, Plan, Point};
use crate::process::{Ground, Process};
use crate::receivers::Receiver;
use crate::rows::embedded::Embedded;
use crate::rows::{Nodes, Rows};
use crate::speech::Speech;
use crate::stage::{Life, Stage};

/// What a run came to.
#[derive(Debug)]
pub struct Course {
    /// What was broken, if anything.
    pub broken: Option<Broken>,
    /// What happened, in order.
    pub trace: Vec<String>,
}

/// How long a letter of a dead process is on its way, in milliseconds: also longer than its successor waits before it sends
/// anew where an attempt may still be open.
const LETTERS_TAKE: u32 = 9_000;

/// Looks at the end, a moment apart, until everything has come to rest.
const LOOKS: u32 = 200;

/// Carries out a plan on a new database of that name.
pub(crate) async fn live(plan: &Plan, database: String) -> anyhow::Result<Course> {
    let rows = Embedded::new(abide_storage_sqlite::keep(&database)?);
    let rows = Rows::new(Box::new(rows), Nodes::One);
    let stage = Arc::new(Stage::new(plan.seed, SimulatedClock::new(), Judge::new(rows)));
    let mut ground = Ground::new(database);
    let process = ground.start(&stage).await?;
    let accounts = process.store.accounts();
    let organization = accounts
        .create_organization("default", stage.clock.now())
        .await
        .context("no organization")?;
    let mut driver = Driver {
        by: Caller::new(organization.id, Actor::Operator),
        dice: Dice::new(plan.seed, 3),
        down: 100,
        calls: Vec::new(),
        stage: Arc::clone(&stage),
        ground,
        process: Some(process),
    };
    for step in &plan.steps {
        driver.wait(step.after).await?;
        if stage.is_broken() {
            break;
        }
        stage.note(format!("{:?}", step.deed));
        driver.does(&step.deed).await?;
    }
    if !stage.is_broken() {
        driver.ends().await?;
    }
    driver.die().await;
    let broken = stage.judge.lock().broken.take();
    Ok(Course { broken, trace: stage.take_trace() })
}

struct Driver {
    by: Caller,
    dice: Dice,
    /// How long the process is down when it dies, in milliseconds.
    down: u32,
    calls: Vec<Call>,
    stage: Arc<Stage>,
    ground: Ground,
    process: Option<Process>,
}

/// A call of the API that was made.
struct Call {
    what: String,
    life: Arc<Life>,
    answered: Arc<AtomicBool>,
}

impl Driver {
    fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("no process runs")
    }

    /// Lets that much time pass; what dies meanwhile is started again.
    async fn wait(&mut self, millis: u32) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_millis(millis.into());
        loop {
            let life = Arc::clone(&self.process()?.life);
            tokio::select! {
                biased;
                () = life.ends() => self.start_again().await?,
                () = sleep_until(until) => return Ok(()),
            }
        }
    }

    async fn die(&mut self) {
        if let Some(process) = self.process.take() {
            process.die().await;
        }
    }

    async fn start_again(&mut self) -> anyhow::Result<()> {
        loop {
            self.die().await;
            {
                let mut judge = self.stage.judge.lock();
                judge.crashes += 1;
                judge.all_accepted_are_there();
            }
            sleep(Duration::from_millis(self.down.into())).await;
            if self.stage.is_broken() {
                // It would break again, and again.
                self.stage.arm(None);
            }
            self.stage.note("starts");
            let process = self.ground.start(&self.stage).await?;
            let lives = !process.life.is_over();
            self.process = Some(process);
            if lives {
                self.deliver_letters()?;
                return Ok(());
            }
        }
    }

    /// Some of what the dead process had sent to the store gets there now.
    fn deliver_letters(&mut self) -> anyhow::Result<()> {
        for (_, letter) in std::mem::take(&mut *self.stage.letters.lock()) {
            let after = Duration::from_millis(self.dice.below(LETTERS_TAKE).into());
            if self.dice.percent(15) {
                continue;
            }
            let (store, stage) = (Arc::clone(&self.process()?.store), Arc::clone(&self.stage));
            tokio::spawn(async move {
                sleep(after).await;
                stage.note(format!("a late report of {} attempts", letter.finished.len()));
                // A store that has died meanwhile takes no letters.
                let _ = store.deliveries().report(letter, stage.clock.now()).await;
            });
        }
        Ok(())
    }

    /// Makes a call of the API and does not wait for its answer.
    fn call<F, T>(
        &mut self,
        what: impl Into<String>,
        call: impl FnOnce(Arc<dyn Storage>) -> F,
        answered: impl FnOnce(&mut Judge, T) + Send + 'static,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = StorageResult<T>> + Send + 'static,
        T: Send + 'static,
    {
        let process = self.process()?;
        let (life, stage) = (Arc::clone(&process.life), Arc::clone(&self.stage));
        let call = call(Arc::clone(&process.store));
        let (what, done) = (what.into(), Arc::new(AtomicBool::new(false)));
        self.calls.push(Call {
            what: what.clone(),
            life: Arc::clone(&life),
            answered: Arc::clone(&done),
        });
        tokio::spawn(async move {
            let answer = call.await;
            life.lives().await;
            done.store(true, Ordering::Relaxed);
            match answer {
                Ok(answer) => {
                    stage.note(format!("answered: {what}"));
                    answered(&mut stage.judge.lock(), answer);
                }
                Err(why) => stage.note(format!("answered: {what}: {why}")),
            }
        });
        Ok(())
    }

    async fn does(&mut self, deed: &Deed) -> anyhow::Result<()> {
        let (by, now) = (self.by, self.stage.clock.now());
        match deed {
            Deed::Endpoint(speech) => self.create_endpoint(*speech)?,
            Deed::Decide { person, purpose, granted } => {
                let new = decision(*person, *purpose, *granted);
                self.call(
                    format!("person {person} decides on {purpose}"),
                    move |store| async move { store.consents().record(&by, new, now).await },
                    |judge, view| judge.accepted([view.decision]),
                )?;
            }
            Deed::Batch { people, purpose } => {
                let mut people = people.clone();
                people.sort_unstable();
                people.dedup();
                let new = people.iter().map(|person| decision(*person, *purpose, true)).collect();
                self.call(
                    format!("people {people:?} decide on {purpose}"),
                    move |store| async move { store.consents().record_batch(&by, new, now).await },
                    |judge, batch| {
                        judge.accepted(batch.consents.iter().map(|one| one.decision));
                    },
                )?;
            }
            Deed::Answers { endpoint, manners } => {
                let mut judge = self.stage.judge.lock();
                let count = judge.receivers.len();
                if count > 0 {
                    let receiver = &mut judge.receivers[usize::from(*endpoint) % count];
                    receiver.manners.extend(manners);
                }
            }
            Deed::Pause(endpoint) => self.set_active(*endpoint, false)?,
            Deed::Resume(endpoint) => self.set_active(*endpoint, true)?,
            Deed::Delete(endpoint) => {
                if let Some(id) = self.endpoint(*endpoint) {
                    self.stage.judge.lock().stops(id.key());
                    self.call(
                        format!("endpoint {endpoint} is deleted"),
                        move |store| async move { store.endpoints().delete(&by, id, now).await },
                        |_, ()| (),
                    )?;
                }
            }
            Deed::Erase(person) => {
                let reference = reference(*person);
                self.call(
                    format!("person {person} is erased"),
                    move |store| async move { store.subjects().erase(&by, &reference, now).await },
                    |_, _| (),
                )?;
            }
            Deed::Retry(number) => self.retry(*number)?,
            Deed::RetryFailed { .. } | Deed::Discard { .. } => {
                let plan = self.stage.judge.lock().job(deed);
                if let Some(plan) = plan {
                    self.call(
                        format!("{deed:?}"),
                        move |store| async move { store.jobs().create(&by, &plan, now).await },
                        |_, _| (),
                    )?;
                }
            }
            Deed::Crash { at: Point::Now, down, .. } => {
                self.down = *down;
                self.start_again().await?;
            }
            Deed::Crash { at, after, down } => {
                self.down = *down;
                self.stage.arm(Some((*at, *after)));
            }
            Deed::Stop { down } => {
                self.process()?.stop().await;
                self.down = *down;
                self.start_again().await?;
            }
            Deed::Clock(by) => {
                self.stage.judge.lock().clock_jumps += 1;
                self.stage.clock.jump(*by);
                // Whoever waits for a time looks at the clock again within moments; see the options.
                self.process()?.store.doorbell().ring();
            }
        }
        Ok(())
    }

    fn create_endpoint(&mut self, speech: Speech) -> anyhow::Result<()> {
        let (number, new) = new_endpoint(&mut self.stage.judge.lock(), &mut self.dice, speech);
        let (by, now) = (self.by, self.stage.clock.now());
        self.call(
            format!("endpoint {number} is created"),
            move |store| async move { store.endpoints().create(&by, new, now).await },
            |_, _| (),
        )
    }

    /// The endpoint of that number among those that are stored.
    fn endpoint(&self, number: u8) -> Option<EndpointId> {
        self.stage.judge.lock().endpoint(number)
    }

    fn set_active(&mut self, number: u8, active: bool) -> anyhow::Result<()> {
        let Some(id) = self.endpoint(number) else { return Ok(()) };
        let (by, now) = (self.by, self.stage.clock.now());
        let patch = EndpointPatch { is_active: Some(active), ..EndpointPatch::default() };
        let what = if active { "resumed" } else { "paused" };
        if !active {
            self.stage.judge.lock().stops(id.key());
        }
        self.call(
            format!("endpoint {number} is {what}"),
            move |store| async move { store.endpoints().change(&by, id, patch, now).await },
            |_, _| (),
        )
    }

    fn retry(&mut self, number: u8) -> anyhow::Result<()> {
        let found = {
            let mut judge = self.stage.judge.lock();
            let all: Vec<_> = judge.deliveries().map(|row| (row.id, row.endpoint)).collect();
            let at = usize::from(number).checked_rem(all.len());
            let found = at.map(|at| all[at]);
            if let Some((delivery, _)) = found {
                judge.retries(delivery);
            }
            found.and_then(|(delivery, endpoint)| {
                Some((delivery, judge.receiver_of(endpoint)?.speech.dialect().by_hand()))
            })
        };
        let Some((delivery, run)) = found else { return Ok(()) };
        let (by, now, id) = (self.by, self.stage.clock.now(), DeliveryId::from_key(delivery));
        self.call(
            format!("delivery {number} is sent again"),
            move |store| async move { store.history().retry(&by, id, run, now).await },
            |_, ()| (),
        )
    }

    /// Nothing goes wrong any more: everything comes to rest, and is as it should be.
    async fn ends(&mut self) -> anyhow::Result<()> {
        self.stage.note("nothing goes wrong any more");
        self.stage.arm(None);
        for receiver in &mut self.stage.judge.lock().receivers {
            receiver.manners.clear();
        }
        // Letters and hanging requests come to their end.
        self.wait(LETTERS_TAKE).await?;
        self.down = 100;
        self.start_again().await?;
        self.wait(LETTERS_TAKE).await?;
        for _ in 0..LOOKS {
            if self.stage.is_broken() {
                return Ok(());
            }
            let next = {
                let judge = self.stage.judge.lock();
                if judge.is_at_rest() {
                    break;
                }
                judge.next_due()
            };
            let left = next.map_or(0, |at| at - self.stage.clock.now().as_millis());
            self.stage.clock.jump(left.clamp(5_000, 24 * 3_600_000));
            self.wait(1_500).await?;
        }
        let unanswered = self
            .calls
            .iter()
            .find(|call| !call.life.is_over() && !call.answered.load(Ordering::Relaxed));
        let mut judge = self.stage.judge.lock();
        if let Some(call) = unanswered {
            judge.breaks("answer", format!("nobody ever answered that {}", call.what));
        }
        judge.judge_ending();
        Ok(())
    }
}

/// An endpoint of the next receiver, and that one's number.
pub(crate) fn new_endpoint(
    judge: &mut Judge,
    dice: &mut Dice,
    speech: Speech,
) -> (usize, NewEndpoint) {
    let dialect = speech.dialect();
    let mut random = [0; 32];
    random.fill_with(|| dice.next() as u8);
    let secret = dialect.new_secret(SecretForm::Shared, &random);
    judge.receivers.push(Receiver::new(speech, secret.clone()));
    let number = judge.receivers.len() - 1;
    let new = NewEndpoint {
        dialect: dialect.name().to_owned(),
        url: format!("https://receiver.example/{number}"),
        events: EventFilter::All,
        description: None,
        secret: Secret::from(secret),
        rules: dialect.rules(),
        auth: EndpointAuth::default(),
        overrides: Overrides::default(),
    };
    (number, new)
}

pub(crate) fn reference(person: u8) -> String {
    format!("person-{person}")
}

pub(crate) fn decision(person: u8, purpose: u8, granted: bool) -> NewDecision {
    NewDecision {
        subject: SubjectInput { reference: reference(person), email: None },
        purpose: format!("purpose-{purpose}"),
        basis: LawfulBasis::Consent,
        state: if granted { PermissionState::Granted } else { PermissionState::Denied },
        policy: None,
        metadata: None,
        ip_address: None,
        obtained_at: None,
        validity: Validity::default(),
    }
}
