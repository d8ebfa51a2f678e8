//! Calls under an `Idempotency-Key`: noted with their answer in the transaction of their change.

use std::any::Any;

use abide_core::access::Caller;
use abide_core::consent::hash::hex;
use abide_core::ids::OrganizationId;
use abide_core::once::{Kept, Once, REMEMBERED_MILLIS};
use abide_core::{Refusal, Timestamp};
use abide_storage::sealing::Place;
use abide_storage::{Idempotency, StorageError, StorageResult};
use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use crate::SqliteStore;
use crate::rows::{at, damaged, database};
use crate::tx::Tx;
use crate::writer::refused;

impl SqliteStore {
    /// One transaction in the writer on somebody's behalf, carried out once where the caller wishes that.
    pub(crate) async fn act<T, F>(
        &self,
        by: &Caller,
        bytes: usize,
        now: Timestamp,
        mut work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_, '_>, &Caller) -> StorageResult<T> + Send + 'static,
    {
        self.act_in_any_state(by, bytes, now, move |tx, by| {
            tx.must_be_active(by.organization)?;
            work(tx, by)
        })
        .await
    }

    /// [`SqliteStore::act`] for what is allowed while the organization is being deleted, too.
    pub(crate) async fn act_in_any_state<T, F>(
        &self,
        by: &Caller,
        bytes: usize,
        now: Timestamp,
        mut work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_, '_>, &Caller) -> StorageResult<T> + Send + 'static,
    {
        let by = *by;
        self.write(bytes, move |tx| {
            let Some(once) = &by.once else { return work(tx, &by) };
            recall(tx, by.organization, once, now)?;
            let result = work(tx, &by)?;
            keep(tx, by.organization, once, &result, now)?;
            Ok(result)
        })
        .await
    }
}

fn place(row: i64) -> Place {
    Place { table: "idempotency", column: "answer", row }
}

/// Key and request as they are stored: under the organization's index key, since a plain hash of a request about a person
/// could be tried against guesses of it.
fn hidden(
    tx: &mut Tx<'_, '_>,
    organization: OrganizationId,
    once: &Once,
) -> StorageResult<([u8; 16], [u8; 16])> {
    let keys = tx.keys(organization)?;
    let hide = |kind, hash: &[u8; 32]| keys.index_key.blind(kind, &hex(hash)).0;
    Ok((hide("idempotency.key", &once.key), hide("idempotency.request", &once.request)))
}

/// Answers a call that was carried out before as an error, so that nothing more is done.
fn recall(
    tx: &mut Tx<'_, '_>,
    organization: OrganizationId,
    once: &Once,
    now: Timestamp,
) -> StorageResult<()> {
    type Row = (i64, [u8; 16], Timestamp, Option<Vec<u8>>);
    let (key, wanted) = hidden(tx, organization, once)?;
    let found: Option<Row> = tx
        .sql("SELECT call, request, called_at, answer FROM idempotency WHERE organization = ? AND key = ?")?
        .query_row(params![organization.key(), key], |row| {
            Ok((row.get("call")?, row.get("request")?, at(row, "called_at")?, row.get("answer")?))
        })
        .optional()
        .map_err(database)?;
    let Some((call, request, called_at, answer)) = found else { return Ok(()) };
    if now.millis_since(called_at) >= REMEMBERED_MILLIS {
        return forget(tx, call);
    }
    if request != wanted {
        let problem = "this `Idempotency-Key` was used with another request; a key is good for one request alone";
        return refused(Refusal::Conflict(problem.to_owned()));
    }
    let Some(answer) = answer else {
        let problem =
            "this request was carried out; its answer was about a person who has been erased since";
        return refused(Refusal::Conflict(problem.to_owned()));
    };
    let keys = tx.keys(organization)?;
    let text = keys.key.open(&place(call), &answer).ok();
    let kept = text.and_then(|text| serde_json::from_slice(&text).ok());
    let (status, location, body): (u16, Option<String>, String) =
        kept.ok_or_else(|| damaged("idempotency.answer"))?;
    let kept = Kept { status, location, body: body.into_bytes(), about: Vec::new() };
    Err(StorageError::Replayed(Box::new(kept)))
}

fn keep(
    tx: &mut Tx<'_, '_>,
    organization: OrganizationId,
    once: &Once,
    result: &dyn Any,
    now: Timestamp,
) -> StorageResult<()> {
    let kept = (once.answer)(result).and_then(|kept| {
        let body = String::from_utf8(kept.body).ok()?;
        let text = serde_json::to_vec(&(kept.status, kept.location, body)).ok()?;
        Some((text, kept.about))
    });
    let lost = || StorageError::Unavailable("an answer cannot be kept".to_owned());
    let (text, about) = kept.ok_or_else(lost)?;
    let (key, request) = hidden(tx, organization, once)?;
    let call = tx.id::<abide_core::ids::AuditEntry>(now).key();
    let sealed = tx.keys(organization)?.key.seal(&place(call), &text);
    tx.sql("INSERT INTO idempotency (call, organization, key, request, called_at, answer) VALUES (?, ?, ?, ?, ?, ?)")?
        .execute(params![
            call,
            organization.key(),
            key,
            request,
            now.as_millis(),
            sealed
        ])
        .map_err(database)?;
    for subject in about {
        tx.sql("INSERT OR IGNORE INTO idempotency_about (call, subject) VALUES (?, ?)")?
            .execute([call, subject.key()])
            .map_err(database)?;
    }
    Ok(())
}

fn forget(tx: &Tx<'_, '_>, call: i64) -> StorageResult<()> {
    tx.sql("DELETE FROM idempotency_about WHERE call = ?")?.execute([call]).map_err(database)?;
    tx.sql("DELETE FROM idempotency WHERE call = ?")?.execute([call]).map_err(database)?;
    Ok(())
}

/// Erases what is kept of answers about a person; that the calls were carried out stays.
pub(crate) fn erase(tx: &Tx<'_, '_>, subject: abide_core::ids::SubjectId) -> StorageResult<()> {
    tx.sql(
        "UPDATE idempotency SET answer = NULL WHERE call IN (SELECT call FROM idempotency_about WHERE subject = ?)",
    )?
    .execute([subject.key()])
    .map_err(database)?;
    Ok(())
}

#[async_trait]
impl Idempotency for SqliteStore {
    async fn forget_calls(&self, before: Timestamp, limit: u32) -> StorageResult<u32> {
        self.write(64, move |tx| {
            let old: Vec<i64> = tx
                .sql(
                    "SELECT call FROM idempotency WHERE called_at <= ? ORDER BY called_at LIMIT ?",
                )?
                .query_map(params![before.as_millis(), limit], |row| row.get(0))
                .and_then(Iterator::collect)
                .map_err(database)?;
            for call in &old {
                forget(tx, *call)?;
            }
            Ok(old.len() as u32)
        })
        .await
    }
}
