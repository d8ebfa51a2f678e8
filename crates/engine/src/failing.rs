//! Endpoints that fail for long: their owners are warned, and then they are stopped (SW-18).

use abide_core::endpoint::Failing;
use abide_core::ids::EndpointId;
use abide_storage::StorageResult;
use abide_storage::failing::{Judged, Patience};

use crate::hub::Hub;
use crate::pulse::Loop;

/// Endpoints that are looked at in one read.
const PAGE: u32 = 100;

/// Judges every endpoint whose dialect bounds how long one may fail.
pub(crate) async fn judge_all(hub: &Hub) -> StorageResult<()> {
    let patience: Vec<_> = hub
        .dialects
        .iter()
        .filter_map(|dialect| {
            let stops_after = dialect.stops_after()?;
            Some(Patience { dialect: dialect.name(), stops_after })
        })
        .collect();
    if patience.is_empty() {
        return Ok(());
    }
    let endpoints = hub.storage.failing_endpoints();
    let mut after = None;
    loop {
        let looked = endpoints.look(after, PAGE, &patience, hub.clock.now()).await?;
        for endpoint in looked.changed {
            if let Some(judged) = endpoints.judge(endpoint, &patience, hub.clock.now()).await? {
                tell(hub, endpoint, judged);
            }
            hub.pulse.ticked(Loop::Clockwork);
        }
        after = looked.next;
        if after.is_none() || hub.is_draining() {
            return Ok(());
        }
        hub.pulse.ticked(Loop::Clockwork);
        tokio::task::yield_now().await;
    }
}

/// Tells the operator. URLs can hold secrets, so an endpoint is named by its id alone.
fn tell(hub: &Hub, endpoint: EndpointId, judged: Judged) {
    let Judged { organization, before, failing } = judged;
    match failing {
        Some(Failing::Stopped { since, .. }) => {
            hub.storage.metrics().stopped_endpoints.inc();
            let since = since.to_seconds_text();
            tracing::warn!(%endpoint, %organization, %since, "stopped: every attempt has failed for long; its owner can resume it");
        }
        // Told once: later only the time of the stop moves.
        Some(Failing::Warned { since, stops_at }) if before.is_none() => {
            let (since, stops_at) = (since.to_seconds_text(), stops_at.to_seconds_text());
            tracing::warn!(%endpoint, %organization, %since, %stops_at, "every attempt fails: the endpoint will be stopped");
        }
        Some(Failing::Warned { .. }) => {}
        None => tracing::info!(%endpoint, %organization, "no longer fails for long"),
    }
}
