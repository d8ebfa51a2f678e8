//! The data in PostgreSQL: opened, brought to this version.

use std::sync::Arc;

use abide_core::shell::Chance;
use abide_storage::StorageError;
use abide_storage::sealing::MasterKeys;
pub(crate) use abide_storage_postgres::{Connections, Ears, Examined, Link, Partitions, Waiting};
use abide_storage_postgres::{NodeName, OpenError, PostgresOptions};

use super::Opened;
use crate::clock::SystemClock;
use crate::config::{DatabaseUrl, Usage};
use crate::exit::{Refused, Unavailable};

/// Opens the store in a database.
pub(super) async fn open(
    url: DatabaseUrl,
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
    node: NodeName,
) -> anyhow::Result<Opened> {
    let store = tokio::task::spawn_blocking(move || {
        let options = PostgresOptions { url: &url.0, keys, chance, node };
        abide_storage_postgres::open(options)
    });
    let store = store.await?.map_err(judged)?;
    // Nodes go by the database's time, so that none with a wrong clock of its own signs or judges by that.
    let clock = store.database().clock();
    Ok((store, clock))
}

/// The names of the migrations that this version would apply to a database.
pub(crate) async fn pending(url: DatabaseUrl) -> anyhow::Result<Vec<&'static str>> {
    let look =
        tokio::task::spawn_blocking(move || abide_storage_postgres::pending_migrations(&url.0));
    look.await?.map_err(judged)
}

/// Brings a database to this version; answers the names of the migrations that it applied.
pub(crate) async fn migrate(url: DatabaseUrl) -> anyhow::Result<Vec<&'static str>> {
    let work = tokio::task::spawn_blocking(move || abide_storage_postgres::migrate(&url.0));
    work.await?.map_err(judged)
}

/// Looks at a database, whoever works on it.
pub(crate) async fn examine(url: DatabaseUrl, keys: MasterKeys) -> anyhow::Result<Examined> {
    let look = tokio::task::spawn_blocking(move || {
        abide_storage_postgres::examine(&url.0, &keys, &SystemClock)
    });
    look.await?.map_err(judged)
}

/// The database as it may be shown: without user and password.
pub(crate) fn shown(url: &DatabaseUrl) -> Result<String, Usage> {
    abide_storage_postgres::shown(&url.0).map_err(|error| Usage(error.to_string()))
}

/// A wrong URL is wrong usage, a database that cannot be this version's is refused, one that nobody reaches may be there later.
fn judged(error: OpenError) -> anyhow::Error {
    match &error {
        OpenError::Address(_) => Usage(error.to_string()).into(),
        OpenError::Connect { .. } | OpenError::Storage(StorageError::Unavailable(_)) => {
            Unavailable(error.to_string()).into()
        }
        OpenError::TooNew(_)
        | OpenError::Altered(_)
        | OpenError::Encoding(_)
        | OpenError::HalfCopied { .. } => Refused(error.to_string()).into(),
        OpenError::Storage(_) => error.into(),
    }
}
