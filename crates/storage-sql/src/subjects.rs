//! Erasing people.

use crate::erasures::next_entry;
use crate::params;
use abide_core::access::Caller;
use abide_core::delivery::Reason;
use abide_core::ids::{AuditEntry, Id, OrganizationId, SubjectId};
use abide_core::{Refusal, Timestamp};
use abide_storage::subjects::Erased;
use abide_storage::{StorageError, StorageResult, Subjects};
use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::after::After;
use crate::blobs;
use crate::database::Database;
use crate::idempotency;
use crate::people::{self, REFERENCE};
use crate::rows::{at, id, newest, news};
use crate::shared::Shared;
use crate::store::SqlStore;
use crate::tx::Tx;

#[async_trait]
impl<D: Database> Subjects for SqlStore<D> {
    async fn erase(&self, by: &Caller, reference: &str, now: Timestamp) -> StorageResult<Erased> {
        let reference = reference.to_owned();
        let erased =
            self.act_in_any_state(by, 256, now, move |tx, by| erase(tx, by, &reference, now)).await;
        // Whoever hears of an erasure can rely on the journal, also where nobody knows what became of the commit.
        if !matches!(erased, Err(StorageError::Refused(_))) {
            self.journal_committed().await;
        }
        erased
    }

    async fn erased_since(&self, cursor: i64, limit: u32) -> StorageResult<(i64, Vec<SubjectId>)> {
        self.read(move |connection, _| {
            let page = "SELECT erasure AS place, subject AS id FROM erasures WHERE erasure > ? \
                        ORDER BY erasure LIMIT ?";
            news(connection, page, cursor, limit)
        })
        .await
    }

    async fn newest_erasure(&self) -> StorageResult<i64> {
        self.read(|connection, _| newest(connection, "SELECT max(erasure) FROM erasures")).await
    }
}

fn erase(tx: &mut Tx<'_>, by: &Caller, reference: &str, now: Timestamp) -> StorageResult<Erased> {
    let keys = tx.keys(by.organization)?;
    let blind = keys.index_key.blind(REFERENCE, reference).0;
    let subject: Option<SubjectId> = tx
        .sql("SELECT subject FROM identifiers WHERE organization = ? AND blind = ?")
        .maybe(params![by.organization.key(), blind], |row| id(row, "subject"))?;
    let Some(subject) = subject else {
        return Err(StorageError::Refused(Refusal::NotFound("the person")));
    };
    let deliveries = wipe(tx, by.organization, subject, now)?;
    let erasure = next_entry(tx, now)?;
    tx.sql("INSERT INTO erasures (erasure, organization, subject, erased_at) VALUES (?, ?, ?, ?)")
        .execute([erasure.key(), by.organization.key(), subject.key(), now.as_millis()])?;
    suppress(tx, by.organization, reference, erasure, now)?;
    tx.audit(by, "subject.erase", &subject.to_string(), now)?;
    tx.after(After::Ring);
    Ok(Erased { subject, deliveries })
}

/// Destroys a person's key with all they are found by, and ends what waits for them; answers how many deliveries that was.
pub(crate) fn wipe(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    subject: SubjectId,
    at: Timestamp,
) -> StorageResult<u32> {
    let blinds: Vec<[u8; 16]> = tx
        .sql("SELECT blind FROM identifiers WHERE subject = ? AND kind = 'reference'")
        .all([subject.key()], |row| row.get(0))?;
    tx.sql("UPDATE subjects SET wrapped_key = NULL, erased_at = ? WHERE subject = ?")
        .execute([at.as_millis(), subject.key()])?;
    tx.sql("DELETE FROM identifiers WHERE subject = ?").execute([subject.key()])?;
    tx.sql("DELETE FROM originals WHERE key IN (SELECT consent FROM consents WHERE subject = ?)")
        .execute([subject.key()])?;
    tx.sql("UPDATE consents SET next_change_at = NULL WHERE subject = ?")
        .execute([subject.key()])?;
    let deliveries = tx
        .sql(
            "UPDATE deliveries SET state = 'erased', reason = ?, lease = NULL, due_at = NULL \
             WHERE subject = ? AND subject IS NOT NULL AND \
             (state = 'pending' OR state = 'claimed' OR state = 'parked' OR state = 'held')",
        )
        .execute(params![Reason::SubjectErased.as_str(), subject.key()])?;
    tx.sql("UPDATE lanes SET waiting = NULL, open_delivery = NULL WHERE subject = ?")
        .execute([subject.key()])?;
    idempotency::erase(tx, subject)?;
    blobs::erase(tx, subject, at)?;
    for blind in blinds {
        tx.caches.people.remove(&(organization, blind));
    }
    tx.after(After::Do(Box::new(Shared::key_wiped)));
    Ok(deliveries as u32)
}

/// The reference of a person who is still there.
pub(crate) fn reference_of(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    subject: SubjectId,
) -> StorageResult<Option<Zeroizing<String>>> {
    let keys = tx.keys(organization)?;
    let Some(key) = people::key_of(tx.connection(), &keys, subject)? else { return Ok(None) };
    let sealed: Option<Vec<u8>> = tx
        .sql("SELECT sealed FROM identifiers WHERE subject = ? AND kind = 'reference'")
        .maybe([subject.key()], |row| row.get(0))?;
    let Some(sealed) = sealed else { return Ok(None) };
    people::open_identifier(&key, subject, &sealed).map(Some)
}

/// What the reference of an erased person is hashed as: a kind of its own, so that no identifier is found by it.
const SUPPRESSED: &str = "suppressed.reference";

/// Notes whom no import brings back.
pub(crate) fn suppress(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    reference: &str,
    erasure: Id<AuditEntry>,
    now: Timestamp,
) -> StorageResult<()> {
    let blind = tx.keys(organization)?.index_key.blind(SUPPRESSED, reference).0;
    tx.sql(
        "INSERT INTO suppressions (suppression, organization, blind, erased_at) VALUES (?, ?, ?, ?) \
         ON CONFLICT (organization, blind) DO UPDATE SET erased_at = excluded.erased_at",
    )
    .execute(params![erasure.key(), organization.key(), blind, now.as_millis()])?;
    Ok(())
}

/// When the person of that reference was erased last, if they were.
pub(crate) fn erased_at(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    reference: &str,
) -> StorageResult<Option<Timestamp>> {
    let blind = tx.keys(organization)?.index_key.blind(SUPPRESSED, reference).0;
    tx.sql("SELECT erased_at FROM suppressions WHERE organization = ? AND blind = ?")
        .maybe(params![organization.key(), blind], |row| at(row, "erased_at"))
}
