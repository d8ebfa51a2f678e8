//! A webhook as answers show it. The order of the fields is the contract's (P2); the secret is in the creation's answer
//! alone (P5).

use abide_core::Timestamp;
use abide_core::endpoint::EndpointState;
use abide_core::original::PublicId;
use abide_storage::counts::Totals;
use abide_storage::endpoints::EndpointView;
use serde::{Serialize, Serializer};

use crate::input::ShownEvents;

#[derive(Serialize)]
pub(crate) struct WebhookObject<'a> {
    id: String,
    url: &'a str,
    events: ShownEvents<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    is_active: bool,
    description: Option<&'a str>,
    #[serde(serialize_with = "seconds")]
    created_at: Timestamp,
    #[serde(serialize_with = "seconds")]
    updated_at: Timestamp,
    /// In lists alone (P10).
    #[serde(flatten)]
    stats: Option<Stats>,
}

/// How a webhook's deliveries stand (P10).
#[derive(Serialize)]
struct Stats {
    #[serde(serialize_with = "maybe_seconds")]
    last_triggered_at: Option<Timestamp>,
    delivery_stats: DeliveryStats,
}

#[derive(Serialize)]
struct DeliveryStats {
    total: u64,
    successful: u64,
    failed: u64,
}

impl<'a> WebhookObject<'a> {
    /// With its secret, for the one answer that shows it.
    pub(crate) fn new(endpoint: &'a EndpointView, secret: &'a str) -> Self {
        Self { secret: Some(secret), ..Self::from(endpoint) }
    }

    /// With how its deliveries stand, for lists.
    pub(crate) fn with_totals((endpoint, totals): &'a (EndpointView, Totals)) -> Self {
        let delivery_stats = DeliveryStats {
            total: totals.total(),
            successful: totals.successful,
            failed: totals.failed,
        };
        let stats = Stats { last_triggered_at: totals.last_attempt_at, delivery_stats };
        Self { stats: Some(stats), ..Self::from(endpoint) }
    }
}

impl<'a> From<&'a EndpointView> for WebhookObject<'a> {
    fn from(endpoint: &'a EndpointView) -> Self {
        Self {
            id: PublicId { id: endpoint.id, original: endpoint.original.clone() }.to_string(),
            url: &endpoint.url,
            events: ShownEvents(&endpoint.events),
            secret: None,
            is_active: endpoint.state == EndpointState::Active,
            description: endpoint.description.as_deref(),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            stats: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_seconds_text())
}

#[expect(clippy::ref_option, reason = "serde gives a reference")]
/// An instant that may be missing, in the form of the contract (P3).
pub(super) fn maybe_seconds<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => seconds(at, serializer),
        None => serializer.serialize_none(),
    }
}
