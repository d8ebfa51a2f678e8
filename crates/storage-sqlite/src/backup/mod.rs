//! A copy of a store in one file, taken from beside while a server writes or while none runs.
//!
//! The copy is what one read transaction sees, so it is whole whatever is written meanwhile; nobody waits for it. The log
//! cannot begin again under a reader, and asking it to would only hold commits up, so the copier holds a mark at which the
//! checkpoint thread looks; a process that ends in whatever way lets go of it. The log grows meanwhile by what is written.
//!
//! SQLite copies its pages into a draft beside the file, because a page must not be read past SQLite: closing the file would
//! drop the locks of this process on it. From there the file is written in one go, synced, and given its name. Whatever ends
//! the process before that leaves drafts alone, which the next backup to the same place removes.
//!
//! The files of blobs go from where they lie into the backup. None is removed while a second mark is held, from before the
//! database is copied; what is whole is never written again.

mod container;
mod restore;
mod set_aside;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abide_core::Timestamp;
use rusqlite::{Connection, OpenFlags};

pub use container::{Counts, Head, MasterKeyFact};
pub use restore::{Occupied, RestoreError, RestoreFrom, Restored, Unpacked, unpack};
pub(crate) use set_aside::settle;

use crate::examine::{Integrity, look_through};
use crate::migrations::{self, Standing};
use crate::open::{DATABASE, OpenError, broken, highest_key, lock_folder};

/// What is copied where.
#[derive(Debug, Clone, Copy)]
pub struct BackUp<'a> {
    /// The data folder.
    pub data: &'a Path,
    /// The file to write, readable by its owner alone.
    pub out: &'a Path,
    /// What to do with a file that is there.
    pub existing: Existing,
    /// The version of the program.
    pub made_by: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// What becomes of a file that has the wanted name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the backup is refused.
    Keep,
    /// The backup takes its place once it is whole.
    Replace,
}

/// How far a backup or a restoration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done now: `copying`, `checking`, `writing`, `unpacking`.
    pub step: &'static str,
    /// Bytes of the step that are done; for a step without a measure, none.
    pub done: u64,
    /// All its bytes.
    pub total: u64,
}

