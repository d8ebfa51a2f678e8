//! The stage on which the cases play: an organization, its endpoints, a fake engine, and one look at everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::consent::{
    ConsentView, LawfulBasis, NewDecision, PermissionState, SubjectInput, Validity,
};
use abide_core::delivery::{Afterwards, DeliveryState, Outcome, Run, Schedule, decide};
use abide_core::endpoint::{DeliveryRules, EndpointAuth, EventFilter, Overrides, Source};
use abide_core::event::{Event, EventKind};
use abide_core::ids::{DecisionId, DeliveryId, EndpointId, EventId, Id, LeaseId, OrganizationId};
use abide_core::shell::Chance;
use parking_lot::Mutex;

use crate::deliveries::{
    Ending, FinishedAttempt, GiveBack, GivenBack, OpenAttempt, Opened, Opening, Report, Sent,
};
use crate::endpoints::{EndpointPatch, EndpointView, NewEndpoint};
use crate::history::{AuditView, DeliveryView, FeedEntry};
use crate::sealing::{MasterKeys, Secret};
use crate::{Committed, HotDelivery, Room, Slot, Storage, StorageError, StorageResult};

/// `millis` after the suite's beginning of time.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_705_314_600_000 + millis)
}

/// The master keys that a case's store is opened with.
pub fn masters() -> MasterKeys {
    key_file(&[1])
}

/// A key file with a key per number, the last one current; [`masters`] has number 1 alone.
pub fn key_file(numbers: &[u8]) -> MasterKeys {
    let line = |number: &u8| {
        // 32 bytes in base64, different for each number.
        format!("mk_{number:08x} {}{}AAA=\n", "A".repeat(39), (b'A' + number * 4) as char)
    };
    let text: String = numbers.iter().map(line).collect();
    MasterKeys::parse(text.as_bytes()).expect("the suite's own key file")
}

/// Chance that repeats itself: enough for tests.
#[derive(Debug, Default)]
pub struct Dice(AtomicU64);

impl Dice {
    /// Dice that fall otherwise for every seed.
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let mut bits = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (bits >> 32) as u8;
        }
    }
}

/// ConsentProof's rules: what comes while an endpoint is stopped is left out, what waits is cancelled.
pub(crate) const SKIP: DeliveryRules =
    DeliveryRules { source: Source::Snapshot, queue_while_stopped: false, hold_waiting: false };
/// The rules of the others: everything waits for the endpoint's return.
pub(crate) const HOLD: DeliveryRules =
    DeliveryRules { source: Source::Snapshot, queue_while_stopped: true, hold_waiting: true };

/// Three attempts.
pub(crate) const SCHEDULE: Schedule = Schedule {
    delays: std::borrow::Cow::Borrowed(&[60, 300]),
    afterwards: Afterwards::Fail,
    jitter_percent: 0,
};
pub(crate) const RETRY: Outcome = Outcome::Retry { retry_after: None };

/// The result of a call that must go well.
#[track_caller]
pub(crate) fn ok<T>(result: StorageResult<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store answers: {error}"),
    }
}

/// What a call that must be refused is refused with.
#[track_caller]
pub(crate) fn refusal<T>(result: StorageResult<T>) -> String {
    match result {
        Err(StorageError::Refused(refusal)) => refusal.to_string(),
        Err(error) => panic!("failed instead of being refused: {error}"),
        Ok(_) => panic!("not refused"),
    }
}

/// A grant of `reference` for `purpose`.
pub fn grant(reference: &str, purpose: &str) -> NewDecision {
    NewDecision {
        subject: SubjectInput { reference: reference.to_owned(), email: None },
        purpose: purpose.to_owned(),
        basis: LawfulBasis::Consent,
        state: PermissionState::Granted,
        policy: None,
        metadata: None,
        ip_address: None,
        obtained_at: None,
        validity: Validity::default(),
    }
}

/// An engine that keeps what it is handed.
pub(crate) struct Engine {
    pub(crate) lease: LeaseId,
    pub(crate) has_room: AtomicBool,
    taken: Mutex<Vec<HotDelivery>>,
    freed: Arc<AtomicU64>,
}

