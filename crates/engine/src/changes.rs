//! Looking for what was changed elsewhere: endpoints stopped, started and altered, and people erased. Woken by the
//! doorbell; as long as a look fails, no send starts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use abide_storage::StorageResult;
use tokio::time::{Instant, sleep, timeout};

use crate::hub::Hub;
use crate::pulse::Loop;

/// How far the looks have come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursors {
    endpoints: i64,
    erasures: i64,
}

/// The least time between two looks, however often the doorbell rings.
const PAUSE: Duration = Duration::from_millis(5);

/// Where to begin: nothing is in memory yet, so what changed before does not matter and is not read.
pub(crate) async fn begin(hub: &Hub) -> StorageResult<Cursors> {
    let before = hub.pulse.now();
    let endpoints = hub.storage.endpoints().newest_change().await?;
    let erasures = hub.storage.subjects().newest_erasure().await?;
    hub.pulse.looked(before);
    Ok(Cursors { endpoints, erasures })
}

/// Looks, for ever.
pub(crate) async fn watch(hub: Arc<Hub>, mut cursors: Cursors) {
    let mut rings = hub.storage.doorbell().listen();
    loop {
        hub.pulse.ticked(Loop::Changes);
        rings.mark_unchanged();
        let before = hub.pulse.now();
        match look(&hub, cursors).await {
            Ok(now_at) => {
                cursors = now_at;
                hub.pulse.looked(before);
            }
            Err(why) => tracing::warn!(%why, "changes could not be looked for"),
        }
        sleep(PAUSE).await;
        let _ = timeout(hub.options.look_every, rings.changed()).await;
    }
}

/// Reads all that is new, page by page (I9).
async fn look(hub: &Arc<Hub>, from: Cursors) -> StorageResult<Cursors> {
    Ok(Cursors {
        erasures: look_at_erasures(hub, from.erasures).await?,
        endpoints: look_at_endpoints(hub, from.endpoints).await?,
    })
}

async fn look_at_erasures(hub: &Arc<Hub>, mut cursor: i64) -> StorageResult<i64> {
    loop {
        let (next, people) = hub.storage.subjects().erased_since(cursor, hub.options.page).await?;
        let is_last = people.len() < hub.options.page as usize;
        #[cfg(feature = "faults")]
        let people = match abide_core::fault::is_planted(abide_core::fault::Fault::ErasedStillSent)
        {
            true => Vec::new(),
            false => people,
        };
        if !people.is_empty() {
            hub.erased.add(&people, Instant::now());
            let people: HashSet<_> = people.into_iter().collect();
            for endpoint in hub.registry.all() {
                endpoint.forget(hub, &|one| people.contains(&one));
            }
        }
        cursor = next;
        if is_last {
            return Ok(cursor);
        }
    }
}

async fn look_at_endpoints(hub: &Arc<Hub>, mut cursor: i64) -> StorageResult<i64> {
    loop {
        let (next, changed) =
            hub.storage.endpoints().changed_since(cursor, hub.options.page).await?;
        #[cfg(feature = "faults")]
        if abide_core::fault::is_planted(abide_core::fault::Fault::StopNotHeard) {
            return Ok(next);
        }
        for id in &changed {
            if let Some(endpoint) = hub.registry.find(*id) {
                hub.load(&endpoint).await?;
            }
        }
        if !changed.is_empty() {
            // One of them may be active again.
            hub.release.notify_one();
        }
        cursor = next;
        if changed.len() < hub.options.page as usize {
            return Ok(cursor);
        }
    }
}
