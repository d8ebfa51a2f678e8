//! One file per provider.

pub mod consentproof;
pub mod standard_webhooks;
