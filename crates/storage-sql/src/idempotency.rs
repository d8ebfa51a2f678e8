//! Calls under an `Idempotency-Key`: noted with their answer in the transaction of their change.
//!
//! An answer is personal where it is about people. It is sealed under a key that is drawn for it, and each of them holds a
//! share of that key, sealed under their own: all shares are needed. With one of them erased no copy of the answer opens
//! any more, be it in a page of the file, in the log or in a backup, as far as the person's own key is gone from there. An
//! answer about nobody is sealed under the organization's key.

use std::any::Any;
use std::sync::Arc;

use crate::leases::must_do_chores;
use crate::params;
use abide_core::access::Caller;
use abide_core::consent::NewDecision;
use abide_core::consent::hash::hex;
use abide_core::ids::{OrganizationId, SubjectId};
use abide_core::once::{Kept, Once, REMEMBERED_MILLIS};
use abide_core::{Refusal, Timestamp};
use abide_storage::sealing::{KeyId, KeyShare, OrganizationKeys, Place, SealingKey, key_of_shares};
use abide_storage::{Idempotency, StorageError, StorageResult};
use async_trait::async_trait;

use crate::after::refused;
use crate::database::{Ahead, Alone, Call, Database};
use crate::people;
use crate::rows::{at, damaged, id};
use crate::store::SqlStore;
use crate::tx::Tx;

impl<D: Database> SqlStore<D> {
    /// One transaction on somebody's behalf, carried out once where the caller wishes that.
    pub(crate) async fn act<T, F>(
        &self,
        by: &Caller,
        bytes: usize,
        now: Timestamp,
        work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Caller) -> StorageResult<T> + Send + 'static,
    {
        self.act_in_any_state(by, bytes, now, while_active(work)).await
    }

    /// [`SqlStore::act`] for a call about people of which many run at once: only those it is about wait for each other.
    pub(crate) async fn act_on_people<T, F>(
        &self,
        by: &Caller,
        bytes: usize,
        now: Timestamp,
        work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Caller) -> StorageResult<T> + Send + 'static,
    {
        let call = Call { alone: Alone::People(by.organization), ..Call::of(bytes) };
        self.act_as(by, call, now, work).await
    }

    /// [`SqlStore::act_on_people`] for decisions, which share a transaction with many others.
    pub(crate) async fn act_on_decisions<T, F>(
        &self,
        by: &Caller,
        decisions: Arc<[NewDecision]>,
        now: Timestamp,
        mut work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Caller, &[NewDecision]) -> StorageResult<T> + Send + 'static,
    {
        let bytes = decisions.iter().map(size_of).sum();
        let ahead = Ahead { organization: by.organization, decisions: Arc::clone(&decisions) };
        let alone = Alone::People(by.organization);
        let call = Call { alone, ahead: Some(ahead), ..Call::of(bytes) };
        self.act_as(by, call, now, move |tx, by| work(tx, by, &decisions)).await
    }

    async fn act_as<T, F>(
        &self,
        by: &Caller,
        call: Call,
        now: Timestamp,
        work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Caller) -> StorageResult<T> + Send + 'static,
    {
        let (by, mut work) = (*by, while_active(work));
        self.database().write(call, move |tx| carry_out(tx, &by, now, |_| true, &mut work)).await
    }

    /// [`SqlStore::act`] for what is allowed while the organization is being deleted, too.
    pub(crate) async fn act_in_any_state<T, F>(
        &self,
        by: &Caller,
        bytes: usize,
        now: Timestamp,
        mut work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Caller) -> StorageResult<T> + Send + 'static,
    {
        let by = *by;
        let work = move |tx: &mut Tx<'_>| carry_out(tx, &by, now, |_| true, &mut work);
        self.write_alone(bytes, by.organization, work).await
    }

    /// [`SqlStore::act`] for what can end well with nothing done: only what `is_done` of is remembered under the
    /// caller's key, so that the key is still good for doing it.
    pub(crate) async fn act_if<T, F>(
        &self,
        by: &Caller,
        bytes: usize,
        now: Timestamp,
        is_done: impl Fn(&T) -> bool + Send + 'static,
        mut work: F,
    ) -> StorageResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Caller) -> StorageResult<T> + Send + 'static,
    {
        let by = *by;
        self.write_alone(bytes, by.organization, move |tx| {
            tx.must_be_active(by.organization)?;
            carry_out(tx, &by, now, &is_done, &mut work)
        })
        .await
    }
}

