//! The audit log: who did what, when, to what.

pub(crate) mod list;
