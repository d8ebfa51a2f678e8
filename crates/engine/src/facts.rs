//! What sending to an endpoint takes, read once per version of its row.

use abide_core::endpoint::{EndpointState, Source};
use abide_core::ids::DeliveryId;
use abide_dialects::Dialect;
use abide_storage::endpoints::SendingEndpoint;
use abide_storage::sealing::Secret;

use crate::outbound::{Guard, Target, TargetProblem};

/// An endpoint as its workers use it. Replaced as a whole when the row changes.
pub(crate) struct Facts {
    /// `None`: another build made the endpoint, and this one does not know its dialect.
    pub(crate) dialect: Option<&'static dyn Dialect>,
    /// The URL, read once. It was judged when it was given; what is allowed may have changed since.
    pub(crate) target: Result<Target, TargetProblem>,
    pub(crate) secret: Secret,
    pub(crate) state: EndpointState,
    pub(crate) source: Source,
    pub(crate) version: u32,
    /// Deliveries up to this one were cancelled.
    pub(crate) cancelled_through: DeliveryId,
}

impl Facts {
    pub(crate) fn of(
        row: SendingEndpoint,
        dialects: &'static [&'static dyn Dialect],
        guard: &Guard,
    ) -> Self {
        let dialect = dialects.iter().copied().find(|dialect| dialect.name() == row.dialect);
        if dialect.is_none() {
            tracing::error!(endpoint = %row.id, dialect = %row.dialect, "no such dialect in this build");
        }
        Self {
            dialect,
            target: Target::parse(&row.url, guard),
            secret: row.secret,
            state: row.state,
            source: row.rules.source,
            version: row.version,
            cancelled_through: row.cancelled_through,
        }
    }

    /// Whether a delivery may be sent to it at all.
    pub(crate) fn admits(&self, delivery: DeliveryId) -> bool {
        self.state == EndpointState::Active && delivery > self.cancelled_through
    }
}
