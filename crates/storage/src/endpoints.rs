//! Endpoints: the owner's view, and the engine's.

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::endpoint::{
    DeliveryRules, EndpointAuth, EndpointState, EventFilter, Failing, Overrides, ShownAuth,
};
use abide_core::event::{EventBody, EventKind};
use abide_core::ids::{DeliveryId, EndpointId, EventId, OrganizationId};
use abide_core::original::OriginalId;
use async_trait::async_trait;

use crate::sealing::Secret;
use crate::{Page, PageWanted, StorageResult};

/// What a new endpoint is made of. The URL was judged by the guard before (P8, I10).
#[derive(Debug)]
pub struct NewEndpoint {
    /// The dialect's name.
    pub dialect: String,
    /// Where to send, byte for byte.
    pub url: String,
    /// Which events.
    pub events: EventFilter,
    /// The owner's note, at most 500 characters.
    pub description: Option<String>,
    /// The signing secret; stored sealed (I12).
    pub secret: Secret,
    /// The dialect's rules, kept with the endpoint.
    pub rules: DeliveryRules,
    /// How Abide proves itself there beside its signature; stored sealed.
    pub auth: EndpointAuth,
    /// What is set in place of the dialect's usual values.
    pub overrides: Overrides,
}

/// An endpoint as its owner sees it: without its secret (P5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointView {
    /// Its id.
    pub id: EndpointId,
    /// What it was called where it was brought from.
    pub original: Option<OriginalId>,
    /// The dialect's name.
    pub dialect: String,
    /// Where to send.
    pub url: String,
    /// Which events.
    pub events: EventFilter,
    /// The owner's note.
    pub description: Option<String>,
    /// Whether it is sent anything; never `Deleted`.
    pub state: EndpointState,
    /// How long it has failed, as far as its owner must know it; `Stopped` is why it is paused.
    pub failing: Option<Failing>,
    /// How Abide proves itself there, without the credentials.
    pub auth: ShownAuth,
    /// What is set in place of the dialect's usual values.
    pub overrides: Overrides,
    /// When the last of the secrets that were replaced ceases to sign; `None` where none does any more.
    pub replaced_secret_until: Option<Timestamp>,
    /// Counts its changes, from 1.
    pub version: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What an owner changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointPatch {
    /// Another URL.
    pub url: Option<String>,
    /// Another filter.
    pub events: Option<EventFilter>,
    /// Another note; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// Active or paused.
    pub is_active: Option<bool>,
    /// Another way to prove itself, in place of the whole of the one before.
    pub auth: Option<EndpointAuth>,
    /// Other values in place of the dialect's, all of them.
    pub overrides: Option<Overrides>,
}

/// An endpoint as the engine needs it to send.
#[derive(Debug)]
pub struct SendingEndpoint {
    /// Its id.
    pub id: EndpointId,
    /// What it was called where it was brought from.
    pub original: Option<OriginalId>,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The dialect's name.
    pub dialect: String,
    /// Where to send.
    pub url: String,
    /// Its live signing secrets, opened, in no order; never empty.
    pub secrets: Vec<LiveSecret>,
    /// Whether it is sent anything.
    pub state: EndpointState,
    /// The dialect's rules.
    pub rules: DeliveryRules,
    /// Counts its changes.
    pub version: u32,
    /// How Abide proves itself there beside its signature.
    pub auth: EndpointAuth,
    /// What is set in place of the dialect's usual values.
    pub overrides: Overrides,
    /// Deliveries up to this one were cancelled by a stop or a deletion, though their rows may not show it yet.
    pub cancelled_through: DeliveryId,
}

/// Secrets of an endpoint that sign at a time, at most: each is a signature on every request.
pub const MAX_LIVE_SECRETS: usize = 5;

/// A test that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestSent {
    /// What it tells.
    pub event: EventId,
    /// Its delivery.
    pub delivery: DeliveryId,
}

