//! The questions and commands that Abide puts to a database, one trait per aggregate under one [`Storage`].
//!
//! **One method is one transaction.** A method loads what a decision depends on, calls the pure function in
//! `abide-core` and writes the change, its event, the deliveries and the audit entry; it answers once that is
//! durable (I1). No transaction crosses this seam, so none can be held over a network call (I4). There are no
//! optional methods and no capability flags: every store passes the whole of `suite`.
//!
//! Every question takes the organization (I13), except the engine's own, which answer no caller: leases, due pages,
//! open attempts, housekeeping. Those say so.
//!
//! Server and engine never see each other. They meet here: in the data, at the [`Doorbell`], and in [`Room`] and
//! [`Committed`], which the engine implements and the store calls.

pub mod accounts;
pub mod blobs;
pub mod consent_search;
pub mod consents;
pub mod counts;
pub mod credential;
pub mod deletions;
pub mod deliveries;
pub mod delivery_log;
pub mod endpoints;
pub mod erasures;
pub mod error;
pub mod exports;
pub mod failing;
pub mod feeds;
pub mod history;
pub mod id_source;
pub mod idempotency;
pub mod imports;
pub mod jobs;
pub mod keys;
pub mod leases;
pub mod meeting;
pub mod metrics;
pub mod nodes;
pub mod one_time;
pub mod policies;
pub mod purposes;
pub mod rate;
pub mod retention;
pub mod sealing;
mod stand_between;
pub mod subjects;
#[cfg(feature = "suite")]
pub mod suite;
pub mod users;

pub use accounts::Accounts;
pub use blobs::Blobs;
pub use consents::Consents;
pub use counts::Counts;
pub use credential::{ApiCredential, KeySecret, Presented};
pub use deletions::Deletions;
pub use deliveries::Deliveries;
pub use delivery_log::DeliveryLog;
pub use endpoints::Endpoints;
pub use erasures::Erasures;
pub use error::{StorageError, StorageResult};
pub use exports::Exports;
pub use failing::FailingEndpoints;
pub use feeds::Feeds;
pub use history::History;
pub use id_source::IdSource;
pub use idempotency::Idempotency;
pub use imports::Imports;
pub use jobs::Jobs;
pub use keys::Keys;
pub use leases::Leases;
pub use meeting::{Committed, Doorbell, HotDelivery, Listener, Room, Slot};
pub use metrics::Metrics;
pub use nodes::Nodes;
pub use policies::Policies;
pub use purposes::Purposes;
pub use rate::RateMeter;
pub use retention::Retentions;
pub use subjects::Subjects;
pub use users::Users;

/// A database under Abide. Used as `Arc<dyn Storage>`.
pub trait Storage: Send + Sync {
    /// Organizations and API keys.
    fn accounts(&self) -> &dyn Accounts;
    /// Bytes too large for a row.
    fn blobs(&self) -> &dyn Blobs;
    /// The consent ledger.
    fn consents(&self) -> &dyn Consents;
    /// How deliveries went, in numbers.
    fn counts(&self) -> &dyn Counts;
    /// Deliveries as their owner looks through them.
    fn delivery_log(&self) -> &dyn DeliveryLog;
    /// Deletions of organizations.
    fn deletions(&self) -> &dyn Deletions;
    /// Deliveries, as the engine works on them.
    fn deliveries(&self) -> &dyn Deliveries;
    /// Endpoints.
    fn endpoints(&self) -> &dyn Endpoints;
    /// Erasures as the journal keeps them.
    fn erasures(&self) -> &dyn Erasures;
    /// Endpoints that fail for long.
    fn failing_endpoints(&self) -> &dyn FailingEndpoints;
    /// What an export reads.
    fn exports(&self) -> &dyn Exports;
    /// The feeds as their readers get them, and the audit log by cursor.
    fn feeds(&self) -> &dyn Feeds;
    /// What happened: feeds, deliveries with their attempts, the audit log.
    fn history(&self) -> &dyn History;
    /// Calls that are carried out once.
    fn idempotency(&self) -> &dyn Idempotency;
    /// Bring-along.
    fn imports(&self) -> &dyn Imports;
    /// Work over many deliveries.
    fn jobs(&self) -> &dyn Jobs;
    /// Master keys and the organization keys under them.
    fn keys(&self) -> &dyn Keys;
    /// Leases of this node.
    fn leases(&self) -> &dyn Leases;
    /// Who works on the store.
    fn nodes(&self) -> &dyn Nodes;
    /// Policies.
    fn policies(&self) -> &dyn Policies;
    /// Purposes.
    fn purposes(&self) -> &dyn Purposes;
    /// What is kept for a time only.
    fn retentions(&self) -> &dyn Retentions;
    /// People: erasing them.
    fn subjects(&self) -> &dyn Subjects;
    /// The people who sign in to the dashboard.
    fn users(&self) -> &dyn Users;
    /// Rung when there is something to look at.
    fn doorbell(&self) -> &Doorbell;
    /// Counters that the store keeps of itself and others add to.
    fn metrics(&self) -> &std::sync::Arc<Metrics>;
    /// Names the engine to the store. Until then deliveries are written pending.
    fn attach(&self, room: std::sync::Arc<dyn Room>, committed: std::sync::Arc<dyn Committed>);
    /// Why the store cannot write, in words for an operator; `None` while it works. A full disk, and calls that all fail,
    /// pass with the next write that succeeds; after a failed commit of any other kind every write is answered with
    /// [`StorageError::Unavailable`] until the next start.
    fn broken(&self) -> Option<String>;
    /// Writes what is queued, closes files, refuses further calls. Blocks until done.
    fn close(&self);
}

/// One page of a list by page number, with the whole list's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// Rows over all pages.
    pub total: u64,
}

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageWanted {
    /// From 1.
    pub page: u32,
    /// Rows per page, 1 to 100.
    pub limit: u32,
}

impl PageWanted {
    /// Rows before this page.
    pub fn offset(self) -> u64 {
        u64::from(self.page.saturating_sub(1)) * u64::from(self.limit)
    }
}
