//! Decisions: the entries of the consent ledger.

pub(crate) mod list;
