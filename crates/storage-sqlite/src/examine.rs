//! A look at a data folder from beside, for an operator who asks whether it is sound. It takes no lock and writes no
//! row, so it may be taken while a server runs; and it migrates nothing, so an older store can be looked at too.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::ids::EventId;
use abide_storage::sealing::MasterKeys;
use abide_storage_sql::keys;
use rusqlite::{Connection, OpenFlags};

use crate::driver::View;
use crate::migrations;
use crate::migrations::Standing;
use crate::open::{DATABASE, OpenError, broken, highest_key};

/// What was seen.
#[derive(Debug)]
pub struct Examined {
    /// Bytes of the database and of its log.
    pub bytes: u64,
    /// Migrations that were applied.
    pub applied: usize,
    /// Migrations that this version knows.
    pub known: usize,
    /// The first applied migration that is another one than this version knows.
    pub altered: Option<&'static str>,
    /// When the newest row was written, by its id; `None` for a store of another version, or a damaged one.
    pub newest: Option<Timestamp>,
    /// What is wrong with the master keys that were brought along, measured by what the store knows of them; `None` where
    /// damage keeps it from being asked.
    pub keys: Option<Result<(), String>>,
    /// What SQLite found in the file.
    pub integrity: Integrity,
}

/// What a look through the whole file showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// Nothing.
    Sound,
    /// Damage, in SQLite's words, the first few.
    Damaged(Vec<String>),
    /// The time allowed for it was over first.
    NotFinished,
}

/// Looks at the store in a data folder. The look through the file ends after `patience`: as a long reader it keeps the
/// log from beginning again.
pub fn examine(
    data: &Path,
    masters: &MasterKeys,
    patience: Duration,
) -> Result<Examined, OpenError> {
    let file = data.join(DATABASE);
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |facts| facts.len());
    let mut log = file.clone().into_os_string();
    log.push("-wal");
    if let Err(source) = std::fs::metadata(&file) {
        return Err(OpenError::Io { path: file, source });
    }
    let bytes = size(&file) + size(Path::new(&log));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file, flags).map_err(broken)?;
    connection.busy_timeout(Duration::from_secs(2)).map_err(broken)?;
    let Standing { applied, known, altered } = migrations::standing(&connection).map_err(broken)?;
    let integrity = look_through(&connection, patience).map_err(broken)?;
    let is_readable = !matches!(integrity, Integrity::Damaged(_));
    let is_ours = applied == known && altered.is_none();
    let newest = (is_ours && is_readable).then(|| highest_key(&connection)).transpose()?;
    let newest = newest.map(|key| EventId::from_key(key).drawn_at());
    let keys = is_readable.then(|| {
        let compared = keys::compare_masters(&View(&connection), masters);
        compared.map(drop).map_err(|problem| problem.to_string())
    });
    Ok(Examined { bytes, applied, known, altered, newest, keys, integrity })
}

/// The names of the migrations that opening the store in a data folder would apply, in their order.
pub fn pending_migrations(data: &Path) -> Result<Vec<&'static str>, OpenError> {
    let file = data.join(DATABASE);
    if let Err(source) = std::fs::metadata(&file) {
        return Err(OpenError::Io { path: file, source });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&file, flags).map_err(broken)?;
    connection.busy_timeout(Duration::from_secs(2)).map_err(broken)?;
    let Standing { applied, known, altered } = migrations::standing(&connection).map_err(broken)?;
    match altered {
        _ if applied > known => Err(OpenError::TooNew(applied)),
        Some(name) => Err(OpenError::Altered(name)),
        None => {
            let pending = migrations::EACH[applied..].iter();
            Ok(pending.map(|(name, _)| name.trim_end_matches(".sql")).collect())
        }
    }
}

pub(crate) fn look_through(
    connection: &Connection,
    patience: Duration,
) -> rusqlite::Result<Integrity> {
    let interrupt = connection.get_interrupt_handle();
    let (done, is_done) = channel::<()>();
    let watch = thread::spawn(move || {
        if is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let found: rusqlite::Result<Vec<String>> = connection
        .prepare("PRAGMA quick_check(5)")
        .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect());
    drop(done);
    // It has nothing to say.
    let _ = watch.join();
    match found {
        Ok(lines) if lines == ["ok"] => Ok(Integrity::Sound),
        Ok(lines) => Ok(Integrity::Damaged(lines)),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            Ok(Integrity::NotFinished)
        }
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            Ok(Integrity::Damaged(vec![error.to_string()]))
        }
        Err(error) => Err(error),
    }
}
