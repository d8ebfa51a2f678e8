//! A backup, unpacked, checked and put in its place.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use abide_core::Timestamp;
use abide_storage::StorageError;
use abide_storage::sealing::{MasterId, MasterKeys};
use abide_storage_sql::keys;
use rusqlite::{Connection, OpenFlags};

use super::container::{self, Counts, Head, Misfit};
use super::set_aside::{self, UNFINISHED};
use super::{PATIENCE, Progress};
use crate::chunks::{FOLDER as BLOBS, each_whole};
use crate::driver::View;
use crate::examine::{Integrity, look_through};
use crate::migrations;
use crate::open::{DATABASE, OpenError, broken, highest_key, lock_folder};

/// What is restored where.
#[derive(Debug, Clone, Copy)]
pub struct RestoreFrom<'a> {
    /// The file of the backup.
    pub backup: &'a Path,
    /// The data folder; made where there is none.
    pub data: &'a Path,
    /// The master keys, which have to open what is in the backup.
    pub keys: &'a MasterKeys,
    /// What to do where there is a store already.
    pub occupied: Occupied,
    /// Now.
    pub now: Timestamp,
}

/// What becomes of a store that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupied {
    /// It stays, and the restoration is refused.
    Refuse,
    /// It is kept within the folder under another name.
    SetAside,
}

/// Why nothing was restored. Whatever it is, the folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is no backup that can be used.
    #[error("{} {problem}", .path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key file does not open what is in the backup.
    #[error("the backup cannot be opened: {0}")]
    Keys(String),
    /// There is something in the folder already.
    #[error("{} is not empty (it holds {found}): restoring would put another store in its place", .data.display())]
    Occupied {
        /// The folder.
        data: PathBuf,
        /// Something that was found there.
        found: String,
    },
    /// The folder or the restored store cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be read or written.
    #[error("cannot {deed} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A backup that was unpacked and checked, in a folder of its own beside what is there; gone when dropped.
#[derive(Debug)]
pub struct Unpacked {
    /// What the backup says of itself.
    pub head: Head,
    /// When it was taken.
    pub taken_at: Timestamp,
    data: PathBuf,
    /// The highest key that the store of before is known to have; 0 where there is none or it cannot be read.
    highest: i64,
    stamp: String,
    /// Keeps every other process out of the data folder.
    _lock: File,
}

/// A restored store in its place.
#[derive(Debug)]
pub struct Restored {
    /// Where what was there before lies now.
    pub before: Option<PathBuf>,
}

/// Unpacks a backup and checks it; says now and then how far it is.
pub fn unpack(
    from: RestoreFrom<'_>,
    told: &mut dyn FnMut(Progress),
) -> Result<Unpacked, RestoreError> {
    let unfit = |misfit: Misfit| unfit(from.backup, &misfit);
    let head = container::head_of(from.backup).map_err(unfit)?;
    judge(from.backup, &head, from.keys)?;
    let lock = lock_folder(from.data)?;
    let occupants = set_aside::names(from.data).map_err(failed("read", from.data))?;
    let occupant = occupants.into_iter().find(|name| !set_aside::is_of_the_folder(name));
    if let (Some(found), Occupied::Refuse) = (&occupant, from.occupied) {
        return Err(RestoreError::Occupied { data: from.data.to_owned(), found: found.clone() });
    }
    let taken_at = Timestamp::parse(&head.taken_at)
        .map_err(|_| unfit(Misfit::Damaged("it does not say when it was taken".to_owned())))?;
    let unpacked = Unpacked {
        taken_at,
        data: from.data.to_owned(),
        highest: highest_of(&from.data.join(DATABASE)).max(head.newest_key.unwrap_or(0)),
        // Without the colons, which some file systems do not take.
        stamp: from.now.to_millis_text().replace(':', ""),
        head,
        _lock: lock,
    };
    let draft = unpacked.folder();
    unpacked.remove().map_err(failed("remove", &draft))?;
    DirBuilder::new().mode(0o700).create(&draft).map_err(failed("create", &draft))?;
    let path = draft.join(DATABASE);
    let head = container::read(from.backup, &draft, told).map_err(unfit)?;
    told(Progress { step: "checking", done: 0, total: 0 });
    check(from.backup, &path, &head, from.keys)?;
    Ok(unpacked)
}

