//! Housekeeping by the clock: permissions whose time has come, held rows whose endpoint is back, gauges, and what
//! nobody has used for a while.

use std::sync::Arc;
use std::time::Duration;

use abide_core::once::REMEMBERED_MILLIS;
use abide_storage::StorageResult;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::hub::Hub;
use crate::pulse::Loop;

/// The longest time between two signs of life of the loop that waits for endpoints to change.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often what is past its time is removed.
const CLEAN_EVERY: Duration = Duration::from_mins(1);

/// Runs the housekeeping, for ever.
pub(crate) async fn tick(hub: Arc<Hub>) {
    let mut tick = interval(hub.options.housekeeping_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut counted: Option<Instant> = None;
    let mut cleaned: Option<Instant> = None;
    loop {
        tick.tick().await;
        hub.pulse.ticked(Loop::Clockwork);
        if let Err(why) = advance(&hub).await {
            tracing::warn!(%why, "permissions whose time has come could not be judged");
        }
        if cleaned.is_none_or(|at| at.elapsed() >= CLEAN_EVERY) {
            cleaned = Some(Instant::now());
            if let Err(why) = forget_calls(&hub).await {
                tracing::warn!(%why, "calls that need not be remembered could not be forgotten");
            }
        }
        show_memory(&hub);
        if counted.is_none_or(|at| at.elapsed() >= hub.options.backlog_every) {
            counted = Some(Instant::now());
            sweep(&hub);
            if let Err(why) = show_backlog(&hub).await {
                tracing::warn!(%why, "waiting deliveries could not be counted");
            }
        }
    }
}

/// Lets held rows go on, once at the start and whenever an endpoint changed, for ever.
pub(crate) async fn release(hub: Arc<Hub>) {
    loop {
        if let Err(why) = release_all(&hub).await {
            tracing::warn!(%why, "held deliveries could not be released");
            let _ = timeout(hub.options.due_every, hub.release.notified()).await;
            continue;
        }
        while timeout(LOOK_EVERY, hub.release.notified()).await.is_err() {
            hub.pulse.ticked(Loop::Release);
        }
    }
}

async fn release_all(hub: &Hub) -> StorageResult<()> {
    let page = hub.options.page;
    hub.pulse.ticked(Loop::Release);
    while hub.storage.deliveries().release_held(page, hub.clock.now()).await? > 0 {
        hub.pulse.ticked(Loop::Release);
        hub.due.falls_due(hub.clock.now());
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn advance(hub: &Hub) -> StorageResult<()> {
    let page = hub.options.page;
    while hub.storage.consents().advance_due(hub.clock.now(), page).await? == page {
        hub.pulse.ticked(Loop::Clockwork);
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn forget_calls(hub: &Hub) -> StorageResult<()> {
    let page = hub.options.page;
    let before = hub.clock.now().plus_millis(-REMEMBERED_MILLIS);
    while hub.storage.idempotency().forget_calls(before, page).await? == page {
        hub.pulse.ticked(Loop::Clockwork);
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn sweep(hub: &Hub) {
    let now = Instant::now();
    let before = |age| now.checked_sub(age).unwrap_or(now);
    hub.registry.sweep(before(hub.options.idle_connection), before(hub.options.idle_endpoint));
}

fn show_memory(hub: &Hub) {
    let metrics = hub.storage.metrics();
    let budget = hub.courier.budget();
    metrics.queue_bytes.set((budget.total() - budget.free()) as i64);
    metrics.queue_deliveries.set(hub.room.deliveries() as i64);
}

async fn show_backlog(hub: &Hub) -> StorageResult<()> {
    let backlog = hub.storage.deliveries().backlog(hub.options.backlog_count).await?;
    let metrics = hub.storage.metrics();
    metrics
        .backlog
        .set(i64::from(backlog.pending) + i64::from(backlog.parked) + i64::from(backlog.held));
    let age = backlog.oldest_due_at.map_or(0, |at| hub.clock.now().millis_since(at).max(0) / 1000);
    metrics.backlog_age.set(age);
    Ok(())
}
