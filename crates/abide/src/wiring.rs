//! What this program is made of. The only place that names a store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use abide_core::shell::Chance;
use abide_engine::outbound::{Guard, SystemResolver, Target, TlsRoots};
use abide_engine::{Engine, EngineParts};
use abide_server::{App, Readiness, UrlPolicy};
use abide_storage::sealing::MasterKeys;
use abide_storage_sqlite::{OpenError, SqliteOptions, SqliteStore};
use axum::Router;

use crate::clock::{OsChance, SystemClock};
use crate::config::{Place, Serving};
use crate::folder;
use crate::operations::Ground;

/// Opens the data of a place, making everything that a first start finds missing.
pub(crate) async fn open_ground(place: &Place) -> anyhow::Result<Ground> {
    let keys = folder::prepare(place, &OsChance)?;
    open(place, keys).await
}

/// Opens the data of a place that was served before.
pub(crate) async fn open_stopped(place: &Place) -> anyhow::Result<Ground> {
    let keys = folder::open(place)?;
    open(place, keys).await
}

/// Whether another process has the data folder.
pub(crate) fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse(_)))
}

async fn open(place: &Place, keys: MasterKeys) -> anyhow::Result<Ground> {
    let chance: Arc<dyn Chance> = Arc::new(OsChance);
    let (data, for_store) = (place.data.clone(), Arc::clone(&chance));
    // On a thread of its own: migrations and the recovery of a long log take their time.
    let storage = tokio::task::spawn_blocking(move || store(&data, keys, for_store)).await??;
    Ok(Ground { storage, key_file: place.key_file.clone(), clock: Arc::new(SystemClock), chance })
}

fn store(
    data: &Path,
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
) -> Result<Arc<SqliteStore>, OpenError> {
    SqliteStore::open(SqliteOptions { data, keys, chance, commit_delay: injected_delay() })
}

/// For benchmarks only, and in no help text: `ABIDE_BENCH_COMMIT_DELAY_MS` holds each commit up, to stand for a slow
/// disk where there is none.
fn injected_delay() -> Option<Duration> {
    let millis = std::env::var("ABIDE_BENCH_COMMIT_DELAY_MS").ok()?.parse().ok()?;
    tracing::warn!(millis, "every commit is held up, for a benchmark");
    Some(Duration::from_millis(millis))
}

/// Starts delivering: takes over what an earlier process left.
pub(crate) async fn start_engine(ground: &Ground, serving: &Serving) -> anyhow::Result<Engine> {
    let parts = EngineParts {
        storage: Arc::clone(&ground.storage),
        clock: Arc::clone(&ground.clock),
        chance: Arc::clone(&ground.chance),
        dialects: abide_dialects::all(),
        guard: guard(serving),
        resolver: Arc::new(SystemResolver),
        roots: TlsRoots::Platform,
        options: abide_engine::Options::default(),
    };
    Ok(Engine::start(parts).await?)
}

/// The API over the same store.
pub(crate) fn router(ground: &Ground, engine: &Arc<Engine>, serving: &Serving) -> Router {
    abide_server::router(App {
        storage: Arc::clone(&ground.storage),
        clock: Arc::clone(&ground.clock),
        chance: Arc::clone(&ground.chance),
        urls: Arc::new(GuardedUrls(guard(serving))),
        ready: Arc::new(WhileItMoves(Arc::clone(engine))),
    })
}

fn guard(serving: &Serving) -> Guard {
    Guard { allow: serving.allow_network.clone(), dev_loopback_http: serving.dev }
}

/// An endpoint may have a URL that the engine could call.
struct GuardedUrls(Guard);

impl UrlPolicy for GuardedUrls {
    fn check(&self, url: &str) -> Result<(), String> {
        Target::parse(url, &self.0).map(drop).map_err(|problem| problem.to_string())
    }
}

/// Ready while the engine does its work, which it cannot when the writer stands still.
struct WhileItMoves(Arc<Engine>);

impl Readiness for WhileItMoves {
    fn check(&self) -> Result<(), Vec<String>> {
        self.0.is_alive()
    }
}
