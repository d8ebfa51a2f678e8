//! Blobs: their rows here, their parts wherever the database keeps them.
//!
//! A row is there before the first part and goes after the last one, so that what a crash leaves is found through its row.
//! `sweep_at` says when a blob is to go unless something happens before; whatever happens moves it. Parts are removed in one
//! way alone, [`SqlStore::remove`]: it takes the key first, under the lock that a pause of deletions takes, too.

use std::sync::Arc;

use crate::leases::must_do_chores;
use crate::params;
use crate::sql::{Sql, Turn};
use abide_core::access::Caller;
use abide_core::blob::{
    ABOUT_MANY_MILLIS, BROKEN_OFF_MILLIS, UNNAMED_MILLIS, chunk_length, chunks,
};
use abide_core::ids::{Blob as BlobKind, BlobId, Id, OrganizationId, SubjectId};
use abide_core::{Refusal, Timestamp};
use abide_storage::blobs::{Blob, BlobOwner, Chunk, DeletionPause, Holder, Written};
use abide_storage::sealing::{BlobKey, ChunkPlace, End, OrganizationKeys, Place, SubjectKey};
use abide_storage::{Blobs, StorageResult};
use async_trait::async_trait;

use crate::after::{After, refused};
use crate::chunks::{Chunks, Removed};
use crate::database::{Alone, Call, Database};
use crate::keys;
use crate::rows::{at, damaged, id, maybe_at, maybe_id};
use crate::shared::Shared;
use crate::store::SqlStore;
use crate::tx::Tx;

/// What of a list of blobs is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// Those whose time is over.
    Due,
    /// All of them: their organization is gone.
    All,
}

/// A blob's row, with its key open.
struct Open {
    key: BlobKey,
    state: String,
    owner: BlobOwner,
    chunks: u32,
    length: Option<i64>,
    sha256: Option<Vec<u8>>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

/// A row of an organization, unless its key is gone.
fn open(
    sql: &dyn Sql,
    shared: &Shared,
    of: OrganizationId,
    blob: BlobId,
) -> StorageResult<Option<Open>> {
    sql.sql(
        "SELECT blobs.*, subjects.wrapped_key AS owner_key FROM blobs LEFT JOIN subjects USING (subject) \
         WHERE blob = ? AND blobs.organization = ? AND state != 'going'",
    )
    .maybe([blob.key(), of.key()], |row| {
        let subject: Option<SubjectId> = maybe_id(row, "subject")?;
        let owner = subject.map_or(BlobOwner::Organization, BlobOwner::Subject);
        let wrapped: Vec<u8> = row.get("wrapped_key")?;
        let owner_key: Option<Vec<u8>> = row.get("owner_key")?;
        let keys = keys::organization_keys(sql, shared, of)?;
        let Some(key) = open_key(&keys, owner, owner_key.as_deref(), blob, &wrapped)? else {
            return Ok(None);
        };
        Ok(Some(Open {
            key,
            state: row.get("state")?,
            owner,
            chunks: row.get("chunks")?,
            length: row.get("length")?,
            sha256: row.get("sha256")?,
            created_at: at(row, "created_at")?,
            expires_at: maybe_at(row, "expires_at")?,
        }))
    })
    .map(Option::flatten)
}

/// A blob's key, by its owner's; `None` where that is gone.
fn open_key(
    keys: &OrganizationKeys,
    owner: BlobOwner,
    owner_key: Option<&[u8]>,
    blob: BlobId,
    wrapped: &[u8],
) -> StorageResult<Option<BlobKey>> {
    let opened = match owner {
        BlobOwner::Organization => BlobKey::unwrap(&keys.key, blob.key(), wrapped),
        BlobOwner::Subject(subject) => {
            let Some(owner_key) = owner_key else { return Ok(None) };
            let owner = SubjectKey::unwrap(keys, subject.key(), owner_key)
                .map_err(|_| damaged("subjects.wrapped_key"))?;
            BlobKey::unwrap(&owner, blob.key(), wrapped)
        }
    };
    opened.map(Some).map_err(|_| damaged("blobs.wrapped_key"))
}

fn hash_place(blob: BlobId) -> Place {
    Place { table: "blobs", column: "sha256", row: blob.key() }
}

impl Open {
    /// As its readers know it; `None` where it is not whole, or its time is over.
    fn shown(&self, blob: BlobId, now: Timestamp) -> StorageResult<Option<Blob>> {
        let is_over = self.expires_at.is_some_and(|at| at <= now);
        let (Some(length), Some(sealed)) = (self.length, &self.sha256) else { return Ok(None) };
        if self.state != "whole" || is_over {
            return Ok(None);
        }
        let sha256 = self.key.open(&hash_place(blob), sealed).ok();
        Ok(Some(Blob {
            id: blob,
            owner: self.owner,
            length: length.try_into().map_err(|_| damaged("blobs.length"))?,
            sha256: sha256
                .and_then(|hash| hash.try_into().ok())
                .ok_or_else(|| damaged("blobs.sha256"))?,
            created_at: self.created_at,
            expires_at: self.expires_at,
        }))
    }
}

fn gone<T>() -> StorageResult<T> {
    refused(Refusal::NotFound("the blob"))
}

#[async_trait]
impl<D: Database> Blobs for SqlStore<D> {
    async fn begin(&self, by: &Caller, owner: BlobOwner, now: Timestamp) -> StorageResult<BlobId> {
        let of = by.organization;
        let call = Call { alone: Alone::People(of), ..Call::of(128) };
        self.database().write(call, move |tx| begin(tx, of, owner, now)).await
    }

