//! What an export reads.

use std::ops::ControlFlow;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::Timestamp;
use abide_core::access::Caller;
use abide_core::consent::{PermissionState, Validity};
use abide_core::ids::{Id, OrganizationId, PolicyId};
use abide_core::policy::Policy;
use abide_storage::exports::{ExportBegun, ExportedConsent, ExportedDecision, Span};
use abide_storage::feeds::{FeedPage, LOOKED_THROUGH};
use abide_storage::sealing::OrganizationKeys;
use abide_storage::{Exports, StorageError, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::feeds::decision_of;
use crate::keys::organization_keys;
use crate::organizations::by_id;
use crate::policies::policy_of;
use crate::rows::{id, maybe_at, maybe_id, maybe_named};
use crate::store::SqlStore;
use crate::{people, said};

/// About how many sealed bytes one page of decisions holds; it ends with the decision that passes this (I9).
const PAGE_BYTES: usize = 1024 * 1024;

#[async_trait]
impl<D: Database> Exports for SqlStore<D> {
    async fn begin(&self, by: &Caller, now: Timestamp) -> StorageResult<ExportBegun> {
        self.database().number_feeds(by.organization).await?;
        self.act_in_any_state(by, 64, now, move |tx, by| {
            let organization = by_id(tx.connection(), by.organization)?
                .ok_or(StorageError::Refused(abide_core::Refusal::NotFound("the organization")))?;
            let last: Option<i64> = tx
                .sql("SELECT log_index FROM numbered_decisions WHERE organization = ? ORDER BY log_index DESC LIMIT 1")
                .maybe([by.organization.key()], |row| row.get(0))?;
            tx.audit(by, "organization.export", &by.organization.to_string(), now)?;
            Ok(ExportBegun { organization, last_decision: last.unwrap_or(0).cast_unsigned() })
        })
        .await
    }

    async fn policies(
        &self,
        organization: OrganizationId,
        after: Option<PolicyId>,
        limit: u32,
    ) -> StorageResult<Vec<Policy>> {
        self.read(move |connection, _| {
            // By the key: policies are few, and deleted ones stand in no index of their organization.
            connection
                .sql(
                    "SELECT * FROM policies WHERE policy > ? AND organization = ? ORDER BY policy LIMIT ?",
                ).all(params![after.map_or(0, Id::key), organization.key(), limit], |row| {
                    Ok(Policy { content: Some(row.get("content")?), ..policy_of(row)? })
                })
        })
        .await
    }

    async fn decisions(
        &self,
        organization: OrganizationId,
        span: Span,
    ) -> StorageResult<FeedPage<ExportedDecision>> {
        self.database().number_feeds(organization).await?;
        self.read(move |connection, shared| {
            let keys = organization_keys(connection, shared, organization)?;
            decisions(connection, &keys, organization, span)
        })
        .await
    }

    async fn consents(
        &self,
        organization: OrganizationId,
        span: Span,
    ) -> StorageResult<FeedPage<ExportedConsent>> {
        self.database().number_feeds(organization).await?;
        self.read(move |connection, _| consents(connection, organization, span)).await
    }
}

fn decisions(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    span: Span,
) -> StorageResult<FeedPage<ExportedDecision>> {
    let statement = connection.sql(
        "SELECT decisions.*, consents.purpose, purposes.name AS purpose_name \
         FROM numbered_decisions AS decisions \
         JOIN consents USING (consent) JOIN purposes USING (purpose) \
         WHERE decisions.organization = ? AND log_index > ? AND log_index <= ? ORDER BY log_index LIMIT ?",
    );
    let (after, through) = (span.after.cast_signed(), span.through.cast_signed());
    let within = params![organization.key(), after, through, span.limit + 1];
    let mut page = FeedPage { entries: Vec::new(), next: span.after, has_more: false };
    let mut bytes = 0;
    statement.each_of_many(within, |row| {
        if page.entries.len() >= span.limit as usize || bytes >= PAGE_BYTES {
            page.has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        page.next = log_index(row)?;
        let mut told = decision_of(row)?;
        let mut said = None;
        if let Some(key) = people::key_of(connection, keys, told.subject)? {
            let sealed: Vec<u8> = row.get("sealed")?;
            bytes += sealed.len();
            let (names, with_it) = said::said_in(&key, told.id, &sealed)?;
            names.give(&mut told);
            said = Some(with_it);
        }
        page.entries.push(ExportedDecision { log_index: page.next, told, said });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

/// A record is met at its first decision, which the feed has once.
fn consents(
    connection: &dyn Sql,
    organization: OrganizationId,
    span: Span,
) -> StorageResult<FeedPage<ExportedConsent>> {
    let statement = connection.sql(
        "SELECT log_index, previous, consents.*, purposes.name AS purpose_name \
         FROM numbered_decisions AS decisions JOIN consents USING (consent) JOIN purposes USING (purpose) \
         WHERE decisions.organization = ? AND log_index > ? AND log_index <= ? ORDER BY log_index LIMIT ?",
    );
    let (after, through) = (span.after.cast_signed(), span.through.cast_signed());
    let within = params![organization.key(), after, through, LOOKED_THROUGH + 1];
    let mut page = FeedPage { entries: Vec::new(), next: span.after, has_more: false };
    let mut looked_through = 0;
    statement.each_of_many(within, |row| {
        if page.entries.len() >= span.limit as usize || looked_through == LOOKED_THROUGH {
            page.has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        looked_through += 1;
        page.next = log_index(row)?;
        if row.get::<Option<i64>>("previous")?.is_none() {
            page.entries.push(consent_of(row)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

fn log_index(row: &dyn Row) -> StorageResult<u64> {
    row.get::<i64>("log_index").map(i64::cast_unsigned)
}

fn consent_of(row: &dyn Row) -> StorageResult<ExportedConsent> {
    Ok(ExportedConsent {
        id: id(row, "consent")?,
        subject: id(row, "subject")?,
        purpose: id(row, "purpose")?,
        purpose_name: row.get("purpose_name")?,
        version: row.get("version")?,
        latest: id(row, "latest")?,
        in_force: maybe_id(row, "in_force")?,
        state: maybe_named(row, "state", PermissionState::parse)?,
        validity: Validity {
            from: maybe_at(row, "valid_from")?,
            until: maybe_at(row, "valid_until")?,
        },
        withdrawn_at: maybe_at(row, "withdrawn_at")?,
        created_at: crate::rows::at(row, "created_at")?,
    })
}
