//! A store in memory and an engine on it, and the hands to use both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::consent::{LawfulBasis, NewDecision, PermissionState, SubjectInput, Validity};
use abide_core::endpoint::{EndpointAuth, EndpointState, EventFilter, Overrides};
use abide_core::ids::EndpointId;
use abide_core::shell::{Chance, Clock, draw};
use abide_dialects::{Dialect, all};
use abide_engine::outbound::{Guard, SystemResolver, TlsRoots};
use abide_engine::{Engine, EngineParts, Options};
use abide_storage::Storage as _;
use abide_storage::endpoints::NewEndpoint;
use abide_storage::history::DeliveryView;
use abide_storage::sealing::{MasterKeys, Secret};
use abide_storage_sqlite::SqliteStore;

use crate::program::PATIENCE;

/// The machine's time.
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "a shell's clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis() as i64)
    }
}

/// The machine's randomness.
pub(crate) struct Dice;

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

/// An organization with an engine that sends its webhooks, to this machine alone.
pub(crate) struct World {
    store: Arc<SqliteStore>,
    _engine: Engine,
    by: Caller,
    people: AtomicU32,
}

impl World {
    /// As in development: receivers on this machine may be called by plain http.
    pub(crate) async fn new() -> Self {
        Self::guarded_by(Guard { dev_loopback_http: true, ..Guard::default() }).await
    }

    pub(crate) async fn guarded_by(guard: Guard) -> Self {
        let keys = MasterKeys::generate(&mut |bytes: &mut [u8]| Dice.fill(bytes));
        let store = abide_storage_sqlite::open_in_memory(keys, Arc::new(Dice)).unwrap();
        let now = MachineClock.now();
        let organization = store.accounts().create_organization("default", now).await.unwrap();
        let engine = Engine::start(EngineParts {
            storage: Arc::<SqliteStore>::clone(&store),
            clock: Arc::new(MachineClock),
            chance: Arc::new(Dice),
            dialects: all(),
            guard,
            resolver: Arc::new(SystemResolver::default()),
            roots: TlsRoots::PlatformIfAny,
            options: Options::default(),
        });
        let by = Caller::new(organization.id, Actor::Operator);
        Self { store, _engine: engine.await.unwrap(), by, people: AtomicU32::new(0) }
    }

    /// An endpoint that wants everything.
    pub(crate) async fn endpoint(
        &self,
        dialect: &dyn Dialect,
        to: SocketAddr,
        secret: &str,
    ) -> EndpointId {
        self.endpoint_at(dialect, format!("http://{to}/webhooks"), secret).await
    }

    pub(crate) async fn endpoint_at(
        &self,
        dialect: &dyn Dialect,
        url: String,
        secret: &str,
    ) -> EndpointId {
        let new = NewEndpoint {
            dialect: dialect.name().to_owned(),
            url,
            events: EventFilter::All,
            description: None,
            secret: Secret::from(secret.to_owned()),
            rules: dialect.rules(),
            auth: EndpointAuth::default(),
            overrides: Overrides::default(),
        };
        self.store.endpoints().create(&self.by, new, MachineClock.now()).await.unwrap().id
    }

    /// Another secret of each form in turn, beside which the one before goes on signing for an hour.
    pub(crate) async fn replace_secret(&self, dialect: &dyn Dialect, endpoint: EndpointId) {
        for form in dialect.secret_forms() {
            let new = Secret::from(dialect.new_secret(*form, &draw(&Dice)));
            let now = MachineClock.now();
            let until = now.plus_millis(3_600_000);
            let endpoints = self.store.endpoints();
            endpoints.rotate_secret(&self.by, endpoint, new, until, now).await.unwrap();
        }
    }

    pub(crate) async fn delete(&self, endpoint: EndpointId) {
        self.store.endpoints().delete(&self.by, endpoint, MachineClock.now()).await.unwrap();
    }

    /// Records that a new person agreed, and answers their reference.
    pub(crate) async fn record(&self) -> String {
        let person = format!("person-{}", self.people.fetch_add(1, Ordering::Relaxed));
        let decision = NewDecision {
            subject: SubjectInput { reference: person.clone(), email: None },
            purpose: "marketing".to_owned(),
            basis: LawfulBasis::Consent,
            state: PermissionState::Granted,
            policy: None,
            metadata: None,
            ip_address: None,
            obtained_at: None,
            validity: Validity::default(),
        };
        self.store.consents().record(&self.by, decision, MachineClock.now()).await.unwrap();
        person
    }

    /// Waits until an endpoint has that state.
    pub(crate) async fn until_state(&self, endpoint: EndpointId, wanted: EndpointState) {
        let endpoints = self.store.endpoints();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = endpoints.get(self.by.organization, endpoint).await.unwrap().unwrap();
            if found.state == wanted {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{:?}", found.state);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until an endpoint has had so many deliveries, each with an attempt on record, and answers the newest.
    pub(crate) async fn settled(&self, endpoint: EndpointId, count: usize) -> DeliveryView {
        let ended = |delivery: &DeliveryView| {
            delivery.attempts.iter().any(|attempt| attempt.ending.is_some())
        };
        self.until(endpoint, |all| all.len() == count && all.iter().all(ended)).await.pop().unwrap()
    }

    /// Waits until an endpoint's deliveries are as they should be, and answers them in their order.
    pub(crate) async fn until(
        &self,
        endpoint: EndpointId,
        enough: impl Fn(&[DeliveryView]) -> bool,
    ) -> Vec<DeliveryView> {
        let history = self.store.history();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut found = Vec::new();
            for event in history.events(self.by.organization, 0, 1_000).await.unwrap() {
                let all = history.deliveries_of(self.by.organization, event.id).await.unwrap();
                found.extend(all.into_iter().filter(|delivery| delivery.endpoint == endpoint));
            }
            if enough(&found) {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "{found:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