    async fn put(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        chunk: Chunk,
        now: Timestamp,
    ) -> StorageResult<()> {
        let Chunk { index, end, bytes } = chunk;
        let sealed = self
            .read(move |sql, shared| {
                let Some(open) = open(sql, shared, organization, blob)? else { return gone() };
                if open.state != "open" || open.chunks != index {
                    return gone();
                }
                let place = ChunkPlace { blob: blob.key(), index, end };
                Ok(open.key.seal_chunk(&place, &bytes))
            })
            .await?;
        self.database().chunks().put(blob, index, sealed).await?;
        self.write(64, move |tx| {
            let waits_until = now.plus_millis(BROKEN_OFF_MILLIS);
            let added = tx
                .sql(
                    "UPDATE blobs SET chunks = ?1 + 1, sweep_at = ?2 \
                     WHERE blob = ?3 AND state = 'open' AND chunks = ?1",
                )
                .execute(params![index, waits_until.as_millis(), blob.key()])?;
            // It went meanwhile, with its owner or its time: what was just written is found by the sweep.
            if added == 1 { Ok(()) } else { gone() }
        })
        .await
    }

    async fn finish(
        &self,
        by: &Caller,
        blob: BlobId,
        written: Written,
        now: Timestamp,
    ) -> StorageResult<Blob> {
        let by = *by;
        let parts = chunks(written.length);
        let all_there = move |open: Option<Open>| match open {
            Some(open) if open.state == "open" && u64::from(open.chunks) == parts => Ok(open),
            Some(open) if open.state == "open" => {
                let problem = "the blob's parts do not come to its length".to_owned();
                refused(Refusal::Conflict(problem))
            }
            Some(_) | None => gone(),
        };
        self.read(move |sql, shared| {
            all_there(open(sql, shared, by.organization, blob)?).map(drop)
        })
        .await?;
        self.database().chunks().settle(blob).await?;
        self.write(128, move |tx| {
            tx.sql("SELECT 1 FROM blobs WHERE blob = ? FOR UPDATE").exists([blob.key()])?;
            let open =
                all_there(open(tx.connection(), tx.shared(), by.organization, blob)?)?;
            let expires_at = match open.owner {
                BlobOwner::Organization => Some(now.plus_millis(ABOUT_MANY_MILLIS)),
                BlobOwner::Subject(_) => None,
            };
            let length = i64::try_from(written.length).map_err(|_| damaged("blobs.length"))?;
            let sealed = open.key.seal(&hash_place(blob), &written.sha256);
            tx.sql(
                "UPDATE blobs SET state = 'whole', length = ?, sha256 = ?, expires_at = ?, sweep_at = ? \
                 WHERE blob = ?",
            )
            .execute(params![
                length,
                sealed,
                expires_at.map(Timestamp::as_millis),
                now.plus_millis(UNNAMED_MILLIS).as_millis(),
                blob.key()
            ])?;
            tx.audit(&by, "blob.create", &blob.to_string(), now)?;
            let (owner, created_at) = (open.owner, open.created_at);
            let Written { length, sha256 } = written;
            Ok(Blob { id: blob, owner, length, sha256, created_at, expires_at })
        })
        .await
    }

