//! A webhook as answers show it. The order of the fields is the contract's (P2); the secret is in the creation's answer
//! alone (P5).

use abide_core::Timestamp;
use abide_core::endpoint::EndpointState;
use abide_core::ids::EndpointId;
use abide_storage::endpoints::EndpointView;
use serde::{Serialize, Serializer};

use crate::input::ShownEvents;

#[derive(Serialize)]
pub(crate) struct WebhookObject<'a> {
    id: EndpointId,
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
}

impl<'a> WebhookObject<'a> {
    /// With its secret, for the one answer that shows it.
    pub(crate) fn new(endpoint: &'a EndpointView, secret: &'a str) -> Self {
        Self { secret: Some(secret), ..Self::from(endpoint) }
    }
}

impl<'a> From<&'a EndpointView> for WebhookObject<'a> {
    fn from(endpoint: &'a EndpointView) -> Self {
        Self {
            id: endpoint.id,
            url: &endpoint.url,
            events: ShownEvents(&endpoint.events),
            secret: None,
            is_active: endpoint.state == EndpointState::Active,
            description: endpoint.description.as_deref(),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_seconds_text())
}
