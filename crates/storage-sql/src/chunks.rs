//! Where the sealed parts of blobs lie: each database's own matter.

use std::any::Any;
use std::future::Future;

use abide_core::ids::BlobId;
use abide_storage::StorageResult;

/// Keeps sealed parts. What a blob's state is, and whether a part may come or go, its row says, and whoever calls this has
/// looked.
pub trait Chunks: Send + Sync {
    /// Adds the next part of a blob that is being written, durably. Fails where the parts before it are not there, or where
    /// the blob was settled.
    fn put(
        &self,
        blob: BlobId,
        index: u32,
        sealed: Vec<u8>,
    ) -> impl Future<Output = StorageResult<()>> + Send;

    /// All parts are there: after this no crash loses any of them, and none is written any more.
    fn settle(&self, blob: BlobId) -> impl Future<Output = StorageResult<()>> + Send;

    /// A part of a settled blob.
    fn get(
        &self,
        blob: BlobId,
        index: u32,
    ) -> impl Future<Output = StorageResult<Option<Vec<u8>>>> + Send;

    /// The turn to remove parts, for as long as it is kept; `None` while somebody from outside copies them.
    fn turn_to_remove(&self) -> impl Future<Output = StorageResult<Option<TurnToRemove>>> + Send;

    /// Removes parts of a blob, settled or not: all, or as many as may go at once. For whoever has the turn.
    fn remove(&self, blob: BlobId) -> impl Future<Output = StorageResult<Removed>> + Send;

    /// Blobs whose parts lie in one of the places, another at each turn, for a look whether they have a row. None where parts
    /// cannot be there without it.
    fn strays(&self, turn: u64) -> impl Future<Output = StorageResult<Vec<BlobId>>> + Send;
}

/// Ends when it is dropped.
pub struct TurnToRemove(Option<Box<dyn Any + Send>>);

impl TurnToRemove {
    /// Where nobody copies from outside.
    pub fn always() -> Self {
        Self(None)
    }

    /// Where whoever wants to copy waits for this to be dropped.
    pub fn held_by(kept: impl Any + Send) -> Self {
        Self(Some(Box::new(kept)))
    }
}

impl std::fmt::Debug for TurnToRemove {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TurnToRemove").field(&self.0.is_some()).finish()
    }
}

/// What is left of a blob's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Nothing.
    All,
    /// Some.
    Part,
}

/// The length of a sealed part that is not the last.
pub const SEALED_CHUNK: usize = abide_core::blob::CHUNK + abide_storage::sealing::SEALED_OVERHEAD;