/// Whether this version and these keys can read it, by what it says of itself.
fn judge(backup: &Path, head: &Head, masters: &MasterKeys) -> Result<(), RestoreError> {
    if head.schema > migrations::EACH.len() {
        return Err(RestoreError::Unfit {
            path: backup.to_owned(),
            problem: format!(
                "holds a store of schema version {}, which this version of Abide does not know; use a newer one",
                head.schema
            ),
        });
    }
    for needed in &head.master_keys {
        let held = needed.id.parse().ok().and_then(|id: MasterId| masters.get(id));
        let Some(held) = held else {
            let problem = format!("the key file lacks master key {}, which it needs", needed.id);
            return Err(RestoreError::Keys(problem));
        };
        if abide_core::consent::hash::hex(&held.check_value()) != needed.check_value {
            let problem = format!(
                "master key {} of the key file is not the one it was sealed under",
                needed.id
            );
            return Err(RestoreError::Keys(problem));
        }
    }
    Ok(())
}

/// Looks through the database that was unpacked.
fn check(
    backup: &Path,
    file: &Path,
    head: &Head,
    masters: &MasterKeys,
) -> Result<(), RestoreError> {
    let damaged = |problem: String| unfit(backup, &Misfit::Damaged(problem));
    let connection = Connection::open(file).map_err(broken)?;
    match look_through(&connection, PATIENCE).map_err(broken)? {
        Integrity::Sound => {}
        Integrity::Damaged(lines) => return Err(damaged(lines.join("; "))),
        Integrity::NotFinished => return Err(damaged("its check did not end".to_owned())),
    }
    let standing = migrations::standing(&connection).map_err(broken)?;
    if let Some(name) = standing.altered {
        return Err(OpenError::Altered(name).into());
    }
    let counts = Counts::of(&connection).map_err(broken)?;
    if counts.blobs > 0 {
        let folder = file.parent().unwrap_or(file);
        each_whole(file, |name, bytes| {
            let found = fs::metadata(folder.join(name)).map_or(0, |facts| facts.len());
            if found == bytes {
                return Ok(());
            }
            let problem =
                format!("it names the blob {} and does not hold it whole", name.display());
            Err(damaged(problem))
        })?;
        sync_folders(&folder.join(BLOBS)).map_err(failed("sync", folder))?;
    }
    if standing.applied != head.schema || counts != head.counts {
        return Err(damaged("it does not hold what it says that it holds".to_owned()));
    }
    if standing.applied < standing.known {
        // Once it is brought up to date, opening it asks.
        return Ok(());
    }
    match keys::compare_masters(&View(&connection), masters) {
        Ok(_) => Ok(()),
        Err(StorageError::Unavailable(problem)) => Err(RestoreError::Keys(problem)),
        Err(error) => Err(OpenError::Storage(error).into()),
    }
}

/// The names of files in a folder and in the folders in it are on disk.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for name in set_aside::names(folder)? {
        let within = folder.join(name);
        if within.is_dir() {
            File::open(within)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// The highest key of a store that is about to be replaced, as far as it can be read.
fn highest_of(file: &Path) -> i64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).ok();
    connection.and_then(|connection| highest_key(&connection).ok()).unwrap_or(0)
}

impl Unpacked {
    /// Where the unpacked store lies: a data folder of its own, to be opened, brought up to date and closed before it is
    /// installed.
    pub fn folder(&self) -> PathBuf {
        self.data.join(UNFINISHED)
    }

    /// The highest key that is known to have been drawn, by the backup and by the store of before.
    pub fn highest(&self) -> i64 {
        self.highest
    }

    /// Puts the store in its place; what was there is kept under another name. From its first step on it is finished by
    /// whoever next opens the folder, whatever becomes of this process.
    pub fn install(self) -> Result<Restored, RestoreError> {
        let folder = self.folder();
        let path = folder.join(DATABASE);
        // One file that stands alone: the log goes into it.
        let connection = Connection::open(&path).map_err(broken)?;
        let mode: String = connection
            .query_row("PRAGMA journal_mode = delete", [], |row| row.get(0))
            .map_err(broken)?;
        if mode != "delete" {
            let problem = "the restored store is still open".to_owned();
            return Err(OpenError::Storage(StorageError::Unavailable(problem)).into());
        }
        drop(connection);
        File::open(&path).and_then(|file| file.sync_all()).map_err(failed("sync", &path))?;
        set_aside::commit(&self.data, &self.stamp).map_err(failed("rename", &folder))?;
        set_aside::settle(&self.data).map_err(failed("put a store into", &self.data))?;
        Ok(Restored { before: set_aside::aside(&self.data, &self.stamp) })
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.folder()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // Under this name it is no store yet; the next restoration would remove it.
        drop(self.remove());
    }
}

fn unfit(path: &Path, misfit: &Misfit) -> RestoreError {
    RestoreError::Unfit { path: path.to_owned(), problem: misfit.to_string() }
}

fn failed(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    move |source| RestoreError::Io { deed, path: path.to_owned(), source }
}
