//! Opening a store: the folder, the lock, the key check, the migrations.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use abide_core::shell::Chance;
use abide_storage::sealing::MasterKeys;
use abide_storage::{IdSource, StorageError};
use abide_storage_sql::shared::{Nodes, Opening, Shared, draw_holder};
use abide_storage_sql::{feeds, keys};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::checkpoint::Checkpoints;
use crate::chunks::Place;
use crate::driver::{View, database};
use crate::migrations::Unfit;
use crate::readers::Readers;
use crate::writer::Writer;
use crate::{Sqlite, SqliteStore, copying, migrations};

const READERS: usize = 4;
pub(crate) const DATABASE: &str = "abide.db";

/// What a store is opened with.
pub struct SqliteOptions<'a> {
    /// The data folder; created (0700) when it does not exist.
    pub data: &'a Path,
    /// The master keys.
    pub keys: MasterKeys,
    /// Where keys and salts come from.
    pub chance: Arc<dyn Chance>,
    /// For benchmarks: how long each commit is held up, to stand for a slow disk.
    pub commit_delay: Option<Duration>,
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another Abide process", .0.display())]
    InUse(PathBuf),
    /// Others could read it.
    #[error("{} can be read by others: run `chmod 700 {}`", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// The folder or a file in it cannot be used.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was written by a later version of Abide.
    #[error(
        "the store has schema version {0}, which this version of Abide does not know; use a newer one"
    )]
    TooNew(usize),
    /// It was made by a version of Abide that was never released.
    #[error(
        "the store was made by an unreleased version of Abide: its migration {0} was another one; begin with an empty data \
         folder"
    )]
    Altered(&'static str),
    /// It was copied into another database, or is being copied: from both everything that waits would be delivered.
    #[error(
        "the data in {} was copied, or is being copied, to {to}: serve it from there, with --database-url. Served from both, \
         everything that waits would be delivered twice. To give the copy up and serve this folder again, run \
         `abide copy --discard` with its --from and --to; where that database is gone or is never to be served, remove {}",
        .data.display(), .mark.display()
    )]
    Copied {
        /// The folder.
        data: PathBuf,
        /// Host, port and database.
        to: String,
        /// The file that says so.
        mark: PathBuf,
    },
    /// The key file does not fit, or the database is broken.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Opens the store in a data folder, creating it where there is none.
pub fn open(options: SqliteOptions<'_>) -> Result<Arc<SqliteStore>, OpenError> {
    let data = options.data;
    let lock = lock_folder(data)?;
    copying::must_not_be_copied(data)?;
    let file = data.join(DATABASE);
    let mut connection = connect(&file)?;
    prepare(&mut connection, &options.keys)?;
    let readers = (0..READERS).map(|_| connect(&file)).collect::<Result<Vec<_>, _>>()?;
    for reader in &readers {
        reader.pragma_update(None, "query_only", true).map_err(broken)?;
    }
    let mut log = file.clone().into_os_string();
    log.push("-wal");
    // True at first: the last process may have ended between wiping a key and cutting the log.
    let wiped = Arc::new(AtomicBool::new(true));
    let log = PathBuf::from(log);
    let checkpoints = Checkpoints::start(connect(&file)?, log, Arc::clone(&wiped))
        .map_err(broken)?
        .map_err(|source| OpenError::Io { path: data.to_owned(), source })?;
    let beside = Beside {
        readers: Some(Readers::new(readers)),
        checkpoints: Some(checkpoints),
        wiped,
        chunks: Place::beside(data),
        lock: Some(lock),
    };
    start(connection, options.keys, options.chance, options.commit_delay, beside)
}

/// A store in memory, gone when dropped: the fake for other crates' tests.
pub fn open_in_memory(
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
) -> Result<Arc<SqliteStore>, OpenError> {
    let mut connection = Connection::open_in_memory().map_err(broken)?;
    configure(&connection)?;
    prepare(&mut connection, &keys)?;
    start(connection, keys, chance, None, Beside::nothing())
}

/// What stands beside the writer's connection.
pub(crate) struct Beside {
    readers: Option<Readers>,
    checkpoints: Option<Checkpoints>,
    wiped: Arc<AtomicBool>,
    chunks: Place,
    lock: Option<File>,
}

impl Beside {
    /// Of a database in memory, which has one connection.
    pub(crate) fn nothing() -> Self {
        Self {
            readers: None,
            checkpoints: None,
            wiped: Arc::default(),
            chunks: Place::in_memory(),
            lock: None,
        }
    }

    /// The store, once all is there.
    pub(crate) fn store(self, shared: Arc<Shared>, writer: Writer) -> SqliteStore {
        let database = Sqlite {
            shared: Arc::clone(&shared),
            writer: Arc::new(writer),
            readers: self.readers,
            chunks: self.chunks,
            _checkpoints: self.checkpoints,
            _lock: self.lock,
        };
        SqliteStore::new(shared, database)
    }
}

fn start(
    connection: Connection,
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
    commit_delay: Option<Duration>,
    beside: Beside,
) -> Result<Arc<SqliteStore>, OpenError> {
    let shared = share(&connection, keys, chance, &beside)?;
    let writer = Writer::start(connection, Arc::clone(&shared), commit_delay)
        .map_err(|source| OpenError::Io { path: PathBuf::from("writer thread"), source })?;
    Ok(Arc::new(beside.store(shared, writer)))
}

