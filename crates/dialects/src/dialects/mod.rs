//! One file per provider.

pub mod consentproof;
