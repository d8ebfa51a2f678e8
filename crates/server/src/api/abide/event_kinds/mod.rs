//! Event kinds: what an endpoint can ask to be told of.

pub(crate) mod list;
