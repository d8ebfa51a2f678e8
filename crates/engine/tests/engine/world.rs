//! A store, an engine on it, and the hands to use both.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::consent::{ConsentView, LawfulBasis, NewDecision, PermissionState, SubjectInput};
use abide_core::endpoint::{EndpointAuth, EventFilter, Overrides};
use abide_core::event::EventKind;
use abide_core::ids::{EndpointId, EventId};
use abide_core::shell::{Chance, Clock, draw};
use abide_dialects::{Dialect, Received};
use abide_engine::outbound::{Guard, SystemResolver, TlsRoots};
use abide_engine::{Engine, EngineParts, Options};
use abide_storage::endpoints::{EndpointPatch, NewEndpoint};
use abide_storage::history::DeliveryView;
use abide_storage::sealing::{MasterKeys, Secret};
use abide_storage::{Consents, Storage};
use abide_storage_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use crate::receiver::{Receiver, Seen};
use crate::test_dialects::DIALECTS;

/// What every endpoint of these tests signs with.
pub(crate) const SECRET: &str = "a secret that only tests know";

/// Nothing here takes so long unless it is broken.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);

/// The machine's time, moved on by what the test says, or standing still until then.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    moved: AtomicI64,
    stands_at: OnceLock<i64>,
}

impl TestClock {
    /// From now on only the test moves it.
    pub(crate) fn stand_still(&self) {
        self.stands_at.get_or_init(machine_time);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let time = self.stands_at.get().copied().unwrap_or_else(machine_time);
        Timestamp::from_millis(time + self.moved.load(Ordering::Relaxed))
    }
}

#[expect(clippy::disallowed_methods, reason = "a shell's clock")]
fn machine_time() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// The machine's randomness.
#[derive(Debug)]
pub(crate) struct Dice;

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

