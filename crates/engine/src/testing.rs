//! Tests of endpoints: one attempt, at once, past the endpoint's line and over a connection of its own (P25).
//!
//! What it shows is recorded like any attempt and judged by nobody else: a test says nothing for or against an endpoint's
//! health, and its 410 stops nothing.

use std::sync::Arc;

use abide_core::ids::EndpointId;
use abide_storage::deliveries::GiveBack;

use crate::facts::Facts;
use crate::hub::Hub;
use crate::job::Job;
use crate::send::{self, Flight};

/// Starts a test.
pub(crate) fn start(hub: &Arc<Hub>, endpoint: EndpointId, job: Job) {
    let hub = Arc::clone(hub);
    let flight = Flight::new(&hub, endpoint, job);
    let counted = Counted::new(&hub);
    hub.runtime.clone().spawn(async move {
        let Counted(hub) = &counted;
        match hub.storage.endpoints().sending(endpoint, hub.clock.now()).await {
            Ok(Some(row)) => {
                let facts = Facts::of(row, hub.dialects, &hub.courier);
                let mut connection = None;
                send::send(hub, &facts, flight, &mut connection).await;
            }
            Ok(None) => flight.end(GiveBack::Unreadable),
            Err(why) => {
                tracing::warn!(%endpoint, %why, "a test could not be sent");
                drop(flight);
            }
        }
    });
}

/// Counts as a worker, for whoever waits until none is under way.
struct Counted(Arc<Hub>);

impl Counted {
    fn new(hub: &Arc<Hub>) -> Self {
        hub.one_worker_more();
        Self(Arc::clone(hub))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.one_worker_less();
    }
}