    async fn discard(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        now: Timestamp,
    ) -> StorageResult<()> {
        self.write(64, move |tx| {
            let is_open = tx
                .sql(
                    "SELECT 1 FROM blobs WHERE blob = ? AND organization = ? AND state = 'open' FOR UPDATE",
                )
                .exists([blob.key(), organization.key()])?;
            if is_open { forget_key(tx, blob, now) } else { Ok(()) }
        })
        .await
    }

    async fn find(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        now: Timestamp,
    ) -> StorageResult<Option<Blob>> {
        self.read(move |sql, shared| match open(sql, shared, organization, blob)? {
            Some(open) => open.shown(blob, now),
            None => Ok(None),
        })
        .await
    }

    async fn chunk(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        index: u32,
    ) -> StorageResult<Vec<u8>> {
        let found = self.read(move |sql, shared| open(sql, shared, organization, blob)).await?;
        let Some(open) = found.filter(|open| open.state == "whole") else { return gone() };
        let length = open.length.unwrap_or(0).cast_unsigned();
        if chunk_length(length, index).is_none() {
            return gone();
        }
        let Some(sealed) = self.database().chunks().get(blob, index).await? else {
            // The sweep may have been faster.
            let held = "SELECT 1 FROM blobs WHERE blob = ? AND state = 'whole'";
            let is_whole = self.read(move |sql, _| sql.sql(held).exists([blob.key()])).await?;
            return if is_whole { Err(damaged("a blob's part is missing")) } else { gone() };
        };
        let is_last = u64::from(index) + 1 == chunks(length);
        let end = if is_last { End::Last } else { End::More };
        let place = ChunkPlace { blob: blob.key(), index, end };
        open.key.open_chunk(&place, &sealed).map_err(|_| damaged("a blob's part"))
    }

    async fn hold(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        holder: Holder,
        now: Timestamp,
    ) -> StorageResult<()> {
        self.write(128, move |tx| hold(tx, organization, blob, holder, now)).await
    }

    async fn release(
        &self,
        organization: OrganizationId,
        blob: BlobId,
        holder: Holder,
        now: Timestamp,
    ) -> StorageResult<()> {
        self.write(128, move |tx| release(tx, organization, blob, holder, now)).await
    }

    async fn sweep(&self, limit: u32, now: Timestamp) -> StorageResult<u32> {
        let due = self
            .read(move |sql, _| {
                sql.sql("SELECT blob FROM blobs WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?")
                    .all(params![now.as_millis(), limit], |row| id(row, "blob"))
            })
            .await?;
        self.remove(due, Going::Due, now).await
    }