pub(crate) fn share(
    connection: &Connection,
    keys: MasterKeys,
    chance: Arc<dyn Chance>,
    beside: &Beside,
) -> Result<Arc<Shared>, OpenError> {
    let epoch = feeds::epoch(&View(connection), &*chance)?;
    let ids = IdSource::after(highest_key(connection)?);
    let holder = draw_holder(&*chance);
    let opening = Opening { holder, ids, chance, masters: keys, epoch, nodes: Nodes::One };
    Ok(Arc::new(Shared::new(opening, Arc::clone(&beside.wiped))))
}

pub(crate) fn lock_folder(data: &Path) -> Result<File, OpenError> {
    let io = |source| OpenError::Io { path: data.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(io)?;
    let found = std::fs::metadata(data).map_err(io)?;
    if found.permissions().mode() & 0o077 != 0 {
        // A folder that was there before us and is empty is made ours; one with something in it is not touched.
        let empty = std::fs::read_dir(data).map_err(io)?.next().is_none();
        if !empty || found.uid() != current_uid(data).map_err(io)? {
            return Err(OpenError::Exposed(data.to_owned()));
        }
        std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    let path = data.join("lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io)?;
    match lock.try_lock() {
        // A restoration that was cut off is finished by whoever comes next.
        Ok(()) => crate::backup::settle(data).map(|()| lock).map_err(io),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(data.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

/// Who we are, as the owner of a file we make.
fn current_uid(near: &Path) -> std::io::Result<u32> {
    let probe = near.join(".owner");
    let file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&probe)?;
    let uid = file.metadata()?.uid();
    std::fs::remove_file(&probe)?;
    Ok(uid)
}

pub(crate) fn broken(error: rusqlite::Error) -> OpenError {
    OpenError::Storage(database(error))
}

pub(crate) fn connect(file: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open(file).map_err(broken)?;
    configure(&connection)?;
    Ok(connection)
}

pub(crate) fn configure(connection: &Connection) -> Result<(), OpenError> {
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        connection.pragma_update(None, name, value).map_err(broken)
    };
    connection.busy_timeout(Duration::from_secs(10)).map_err(broken)?;
    set("page_size", &4_096)?;
    set("journal_mode", &"wal")?;
    set("synchronous", &"full")?;
    set("wal_autocheckpoint", &0)?;
    // Negative: KiB. The writer's working set; readers share the operating system's cache.
    set("cache_size", &-32_768)?;
    set("temp_store", &"memory")?;
    set("foreign_keys", &false)?;
    // Zeroes what an erased key leaves behind in its page, without reading pages only for that.
    set("secure_delete", &"fast")?;
    connection.set_prepared_statement_cache_capacity(128);
    // No plan hangs on a bound value. Without this SQLite compiles a statement anew wherever a value bound before may
    // have shaped its plan, and it takes clearing the bindings, as the cache of statements does, for such a value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(broken)?;
    Ok(())
}

pub(crate) fn prepare(connection: &mut Connection, masters: &MasterKeys) -> Result<(), OpenError> {
    migrations::migrate(connection).map_err(broken)?.map_err(|unfit| match unfit {
        Unfit::TooNew(found) => OpenError::TooNew(found),
        Unfit::Altered(name) => OpenError::Altered(name),
    })?;
    keys::check_masters(&View(connection), masters)?;
    Ok(())
}

/// The highest key in any table: new ones come after it, whatever the clock says.
pub(crate) fn highest_key(connection: &Connection) -> Result<i64, OpenError> {
    let mut highest = 0;
    for (table, column) in [
        ("organizations", "organization"),
        ("api_keys", "api_key"),
        ("subjects", "subject"),
        ("erasures", "erasure"),
        ("destroyed", "entry"),
        ("restores", "restore"),
        ("purposes", "purpose"),
        ("policies", "policy"),
        ("consents", "consent"),
        ("decisions", "decision"),
        ("events", "event"),
        ("endpoints", "endpoint"),
        ("endpoints", "changed"),
        ("endpoints", "cancelled_through"),
        ("deliveries", "delivery"),
        ("noted_stretches", "through"),
        ("leases", "lease"),
        ("jobs", "job"),
        ("jobs", "asked"),
        ("users", "user_id"),
        ("sessions", "session"),
        ("blobs", "blob"),
        ("deletion_pauses", "pause"),
    ] {
        let found: Option<i64> = connection
            .query_row(&format!("SELECT max({column}) FROM {table}"), [], |row| row.get(0))
            .map_err(broken)?;
        highest = highest.max(found.unwrap_or(0));
    }
    // Audit entries are clustered by organization; each one's newest is at the end of its share.
    let audit: Option<i64> = connection
        .query_row(
            "SELECT max((SELECT entry FROM audit WHERE audit.organization = o.organization \
             ORDER BY entry DESC LIMIT 1)) FROM organizations AS o",
            [],
            |row| row.get(0),
        )
        .map_err(broken)?;
    Ok(highest.max(audit.unwrap_or(0)))
}
