//! What an export reads.

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
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::feeds::decision_of;
use crate::keys::organization_keys;
use crate::organizations::by_id;
use crate::policies::policy_of;
use crate::rows::{database, id, maybe_at, maybe_id, maybe_named};
use crate::{SqliteStore, people, said};

/// About how many sealed bytes one page of decisions holds; it ends with the decision that passes this (I9).
const PAGE_BYTES: usize = 1024 * 1024;

#[async_trait]
impl Exports for SqliteStore {
    async fn begin(&self, by: &Caller, now: Timestamp) -> StorageResult<ExportBegun> {
        self.act_in_any_state(by, 64, now, move |tx, by| {
            let organization = by_id(tx.connection(), by.organization)?
                .ok_or(StorageError::Refused(abide_core::Refusal::NotFound("the organization")))?;
            let last: Option<i64> = tx
                .sql("SELECT log_index FROM decisions WHERE organization = ? ORDER BY log_index DESC LIMIT 1")?
                .query_row([by.organization.key()], |row| row.get(0))
                .optional()
                .map_err(database)?;
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
                .prepare_cached(
                    "SELECT * FROM policies WHERE policy > ? AND organization = ? ORDER BY policy LIMIT ?",
                )
                .and_then(|mut statement| {
                    let wanted = params![after.map_or(0, Id::key), organization.key(), limit];
                    let whole = |row: &Row<'_>| {
                        Ok(Policy { content: Some(row.get("content")?), ..policy_of(row)? })
                    };
                    statement.query_map(wanted, whole)?.collect()
                })
                .map_err(database)
        })
        .await
    }

    async fn decisions(
        &self,
        organization: OrganizationId,
        span: Span,
    ) -> StorageResult<FeedPage<ExportedDecision>> {
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
        self.read(move |connection, _| consents(connection, organization, span)).await
    }
}

fn decisions(
    connection: &Connection,
    keys: &OrganizationKeys,
    organization: OrganizationId,
    span: Span,
) -> StorageResult<FeedPage<ExportedDecision>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT decisions.*, consents.purpose, purposes.name AS purpose_name FROM decisions \
             JOIN consents USING (consent) JOIN purposes USING (purpose) \
             WHERE decisions.organization = ? AND log_index > ? AND log_index <= ? ORDER BY log_index",
        )
        .map_err(database)?;
    let within = params![organization.key(), span.after.cast_signed(), span.through.cast_signed()];
    let mut rows = statement.query(within).map_err(database)?;
    let mut page = FeedPage { entries: Vec::new(), next: span.after, has_more: false };
    let mut bytes = 0;
    while let Some(row) = rows.next().map_err(database)? {
        if page.entries.len() >= span.limit as usize || bytes >= PAGE_BYTES {
            page.has_more = true;
            break;
        }
        page.next = log_index(row)?;
        let mut told = decision_of(row).map_err(database)?;
        let mut said = None;
        if let Some(key) = people::key_of(connection, keys, told.subject)? {
            let sealed: Vec<u8> = row.get("sealed").map_err(database)?;
            bytes += sealed.len();
            let (names, with_it) = said::said_in(&key, told.id, &sealed)?;
            names.give(&mut told);
            said = Some(with_it);
        }
        page.entries.push(ExportedDecision { log_index: page.next, told, said });
    }
    Ok(page)
}

/// A record is met at its first decision, which the feed has once.
fn consents(
    connection: &Connection,
    organization: OrganizationId,
    span: Span,
) -> StorageResult<FeedPage<ExportedConsent>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT log_index, previous IS NULL AS is_first, consents.*, purposes.name AS purpose_name \
             FROM decisions JOIN consents USING (consent) JOIN purposes USING (purpose) \
             WHERE decisions.organization = ? AND log_index > ? AND log_index <= ? ORDER BY log_index",
        )
        .map_err(database)?;
    let within = params![organization.key(), span.after.cast_signed(), span.through.cast_signed()];
    let mut rows = statement.query(within).map_err(database)?;
    let mut page = FeedPage { entries: Vec::new(), next: span.after, has_more: false };
    let mut looked_through = 0;
    while let Some(row) = rows.next().map_err(database)? {
        if page.entries.len() >= span.limit as usize || looked_through == LOOKED_THROUGH {
            page.has_more = true;
            break;
        }
        looked_through += 1;
        page.next = log_index(row)?;
        if row.get("is_first").map_err(database)? {
            page.entries.push(consent_of(row).map_err(database)?);
        }
    }
    Ok(page)
}

fn log_index(row: &Row<'_>) -> StorageResult<u64> {
    row.get::<_, i64>("log_index").map(i64::cast_unsigned).map_err(database)
}

fn consent_of(row: &Row<'_>) -> rusqlite::Result<ExportedConsent> {
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
