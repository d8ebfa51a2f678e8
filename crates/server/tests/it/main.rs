//! The server against the embedded store in memory: requests in, answers and stored facts out.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has failed the test")]

mod abide_api;
mod bad_input;
mod browser;
mod consent_search;
mod consents;
mod deliveries;
mod endpoint_pages;
mod endpoints;
mod failing;
mod idempotency;
mod keys;
mod logs;
mod openapi;
mod pages;
mod paths;
mod policies;
mod rate_limits;
mod serving;
mod sign_in;
mod support;
mod users;
mod users_api;
mod webhook_pages;
mod webhooks;
