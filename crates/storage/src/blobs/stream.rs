//! A blob as a stream: in, and out again with everything checked.

use std::fmt;

use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::blob::{CHUNK, chunk_length};
use abide_core::ids::{BlobId, OrganizationId};
use aws_lc_rs::digest::{Context, SHA256};

use super::{Blob, BlobOwner, Blobs, Chunk, Written};
use crate::sealing::End;
use crate::{StorageError, StorageResult};

/// Writes one blob from its beginning to its end.
///
/// Whoever drops one leaves nothing that can be named; what was written is removed by housekeeping. After an error there is
/// nothing left to do but [`BlobWriter::discard`], which frees the space at once.
pub struct BlobWriter {
    by: Caller,
    blob: BlobId,
    index: u32,
    /// The part that is being filled: kept back when it is full, until it is known whether it is the last.
    filling: Vec<u8>,
    hash: Context,
    length: u64,
}

impl BlobWriter {
    /// Begins a blob.
    pub async fn begin(
        blobs: &dyn Blobs,
        by: &Caller,
        owner: BlobOwner,
        now: Timestamp,
    ) -> StorageResult<BlobWriter> {
        // What a caller wishes to be carried out once is more than one blob's beginning.
        let by = Caller::new(by.organization, by.actor);
        let blob = blobs.begin(&by, owner, now).await?;
        let hash = Context::new(&SHA256);
        Ok(BlobWriter { by, blob, index: 0, filling: Vec::new(), hash, length: 0 })
    }

    /// Which blob it will be.
    pub fn blob(&self) -> BlobId {
        self.blob
    }

    /// How many bytes it has so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes; waits for the store where a part is full.
    pub async fn write(
        &mut self,
        blobs: &dyn Blobs,
        mut bytes: &[u8],
        now: Timestamp,
    ) -> StorageResult<()> {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.filling.len() == CHUNK {
                self.put(blobs, End::More, now).await?;
            }
            let (fits, rest) = bytes.split_at(bytes.len().min(CHUNK - self.filling.len()));
            self.filling.extend_from_slice(fits);
            bytes = rest;
        }
        Ok(())
    }

    /// Writes what is left; the blob is whole.
    pub async fn finish(mut self, blobs: &dyn Blobs, now: Timestamp) -> StorageResult<Blob> {
        self.put(blobs, End::Last, now).await?;
        let written = Written { length: self.length, sha256: digest(self.hash) };
        blobs.finish(&self.by, self.blob, written, now).await
    }

    /// Gives the blob up.
    pub async fn discard(self, blobs: &dyn Blobs, now: Timestamp) -> StorageResult<()> {
        blobs.discard(self.by.organization, self.blob, now).await
    }

    async fn put(&mut self, blobs: &dyn Blobs, end: End, now: Timestamp) -> StorageResult<()> {
        let chunk = Chunk { index: self.index, end, bytes: std::mem::take(&mut self.filling) };
        blobs.put(self.by.organization, self.blob, chunk, now).await?;
        self.index += 1;
        Ok(())
    }
}

/// Reads one blob from its beginning to its end. That it ends well means that all of it came, as it was written.
pub struct BlobReader {
    organization: OrganizationId,
    blob: Blob,
    index: u32,
    hash: Option<Context>,
}

impl BlobReader {
    /// Begins to read a blob that was found in that organization.
    pub fn new(organization: OrganizationId, blob: Blob) -> BlobReader {
        BlobReader { organization, blob, index: 0, hash: Some(Context::new(&SHA256)) }
    }

    /// What is known of it.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// The next part, and `None` after the last. Refused as not found once the blob is gone; damaged where what comes is not
    /// what was written.
    pub async fn next(&mut self, blobs: &dyn Blobs) -> StorageResult<Option<Vec<u8>>> {
        let Some(length) = chunk_length(self.blob.length, self.index) else { return Ok(None) };
        let chunk = blobs.chunk(self.organization, self.blob.id, self.index).await?;
        if chunk.len() != length {
            return Err(damaged());
        }
        self.index += 1;
        let Some(hash) = &mut self.hash else { return Err(damaged()) };
        hash.update(&chunk);
        if chunk_length(self.blob.length, self.index).is_none() {
            let whole = self.hash.take().map(digest);
            if whole != Some(self.blob.sha256) {
                return Err(damaged());
            }
        }
        // An empty blob has a part, and a reader has no use for it.
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }
}

fn damaged() -> StorageError {
    StorageError::Damaged("a blob's bytes".to_owned())
}

fn digest(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobWriter({}, {} bytes)", self.blob, self.length)
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobReader({:?}, at part {})", self.blob, self.index)
    }
}
