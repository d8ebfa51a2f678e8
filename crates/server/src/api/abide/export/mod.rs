//! The export of an organization: everything that it recorded, as JSON Lines.

pub(crate) mod get;
mod lines;
mod pages;
