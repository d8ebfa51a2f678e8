//! The answer that every SQL database gives to `abide-storage`: each statement stands here once. What a database brings
//! along is a [`Database`](database::Database): transactions, readers' views, and the few words in which its SQL differs.

mod accounts;
mod attempts;
mod blobs;
mod consent_search;
mod consents;
mod counts;
mod deletions;
mod deliveries;
mod delivery_list;
mod delivery_log;
mod endpoint_secrets;
mod endpoints;
mod erasures;
mod exports;
mod failing;
pub mod feeds;
mod history;
mod idempotency;
mod imports;
mod job_walk;
mod jobs;
pub mod keys;
mod lanes;
mod leases;
mod ledger;
pub mod nodes;
mod organizations;
mod originals;
mod people;
mod policies;
mod publish;
mod purposes;
mod retention;
mod rows;
mod said;
mod sessions;
mod stretches;
mod subjects;
mod users;

pub mod after;
pub mod chunks;
pub mod copying;
pub mod database;
pub mod queued;
pub mod shared;
pub mod sql;
pub mod store;
pub mod tx;

pub use deliveries::waiting;
pub use people::look_ahead;
pub use rows::damaged;
pub use store::SqlStore;

/// What tests look into that run on a database.
pub mod inside {
    pub use crate::consent_search::{Bounds, list_within};
    pub use crate::deletions::emptied_tables;
    pub use crate::deliveries::{Found, look};
    pub use crate::ledger::CONSENT_COLUMNS;
}
