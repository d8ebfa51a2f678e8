//! The APIs, one folder each; in it `<resource>/<verb>.rs`.

pub(crate) mod abide;
pub(crate) mod consentproof;
pub(crate) mod health;
pub(crate) mod well_known;
