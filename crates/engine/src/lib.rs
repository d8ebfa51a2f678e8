//! The moving part: queues, encode, send, record; timers; housekeeping; the outbound guard.

pub mod outbound;
