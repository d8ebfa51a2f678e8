//! What consent, events, endpoints and deliveries *are*, and every decision about them.
//!
//! Pure functions of their arguments: no async, no I/O, no SQL, no clock and no chance. Time arrives as
//! [`Timestamp`], drawn numbers as plain values (I15). A refusal is data ([`Refusal`]), never a panic.

pub mod access;
pub mod blob;
pub mod consent;
pub mod delivery;
pub mod endpoint;
pub mod event;
#[cfg(feature = "faults")]
pub mod fault;
pub mod ids;
pub mod job;
pub mod json;
pub mod lane;
pub mod once;
pub mod organization;
pub mod original;
pub mod policy;
pub mod rate;
pub mod refusal;
pub mod retention;
pub mod shell;
pub mod time;
pub mod user;

pub use refusal::Refusal;
pub use time::Timestamp;
