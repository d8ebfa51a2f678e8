//! What every store must do: cases over nothing but the traits, run by each store's own tests.
//!
//! A case gets a fresh store, opened with [`masters`] and nobody attached, and panics where the store breaks its word.
//! Time is the case's own: it counts from [`at`] and nothing waits.

pub mod accounts;
pub mod blobs;
mod cases;
pub mod consent_search;
pub mod consents;
pub mod counts;
pub mod deletions;
pub mod deliveries;
pub mod delivery_log;
pub mod endpoint_tests;
pub mod endpoints;
pub mod erasures;
pub mod exports;
pub mod failing;
pub mod feeds;
pub mod idempotency;
pub mod import_lines;
pub mod imports;
pub mod isolation;
pub mod jobs;
pub mod keys;
pub mod lanes;
pub mod leases;
pub mod nodes;
pub mod organizations;
pub mod policies;
pub mod retention;
pub mod retries;
pub mod subjects;
pub mod users;
pub mod walks;
mod world;

pub use world::{Dice, at, grant, key_file, masters};