/// About how many bytes a decision holds while it waits.
fn size_of(new: &NewDecision) -> usize {
    512 + new.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len())
}

/// Work that is refused while the organization is being deleted; what was answered before is answered again all the same.
fn while_active<T, F>(mut work: F) -> impl FnMut(&mut Tx<'_>, &Caller) -> StorageResult<T> + Send
where
    F: FnMut(&mut Tx<'_>, &Caller) -> StorageResult<T> + Send,
{
    move |tx, by| {
        tx.must_be_active(by.organization)?;
        work(tx, by)
    }
}

/// Does the work, or answers what it was answered with before; what `is_done` of is remembered under the caller's key.
fn carry_out<T: 'static>(
    tx: &mut Tx<'_>,
    by: &Caller,
    now: Timestamp,
    is_done: impl FnOnce(&T) -> bool,
    work: &mut impl FnMut(&mut Tx<'_>, &Caller) -> StorageResult<T>,
) -> StorageResult<T> {
    let Some(once) = &by.once else { return work(tx, by) };
    recall(tx, by.organization, once, now)?;
    let result = work(tx, by)?;
    if is_done(&result) {
        keep(tx, by.organization, once, &result, now)?;
    }
    Ok(result)
}

fn place(row: i64) -> Place {
    Place { table: "idempotency", column: "answer", row }
}

fn share_place(row: i64) -> Place {
    Place { table: "idempotency_about", column: "share", row }
}

/// Key and request as they are stored: under the organization's index key, since a plain hash of a request about a person
/// could be tried against guesses of it.
fn hidden(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    once: &Once,
) -> StorageResult<([u8; 16], [u8; 16])> {
    let keys = tx.keys(organization)?;
    let hide = |kind, hash: &[u8; 32]| keys.index_key.blind(kind, &hex(hash)).0;
    Ok((hide("idempotency.key", &once.key), hide("idempotency.request", &once.request)))
}

/// Answers a call that was carried out before as an error, so that nothing more is done.
fn recall(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    once: &Once,
    now: Timestamp,
) -> StorageResult<()> {
    type Row = (i64, [u8; 16], Timestamp, Option<Vec<u8>>);
    let (key, wanted) = hidden(tx, organization, once)?;
    let found: Option<Row> = tx
        .sql("SELECT call, request, called_at, answer FROM idempotency WHERE organization = ? AND key = ?")
        .maybe(params![organization.key(), key], |row| {
            Ok((row.get("call")?, row.get("request")?, at(row, "called_at")?, row.get("answer")?))
        })?;
    let Some((call, request, called_at, answer)) = found else { return Ok(()) };
    if now.millis_since(called_at) >= REMEMBERED_MILLIS {
        return forget(tx, call);
    }
    if request != wanted {
        let problem = "this `Idempotency-Key` was used with another request; a key is good for one request alone";
        return refused(Refusal::Conflict(problem.to_owned()));
    }
    let keys = tx.keys(organization)?;
    let (Some(answer), Some(key)) = (answer, answer_key(tx, &keys, call)?) else {
        let problem =
            "this request was carried out; its answer was about a person who has been erased since";
        return refused(Refusal::Conflict(problem.to_owned()));
    };
    let text = match &key {
        AnswerKey::Shared(key) => key.open(&place(call), &answer),
        AnswerKey::Organizations => keys.key.open(&place(call), &answer),
    };
    let text = text.ok();
    let kept = text.and_then(|text| serde_json::from_slice(&text).ok());
    let (status, location, body): (u16, Option<String>, String) =
        kept.ok_or_else(|| damaged("idempotency.answer"))?;
    let kept = Kept { status, location, body: body.into_bytes(), about: Vec::new() };
    Err(StorageError::Replayed(Box::new(kept)))
}

/// What an answer is sealed under.
enum AnswerKey {
    /// The key of which those it is about have shares.
    Shared(SealingKey),
    /// The organization's: it is about nobody, or was kept before there were shares.
    Organizations,
}

/// The key of an answer; `None` where somebody's share opens no more.
fn answer_key(tx: &Tx<'_>, keys: &OrganizationKeys, call: i64) -> StorageResult<Option<AnswerKey>> {
    let held: Vec<(SubjectId, Vec<u8>)> = tx
        .sql("SELECT subject, share FROM idempotency_about WHERE call = ? AND share IS NOT NULL ORDER BY subject")
        .all([call], |row| Ok((id(row, "subject")?, row.get("share")?)))?;
    if held.is_empty() {
        return Ok(Some(AnswerKey::Organizations));
    }
    let mut shares = Vec::with_capacity(held.len());
    for (subject, sealed) in held {
        let Some(key) = people::key_of(tx.connection(), keys, subject)? else { return Ok(None) };
        let share = KeyShare::open(&key, &share_place(call), &sealed);
        shares.push(share.map_err(|_| damaged("idempotency_about.share"))?);
    }
    Ok(Some(AnswerKey::Shared(key_of_shares(KeyId::of_row(call), &shares))))
}

fn keep(
    tx: &mut Tx<'_>,
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
    let keys = tx.keys(organization)?;
    let shares = share_out(tx, &keys, call, about)?;
    let sealed = match &shares[..] {
        [] => keys.key.seal(&place(call), &text),
        held => {
            let shares: Vec<_> = held.iter().map(|held| &held.share).collect();
            key_of_shares(KeyId::of_row(call), shares).seal(&place(call), &text)
        }
    };
    tx.sql("INSERT INTO idempotency (call, organization, key, request, called_at, answer) VALUES (?, ?, ?, ?, ?, ?)")
        .execute(params![
            call,
            organization.key(),
            key,
            request,
            now.as_millis(),
            sealed
        ])?;
    for Held { subject, sealed, .. } in shares {
        tx.sql("INSERT INTO idempotency_about (call, subject, share) VALUES (?, ?, ?)")
            .execute(params![call, subject.key(), sealed])?;
    }
    Ok(())
}

/// Somebody's share of an answer's key.
struct Held {
    subject: SubjectId,
    share: KeyShare,
    sealed: Vec<u8>,
}

/// Draws a share for each whom an answer is about, in the order in which they are read back.
fn share_out(
    tx: &Tx<'_>,
    keys: &OrganizationKeys,
    call: i64,
    mut about: Vec<SubjectId>,
) -> StorageResult<Vec<Held>> {
    about.sort_unstable();
    about.dedup();
    let share_of = |subject: SubjectId| {
        let key = people::key_of(tx.connection(), keys, subject)?
            .ok_or_else(|| damaged("subjects.wrapped_key"))?;
        let share = KeyShare::draw(&mut |bytes: &mut [u8]| tx.shared.chance.fill(bytes));
        Ok(Held { subject, sealed: share.seal(&key, &share_place(call)), share })
    };
    about.into_iter().map(share_of).collect()
}

fn forget(tx: &Tx<'_>, call: i64) -> StorageResult<()> {
    tx.sql("DELETE FROM idempotency_about WHERE call = ?").execute([call])?;
    tx.sql("DELETE FROM idempotency WHERE call = ?").execute([call])?;
    Ok(())
}

/// Erases what is kept of answers about a person; that the calls were carried out stays. Their shares go too, though with the
/// person's key gone they are noise.
pub(crate) fn erase(tx: &Tx<'_>, subject: SubjectId) -> StorageResult<()> {
    tx.sql(
        "UPDATE idempotency SET answer = NULL WHERE call IN (SELECT call FROM idempotency_about WHERE subject = ?)",
    )
    .execute([subject.key()])?;
    tx.sql("UPDATE idempotency_about SET share = NULL WHERE subject = ?")
        .execute([subject.key()])?;
    Ok(())
}

#[async_trait]
impl<D: Database> Idempotency for SqlStore<D> {
    async fn forget_calls(&self, before: Timestamp, limit: u32) -> StorageResult<u32> {
        self.write(64, move |tx| {
            must_do_chores(tx)?;
            let old: Vec<i64> = tx
                .sql("SELECT call FROM idempotency WHERE called_at <= ? ORDER BY called_at LIMIT ?")
                .all(params![before.as_millis(), limit], |row| row.get(0))?;
            for call in &old {
                forget(tx, *call)?;
            }
            Ok(old.len() as u32)
        })
        .await
    }
}
