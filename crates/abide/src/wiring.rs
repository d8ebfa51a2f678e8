//! What this program is made of. The only place that names a store.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use abide_core::endpoint::{AuthProblem, EndpointAuth};
use abide_core::shell::{Chance, Clock};
use abide_engine::outbound::{ByteBudget, Courier, Guard, SystemResolver, TlsRoots};
use abide_engine::{Engine, EngineParts, StartError};
use abide_server::{App, Cookies, Dashboard, EndpointPolicy, Readiness};
use abide_storage::Storage;
use abide_storage::erasures::ErasureJournal;
use abide_storage::sealing::MasterKeys;
pub(crate) use abide_storage_postgres::NodeName;
pub(crate) use abide_storage_sqlite::{Examined, Integrity};
use abide_storage_sqlite::{OpenError, SqliteOptions};
use axum::Router;

use crate::clock::{OsChance, SystemClock};
use crate::config::{Place, Role, Serving};
use crate::folder::{self, Made, Prepared};
use crate::operations::Ground;

pub(crate) mod backups;
pub(crate) mod copies;
pub(crate) mod postgres;

/// Opens the data of a place, making everything that a first start finds missing.
pub(crate) async fn open_ground(
    place: &Place,
    commit_delay: Option<Duration>,
    node: NodeName,
) -> anyhow::Result<Ground> {
    if let Some(delay) = commit_delay {
        tracing::warn!(?delay, "every commit is held up, for a benchmark");
    }
    let Prepared { keys, made } = folder::prepare(place, &OsChance)?;
    let ground = open(place, keys, commit_delay, node).await;
    if ground.is_err() && made == Made::Now && place.database_url.is_some() {
        // The database is another key's, which whoever set up the first node has.
        folder::unmake(place);
    }
    ground
}

/// Opens the data of a place that was served before.
pub(crate) async fn open_stopped(place: &Place) -> anyhow::Result<Ground> {
    let keys = folder::open(place)?;
    open(place, keys, None, command()).await
}

/// How a process is shown that carries out one command.
fn command() -> NodeName {
    NodeName { name: format!("process {}", std::process::id()), role: "command" }
}

/// Looks at the data of a place, whether or not a server has it open.
pub(crate) async fn examine(
    place: &Place,
    keys: MasterKeys,
    patience: Duration,
) -> anyhow::Result<Examined> {
    let data = place.data.clone();
    let look =
        tokio::task::spawn_blocking(move || abide_storage_sqlite::examine(&data, &keys, patience));
    Ok(look.await??)
}

/// Whether anybody's signature makes a receiver's certificate good on this machine.
pub(crate) fn has_roots() -> Result<(), String> {
    let (resolver, budget) = (Arc::new(SystemResolver::default()), ByteBudget::new(1));
    let courier = Courier::new(Guard::default(), resolver, TlsRoots::Platform, budget);
    courier.map(drop).map_err(|_| WITHOUT_ROOTS.to_owned())
}

/// Whether another process has the data folder.
pub(crate) fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse(_)))
}

async fn open(
    place: &Place,
    keys: MasterKeys,
    commit_delay: Option<Duration>,
    node: NodeName,
) -> anyhow::Result<Ground> {
    let chance: Arc<dyn Chance> = Arc::new(OsChance);
    let (storage, clock) = match &place.database_url {
        Some(url) => {
            postgres::open(url.clone(), keys, Arc::clone(&chance), node, place.journal.clone())
                .await?
        }
        None => open_sqlite(place, keys, Arc::clone(&chance), commit_delay, node).await?,
    };
    Ok(Ground { storage, key_file: place.key_file.clone(), clock, chance, dashboard: None })
}

type Opened = (Arc<dyn Storage>, Arc<dyn Clock>);

