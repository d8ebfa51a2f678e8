//! Endpoints that fail for long: people are warned, and then nothing is sent there any more (SW-18).

use std::time::Duration;

use abide_core::Timestamp;
use abide_core::endpoint::Failing;
use abide_core::ids::{EndpointId, OrganizationId};
use async_trait::async_trait;

use crate::StorageResult;
use crate::endpoints::EndpointView;

/// How long the endpoints of a dialect may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The dialect's name.
    pub dialect: &'static str,
    /// After so long of failing they are stopped.
    pub stops_after: Duration,
}

/// What a look at some endpoints found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Those that are to be judged: what is noted of them is no longer so.
    pub changed: Vec<EndpointId>,
    /// After which one to go on; `None`: these were the last.
    pub next: Option<EndpointId>,
}

/// An endpoint of which something else is noted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Whose it is.
    pub organization: OrganizationId,
    /// What was noted before.
    pub before: Option<Failing>,
    /// What is noted now. [`Failing::Stopped`]: it was stopped just now, as if paused.
    pub failing: Option<Failing>,
}

/// How long endpoints fail, as their counts show it: [`abide_core::endpoint::failing`] says what that is. Only active ones
/// are judged, of organizations that are not being deleted.
#[async_trait]
pub trait FailingEndpoints: Send + Sync {
    /// For the engine: looks at `limit` endpoints after `after`, beside the writer, and changes nothing. Those whose
    /// dialect has no [`Patience`] are passed over.
    async fn look(
        &self,
        after: Option<EndpointId>,
        limit: u32,
        patience: &[Patience],
        now: Timestamp,
    ) -> StorageResult<Looked>;

    /// For their owner: the organization's endpoints that need somebody, the newest first: of which it is noted that they
    /// fail for long or were stopped for it, and those whose receiver answered 410.
    async fn troubled(
        &self,
        organization: OrganizationId,
        limit: u32,
    ) -> StorageResult<Vec<EndpointView>>;

    /// For the engine: judges one endpoint, and notes it. One that failed for too long is stopped as if paused, audited as
    /// the system's deed; what waits is held or cancelled by its rules. `None` where nothing has changed.
    async fn judge(
        &self,
        endpoint: EndpointId,
        patience: &[Patience],
        now: Timestamp,
    ) -> StorageResult<Option<Judged>>;
}
