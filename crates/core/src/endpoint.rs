//! Endpoints: where events are told, what of them, and what happens while one is stopped.

use serde::{Deserialize, Serialize};

use crate::event::EventKind;

/// Whether an endpoint is sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Events are sent.
    Active,
    /// Stopped by its owner; ConsentProof's `is_active: false`.
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
