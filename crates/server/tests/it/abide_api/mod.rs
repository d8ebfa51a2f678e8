//! Abide's own API: what each resource does beyond its description.

mod anything;
mod deletion;
mod export;
mod feeds;
mod import;
mod keys;
mod nodes;
mod organizations;
mod pages;
mod retention;
mod subjects;
