//! Sending a test to an endpoint and waiting for what it shows (P25): the same for every API and page.

use std::sync::Arc;
use std::time::Duration;

use abide_core::access::Caller;
use abide_core::endpoint::{EventFilter, MAX_DEADLINE};
use abide_core::event::{EventKind, sample};
use abide_core::ids::OrganizationId;
use abide_storage::endpoints::{EndpointView, TestSent};
use abide_storage::history::DeliveryView;
use abide_storage::{Storage, StorageError, StorageResult};
use tokio::time::{Instant, sleep};

use crate::router::Shared;

/// Tests under way at a time: they go past their endpoints' lines and need a bound of their own (I8, I9).
pub(crate) const AT_ONCE: usize = 16;
/// How long an answer waits for the test's end: the longest attempt, and its recording.
const PATIENCE: Duration = Duration::from_secs(MAX_DEADLINE as u64 + 3);
const FIRST_LOOK: Duration = Duration::from_millis(25);
const LARGEST_PAUSE: Duration = Duration::from_millis(500);

/// Sends a sample event of `kind`, or of the first kind that the endpoint wants. Answers the delivery once its attempt has
/// ended, or as it stands when that takes too long; [`StorageError::Busy`] while as many are under way as may be.
pub(crate) async fn send_test(
    shared: &Shared,
    by: &Caller,
    endpoint: &EndpointView,
    kind: Option<EventKind>,
) -> StorageResult<DeliveryView> {
    let permit = Arc::clone(&shared.tests).try_acquire_owned().map_err(|_| StorageError::Busy)?;
    let kind = kind.unwrap_or_else(|| usual_kind(&endpoint.events));
    let body = sample(kind).body;
    let app = &shared.app;
    let endpoints = app.storage.endpoints();
    let sent = endpoints.test(by, endpoint.id, kind, body, app.clock.now()).await?;
    // A task of its own: a caller who goes away does not make room for another test.
    let (storage, organization) = (Arc::clone(&app.storage), by.organization);
    let waiting = tokio::spawn(async move {
        let ended = end_of(storage.as_ref(), organization, sent).await;
        drop(permit);
        ended
    });
    waiting.await.map_err(|_| StorageError::Unavailable("a test was given up".to_owned()))?
}

async fn end_of(
    storage: &dyn Storage,
    organization: OrganizationId,
    sent: TestSent,
) -> StorageResult<DeliveryView> {
    let until = Instant::now() + PATIENCE;
    let mut pause = FIRST_LOOK;
    loop {
        let found = storage.history().deliveries_of(organization, sent.event).await?;
        let delivery = found.into_iter().find(|delivery| delivery.id == sent.delivery);
        let delivery = delivery
            .ok_or_else(|| StorageError::Damaged("a test's delivery is not there".to_owned()))?;
        if delivery.state.is_final() || Instant::now() >= until {
            return Ok(delivery);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LARGEST_PAUSE);
    }
}

fn usual_kind(filter: &EventFilter) -> EventKind {
    match filter {
        EventFilter::Only(kinds) => kinds.first().copied().unwrap_or(EventKind::ConsentCreated),
        EventFilter::All => EventKind::ConsentCreated,
    }
}