async fn open_sqlite(
    place: &Place,
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
    commit_delay: Option<Duration>,
    node: NodeName,
) -> anyhow::Result<Opened> {
    let data = place.data.clone();
    // On a thread of its own: migrations and the recovery of a long log take their time.
    let storage = tokio::task::spawn_blocking(move || {
        abide_storage_sqlite::open(SqliteOptions { data: &data, keys, chance, commit_delay })
    });
    let storage = storage.await??;
    storage.call_node(node.name, node.role, SystemClock.now());
    storage.erasures().journal_to(Arc::new(ErasureJournal::new(place.journal.clone())));
    Ok((storage, Arc::new(SystemClock)))
}

/// Starts delivering: takes over what an earlier process left.
pub(crate) async fn start_engine(ground: &Ground, serving: &Serving) -> anyhow::Result<Engine> {
    let parts = EngineParts {
        storage: Arc::clone(&ground.storage),
        clock: Arc::clone(&ground.clock),
        chance: Arc::clone(&ground.chance),
        dialects: abide_dialects::all(),
        guard: guard(serving),
        resolver: Arc::new(SystemResolver::default()),
        roots: if serving.dev { TlsRoots::PlatformIfAny } else { TlsRoots::Platform },
        options: abide_engine::Options::default(),
    };
    Engine::start(parts).await.map_err(|error| match error {
        StartError::Tls(_) => anyhow::Error::new(error).context(WITHOUT_ROOTS),
        StartError::Storage(_) => error.into(),
    })
}

const WITHOUT_ROOTS: &str = "this machine has no root certificates to trust receivers by; install them (the package \
                             `ca-certificates` on Debian)";

/// How the dashboard is reached: as the operator says, else at the address that is listened on. Cookies are for https
/// alone, except where browsers come over plain http by intention: in development, and from this machine to itself.
pub(crate) fn dashboard(serving: &Serving, address: SocketAddr) -> Dashboard {
    let public_url = serving.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let is_here = || {
        let url: Option<http::Uri> = public_url.parse().ok();
        let host = url.as_ref().and_then(http::Uri::host).unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    };
    let over_http = public_url.starts_with("http://") && (serving.dev || is_here());
    let cookies = if over_http { Cookies::PlainHttp } else { Cookies::Https };
    Dashboard { public_url, cookies, trusted_proxies: serving.trusted_proxies.clone() }
}

/// APIs and dashboard over the same store.
pub(crate) fn router(
    ground: &Ground,
    engine: Option<&Arc<Engine>>,
    serving: &Serving,
    dashboard: Dashboard,
) -> Router {
    let router = match serving.role {
        Role::All | Role::Api => abide_server::router,
        Role::Deliver => abide_server::health_router,
    };
    router(App {
        storage: Arc::clone(&ground.storage),
        clock: Arc::clone(&ground.clock),
        chance: Arc::clone(&ground.chance),
        endpoints: Arc::new(Guarded(guard(serving))),
        ready: Arc::new(WhileItMoves {
            engine: engine.cloned(),
            storage: Arc::clone(&ground.storage),
        }),
        dashboard,
    })
}

fn guard(serving: &Serving) -> Guard {
    Guard { allow: serving.allow_network.clone(), dev_loopback_http: serving.dev }
}

/// An endpoint may have what the engine could use.
struct Guarded(Guard);

impl EndpointPolicy for Guarded {
    fn check_url(&self, url: &str) -> Result<(), String> {
        abide_engine::check_url(url, &self.0)
    }

    fn check_auth(&self, auth: &EndpointAuth) -> Vec<AuthProblem> {
        abide_engine::check_auth(auth, &self.0)
    }
}

/// Ready while the store can write and the engine does its work.
struct WhileItMoves {
    /// None where this node only serves.
    engine: Option<Arc<Engine>>,
    storage: Arc<dyn Storage>,
}

impl Readiness for WhileItMoves {
    fn check(&self) -> Result<(), Vec<String>> {
        // The store's reason first: what stands still behind it follows from it.
        let mut reasons: Vec<String> = self.storage.broken().into_iter().collect();
        let engine = self.engine.as_ref().and_then(|engine| engine.is_alive().err());
        reasons.extend(engine.into_iter().flatten());
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
