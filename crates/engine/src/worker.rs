//! A worker: one attempt after another for one endpoint, over its own keep-alive connection, until nothing waits.

use std::sync::Arc;

use crate::endpoint::{Endpoint, Next, Verdict};
use crate::hub::Hub;
use crate::outbound::Connection;
use crate::pools::Pool;
use crate::send::{self, Flight};

/// A worker's place at its endpoint. Dropped without having left, as by a panic, it still leaves.
pub(crate) struct Seat {
    pub(crate) hub: Arc<Hub>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) connection: Option<Connection>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Working,
    Left,
}

impl Seat {
    /// A place that is counted as under way and starting.
    pub(crate) fn new(hub: Arc<Hub>, endpoint: Arc<Endpoint>) -> Self {
        hub.one_worker_more();
        Self { hub, endpoint, connection: None, stage: Stage::Starting }
    }

    /// The worker has its first job; answers whether it had none before.
    pub(crate) fn sit(&mut self) -> bool {
        std::mem::replace(&mut self.stage, Stage::Working) == Stage::Starting
    }

    /// Whether the worker ever had a job.
    pub(crate) fn has_sat(&self) -> bool {
        self.stage != Stage::Starting
    }

    /// The worker is no longer counted.
    pub(crate) fn rise(&mut self) {
        self.stage = Stage::Left;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.stage != Stage::Left {
            if std::thread::panicking() {
                tracing::error!(endpoint = %self.endpoint.id, "a worker panicked; its delivery is tried again");
            }
            // Its connection stands in the middle of an exchange.
            self.connection = None;
            let (hub, endpoint) = (Arc::clone(&self.hub), Arc::clone(&self.endpoint));
            endpoint.left(&hub, self);
        }
    }
}

/// Works until nothing is left to do, or another must come first.
pub(crate) async fn work(mut seat: Seat, mut pool: Pool) {
    let (hub, endpoint) = (Arc::clone(&seat.hub), Arc::clone(&seat.endpoint));
    let mut permit = hub.pools.take(pool).await;
    let mut verdict = Verdict::Neither;
    loop {
        if hub.reporter.is_overfull() {
            hub.reporter.has_room().await;
        }
        match endpoint.next(&hub, &mut seat, pool, verdict) {
            Next::Send(job, facts) => {
                let flight = Flight::new(&hub, endpoint.id, job);
                verdict = send::send(&hub, &facts, flight, &mut seat.connection).await;
                if verdict == Verdict::Gone {
                    hub.gone(&endpoint).await;
                }
                if hub.pools.is_used_up(pool) {
                    // Others wait: to the end of the line.
                    drop(permit);
                    permit = hub.pools.take(pool).await;
                }
            }
            Next::Draw(other) => {
                drop(permit);
                permit = hub.pools.take(other).await;
                pool = other;
                verdict = Verdict::Neither;
            }
            Next::Leave => break,
        }
    }
    drop(permit);
}