/// A data folder, which outlives the processes that use it.
pub(crate) struct Folder {
    folder: TempDir,
    keys: [u8; 36],
}

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder { folder: tempfile::tempdir().unwrap(), keys: draw(&Dice) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Opens the store, as soon as whoever had it before has let go.
    pub(crate) async fn open(&self) -> Arc<SqliteStore> {
        let deadline = tokio::time::Instant::now() + PATIENT;
        loop {
            let mut drawn = self.keys.iter().copied();
            let keys = MasterKeys::generate(&mut |bytes: &mut [u8]| {
                bytes.fill_with(|| drawn.next().unwrap());
            });
            let data = self.path().join("data");
            let options =
                SqliteOptions { data: &data, keys, chance: Arc::new(Dice), commit_delay: None };
            match abide_storage_sqlite::open(options) {
                Ok(store) => return store,
                Err(why) => {
                    assert!(tokio::time::Instant::now() < deadline, "{why}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

/// A store with one organization, and an engine that works on it.
pub(crate) struct World {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) by: Caller,
}

impl World {
    /// In memory, with the default options.
    pub(crate) async fn new() -> World {
        World::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> World {
        World::on(World::store(), options).await
    }

    /// A new store in memory.
    pub(crate) fn store() -> Arc<SqliteStore> {
        let keys = MasterKeys::generate(&mut |bytes: &mut [u8]| Dice.fill(bytes));
        abide_storage_sqlite::open_in_memory(keys, Arc::new(Dice)).unwrap()
    }

    /// On a store that may have been used before.
    pub(crate) async fn on(store: Arc<SqliteStore>, options: Options) -> World {
        let storage: Arc<dyn Storage> = Arc::<SqliteStore>::clone(&store);
        World::through(storage, store, options).await
    }

    /// The engine sees the store as `storage` shows it.
    pub(crate) async fn through(
        storage: Arc<dyn Storage>,
        store: Arc<SqliteStore>,
        options: Options,
    ) -> World {
        let others = |parts: &mut EngineParts| {
            parts.storage = storage;
            parts.options = options;
        };
        World::made_of(store, others).await
    }

    /// On a store, with an engine of the usual parts but for those that `change` makes others.
    pub(crate) async fn made_of(
        store: Arc<SqliteStore>,
        change: impl FnOnce(&mut EngineParts),
    ) -> World {
        let clock = Arc::new(TestClock::default());
        let by = caller(&store, clock.now()).await;
        let mut parts = EngineParts {
            storage: Arc::<SqliteStore>::clone(&store),
            clock: Arc::<TestClock>::clone(&clock),
            chance: Arc::new(Dice),
            dialects: DIALECTS,
            guard: Guard { dev_loopback_http: true, ..Guard::default() },
            resolver: Arc::new(SystemResolver::default()),
            roots: TlsRoots::Only(vec![crate::receiver::Identity::of("nobody.test").certificate()]),
            options: Options::default(),
        };
        change(&mut parts);
        let engine = Engine::start(parts).await.unwrap();
        World { store, engine, clock, by }
    }

    /// Ends the engine where it stands and closes the store, as a crash would.
    pub(crate) fn crash(self) {
        drop(self.engine);
        self.store.close();
    }

    /// Moves the time on; whoever waits for it looks.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.moved.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
        self.store.doorbell().ring();
    }

    pub(crate) async fn endpoint(&self, dialect: &dyn Dialect, to: &Receiver) -> EndpointId {
        add_endpoint(&self.store, &self.by, dialect, to, self.clock.now()).await
    }

    pub(crate) async fn endpoint_at(&self, dialect: &dyn Dialect, url: String) -> EndpointId {
        let new = endpoint_at(dialect, url);
        self.store.endpoints().create(&self.by, new, self.clock.now()).await.unwrap().id
    }

    /// An endpoint that Abide proves itself to beside its signature.
    pub(crate) async fn endpoint_proving(
        &self,
        dialect: &dyn Dialect,
        url: String,
        auth: EndpointAuth,
    ) -> EndpointId {
        let new = NewEndpoint { auth, ..endpoint_at(dialect, url) };
        self.store.endpoints().create(&self.by, new, self.clock.now()).await.unwrap().id
    }

    /// From now on it is proved to by that alone.
    pub(crate) async fn change_auth(&self, endpoint: EndpointId, auth: EndpointAuth) {
        let patch = EndpointPatch { auth: Some(auth), ..EndpointPatch::default() };
        let endpoints = self.store.endpoints();
        endpoints.change(&self.by, endpoint, patch, self.clock.now()).await.unwrap();
    }

    /// Records that a person agreed to a purpose.
    pub(crate) async fn record(&self, person: &str, purpose: &str) -> ConsentView {
        record(&*self.store, &self.by, person, purpose, self.clock.now()).await
    }

    pub(crate) async fn set_active(&self, endpoint: EndpointId, active: bool) {
        let patch = EndpointPatch { is_active: Some(active), ..EndpointPatch::default() };
        let endpoints = self.store.endpoints();
        endpoints.change(&self.by, endpoint, patch, self.clock.now()).await.unwrap();
    }

    /// Every delivery, in the order of their events.
    pub(crate) async fn deliveries(&self) -> Vec<DeliveryView> {
        let history = self.store.history();
        let events = history.events(self.by.organization, 0, 1_000).await.unwrap();
        let mut all = Vec::new();
        for event in events {
            all.extend(history.deliveries_of(self.by.organization, event.id).await.unwrap());
        }
        all
    }

    /// Waits until the deliveries are as they should be, and answers them.
    pub(crate) async fn until(
        &self,
        what: &str,
        good: impl Fn(&[DeliveryView]) -> bool,
    ) -> Vec<DeliveryView> {
        let deadline = tokio::time::Instant::now() + PATIENT;
        loop {
            let all = self.deliveries().await;
            if good(&all) {
                return all;
            }
            let states: Vec<_> = all.iter().map(|one| (one.state, one.attempts.len())).collect();
            assert!(tokio::time::Instant::now() < deadline, "not {what}: {states:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The organization of these tests, created where it is not there.
pub(crate) async fn caller(store: &SqliteStore, now: Timestamp) -> Caller {
    let accounts = store.accounts();
    let organization = match accounts.organization("default").await.unwrap() {
        Some(known) => known,
        None => accounts.create_organization("default", now).await.unwrap(),
    };
    Caller::new(organization.id, Actor::Operator)
}

pub(crate) async fn add_endpoint(
    store: &SqliteStore,
    by: &Caller,
    dialect: &dyn Dialect,
    to: &Receiver,
    now: Timestamp,
) -> EndpointId {
    let url = format!("http://{}/{}", to.addr(), dialect.name());
    store.endpoints().create(by, endpoint_at(dialect, url), now).await.unwrap().id
}

fn endpoint_at(dialect: &dyn Dialect, url: String) -> NewEndpoint {
    NewEndpoint {
        dialect: dialect.name().to_owned(),
        url,
        events: EventFilter::Only(vec![
            EventKind::ConsentCreated,
            EventKind::ConsentUpdated,
            EventKind::ConsentWithdrawn,
            EventKind::ConsentBatchCreated,
        ]),
        description: None,
        secret: Secret::from(SECRET.to_owned()),
        rules: dialect.rules(),
        auth: EndpointAuth::default(),
        overrides: Overrides::default(),
    }
}

pub(crate) async fn record(
    consents: &dyn Consents,
    by: &Caller,
    person: &str,
    purpose: &str,
    now: Timestamp,
) -> ConsentView {
    consents.record(by, decision(person, purpose), now).await.unwrap()
}

pub(crate) fn decision(person: &str, purpose: &str) -> NewDecision {
    NewDecision {
        subject: SubjectInput { reference: person.to_owned(), email: None },
        purpose: purpose.to_owned(),
        basis: LawfulBasis::Consent,
        state: PermissionState::Granted,
        policy: None,
        metadata: None,
        ip_address: None,
        obtained_at: None,
        validity: abide_core::consent::Validity::default(),
    }
}

/// A request as its dialect's receiver has it.
pub(crate) fn received(seen: &Seen) -> Received {
    let lines = seen.head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers = lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Received { headers: headers.collect(), body: seen.body.clone().into() }
}

/// Waits until a receiver has read so many requests, and answers all it has.
pub(crate) async fn requests(receiver: &Receiver, at_least: usize) -> Vec<Seen> {
    let deadline = tokio::time::Instant::now() + PATIENT;
    loop {
        let seen = receiver.requests();
        if seen.len() >= at_least {
            return seen;
        }
        let n = seen.len();
        assert!(tokio::time::Instant::now() < deadline, "{n} of {at_least} requests");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The body of a request of a test dialect.
pub(crate) fn text(seen: &Seen) -> String {
    String::from_utf8(seen.body.clone()).unwrap()
}

/// The number after `name=` in the body of a test dialect.
pub(crate) fn number(seen: &Seen, name: &str) -> u64 {
    let text = text(seen);
    let found = text.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// The ids of the events that a receiver was told, in order.
pub(crate) fn events(all: &[Seen]) -> Vec<EventId> {
    let event = |seen: &Seen| {
        let text = text(seen);
        let id = text.strip_prefix("event=").unwrap().split(' ').next().unwrap();
        EventId::parse(id).unwrap()
    };
    all.iter().map(event).collect()
}
