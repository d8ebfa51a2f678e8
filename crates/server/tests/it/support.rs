//! A server with its store in memory, a clock that stands still until told, and chance that repeats.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller, Scope};
use abide_core::delivery::{Decided, Trigger};
use abide_core::endpoint::{AuthProblem, Authorization, EndpointAuth};
use abide_core::ids::{EndpointId, LeaseId, OrganizationId};
use abide_core::rate::RateLimit;
use abide_core::shell::{Chance, Clock, draw};
use abide_server::{App, Cookies, Dashboard, EndpointPolicy, Readiness, router};
use abide_storage::accounts::NewKey;
use abide_storage::deliveries::{Ending, FinishedAttempt, Report};
use abide_storage::sealing::MasterKeys;
use abide_storage::{ApiCredential, Committed, HotDelivery, KeySecret, Room, Slot, Storage};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower_service::Service as _;

/// The organization that most tests act in.
pub(crate) struct Tenant {
    pub(crate) id: OrganizationId,
    /// Its admin key's token.
    pub(crate) token: String,
}

pub(crate) struct World {
    pub(crate) store: Arc<dyn Storage>,
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) ready: Arc<Stated>,
    pub(crate) router: Router,
    pub(crate) chance: Arc<Repeating>,
    pub(crate) us: Tenant,
}

pub(crate) struct StandingClock(AtomicI64);

impl StandingClock {
    pub(crate) fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Random enough to be unique, the same in every run.
pub(crate) struct Repeating(AtomicU64);

impl Chance for Repeating {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut bits = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&bits.to_le_bytes()[..chunk.len()]);
        }
    }
}

struct HttpsOnly;

/// A URL whose judge panics.
pub(crate) const PANICS: &str = "https://panic.example/";

impl EndpointPolicy for HttpsOnly {
    fn check_url(&self, url: &str) -> Result<(), String> {
        assert!(url != PANICS, "the policy breaks, as a test wants it");
        match url.strip_prefix("https://") {
            Some(rest) if !rest.is_empty() => Ok(()),
            Some(_) | None => Err("must be an https URL".to_owned()),
        }
    }

    fn check_auth(&self, auth: &EndpointAuth) -> Vec<AuthProblem> {
        let mut problems = auth.check();
        if let Some(Authorization::OAuth2 { token_url, .. }) = &auth.authorization {
            let judged = self.check_url(token_url).err();
            problems.extend(judged.map(|why| AuthProblem::new("auth.oauth2.token_url", why)));
        }
        problems
    }
}

/// Readiness as the test says.
pub(crate) struct Stated(pub(crate) Mutex<Vec<String>>);

impl Readiness for Stated {
    fn check(&self) -> Result<(), Vec<String>> {
        let reasons = self.0.lock().clone();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn data(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        assert_eq!(self.json()["success"], true);
        self.json()["data"].clone()
    }

    /// P28: the error envelope, whole; answers its code.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert!(!self.status.is_success(), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(json["success"], false);
        assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
        assert!(!json["error"]["message"].as_str().unwrap().is_empty());
        for detail in json["error"]["details"].as_array().into_iter().flatten() {
            assert!(detail["field"].is_string() && detail["problem"].is_string(), "{json}");
        }
        json["error"]["code"].as_str().unwrap().to_owned()
    }

    /// The problem document, whole; answers the name of its kind.
    pub(crate) fn problem(&self) -> String {
        let json = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(json["status"], self.status.as_u16());
        assert_eq!(json["request_id"], self.headers["x-request-id"].to_str().unwrap());
        for name in ["title", "detail"] {
            assert!(!json[name].as_str().unwrap().is_empty(), "{json}");
        }
        json["type"].as_str().unwrap().strip_prefix("/docs/problems#").unwrap().to_owned()
    }

    /// The fields that a problem document's `errors` names.
    pub(crate) fn wrong(&self) -> Vec<String> {
        assert_eq!(
            (self.status.as_u16(), self.problem().as_str()),
            (400, "invalid-field"),
            "{self:?}"
        );
        let json = self.json();
        let errors = json["errors"].as_array().unwrap().iter();
        errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }

    /// The fields that `details` names.
    pub(crate) fn fields(&self) -> Vec<String> {
        let json = self.json();
        let details = json["error"]["details"].as_array().cloned().unwrap_or_default();
        details.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect()
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with_seed(1).await
    }

    /// A world whose dice fall otherwise.
    pub(crate) async fn start_with_seed(seed: u64) -> Self {
        let chance = Arc::new(Repeating(AtomicU64::new(seed)));
        let clock = Arc::new(StandingClock(AtomicI64::new(
            Timestamp::parse("2024-01-15T10:30:00Z").unwrap().as_millis(),
        )));
        let ready = Arc::new(Stated(Mutex::new(Vec::new())));
        let drawn = Arc::clone(&chance);
        let keys = MasterKeys::generate(&mut |bytes: &mut [u8]| drawn.fill(bytes));
        let store: Arc<dyn Storage> =
            abide_storage_sqlite::open_in_memory(keys, chance.clone()).unwrap();
        let app = App {
            storage: store.clone(),
            clock: clock.clone(),
            chance: chance.clone(),
            endpoints: Arc::new(HttpsOnly),
            ready: ready.clone(),
            dashboard: Dashboard {
                public_url: "https://abide.example.org".to_owned(),
                cookies: Cookies::Https,
                trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
            },
        };
        let us = tenant(store.as_ref(), chance.as_ref(), clock.now(), "us").await;
        Self { store, clock, ready, router: router(app), chance, us }
    }

