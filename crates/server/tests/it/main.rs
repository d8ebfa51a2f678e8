//! The server against the embedded store in memory: requests in, answers and stored facts out.

mod bad_input;
mod consents;
mod keys;
mod logs;
mod paths;
mod policies;
mod serving;
mod support;
mod webhooks;
