//! Erasures as the journal keeps them, and done again in a store that was restored.

use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::ids::{AuditEntry, AuditEntryId, Id, OrganizationId, SubjectId};
use abide_core::organization::OrganizationState;
use abide_storage::erasures::{Erasure, ErasureJournal, Gone, JournalError, Repeated};
use abide_storage::{Erasures, StorageResult};
use async_trait::async_trait;

use crate::after::After;
use crate::database::Database;
use crate::rows::{at, id, maybe_id, newest};
use crate::sql::{Row, Sql, Turn};
use crate::store::SqlStore;
use crate::tx::Tx;
use crate::{deletions, organizations, params, subjects};

/// Erasures done again in one transaction.
const AT_ONCE: usize = 200;

#[async_trait]
impl<D: Database> Erasures for SqlStore<D> {
    async fn erasures_after(
        &self,
        after: Option<AuditEntryId>,
        limit: u32,
    ) -> StorageResult<Vec<Erasure>> {
        self.read(move |connection, _| erasures_after(connection, after.map_or(0, Id::key), limit))
            .await
    }

    async fn repeat(&self, erasures: Vec<Erasure>, now: Timestamp) -> StorageResult<Repeated> {
        let mut all = Repeated::default();
        for page in erasures.chunks(AT_ONCE) {
            let page = page.to_vec();
            let done = self
                .write(64 + 64 * page.len(), move |tx| {
                    let mut done = Repeated::default();
                    for erasure in &page {
                        repeat(tx, erasure, now, &mut done)?;
                    }
                    Ok(done)
                })
                .await?;
            all.people += done.people;
            all.organizations += done.organizations;
            all.deliveries += done.deliveries;
        }
        Ok(all)
    }

    fn journal_to(&self, journal: Arc<ErasureJournal>) {
        // The first one stays.
        let _ = self.journal.set(journal);
    }

    async fn journal(&self) -> Result<(), JournalError> {
        match self.journal.get() {
            Some(journal) => journal.keep(self).await,
            None => Ok(()),
        }
    }
}

impl<D: Database> SqlStore<D> {
    /// Makes a restored store one that goes on: what its journal has is erased again, then it begins anew after `highest` and
    /// every entry of the journal. Answers what was erased.
    pub async fn go_on(
        &self,
        journal: Vec<Erasure>,
        taken_at: Timestamp,
        highest: i64,
        now: Timestamp,
    ) -> StorageResult<Repeated> {
        let last = journal.iter().map(|erasure| erasure.entry.key()).max().unwrap_or(0);
        let erased = self.repeat(journal, now).await?;
        self.begin_anew(taken_at, highest.max(last), now).await?;
        Ok(erased)
    }

    /// Makes a restored store one that goes on: its feeds have another epoch, everybody signs in anew, and no id is drawn
    /// again that the store of before drew, of which `highest` is the last one known. Audited in each organization.
    pub async fn begin_anew(
        &self,
        taken_at: Timestamp,
        highest: i64,
        now: Timestamp,
    ) -> StorageResult<()> {
        self.shared.ids.pass(highest);
        self.write(256, move |tx| {
            let restore: Id<AuditEntry> = tx.id(now);
            tx.sql("INSERT INTO restores (restore, taken_at, restored_at) VALUES (?, ?, ?)")
                .execute([restore.key(), taken_at.as_millis(), now.as_millis()])?;
            let epoch = i64::from_be_bytes(tx.draw());
            tx.sql("UPDATE feed_epoch SET epoch = ? WHERE only_row = 1").execute([epoch])?;
            tx.sql("DELETE FROM sessions WHERE session > 0").execute(())?;
            let organizations: Vec<OrganizationId> = tx
                .sql("SELECT organization FROM organizations WHERE state <> 'deleted'")
                .all((), |row| id(row, "organization"))?;
            for organization in organizations {
                let by = Caller::new(organization, Actor::Operator);
                tx.audit(&by, "organization.restore_backup", &organization.to_string(), now)?;
            }
            Ok(())
        })
        .await
    }

    /// Journals what was just committed. The erasure stands whatever comes of it; what is missing is appended by
    /// the next look.
    pub(crate) async fn journal_committed(&self) {
        if let Err(error) = self.journal().await {
            tracing::error!(
                %error,
                "an erasure is not in the erasure journal: a backup from before it, restored now, would bring the person back"
            );
        }
    }
}

/// The key of a new entry of the journal. Whoever looks for erasures goes by their order, so that none of several nodes
/// commits a lower one later: who draws one keeps the others waiting.
pub(crate) fn next_entry(tx: &Tx<'_>, now: Timestamp) -> StorageResult<AuditEntryId> {
    tx.connection().alone(Turn::Erasing)?;
    let erased = newest(tx.connection(), "SELECT max(erasure) FROM erasures")?;
    let destroyed = newest(tx.connection(), "SELECT max(entry) FROM destroyed")?;
    let drawn: AuditEntryId = tx.id(now);
    Ok(Id::from_key(drawn.key().max(erased.max(destroyed) + 1)))
}

fn erasures_after(connection: &dyn Sql, after: i64, limit: u32) -> StorageResult<Vec<Erasure>> {
    let of_row = |row: &dyn Row| {
        let subject: Option<SubjectId> = maybe_id(row, "subject")?;
        Ok(Erasure {
            entry: id(row, "entry")?,
            organization: id(row, "organization")?,
            gone: subject.map_or(Gone::Organization, Gone::Person),
            at: at(row, "since")?,
        })
    };
    connection
        .sql(
            "SELECT erasure AS entry, organization, subject, erased_at AS since FROM erasures WHERE erasure > ?1 \
             UNION ALL \
             SELECT entry, organization, NULL, destroyed_at FROM destroyed WHERE entry > ?1 \
             ORDER BY entry LIMIT ?2",
        )
        .all(params![after, limit], of_row)
}

fn repeat(
    tx: &mut Tx<'_>,
    erasure: &Erasure,
    now: Timestamp,
    done: &mut Repeated,
) -> StorageResult<()> {
    let Erasure { entry, organization: of, gone, at } = *erasure;
    let Some(found) = organizations::by_id(tx.connection(), of)? else { return Ok(()) };
    if matches!(found.state, OrganizationState::Deleted { .. }) {
        // Nothing of it opens any more, whoever it was about.
        return Ok(());
    }
    match gone {
        Gone::Organization => {
            deletions::destroy(tx, of, entry, at, now)?;
            done.organizations += 1;
        }
        Gone::Person(subject) => {
            tx.sql(
                "INSERT INTO erasures (erasure, organization, subject, erased_at) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (erasure) DO NOTHING",
            )
            .execute([entry.key(), of.key(), subject.key(), at.as_millis()])?;
            if is_there(tx, of, subject)? {
                if let Some(reference) = subjects::reference_of(tx, of, subject)? {
                    subjects::suppress(tx, of, &reference, entry, at)?;
                }
                let by = Caller::new(of, Actor::Operator);
                done.deliveries += subjects::wipe(tx, of, subject, at)?;
                done.people += 1;
                tx.audit(&by, "subject.erase_again", &subject.to_string(), now)?;
                tx.after(After::Ring);
            }
        }
    }
    Ok(())
}

fn is_there(tx: &Tx<'_>, of: OrganizationId, subject: SubjectId) -> StorageResult<bool> {
    tx.sql(
        "SELECT 1 FROM subjects WHERE subject = ? AND organization = ? AND wrapped_key IS NOT NULL",
    )
    .exists([subject.key(), of.key()])
}