impl Engine {
    /// What it was handed since the last look.
    pub(crate) fn taken(&self) -> Vec<HotDelivery> {
        std::mem::take(&mut self.taken.lock())
    }

    /// Slots given back, used or not.
    pub(crate) fn freed(&self) -> u64 {
        self.freed.load(Ordering::Relaxed)
    }
}

impl Room for Engine {
    fn reserve(&self, _: usize, _: usize) -> Option<Slot> {
        let freed = Arc::clone(&self.freed);
        self.has_room.load(Ordering::Relaxed).then(|| {
            let release = move || _ = freed.fetch_add(1, Ordering::Relaxed);
            Slot::new(self.lease, Box::new(release))
        })
    }
}

impl Committed for Engine {
    fn take(&self, slot: Slot, deliveries: Vec<HotDelivery>) {
        assert_eq!(slot.lease(), self.lease);
        self.taken.lock().extend(deliveries);
    }
}

/// All that an organization can see of itself.
#[derive(Debug, PartialEq)]
pub(crate) struct Everything {
    pub(crate) events: Vec<EventId>,
    pub(crate) decisions: Vec<DecisionId>,
    pub(crate) deliveries: Vec<DeliveryView>,
    pub(crate) audit: Vec<AuditView>,
}

/// One organization of a store.
pub(crate) struct World<'a> {
    pub(crate) store: &'a dyn Storage,
    pub(crate) organization: OrganizationId,
    pub(crate) by: Caller,
}

impl<'a> World<'a> {
    pub(crate) async fn new(store: &'a dyn Storage) -> Self {
        Self::named(store, "default").await
    }

    pub(crate) async fn named(store: &'a dyn Storage, uri: &str) -> Self {
        let organization = ok(store.accounts().create_organization(uri, at(0)).await).id;
        Self { store, organization, by: Caller::new(organization, Actor::Operator) }
    }

    pub(crate) async fn endpoint(&self, rules: DeliveryRules) -> EndpointId {
        self.endpoint_for(rules, EventFilter::All).await.id
    }

    pub(crate) async fn endpoint_for(
        &self,
        rules: DeliveryRules,
        events: EventFilter,
    ) -> EndpointView {
        let new = NewEndpoint {
            dialect: "consentproof".to_owned(),
            url: "https://example.com/hook".to_owned(),
            events,
            description: Some("a note".to_owned()),
            secret: Secret::from("whsec_marker".to_owned()),
            rules,
            auth: EndpointAuth::default(),
            overrides: Overrides::default(),
        };
        ok(self.store.endpoints().create(&self.by, new, at(0)).await)
    }

    /// Pauses or resumes.
    pub(crate) async fn set_active(
        &self,
        endpoint: EndpointId,
        is_active: bool,
        now: Timestamp,
    ) -> EndpointView {
        let patch = EndpointPatch { is_active: Some(is_active), ..EndpointPatch::default() };
        ok(self.store.endpoints().change(&self.by, endpoint, patch, now).await)
    }

    pub(crate) async fn record(&self, new: NewDecision, now: Timestamp) -> ConsentView {
        ok(self.store.consents().record(&self.by, new, now).await)
    }

    /// Records a grant of a new person and answers the one delivery that it made.
    pub(crate) async fn delivery(&self, reference: &str, now: Timestamp) -> DeliveryView {
        self.record(grant(reference, "marketing"), now).await;
        let mut made = self.newest_deliveries().await;
        assert_eq!(made.len(), 1, "one endpoint, one delivery");
        made.remove(0)
    }

    /// Who has which lease from now on; hot rows are handed to it.
    pub(crate) async fn engine(&self, now: Timestamp) -> Arc<Engine> {
        let engine = Arc::new(Engine {
            lease: self.lease(now).await,
            has_room: AtomicBool::new(true),
            taken: Mutex::default(),
            freed: Arc::default(),
        });
        self.store.attach(Arc::clone(&engine) as Arc<dyn Room>, Arc::clone(&engine) as _);
        engine
    }

