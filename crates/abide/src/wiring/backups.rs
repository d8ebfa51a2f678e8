//! Backups, restorations and migrations of the embedded store: PostgreSQL has tools of its own for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use abide_core::Timestamp;
use abide_storage::Storage;
use abide_storage::erasures::{Erasure, Repeated};
use abide_storage::sealing::MasterKeys;
use abide_storage_sqlite::{
    BackUp, BackupError, OpenError, RestoreError, RestoreFrom, SqliteOptions, SqliteStore,
    Unpacked, back_up, pending_migrations, unpack,
};
pub(crate) use abide_storage_sqlite::{BackedUp, Existing, Occupied, Progress};

use crate::clock::OsChance;
use crate::config::Place;
use crate::erasures::missing;
use crate::exit::Refused;

/// Where progress is told.
pub(crate) type Told = Box<dyn FnMut(Progress) + Send>;

/// Copies the data of a place into a file, whether or not a server has it open.
pub(crate) async fn take(
    place: &Place,
    out: &Path,
    existing: Existing,
    now: Timestamp,
    mut told: Told,
) -> anyhow::Result<BackedUp> {
    let (data, out) = (place.data.clone(), out.to_owned());
    let taken = tokio::task::spawn_blocking(move || {
        let made_by = env!("CARGO_PKG_VERSION");
        back_up(BackUp { data: &data, out: &out, existing, made_by, now }, &mut *told)
    });
    taken.await?.map_err(|error| match &error {
        BackupError::Exists(_)
        | BackupError::Busy(_)
        | BackupError::Open(OpenError::TooNew(_) | OpenError::Altered(_)) => {
            Refused(error.to_string()).into()
        }
        BackupError::Damaged(_) | BackupError::Open(_) | BackupError::Io { .. } => error.into(),
    })
}

/// A backup that is to be restored.
pub(crate) struct Restoration {
    /// The file.
    pub(crate) backup: PathBuf,
    /// What to do where there is a store already.
    pub(crate) occupied: Occupied,
    /// What is to be erased again.
    pub(crate) journal: Vec<Erasure>,
    /// What to do where the journal does not even have what the backup has.
    pub(crate) stale: Stale,
    /// Now.
    pub(crate) now: Timestamp,
}

/// What is made of a journal that is older than the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It is refused.
    Refuse,
    /// What it has is used.
    Use,
}

/// What was restored.
pub(crate) struct Restored {
    /// When the backup was taken.
    pub(crate) taken_at: Timestamp,
    /// What is in it.
    pub(crate) counts: abide_storage_sqlite::BackupCounts,
    /// What was erased again.
    pub(crate) erased: Repeated,
    /// Where what was there before lies.
    pub(crate) before: Option<PathBuf>,
}

/// Restores a backup into a place that nobody serves. Until its last step nothing is changed there.
pub(crate) async fn restore(
    place: &Place,
    keys: MasterKeys,
    wanted: Restoration,
    mut told: Told,
) -> anyhow::Result<Restored> {
    let Restoration { backup, occupied, journal, stale, now } = wanted;
    let data = place.data.clone();
    let unpacked = tokio::task::spawn_blocking(move || {
        let from = RestoreFrom { backup: &backup, data: &data, keys: &keys, occupied, now };
        unpack(from, &mut *told).map(|unpacked| (unpacked, keys))
    });
    let (unpacked, keys) = unpacked.await?.map_err(judged)?;
    let folder = unpacked.folder();
    let store = tokio::task::spawn_blocking(move || {
        let chance = Arc::new(OsChance);
        abide_storage_sqlite::open(SqliteOptions {
            data: &folder,
            keys,
            chance,
            commit_delay: None,
        })
    });
    let store = store.await?.map_err(|error| judged(error.into()))?;
    let erased = bring_up_to_date(&store, &unpacked, journal, stale, now).await?;
    let (taken_at, counts) = (unpacked.taken_at, unpacked.head.counts);
    let installed = tokio::task::spawn_blocking(move || {
        Storage::close(&*store);
        drop(store);
        unpacked.install()
    });
    let before = installed.await?.map_err(judged)?.before;
    Ok(Restored { taken_at, counts, erased, before })
}

async fn bring_up_to_date(
    store: &SqliteStore,
    unpacked: &Unpacked,
    journal: Vec<Erasure>,
    stale: Stale,
    now: Timestamp,
) -> anyhow::Result<Repeated> {
    let missing = missing(store, &journal).await?;
    if missing > 0 && stale == Stale::Refuse {
        let text = format!(
            "the erasure journal is older than the backup: it lacks {missing} erasures that the backup has, so it may lack \
             later ones too. Put the right journal in its place, or say --without-journal to use what it has"
        );
        return Err(Refused(text).into());
    }
    Ok(store.go_on(journal, unpacked.taken_at, unpacked.highest(), now).await?)
}

/// What is wrong with the file, the keys or the place is refused; what the machine did not do failed.
fn judged(error: RestoreError) -> anyhow::Error {
    match &error {
        RestoreError::Open(OpenError::InUse(_)) => {
            Refused(format!("{error}: stop the server before you restore")).into()
        }
        RestoreError::Unfit { .. }
        | RestoreError::Keys(_)
        | RestoreError::Occupied { .. }
        | RestoreError::Open(
            OpenError::TooNew(_)
            | OpenError::Altered(_)
            | OpenError::Exposed(_)
            | OpenError::Copied { .. },
        ) => Refused(error.to_string()).into(),
        RestoreError::Open(OpenError::Io { .. } | OpenError::Storage(_))
        | RestoreError::Io { .. } => error.into(),
    }
}

/// The names of the migrations that this version would apply to the data of a place.
pub(crate) async fn pending(place: &Place) -> anyhow::Result<Vec<&'static str>> {
    let data = place.data.clone();
    let look = tokio::task::spawn_blocking(move || pending_migrations(&data));
    look.await?.map_err(|error| match &error {
        OpenError::TooNew(_) | OpenError::Altered(_) => Refused(error.to_string()).into(),
        _ => error.into(),
    })
}
