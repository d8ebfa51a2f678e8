//! Sending a test to an endpoint and waiting for what it shows (P25): the same for every API and page.

use std::time::Duration;

use abide_core::access::Caller;
use abide_core::endpoint::{EventFilter, MAX_DEADLINE};
use abide_core::event::{EventKind, sample};
use abide_storage::endpoints::EndpointView;
use abide_storage::history::DeliveryView;
use abide_storage::{StorageError, StorageResult};
use tokio::time::{Instant, sleep};

use crate::App;

/// How long an answer waits for the test's end: the longest attempt, and its recording.
const PATIENCE: Duration = Duration::from_secs(MAX_DEADLINE as u64 + 3);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Sends a sample event of `kind`, or of the first kind that the endpoint wants. Answers the delivery once its attempt has
/// ended, or as it stands when that takes too long.
pub(crate) async fn send_test(
    app: &App,
    by: &Caller,
    endpoint: &EndpointView,
    kind: Option<EventKind>,
) -> StorageResult<DeliveryView> {
    let kind = kind.unwrap_or_else(|| usual_kind(&endpoint.events));
    let body = sample(kind).body;
    let endpoints = app.storage.endpoints();
    let sent = endpoints.test(by, endpoint.id, kind, body, app.clock.now()).await?;
    let until = Instant::now() + PATIENCE;
    loop {
        let found = app.storage.history().deliveries_of(by.organization, sent.event).await?;
        let delivery = found.into_iter().find(|delivery| delivery.id == sent.delivery);
        let delivery = delivery
            .ok_or_else(|| StorageError::Damaged("a test's delivery is not there".to_owned()))?;
        if delivery.state.is_final() || Instant::now() >= until {
            return Ok(delivery);
        }
        sleep(LOOK_EVERY).await;
    }
}

fn usual_kind(filter: &EventFilter) -> EventKind {
    match filter {
        EventFilter::Only(kinds) => kinds.first().copied().unwrap_or(EventKind::ConsentCreated),
        EventFilter::All => EventKind::ConsentCreated,
    }
}