    pub(crate) async fn lease(&self, now: Timestamp) -> LeaseId {
        ok(self.store.leases().open(now).await)
    }

    /// Claims everything due.
    pub(crate) async fn claim(&self, lease: LeaseId, now: Timestamp) -> Vec<DeliveryId> {
        let page = ok(self.store.deliveries().claim_due(lease, &[], 100, now).await);
        page.claimed.iter().map(|claimed| claimed.id).collect()
    }

    pub(crate) async fn open(
        &self,
        delivery: DeliveryId,
        lease: LeaseId,
        now: Timestamp,
    ) -> Opened {
        let open = OpenAttempt { delivery, lease, ends_by: now.plus_millis(10_000) };
        ok(self.store.deliveries().open_attempt(open, now).await)
    }

    /// Opens an attempt that must be allowed.
    pub(crate) async fn send(
        &self,
        delivery: DeliveryId,
        lease: LeaseId,
        now: Timestamp,
    ) -> Box<Opening> {
        match self.open(delivery, lease, now).await {
            Opened::Send(opening) => opening,
            Opened::Moved(state) => panic!("moved on to {state:?}"),
        }
    }

    /// Opens an attempt that must not be allowed.
    pub(crate) async fn moved(
        &self,
        delivery: DeliveryId,
        lease: LeaseId,
        now: Timestamp,
    ) -> DeliveryState {
        match self.open(delivery, lease, now).await {
            Opened::Send(_) => panic!("may be sent"),
            Opened::Moved(state) => state,
        }
    }

    /// Gives a row back, due now.
    pub(crate) async fn give_back(
        &self,
        delivery: DeliveryId,
        lease: LeaseId,
        sent: Sent,
        now: Timestamp,
    ) {
        let given = GivenBack { delivery, lease, sent, to: GiveBack::Due(now) };
        let report = Report { finished: Vec::new(), given_back: vec![given] };
        ok(self.store.deliveries().report(report, now).await);
    }

    pub(crate) async fn report(&self, finished: FinishedAttempt, now: Timestamp) {
        let report = Report { finished: vec![finished], given_back: Vec::new() };
        ok(self.store.deliveries().report(report, now).await);
    }

    /// Opens an attempt and reports its outcome.
    pub(crate) async fn attempt(
        &self,
        delivery: DeliveryId,
        lease: LeaseId,
        outcome: Outcome,
        now: Timestamp,
    ) {
        let opening = self.send(delivery, lease, now).await;
        self.report(finished(delivery, lease, &opening, outcome, now), now).await;
    }

    pub(crate) async fn event(&self, event: EventId) -> Option<Event> {
        ok(self.store.history().event(self.organization, event).await)
    }

    pub(crate) async fn kinds(&self) -> Vec<EventKind> {
        let mut kinds = Vec::new();
        for event in self.events().await {
            kinds.push(self.event(event).await.expect("a readable event").kind);
        }
        kinds
    }

    pub(crate) async fn events(&self) -> Vec<EventId> {
        gap_free(ok(self.store.history().events(self.organization, 0, 10_000).await))
    }

    pub(crate) async fn decisions(&self) -> Vec<DecisionId> {
        gap_free(ok(self.store.history().decisions(self.organization, 0, 10_000).await))
    }

    pub(crate) async fn audit(&self) -> Vec<AuditView> {
        ok(self.store.history().audit(self.organization, 10_000).await)
    }

    /// What was done, newest first.
    pub(crate) async fn deeds(&self) -> Vec<String> {
        self.audit().await.into_iter().map(|entry| entry.action).collect()
    }

    pub(crate) async fn deliveries_of(&self, event: EventId) -> Vec<DeliveryView> {
        ok(self.store.history().deliveries_of(self.organization, event).await)
    }

    pub(crate) async fn newest_deliveries(&self) -> Vec<DeliveryView> {
        let newest = *self.events().await.last().expect("an event");
        self.deliveries_of(newest).await
    }

