//! The endpoints that this node has to do with, found by id.

use std::collections::HashMap;
use std::sync::Arc;

use abide_core::ids::EndpointId;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::endpoint::Endpoint;

const SHARDS: usize = 16;

/// Endpoints by id, in shards, so that finding one waits for no other.
#[derive(Default)]
pub(crate) struct Registry {
    shards: [Mutex<HashMap<EndpointId, Arc<Endpoint>>>; SHARDS],
}

impl Registry {
    /// The endpoint, if this node has to do with it.
    pub(crate) fn find(&self, id: EndpointId) -> Option<Arc<Endpoint>> {
        self.shard(id).lock().get(&id).cloned()
    }

    /// The endpoint; from now on this node has to do with it.
    pub(crate) fn find_or_add(&self, id: EndpointId) -> Arc<Endpoint> {
        let mut shard = self.shard(id).lock();
        Arc::clone(shard.entry(id).or_insert_with(|| Arc::new(Endpoint::new(id))))
    }

    /// Every endpoint, as of some moment for each; in the order of their ids, so that the same run does the same.
    pub(crate) fn all(&self) -> Vec<Arc<Endpoint>> {
        let mut all: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>())
            .collect();
        all.sort_unstable_by_key(|endpoint| endpoint.id);
        all
    }

    /// Closes connections idle since before `idle_since`, forgets endpoints without work since before `used_since`.
    pub(crate) fn sweep(&self, idle_since: Instant, used_since: Instant) {
        for shard in &self.shards {
            shard.lock().retain(|_, endpoint| !endpoint.sweep(idle_since, used_since));
        }
    }

    /// Whether some endpoint has always had a job waiting since `before`.
    pub(crate) fn any_has_waited_since(&self, before: Instant) -> bool {
        let waits = |endpoint: &Arc<Endpoint>| endpoint.line.lock().has_waited_since(before);
        self.shards.iter().any(|shard| shard.lock().values().any(waits))
    }

    fn shard(&self, id: EndpointId) -> &Mutex<HashMap<EndpointId, Arc<Endpoint>>> {
        let key = id.key() as u64;
        &self.shards[(key ^ (key >> 21)) as usize % SHARDS]
    }
}
