//! All organizations of the installation, for whoever runs it.

pub(crate) mod create;
pub(crate) mod list;