    pub(crate) async fn look_at(&self, delivery: &DeliveryView) -> DeliveryView {
        let all = self.deliveries_of(delivery.event).await;
        all.into_iter().find(|found| found.id == delivery.id).expect("the delivery is still there")
    }

    #[track_caller]
    pub(crate) fn expect_state(found: &DeliveryView, state: DeliveryState) {
        assert_eq!(found.state, state, "{found:?}");
        keeps_its_promise(found);
    }

    /// Everything there is, each part held against the others (I1, I2).
    pub(crate) async fn everything(&self) -> Everything {
        let events = self.events().await;
        let mut deliveries = Vec::new();
        for event in &events {
            for delivery in self.deliveries_of(*event).await {
                keeps_its_promise(&delivery);
                deliveries.push(delivery);
            }
        }
        Everything {
            events,
            decisions: self.decisions().await,
            deliveries,
            audit: self.audit().await,
        }
    }
}

/// A feed counts from 1 without gaps and names nothing twice.
#[track_caller]
fn gap_free<K: abide_core::ids::Kind>(feed: Vec<FeedEntry<Id<K>>>) -> Vec<Id<K>> {
    let numbers: Vec<u64> = feed.iter().map(|entry| entry.log_index).collect();
    assert_eq!(numbers, (1..=feed.len() as u64).collect::<Vec<_>>(), "gap-free");
    let ids: Vec<Id<K>> = feed.into_iter().map(|entry| entry.id).collect();
    let unique: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "unique");
    ids
}

/// I2: what each state promises of its row.
#[track_caller]
pub(crate) fn keeps_its_promise(found: &DeliveryView) {
    use DeliveryState::{
        Cancelled, Claimed, Delivered, Discarded, Erased, Failed, Held, Hot, Parked, Pending,
        Skipped, Superseded,
    };
    let (due, why) = match found.state {
        Pending | Parked => (true, false),
        Hot | Claimed | Delivered => (false, false),
        Held | Skipped | Failed | Cancelled | Superseded | Erased | Discarded => (false, true),
    };
    assert_eq!(found.due_at.is_some(), due, "due: {found:?}");
    assert_eq!(found.reason.is_some(), why, "why: {found:?}");
    assert_eq!(found.superseded_by.is_some(), found.state == Superseded, "by: {found:?}");
}

/// What a node reports of an attempt that ended so, one second after it began.
pub(crate) fn finished(
    delivery: DeliveryId,
    lease: LeaseId,
    opening: &Opening,
    outcome: Outcome,
    now: Timestamp,
) -> FinishedAttempt {
    let count = (opening.number, opening.number_in_run, opening.run);
    FinishedAttempt {
        object_version: opening.object_version,
        signed_at: opening.signed_at.unwrap_or(now),
        ..finished_unopened((delivery, opening.endpoint), lease, count, outcome, now)
    }
}

/// The same for a hot delivery's first attempt, which is not opened.
pub(crate) fn finished_unopened(
    (delivery, endpoint): (DeliveryId, EndpointId),
    lease: LeaseId,
    (number, number_in_run, run): (u32, u32, Run),
    outcome: Outcome,
    now: Timestamp,
) -> FinishedAttempt {
    let delivered = outcome == Outcome::Delivered;
    FinishedAttempt {
        delivery,
        endpoint,
        lease,
        number,
        started_at: now,
        duration_millis: 1_000,
        signed_at: now,
        token: [7; 16],
        body_sha256: [number as u8; 32],
        body_length: 100,
        object_version: 0,
        endpoint_version: 1,
        status: Some(if delivered { 200 } else { 503 }),
        error: None,
        ending: Ending::Answered,
        answer: (!delivered).then(|| b"answer marker".to_vec()),
        decided: decide(outcome, run, number_in_run, &SCHEDULE, now, 0),
    }
}

/// The first attempt of a hot delivery.
pub(crate) const FIRST: (u32, u32, Run) = (1, 1, Run::First);
/// The one attempt of a test.
pub(crate) const TEST: (u32, u32, Run) = (1, 1, Run::Test);