    async fn sweep_strays(&self, turn: u64, now: Timestamp) -> StorageResult<u32> {
        let chunks = self.database().chunks();
        let Some(_turn) = chunks.turn_to_remove().await? else { return Ok(0) };
        let mut removed = 0;
        for blob in chunks.strays(turn).await? {
            // One drawn a short while ago may have a row that is not seen yet.
            if blob.drawn_at() > now.plus_millis(-UNNAMED_MILLIS) {
                continue;
            }
            let look = "SELECT 1 FROM blobs WHERE blob = ?";
            if !self.read(move |sql, _| sql.sql(look).exists([blob.key()])).await? {
                chunks.remove(blob).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn pause_deletions(
        &self,
        until: Timestamp,
        now: Timestamp,
    ) -> StorageResult<DeletionPause> {
        self.write(64, move |tx| {
            tx.connection().alone(Turn::RemovingBlobs)?;
            let pause: Id<BlobKind> = tx.id(now);
            tx.sql("INSERT INTO deletion_pauses (pause, until) VALUES (?, ?)")
                .execute([pause.key(), until.as_millis()])?;
            Ok(DeletionPause(pause.key()))
        })
        .await
    }

    async fn resume_deletions(&self, pause: DeletionPause) -> StorageResult<()> {
        self.write(64, move |tx| {
            tx.sql("DELETE FROM deletion_pauses WHERE pause = ?").execute([pause.0])?;
            Ok(())
        })
        .await
    }
}

impl<D: Database> SqlStore<D> {
    /// Removes blobs: their keys at once, their parts as far as goes, then the rows of those that have none left. Answers how
    /// many it worked on; none while deletions are paused.
    pub(crate) async fn remove(
        &self,
        blobs: Vec<BlobId>,
        which: Going,
        now: Timestamp,
    ) -> StorageResult<u32> {
        if blobs.is_empty() {
            return Ok(0);
        }
        // Kept from before the keys go until the files have: a copy that begins meanwhile waits, and finds these rows gone.
        let Some(turn) = self.database().chunks().turn_to_remove().await? else { return Ok(0) };
        let going = self.write(64 + 8 * blobs.len(), move |tx| {
            must_do_chores(tx)?;
            mark(tx, &blobs, which, now)
        });
        let going = going.await?;
        let worked_on = going.len() as u32;
        let mut empty = Vec::with_capacity(going.len());
        for blob in going {
            if self.database().chunks().remove(blob).await? == Removed::All {
                empty.push(blob);
            }
        }
        drop(turn);
        if !empty.is_empty() {
            self.write(64 + 8 * empty.len(), move |tx| {
                must_do_chores(tx)?;
                for blob in &empty {
                    for statement in ROWS {
                        tx.sql(statement).execute([blob.key()])?;
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(worked_on)
    }
}

/// The rows of a blob (`?1`) whose parts are gone.
pub(crate) const ROWS: &[&str] = &[
    "DELETE FROM blob_holders WHERE blob = ?1",
    "DELETE FROM blobs WHERE blob = ?1 AND state = 'going'",
];

fn begin(
    tx: &mut Tx<'_>,
    of: OrganizationId,
    owner: BlobOwner,
    now: Timestamp,
) -> StorageResult<BlobId> {
    tx.must_be_active(of)?;
    let keys = tx.keys(of)?;
    let blob = tx.id::<BlobKind>(now);
    let chance = Arc::clone(&tx.shared.chance);
    let mut draw = |bytes: &mut [u8]| chance.fill(bytes);
    let (subject, (_, wrapped)) = match owner {
        BlobOwner::Organization => (None, BlobKey::generate(&keys.key, blob.key(), &mut draw)),
        BlobOwner::Subject(subject) => {
            let known: Option<Option<Vec<u8>>> = tx
                .sql(
                    "SELECT wrapped_key FROM subjects WHERE subject = ? AND organization = ? FOR SHARE",
                )
                .maybe([subject.key(), of.key()], |row| row.get("wrapped_key"))?;
            let Some(wrapped) = known.flatten() else {
                return refused(Refusal::NotFound("the person"));
            };
            let owner = SubjectKey::unwrap(&keys, subject.key(), &wrapped)
                .map_err(|_| damaged("subjects.wrapped_key"))?;
            (Some(subject.key()), BlobKey::generate(&owner, blob.key(), &mut draw))
        }
    };
    tx.sql(
        "INSERT INTO blobs (blob, organization, subject, state, wrapped_key, created_at, sweep_at) \
         VALUES (?, ?, ?, 'open', ?, ?, ?)",
    )
    .execute(params![
        blob.key(),
        of.key(),
        subject,
        wrapped,
        now.as_millis(),
        now.plus_millis(BROKEN_OFF_MILLIS).as_millis()
    ])?;
    Ok(blob)
}

/// A row names a blob from now on: part of the call that writes the row.
pub(crate) fn hold(
    tx: &mut Tx<'_>,
    of: OrganizationId,
    blob: BlobId,
    holder: Holder,
    now: Timestamp,
) -> StorageResult<()> {
    let found = tx
        .sql(
            "SELECT expires_at FROM blobs WHERE blob = ? AND organization = ? AND state = 'whole' FOR UPDATE",
        )
        .maybe([blob.key(), of.key()], |row| maybe_at(row, "expires_at"))?;
    let Some(expires_at) = found.filter(|at| at.is_none_or(|at| at > now)) else { return gone() };
    tx.sql(
        "INSERT INTO blob_holders (blob, holder, holder_row) VALUES (?, ?, ?) \
         ON CONFLICT (blob, holder, holder_row) DO NOTHING",
    )
    .execute(params![blob.key(), holder.table, holder.row])?;
    tx.sql("UPDATE blobs SET sweep_at = ? WHERE blob = ?")
        .execute(params![expires_at.map(Timestamp::as_millis), blob.key()])?;
    Ok(())
}

/// A row names a blob no longer: part of the call that changes or deletes the row.
pub(crate) fn release(
    tx: &mut Tx<'_>,
    of: OrganizationId,
    blob: BlobId,
    holder: Holder,
    now: Timestamp,
) -> StorageResult<()> {
    let is_whole = tx
        .sql(
            "SELECT 1 FROM blobs WHERE blob = ? AND organization = ? AND state = 'whole' FOR UPDATE",
        )
        .exists([blob.key(), of.key()])?;
    if !is_whole {
        return Ok(());
    }
    let released = tx
        .sql("DELETE FROM blob_holders WHERE blob = ? AND holder = ? AND holder_row = ?")
        .execute(params![blob.key(), holder.table, holder.row])?;
    let is_named = tx.sql("SELECT 1 FROM blob_holders WHERE blob = ?").exists([blob.key()])?;
    if released == 0 || is_named {
        return Ok(());
    }
    forget_key(tx, blob, now)
}

/// The person's blobs open no more, and are swept next.
pub(crate) fn erase(tx: &mut Tx<'_>, subject: SubjectId, now: Timestamp) -> StorageResult<()> {
    tx.sql(
        "UPDATE blobs SET state = 'going', wrapped_key = NULL, sha256 = NULL, sweep_at = ? \
         WHERE subject = ? AND subject IS NOT NULL AND state != 'going'",
    )
    .execute([now.as_millis(), subject.key()])?;
    Ok(())
}

/// A blob opens no more, and is swept next.
fn forget_key(tx: &mut Tx<'_>, blob: BlobId, now: Timestamp) -> StorageResult<()> {
    tx.sql(
        "UPDATE blobs SET state = 'going', wrapped_key = NULL, sha256 = NULL, sweep_at = ? WHERE blob = ?",
    )
    .execute([now.as_millis(), blob.key()])?;
    tx.after(After::Do(Box::new(Shared::key_wiped)));
    Ok(())
}

/// Takes the keys of those that go; none while deletions are paused.
fn mark(
    tx: &mut Tx<'_>,
    blobs: &[BlobId],
    which: Going,
    now: Timestamp,
) -> StorageResult<Vec<BlobId>> {
    tx.connection().alone(Turn::RemovingBlobs)?;
    let pause = "SELECT 1 FROM deletion_pauses WHERE until > ?";
    if tx.sql(pause).exists([now.as_millis()])? {
        return Ok(Vec::new());
    }
    let mut going = Vec::with_capacity(blobs.len());
    for blob in blobs {
        let found: Option<Option<i64>> = tx
            .sql("SELECT sweep_at FROM blobs WHERE blob = ? FOR UPDATE")
            .maybe([blob.key()], |row| row.get("sweep_at"))?;
        // It may have been named, or gone, since it was looked for.
        let goes = found.is_some_and(|sweep_at| match which {
            Going::All => true,
            Going::Due => sweep_at.is_some_and(|at| at <= now.as_millis()),
        });
        if goes {
            forget_key(tx, *blob, now)?;
            going.push(*blob);
        }
    }
    Ok(going)
}
