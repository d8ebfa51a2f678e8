//! The data in PostgreSQL: opened, brought to this version.

use std::path::PathBuf;
use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::shell::Chance;
use abide_storage::erasures::{Erasure, ErasureJournal, Repeated};
use abide_storage::nodes::Standing;
use abide_storage::sealing::MasterKeys;
use abide_storage::{Nodes, Storage, StorageError};
pub(crate) use abide_storage_postgres::{Connections, Ears, Examined, Link, Partitions, Waiting};
use abide_storage_postgres::{NodeName, OpenError, PostgresOptions, PostgresStore};

use super::Opened;
use crate::clock::{OsChance, SystemClock};
use crate::config::{DatabaseUrl, Place, Usage};
use crate::erasures::missing;
use crate::exit::{Refused, Unavailable};
use crate::folder;

/// Opens the store in a database.
pub(super) async fn open(
    url: DatabaseUrl,
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
    node: NodeName,
    journal: PathBuf,
) -> anyhow::Result<Opened> {
    let store = open_store(url, keys, chance, node, journal).await?;
    // Nodes go by the database's time, so that none with a wrong clock of its own signs or judges by that.
    let clock = store.database().clock();
    Ok((store, clock))
}

/// Erases again whom the journal has, in a database that was restored to an earlier moment, and lets it begin anew: its
/// feeds have another epoch, and everybody signs in again. Refused while a node works on it, and where the journal
/// lacks erasures that the database has.
pub(crate) async fn erase_again(
    place: &Place,
    url: DatabaseUrl,
    journal: Vec<Erasure>,
    restored_to: Timestamp,
) -> anyhow::Result<Repeated> {
    let keys = folder::open(place)?;
    let node = super::command();
    let store = open_store(url, keys, Arc::new(OsChance), node, place.journal.clone()).await?;
    let now = store.database().clock().now();
    let done = repeat(&store, journal, restored_to, now).await;
    tokio::task::spawn_blocking(move || Storage::close(&*store)).await?;
    done
}

async fn repeat(
    store: &PostgresStore,
    journal: Vec<Erasure>,
    restored_to: Timestamp,
    now: Timestamp,
) -> anyhow::Result<Repeated> {
    let nodes = Nodes::nodes(store, now).await?;
    if let Some(node) = nodes.iter().find(|node| node.standing != Standing::Gone) {
        let text = format!("{} is at work on the database: stop every node first", node.name);
        return Err(Refused(text).into());
    }
    let lacking = missing(store, &journal).await?;
    if lacking > 0 {
        let text = format!(
            "the erasure journal lacks {lacking} erasures that the database has, so it may lack later ones too: put the right \
             one in its place, of a node that ran until the end, or those of several nodes put together"
        );
        return Err(Refused(text).into());
    }
    Ok(store.go_on(journal, restored_to, 0, now).await?)
}

async fn open_store(
    url: DatabaseUrl,
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
    node: NodeName,
    journal: PathBuf,
) -> anyhow::Result<Arc<PostgresStore>> {
    let store = tokio::task::spawn_blocking(move || {
        let machine = Arc::new(SystemClock);
        let options = PostgresOptions { url: &url.0, keys, chance, node, machine };
        abide_storage_postgres::open(options)
    });
    let store = store.await?.map_err(judged)?;
    store.erasures().journal_to(Arc::new(ErasureJournal::new(journal)));
    Ok(store)
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
pub(super) fn judged(error: OpenError) -> anyhow::Error {
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
