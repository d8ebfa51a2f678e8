//! What a database brings along, so that the statements of this crate run on it.

use std::future::Future;
use std::sync::Arc;

use abide_core::consent::NewDecision;
use abide_core::ids::OrganizationId;
use abide_storage::StorageResult;

use crate::chunks::Chunks;
use crate::shared::Shared;
use crate::sql::Sql;
use crate::tx::Tx;

/// A database that carries out calls.
pub trait Database: Send + Sync + Sized + 'static {
    /// One transaction. The call may run more than once; what it wants done after the commit it only notes meanwhile. It
    /// is answered once it is durable (I1).
    fn write<T, F>(&self, call: Call, work: F) -> impl Future<Output = StorageResult<T>> + Send
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static;

    /// A look at one moment, beside all writing.
    fn read<T, F>(&self, work: F) -> impl Future<Output = StorageResult<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static;

    /// A look that may go through many rows: few are under way at a time, and one that finds no turn is told so.
    fn search<T, F>(&self, work: F) -> impl Future<Output = StorageResult<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &Shared) -> StorageResult<T> + Send + Sync + 'static;

    /// Gives their numbers to everything of the organization that is committed and has none yet.
    fn number_feeds(&self, of: OrganizationId) -> impl Future<Output = StorageResult<()>> + Send;

    /// Learns the time that all nodes go by; fails where it cannot be known well enough. Nothing where there is one node.
    fn synchronise(&self) -> impl Future<Output = StorageResult<()>> + Send;

    /// Where the parts of blobs lie.
    fn chunks(&self) -> &impl Chunks;

    /// As [`abide_storage::Storage::broken`].
    fn broken(&self) -> Option<String>;

    /// As [`abide_storage::Storage::close`].
    fn close(&self);
}

/// What a database is told of a call before it runs.
#[derive(Debug, Clone)]
pub struct Call {
    /// About how many bytes it holds while it waits.
    pub bytes: usize,
    /// What nobody else may change meanwhile.
    pub alone: Alone,
    /// What it will ask about, where many such calls may share a transaction.
    pub ahead: Option<Ahead>,
    /// Whether it may wait behind others.
    pub haste: Haste,
}

/// Whether a call may wait behind others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// As all do.
    Usual,
    /// It says that this node is alive: whatever others wait for, it is not to wait with them.
    Vital,
}

impl Call {
    /// A call of that size that locks the rows it changes by itself.
    pub fn of(bytes: usize) -> Self {
        Self { bytes, alone: Alone::Rows, ahead: None, haste: Haste::Usual }
    }
}

/// Decisions that a call is about to record: whom they are about is looked up at once for many calls. It is for speed alone;
/// what a call finds does not hang on it.
#[derive(Debug, Clone)]
pub struct Ahead {
    /// Whose decisions they are.
    pub organization: OrganizationId,
    /// The decisions.
    pub decisions: Arc<[NewDecision]>,
}

/// What a call needs for itself. A database with one writer gives every call all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    /// The rows that it locks by itself.
    Rows,
    /// The organization: no other call of it runs meanwhile.
    Organization(OrganizationId),
    /// The people that it is about, while the organization stays as it is.
    People(OrganizationId),
}
