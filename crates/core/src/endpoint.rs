//! Endpoints: where events are told, what of them, and what happens while one is stopped.

pub mod auth;
pub mod failing;

use serde::{Deserialize, Serialize};

use crate::event::EventKind;
use crate::refusal::Refusal;

pub use auth::{
    AuthProblem, Authorization, ClientAuth, ClientCertificate, EndpointAuth, FixedHeader, ShownAuth,
};
pub use failing::Failing;

/// Whether an endpoint is sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Events are sent.
    Active,
    /// Stopped by its owner, or because it failed for long, which [`Failing`] tells; ConsentProof's `is_active: false`.
    Paused,
    /// Stopped by its receiver, which answered 410.
    Gone,
    /// Deleted; kept for the history of its deliveries.
    Deleted,
}

impl EndpointState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Gone, Self::Deleted];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Gone => "gone",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Which events an endpoint wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventFilter {
    /// Every kind its dialect can tell, also kinds that come later (P7).
    All,
    /// These kinds.
    Only(Vec<EventKind>),
}

impl EventFilter {
    /// Whether the endpoint wants this kind.
    pub fn wants(&self, kind: EventKind) -> bool {
        match self {
            Self::All => true,
            Self::Only(kinds) => kinds.contains(&kind),
        }
    }
}

/// What a delivery carries when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// What the event held: the same bytes on every attempt.
    Snapshot,
    /// The object as it is at the time of sending, with a signature time that strictly increases per object.
    Latest,
    /// The subject's full state at the time of sending, one attempt at a time per (endpoint, subject).
    Lane,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Snapshot, Self::Latest, Self::Lane];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Latest => "latest",
            Self::Lane => "lane",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

/// What a dialect asks of the store for its endpoints: kept with the endpoint, so that fan-out needs no dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryRules {
    /// What a delivery carries.
    pub source: Source,
    /// Whether events that come while the endpoint is stopped are queued (and held) or left out.
    pub queue_while_stopped: bool,
    /// Whether deliveries waiting when the endpoint is stopped are held for its return or cancelled.
    pub hold_waiting: bool,
}

/// What an endpoint's owner sets in place of the dialect's usual values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overrides {
    /// Seconds before the second attempt, the third, and so on, each from the end of the attempt before; what the dialect
    /// does after its last delay stays. None: one attempt.
    pub retry_delays: Option<Vec<u32>>,
    /// Seconds that one attempt may take, from look-up to the end of the answer.
    pub deadline_seconds: Option<u32>,
}

/// The most attempts that an endpoint's own schedule makes, after the first.
pub const MAX_RETRY_DELAYS: usize = 50;
/// The longest delay of an endpoint's own schedule, in seconds: 30 days.
pub const MAX_RETRY_DELAY: u32 = 30 * 24 * 3600;
/// The longest that one attempt may take, in seconds (SW-14).
pub const MAX_DEADLINE: u32 = 30;

impl Overrides {
    /// Judges what an owner sets.
    pub fn check(&self) -> Result<(), Refusal> {
        if let Some(delays) = &self.retry_delays {
            let sound = delays.len() <= MAX_RETRY_DELAYS
                && delays.iter().all(|delay| (1..=MAX_RETRY_DELAY).contains(delay));
            if !sound {
                let problem = format!(
                    "must hold at most {MAX_RETRY_DELAYS} delays of 1 to {MAX_RETRY_DELAY} seconds"
                );
                return Err(Refusal::field("retry_delays", problem));
            }
        }
        if self.deadline_seconds.is_some_and(|seconds| !(1..=MAX_DEADLINE).contains(&seconds)) {
            let problem = format!("must be 1 to {MAX_DEADLINE} seconds");
            return Err(Refusal::field("deadline_seconds", problem));
        }
        Ok(())
    }
}
