//! The program as a whole: processes, signals, files and sockets, over loopback and temporary folders only.

#![expect(clippy::unwrap_used, reason = "this crate is nothing but tests and what they share")]

mod api_client;
mod backups;
mod book;
mod changes;
#[path = "../../../storage-postgres/tests/it/cluster.rs"]
mod cluster;
mod copying;
mod crashes;
mod database_url;
mod deliveries;
mod doctor;
mod endpoints;
mod erasing;
mod events;
mod exporting;
mod first_start;
mod http;
mod importing;
mod keys;
mod listening;
mod logs;
mod master_keys;
mod nodes;
mod old_store;
mod organizations;
#[path = "../../../storage-postgres/tests/it/server.rs"]
mod postgres;
mod program;
mod receiver;
mod receivers;
mod settings;
mod standard_webhooks;
mod stopping;
mod users;
mod verifying;
mod world;