/// A secret that signs.
#[derive(Debug)]
pub struct LiveSecret {
    /// The secret, opened.
    pub secret: Secret,
    /// When it ceases to sign; `None` for the newest.
    pub live_until: Option<Timestamp>,
}

/// Endpoints. Every change bumps the organization's endpoint-set version and rings the doorbell: after the answer no
/// change is queued against the old set.
#[async_trait]
pub trait Endpoints: Send + Sync {
    /// Creates an endpoint, active.
    async fn create(
        &self,
        by: &Caller,
        new: NewEndpoint,
        now: Timestamp,
    ) -> StorageResult<EndpointView>;

    /// The endpoints that are not deleted, newest first; of one dialect where one is named.
    async fn list(
        &self,
        organization: OrganizationId,
        dialect: Option<&str>,
        page: PageWanted,
    ) -> StorageResult<Page<EndpointView>>;

    /// The same by cursor: those made before `before`, where one is given, at most `limit`.
    async fn before(
        &self,
        organization: OrganizationId,
        dialect: Option<&str>,
        before: Option<EndpointId>,
        limit: u32,
    ) -> StorageResult<Vec<EndpointView>>;

    /// One endpoint; `None` when it does not exist or was deleted.
    async fn get(
        &self,
        organization: OrganizationId,
        endpoint: EndpointId,
    ) -> StorageResult<Option<EndpointView>>;

    /// Changes an endpoint. Stopping it holds or cancels what waits, as its rules say; starting it lets held
    /// deliveries go on.
    async fn change(
        &self,
        by: &Caller,
        endpoint: EndpointId,
        patch: EndpointPatch,
        now: Timestamp,
    ) -> StorageResult<EndpointView>;

    /// Gives an endpoint another secret, which signs from the answer on. Those before it go on signing beside it until
    /// `others_until`, or their own end where that is sooner; never again where that is now. Refused where more than
    /// [`MAX_LIVE_SECRETS`] would sign.
    async fn rotate_secret(
        &self,
        by: &Caller,
        endpoint: EndpointId,
        new: Secret,
        others_until: Timestamp,
        now: Timestamp,
    ) -> StorageResult<EndpointView>;

    /// Ends every secret but the newest at once.
    async fn end_replaced_secrets(
        &self,
        by: &Caller,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> StorageResult<EndpointView>;

    /// Sends a test: an event with made-up content, told to this endpoint alone, in one attempt that is made at once,
    /// whatever the endpoint's state (P25). It is a delivery like others in what is recorded of it, and stands in no
    /// feed. Answers [`StorageError::Busy`](crate::StorageError::Busy) while this node has no room to send.
    async fn test(
        &self,
        by: &Caller,
        endpoint: EndpointId,
        kind: EventKind,
        body: EventBody,
        now: Timestamp,
    ) -> StorageResult<TestSent>;

    /// Deletes an endpoint: nothing more is sent, what waits is cancelled, its history stays.
    async fn delete(&self, by: &Caller, endpoint: EndpointId, now: Timestamp) -> StorageResult<()>;

    /// For the engine: what is needed to send to an endpoint as of `now`; `None` when there
    /// is no such row.
    async fn sending(
        &self,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> StorageResult<Option<SendingEndpoint>>;

    /// For publishing public keys, to anybody: the live secrets of an endpoint of any organization, none where it is not
    /// there. What is published of them is the caller's care.
    async fn signing_secrets(
        &self,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> StorageResult<Vec<LiveSecret>>;

    /// For the engine: endpoints changed after `cursor`, at most `limit` of them in order of their last change, and the
    /// cursor for the next look.
    async fn changed_since(&self, cursor: i64, limit: u32)
    -> StorageResult<(i64, Vec<EndpointId>)>;

    /// For the engine: the cursor behind which only what changes from now on is found.
    async fn newest_change(&self) -> StorageResult<i64>;

    /// For the engine: the receiver answered 410, so the endpoint stops as if paused, audited as the system's deed.
    /// An endpoint that is not active stays as it is.
    async fn gone(&self, endpoint: EndpointId, now: Timestamp) -> StorageResult<()>;
}
