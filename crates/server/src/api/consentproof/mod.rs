//! ConsentProof's API: consents, policies, webhooks, in the vendor's words and envelope.
//!
//! Output is in snake_case with the objects of the dialect, so that an event and an answer cannot differ. Input is
//! taken in snake_case and in the camelCase of the vendor's detail pages.

pub(crate) mod consent;
pub(crate) mod envelope;
pub(crate) mod policies;
pub(crate) mod webhooks;

pub(crate) use crate::input::Named;