/// A backup that was taken.
#[derive(Debug)]
pub struct BackedUp {
    /// What it says of itself.
    pub head: Head,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file has the name already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// Another process writes a backup to the same place.
    #[error("another process is writing a backup to {}", .0.display())]
    Busy(PathBuf),
    /// The copy is damaged, and so is the store.
    #[error("the store is damaged, so no backup was taken: {}", .0.join("; "))]
    Damaged(Vec<String>),
    /// The store cannot be read.
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

/// Pages that are copied between two signs of progress.
const PAGES: i32 = 2_000;
/// The check of the copy ends with it, however long that takes.
const PATIENCE: Duration = Duration::from_hours(24 * 30);
/// Held by whoever copies: see [`is_under_way`].
const MARK: &str = "copying";
/// Held by whoever copies blobs: see [`blobs_mark`].
const BLOBS_MARK: &str = "copying-blobs";

/// Takes a backup; says now and then how far it is.
pub fn back_up(what: BackUp<'_>, told: &mut dyn FnMut(Progress)) -> Result<BackedUp, BackupError> {
    let out = what.out;
    if what.existing == Existing::Keep && fs::symlink_metadata(out).is_ok() {
        return Err(BackupError::Exists(out.to_owned()));
    }
    let file = what.data.join(DATABASE);
    // Nothing is made where there is nothing; a restoration that was cut off may have its store still beside.
    if !file.exists() && !set_aside::is_unsettled(what.data) {
        let source = io::Error::from(ErrorKind::NotFound);
        return Err(BackupError::Io { deed: "open", path: file, source });
    }
    match lock_folder(what.data) {
        // Nobody runs there, and a restoration that was cut off is finished now. A server may start meanwhile.
        Ok(lock) => drop(lock),
        Err(OpenError::InUse(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let draft = Draft::begin(out)?;
    // From before the database is copied until every file is that it names.
    let mark = what.data.join(BLOBS_MARK);
    let blobs = blobs_mark(what.data).map_err(failed("open", &mark))?;
    blobs.lock_shared().map_err(failed("lock", &mark))?;
    let facts = copy(what.data, &draft.database, told)?;
    let facts = finish_copy(&draft.database, facts, told)?;
    let head = Head::new(facts, what.made_by, what.now);
    let parts = container::Parts { database: &draft.database, sums: &draft.sums, data: what.data };
    let bytes = container::write(&draft.file, &draft.path, &head, parts, what.now, told)?;
    drop(blobs);
    draft.publish(out, what.existing)?;
    Ok(BackedUp { head, bytes })
}

/// The file that whoever copies blobs holds, shared with others who do, and that whoever removes some holds alone.
pub(crate) fn blobs_mark(data: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600).open(data.join(BLOBS_MARK))
}

/// Whether somebody is copying the store whose log this is: what would wait for readers should wait until they are done.
pub(crate) fn is_under_way(data: &Path) -> bool {
    let Ok(mark) = File::open(data.join(MARK)) else { return false };
    matches!(mark.try_lock(), Err(TryLockError::WouldBlock))
}

/// Copies what one look at the store shows. Answers where the store's schema stands.
fn copy(data: &Path, to: &Path, told: &mut dyn FnMut(Progress)) -> Result<usize, BackupError> {
    let file = data.join(DATABASE);
    let path = data.join(MARK);
    let mut options = OpenOptions::new();
    let mark = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
    let mark = mark.map_err(failed("open", &path))?;
    mark.lock_shared().map_err(failed("lock", &path))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(&file, flags).map_err(broken)?;
    from.busy_timeout(Duration::from_secs(10)).map_err(broken)?;
    // One transaction over all steps: between two of them SQLite would begin again with what was written meanwhile.
    from.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(broken)?;
    let Standing { applied, known, altered } = migrations::standing(&from).map_err(broken)?;
    if applied > known {
        return Err(OpenError::TooNew(applied).into());
    }
    if let Some(name) = altered {
        return Err(OpenError::Altered(name).into());
    }
    copy_pages(&from, to, told).map_err(broken)?;
    Ok(applied)
}

fn copy_pages(
    from: &Connection,
    to: &Path,
    told: &mut dyn FnMut(Progress),
) -> rusqlite::Result<()> {
    use rusqlite::backup::{Backup, StepResult};
    let page: i64 = from.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let mut to = Connection::open(to)?;
    // A draft that a crash leaves half is thrown away: nothing about it need be safe yet.
    to.pragma_update(None, "journal_mode", "off")?;
    to.pragma_update(None, "synchronous", "off")?;
    to.pragma_update(None, "cache_size", -16_384)?;
    let copy = Backup::new(from, &mut to)?;
    loop {
        let step = copy.step(PAGES)?;
        let progress = copy.progress();
        let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * page.unsigned_abs();
        told(Progress {
            step: "copying",
            done: bytes(progress.pagecount - progress.remaining),
            total: bytes(progress.pagecount),
        });
        if step == StepResult::Done {
            return Ok(());
        }
    }
}

/// Makes the copy a file that stands alone, checks it, and reads from it what it says of itself.
fn finish_copy(
    copy: &Path,
    schema: usize,
    told: &mut dyn FnMut(Progress),
) -> Result<container::Facts, BackupError> {
    told(Progress { step: "checking", done: 0, total: 0 });
    let connection = Connection::open(copy).map_err(broken)?;
    connection.pragma_update(None, "journal_mode", "delete").map_err(broken)?;
    match look_through(&connection, PATIENCE).map_err(broken)? {
        Integrity::Sound => {}
        Integrity::Damaged(lines) => return Err(BackupError::Damaged(lines)),
        Integrity::NotFinished => {
            return Err(BackupError::Damaged(vec!["the check did not end".to_owned()]));
        }
    }
    let is_ours = schema == migrations::EACH.len();
    let newest = is_ours.then(|| highest_key(&connection)).transpose()?;
    container::Facts::read(&connection, schema, newest).map_err(|error| broken(error).into())
}

/// What is written until the backup is whole.
struct Draft {
    file: File,
    path: PathBuf,
    database: PathBuf,
    sums: PathBuf,
}

impl Draft {
    /// Begins one, removing what an earlier process left.
    fn begin(out: &Path) -> Result<Self, BackupError> {
        let path = with_ending(out, ".draft");
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(failed("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy(out.to_owned())),
            Err(TryLockError::Error(source)) => {
                return Err(BackupError::Io { deed: "lock", path, source });
            }
        }
        file.set_len(0).map_err(failed("write", &path))?;
        let draft = Self {
            file,
            database: with_ending(&path, ".db"),
            sums: with_ending(&path, ".sums"),
            path,
        };
        draft.remove_parts();
        let made =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.database);
        made.map_err(failed("create", &draft.database))?;
        Ok(draft)
    }

    fn remove_parts(&self) {
        drop(fs::remove_file(&self.sums));
        for ending in ["", "-journal", "-wal", "-shm"] {
            // Most are not there.
            drop(fs::remove_file(with_ending(&self.database, ending)));
        }
    }

    /// On disk, and under its name.
    fn publish(self, out: &Path, existing: Existing) -> Result<(), BackupError> {
        self.file.sync_all().map_err(failed("write", &self.path))?;
        match existing {
            // A link is never made over a file that came meanwhile.
            Existing::Keep => fs::hard_link(&self.path, out).map_err(|source| {
                if source.kind() == ErrorKind::AlreadyExists {
                    BackupError::Exists(out.to_owned())
                } else {
                    BackupError::Io { deed: "create", path: out.to_owned(), source }
                }
            })?,
            Existing::Replace => fs::rename(&self.path, out).map_err(failed("replace", out))?,
        }
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.remove_parts();
        drop(fs::remove_file(&self.path));
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn failed(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { deed, path: path.to_owned(), source }
}
