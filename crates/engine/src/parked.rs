//! Parked rows: due, but their endpoint had no room or rested. They stand in nobody's way in the store; the endpoint
//! asks for a page of them when it has room, and for one when its rest is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::delivery::Turn;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};

use crate::endpoint::Endpoint;
use crate::hub::Hub;
use crate::pulse::Loop;

/// Endpoints in line for a page of their parked rows, by time. Each stands in it at most once.
#[derive(Default)]
pub(crate) struct ParkedLine {
    line: Mutex<Line>,
    bell: Notify,
}

#[derive(Default)]
struct Line {
    asks: BTreeMap<(Timestamp, u64), Arc<Endpoint>>,
    asked: u64,
}

/// Pages under way at one time.
const AT_ONCE: usize = 16;
/// How soon to ask again when memory is full, or the store gave no answer, in milliseconds.
const AGAIN_MILLIS: i64 = 500;
/// The longest time between two looks at the line: the clock may be moved.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl ParkedLine {
    /// Puts an endpoint in line.
    pub(crate) fn ask(&self, endpoint: &Arc<Endpoint>, at: Timestamp) {
        let mut line = self.line.lock();
        line.asked += 1;
        let place = (at, line.asked);
        line.asks.insert(place, Arc::clone(endpoint));
        if line.asks.first_key_value().is_some_and(|(first, _)| *first == place) {
            self.bell.notify_one();
        }
    }

    /// The next endpoint whose time has come, or for how long there is none.
    fn next(&self, now: Timestamp) -> Result<Arc<Endpoint>, Duration> {
        let mut line = self.line.lock();
        let Some(first) = line.asks.first_entry() else { return Err(LOOK_EVERY) };
        let left = first.key().0.millis_since(now);
        if left > 0 {
            return Err(Duration::from_millis(left as u64).min(LOOK_EVERY));
        }
        Ok(first.remove())
    }
}

/// Serves the line, for ever. Endpoints with parked rows are also looked for now and then: what a node knows of them
/// is a hint.
pub(crate) async fn serve(hub: Arc<Hub>) {
    let pages = Arc::new(Semaphore::new(AT_ONCE));
    let mut listed: Option<Instant> = None;
    loop {
        hub.pulse.ticked(Loop::Parked);
        if listed.is_none_or(|at| at.elapsed() >= hub.options.parked_every) {
            listed = Some(Instant::now());
            list(&hub).await;
        }
        match hub.parked.next(hub.clock.now()) {
            Ok(endpoint) => {
                let page = Arc::clone(&pages).acquire_owned().await;
                let hub = Arc::clone(&hub);
                tokio::spawn(async move {
                    claim_page(&hub, &endpoint).await;
                    drop(page);
                });
            }
            Err(left) => {
                let _ = timeout(left, hub.parked.bell.notified()).await;
            }
        }
    }
}

async fn list(hub: &Arc<Hub>) {
    match hub.storage.deliveries().parked_endpoints().await {
        Ok(endpoints) => {
            for id in endpoints {
                hub.registry.find_or_add(id).note_parked(hub);
            }
        }
        Err(why) => tracing::warn!(%why, "endpoints with parked deliveries could not be listed"),
    }
}

async fn claim_page(hub: &Arc<Hub>, endpoint: &Arc<Endpoint>) {
    let now = hub.clock.now();
    if hub.is_draining() {
        return;
    }
    let (wanted, times) = {
        let mut line = endpoint.line.lock();
        if let Turn::Rests(until) = line.health.turn(0, now) {
            hub.parked.ask(endpoint, until);
            return;
        }
        let wanted = line.room_for_parked(hub);
        if wanted == 0 {
            // Whatever makes room asks again.
            line.parked.asked = false;
            endpoint.settle(hub, &mut line, now);
            return;
        }
        (wanted, line.parked.times)
    };
    let places = hub.room.places(wanted);
    let limit = places.left();
    let hold = hub.leases.current();
    if limit == 0 {
        hub.parked.ask(endpoint, now.plus_millis(AGAIN_MILLIS));
        return;
    }
    let deliveries = hub.storage.deliveries();
    let claimed = match deliveries.claim_parked(hold.id, endpoint.id, limit as u32, now).await {
        Ok(claimed) => claimed,
        Err(why) => {
            tracing::warn!(endpoint = %endpoint.id, %why, "parked deliveries could not be claimed");
            hub.parked.ask(endpoint, hub.clock.now().plus_millis(AGAIN_MILLIS));
            return;
        }
    };
    let all = claimed.len() < limit;
    hub.enqueue_claimed(claimed, &hold, places);
    let mut line = endpoint.line.lock();
    line.parked.asked = false;
    if all && line.parked.times == times {
        line.parked.some = false;
    }
    endpoint.settle(hub, &mut line, hub.clock.now());
}
