//! The nodes of the installation, for whoever runs it.

pub(crate) mod list;
