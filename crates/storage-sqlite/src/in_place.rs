//! A store without threads, for simulations: its calls run in the runtime of their callers, when that turns to them and
//! in an order that repeats itself. What a batch does to the data, and what follows it, is the same as in every store.

use std::sync::Arc;

use abide_core::shell::Chance;
use abide_storage::sealing::MasterKeys;
use rusqlite::{Connection, OpenFlags};

use crate::SqliteStore;
use crate::open::{Beside, OpenError, broken, configure, prepare, share};
use crate::writer::Writer;

/// What a store without threads is opened with.
pub struct InPlace<'a> {
    /// Names a database in this process' memory. It lives as long as anybody has it open, such as by [`keep`], so that
    /// a store can be opened on what another one left.
    pub database: &'a str,
    /// The master keys.
    pub keys: MasterKeys,
    /// Where keys and salts come from.
    pub chance: Arc<dyn Chance>,
    /// What happens to its batches.
    pub batches: Box<dyn Batches>,
}

/// Says what happens to batches of calls.
pub trait Batches {
    /// The calls of a batch ran, and it is about to be committed. One that dies here leaves nothing of it.
    fn committing(&mut self, calls: usize) -> Fate;

    /// A batch is committed, and nobody has been told. One that dies here leaves it all, and answers nobody.
    fn committed(&mut self) -> Fate;
}

/// Whether the process lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does.
    Lives,
    /// It dies: no call is answered any more.
    Dies,
}

/// Opens a store and the writer that carries out its calls for as long as somebody polls it. Dropping the writer is the
/// death of the process: what is not committed is undone.
pub fn open_in_place(
    options: InPlace<'_>,
) -> Result<(Arc<SqliteStore>, impl Future<Output = ()> + use<>), OpenError> {
    let InPlace { database, keys, chance, batches } = options;
    let mut connection = connect(database)?;
    configure(&connection)?;
    prepare(&mut connection, &keys)?;
    let beside = Beside::nothing();
    let shared = share(&connection, keys, chance, &beside)?;
    let (writer, works) = Writer::in_place(connection, Arc::clone(&shared), batches);
    Ok((Arc::new(beside.store(shared, writer)), works))
}

/// Opens a database of this process' memory, and so keeps it: to look at, and to be there for the next store.
pub fn keep(database: &str) -> Result<Connection, OpenError> {
    connect(database)
}

pub(crate) fn connect(database: &str) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(format!("file:/{database}?vfs=memdb"), flags).map_err(broken)
}