    /// Another organization with an admin key.
    pub(crate) async fn tenant(&self, uri: &str) -> Tenant {
        tenant(self.store.as_ref(), self.chance.as_ref(), self.clock.now(), uri).await
    }

    /// A key of ours with these scopes.
    pub(crate) async fn key(&self, scopes: &[Scope]) -> ApiCredential {
        self.limited_key(scopes, RateLimit::DEFAULT).await
    }

    /// A key of ours with these scopes and that limit.
    pub(crate) async fn limited_key(&self, scopes: &[Scope], limit: RateLimit) -> ApiCredential {
        let (store, chance) = (self.store.as_ref(), self.chance.as_ref());
        key(store, chance, self.clock.now(), self.us.id, scopes, limit).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let mut router = self.router.clone();
        let response = router.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(parts.headers.contains_key(abide_server::REQUEST_ID), "{text}");
        Reply { status: parts.status, headers: parts.headers, text }
    }

    /// A call with our admin key and a body as it is.
    pub(crate) async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Reply {
        self.call_as(&self.us.token, method, path, body).await
    }

    /// A call with some token and a body as it is.
    pub(crate) async fn call_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-api-key", token)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::PATCH, path, body.to_string()).await
    }

    /// An endpoint of ours.
    pub(crate) async fn endpoint(&self, dialect: &str) -> EndpointId {
        let body = json!({"url": "https://receiver.example/hooks", "dialect": dialect});
        let made = self.post("/abide/v1/endpoints", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        EndpointId::parse(made.json()["id"].as_str().unwrap()).unwrap()
    }

    /// From now on what is committed hot is delivered, as far as the store knows.
    pub(crate) async fn answering(&self) {
        let lease = self.store.leases().open(self.clock.now()).await.unwrap();
        let engine = Arc::new(Answering { store: Arc::downgrade(&self.store), lease });
        self.store.attach(engine.clone(), engine);
    }

    /// Takes the deletion of our organization back, if there is one.
    pub(crate) async fn restore(&self) {
        let by = Caller::new(self.us.id, Actor::Operator);
        self.store.deletions().restore(&by, self.clock.now()).await.unwrap();
    }

    /// A word that no other call gets.
    pub(crate) fn chance_text(&self) -> String {
        format!("w{:016x}", u64::from_be_bytes(draw(&*self.chance)))
    }

    /// Everything that a refused call must leave as it was.
    pub(crate) async fn facts(&self) -> String {
        let history = self.store.history();
        let audit = history.audit(self.us.id, 1_000).await.unwrap();
        let events = history.events(self.us.id, 0, 1_000).await.unwrap().len();
        let decisions = history.decisions(self.us.id, 0, 1_000).await.unwrap().len();
        let webhooks = self.get("/v1/webhooks?limit=100").await.text;
        let policies = self.get("/v1/policies?limit=100").await.text;
        format!("{audit:?} {events} {decisions} {webhooks} {policies}")
    }
}

/// An engine that needs no receiver.
struct Answering {
    store: Weak<dyn Storage>,
    lease: LeaseId,
}

impl Room for Answering {
    fn reserve(&self, _: usize, _: usize) -> Option<Slot> {
        Some(Slot::new(self.lease, Box::new(|| {})))
    }
}

impl Committed for Answering {
    fn take(&self, slot: Slot, deliveries: Vec<HotDelivery>) {
        let at = Timestamp::from_millis(0);
        let finished = deliveries.iter().map(|hot| FinishedAttempt {
            delivery: hot.id,
            endpoint: hot.endpoint,
            lease: slot.lease(),
            number: 1,
            started_at: at,
            duration_millis: 7,
            signed_at: at,
            token: [0; 16],
            body_sha256: [0; 32],
            body_length: 2,
            object_version: 0,
            endpoint_version: 1,
            status: Some(200),
            error: None,
            ending: Ending::Answered,
            answer: None,
            decided: Decided { trigger: Trigger::OutcomeDelivered, due_at: None, reason: None },
        });
        let report = Report { finished: finished.collect(), given_back: Vec::new() };
        let store = self.store.upgrade().expect("a store that calls");
        tokio::spawn(async move { store.deliveries().report(report, at).await });
    }
}

async fn tenant(store: &dyn Storage, chance: &dyn Chance, now: Timestamp, uri: &str) -> Tenant {
    let id = store.accounts().create_organization(uri, now).await.unwrap().id;
    let admin = key(store, chance, now, id, &[Scope::Admin], RateLimit::DEFAULT).await;
    Tenant { id, token: admin.bearer_token.reveal().to_owned() }
}

async fn key(
    store: &dyn Storage,
    chance: &dyn Chance,
    now: Timestamp,
    organization: OrganizationId,
    scopes: &[Scope],
    rate_limit: RateLimit,
) -> ApiCredential {
    let secret = KeySecret::mint(&draw(chance));
    let by = Caller::new(organization, Actor::Operator);
    let new = NewKey {
        name: "test".to_owned(),
        scopes: scopes.to_vec(),
        secret: secret.hash(),
        rate_limit,
        expires_at: None,
    };
    secret.issue(store.accounts().create_key(&by, new, now).await.unwrap().id)
}

/// The names of an object's fields, in their order in the text.
pub(crate) fn keys_in_order(object: &serde_json::value::RawValue) -> Vec<String> {
    struct Keys;
    impl<'de> serde::de::Visitor<'de> for Keys {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(object.get());
    serde::Deserializer::deserialize_map(&mut reader, Keys).unwrap()
}

/// The `data` of a success, as text.
pub(crate) fn data_text(reply: &Reply) -> Box<serde_json::value::RawValue> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        data: Box<serde_json::value::RawValue>,
    }
    serde_json::from_str::<Envelope>(&reply.text).unwrap().data
}
