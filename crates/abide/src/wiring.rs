//! What this program is made of. The only place that names a store.

use std::path::Path;
use std::sync::Arc;

use abide_core::shell::Chance;
use abide_storage::sealing::MasterKeys;
use abide_storage_sqlite::{OpenError, SqliteOptions, SqliteStore};

use crate::clock::{OsChance, SystemClock};
use crate::config::Place;
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
    Ok(Ground {
        storage,
        key_file: place.key_file.clone(),
        clock: Arc::new(SystemClock),
        chance,
    })
}

fn store(
    data: &Path,
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
) -> Result<Arc<SqliteStore>, OpenError> {
    SqliteStore::open(SqliteOptions { data, keys, chance, commit_delay: None })
}
