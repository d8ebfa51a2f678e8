//! Bytes too large for a row: audio, uploads, packages.
//!
//! A blob is written in parts of [`CHUNK`](abide_core::blob::CHUNK) bytes, each sealed under the blob's own key for its
//! place in this blob and durable before the next is taken; only then the blob's row says that it is whole, and only a whole
//! one can be named or read. [`BlobWriter`] and [`BlobReader`] do that over the methods here, with two parts in memory at
//! most (I9).
//!
//! The blob's key is wrapped by its owner's: erasing a person, or deleting an organization, makes their blobs unreadable at
//! once, wherever a copy lies; the parts follow. A row that names a blob holds it, and the blob goes with the last of them.

mod stream;

use std::fmt;

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::ids::{BlobId, OrganizationId, SubjectId};
use async_trait::async_trait;

use crate::StorageResult;
use crate::sealing::End;

pub use stream::{BlobReader, BlobWriter};

/// Whom a blob is about: under whose key it is, and so with whom it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobOwner {
    /// One person.
    Subject(SubjectId),
    /// Many people, or nobody: the organization. Such a blob is kept for
    /// [`ABOUT_MANY_MILLIS`](abide_core::blob::ABOUT_MANY_MILLIS), whoever names it.
    Organization,
}

/// What is known of a whole blob.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// Which.
    pub id: BlobId,
    /// Whom it is about.
    pub owner: BlobOwner,
    /// Its bytes.
    pub length: u64,
    /// The hash of them.
    pub sha256: [u8; 32],
    /// When it was begun.
    pub created_at: Timestamp,
    /// From when it cannot be read any more.
    pub expires_at: Option<Timestamp>,
}

/// What a writer knows once it has written everything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// How many bytes.
    pub length: u64,
    /// The hash of them.
    pub sha256: [u8; 32],
}

/// A part on its way to the store.
pub struct Chunk {
    /// Which, from 0, in order.
    pub index: u32,
    /// Whether more follow.
    pub end: End,
    /// The bytes: as many as [`CHUNK`](abide_core::blob::CHUNK), the last at most so many.
    pub bytes: Vec<u8>,
}

/// The row that names a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The table, by its name in the schema.
    pub table: &'static str,
    /// The integer key of the row.
    pub row: i64,
}

/// A time in which nothing of any blob is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletionPause(pub i64);

/// Blobs.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Begins a blob with a key of its own. Refused where its owner does not exist or was erased.
    async fn begin(&self, by: &Caller, owner: BlobOwner, now: Timestamp) -> StorageResult<BlobId>;

    /// Adds the next part, durably. Refused as not found where the blob is not being written, and so also once its owner was
    /// erased.
    async fn put(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        chunk: Chunk,
        now: Timestamp,
    ) -> StorageResult<()>;

    /// Makes a blob whole whose parts are all there; from then on it can be named and read. Audited.
    async fn finish(
        &self,
        by: &Caller,
        blob: BlobId,
        written: Written,
        now: Timestamp,
    ) -> StorageResult<Blob>;

    /// Gives up a blob that is being written. Nothing happens to any other.
    async fn discard(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        now: Timestamp,
    ) -> StorageResult<()>;

    /// A whole blob; `None` where there is none of that id, its time is over, or its owner was erased.
    async fn find(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        now: Timestamp,
    ) -> StorageResult<Option<Blob>>;

    /// A part of a whole blob, checked to be that part of that blob. Refused as not found where the blob is gone, also between
    /// one part and the next.
    async fn chunk(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        index: u32,
    ) -> StorageResult<Vec<u8>>;

    /// Notes that a row names a whole blob, which is kept for as long as one does. Once more is the same.
    async fn hold(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        holder: Holder,
        now: Timestamp,
    ) -> StorageResult<()>;

    /// Notes that a row no longer names a blob; with the last one its key goes, and its parts follow.
    async fn release(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        holder: Holder,
        now: Timestamp,
    ) -> StorageResult<()>;

    /// Removes about `limit` blobs whose time is over, with their parts; answers how many steps that took, so that 0 means
    /// that there is nothing to do. For housekeeping.
    async fn sweep(&self, limit: u32, now: Timestamp) -> StorageResult<u32>;

    /// Looks at some of the places where parts lie, and removes parts that belong to no blob; each `turn` looks elsewhere.
    /// Answers how many blobs they were of. For housekeeping.
    async fn sweep_strays(&self, turn: u64, now: Timestamp) -> StorageResult<u32>;

    /// Removes nothing of any blob until that time, or until [`Blobs::resume_deletions`]: what is whole in a view of the
    /// database that begins after this stays readable in the files beside it. Keys still go at once. For backups.
    async fn pause_deletions(
        &self,
        until: Timestamp,
        now: Timestamp,
    ) -> StorageResult<DeletionPause>;

    /// Ends a pause before its time.
    async fn resume_deletions(&self, pause: DeletionPause) -> StorageResult<()>;
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hash of a short personal text can be tried against guesses of it (I11).
        let (id, owner, length) = (self.id, self.owner, self.length);
        write!(f, "Blob({id}, of {owner:?}, {length} bytes)")
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({} bytes)", self.length)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({}, {:?}, {} bytes)", self.index, self.end, self.bytes.len())
    }
}
