//! `/deliveries`: what was told, and how it went (P24): a log with filters, and one delivery with its attempts.

pub(crate) mod list;
pub(crate) mod one;

use abide_core::Timestamp;
use abide_core::delivery::DeliveryState;
use abide_core::ids::{DeliveryId, EndpointId, OrganizationId};
use abide_storage::StorageResult;
use abide_storage::delivery_log::DeliveryLine;

use super::when::{When, until};
use super::words::{self, Badge, Shown};
use crate::router::Inner;

/// A delivery in a list. For the template `delivery_rows.html`.
pub(crate) struct Row {
    pub(crate) id: DeliveryId,
    pub(crate) kind: &'static str,
    pub(crate) made: When,
    pub(crate) state: Badge,
    pub(crate) is_test: bool,
    pub(crate) attempts: u32,
    pub(crate) last: Option<Shown>,
    pub(crate) next: Option<String>,
    pub(crate) to: Option<Target>,
}

/// Where a delivery goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) id: EndpointId,
    /// What is shown: the URL, or that it was deleted.
    pub(crate) name: String,
    pub(crate) is_deleted: bool,
}

impl Row {
    /// `to` where the list is of several endpoints.
    pub(crate) fn of(line: &DeliveryLine, to: Option<Target>, now: Timestamp) -> Self {
        Self {
            id: line.id,
            kind: line.kind.as_str(),
            made: When(line.id.drawn_at()),
            state: words::delivery_state(line.state),
            is_test: line.run == abide_core::delivery::Run::Test,
            attempts: line.attempts,
            last: line.last_attempt.as_ref().map(words::attempt),
            next: next(line.state, line.due_at, now),
            to,
        }
    }
}

/// When the next attempt of a parked delivery is.
const PARKED: &str = "when its endpoint is tried again";

/// When the next attempt is, in words; `None` where none is planned.
fn next(state: DeliveryState, due_at: Option<Timestamp>, now: Timestamp) -> Option<String> {
    match state {
        DeliveryState::Pending => due_at.map(|due| until(now, due)),
        DeliveryState::Parked => Some(PARKED.to_owned()),
        _ => None,
    }
}

/// Whether a list says where its deliveries go.
pub(crate) fn name_targets(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.to.is_some())
}

/// What stands for an endpoint in a sentence, deleted or not.
pub(crate) async fn target_name(
    shared: &Inner,
    organization: OrganizationId,
    id: EndpointId,
) -> StorageResult<String> {
    Ok(list::target(shared, organization, id).await?.name)
}
