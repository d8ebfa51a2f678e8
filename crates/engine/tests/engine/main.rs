//! The engine on a real store, against receivers that misbehave on purpose.

#![expect(clippy::unwrap_used, reason = "what a test sets up is meant to work")]

mod bulk;
mod certificates;
mod crash;
mod credentials;
mod delivery;
mod drain;
mod failing;
mod faulty;
mod isolation;
mod never_sent;
mod order;
mod outcomes;
mod standstill;
mod stopped;
mod sweeping;
mod testing;
mod tokens;
mod world;

#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/test_dialects.rs"]
mod test_dialects;
