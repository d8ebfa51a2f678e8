//! Policies.

use std::sync::Arc;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::access::Caller;
use abide_core::event::{Event, EventBody, EventKind, RENDER_VERSION};
use abide_core::ids::{OrganizationId, Policy as PolicyKind, PolicyId};
use abide_core::original::{OriginalId, PublicId};
use abide_core::policy::{NewPolicy, Policy, PolicyPatch, PolicyType, content_hash};
use abide_core::{Refusal, Timestamp};
use abide_storage::policies::PolicyFilter;
use abide_storage::{Page, PageWanted, Policies, StorageError, StorageResult};
use async_trait::async_trait;

use crate::after::refused;
use crate::database::Database;
use crate::originals;
use crate::publish::publish;
use crate::rows::{at, count, id, maybe_at, named};
use crate::store::SqlStore;
use crate::tx::Tx;

pub(crate) fn policy_of(row: &dyn Row) -> StorageResult<Policy> {
    Ok(Policy {
        id: PublicId { id: id(row, "policy")?, original: originals::of_row(row)? },
        policy_type: named(row, "policy_type", PolicyType::parse)?,
        version: row.get("version")?,
        title: row.get("title")?,
        content: None,
        content_hash: row.get("content_hash")?,
        effective_date: at(row, "effective_date")?,
        is_active: row.get("is_active")?,
        created_at: at(row, "created_at")?,
        updated_at: at(row, "updated_at")?,
        deleted_at: maybe_at(row, "deleted_at")?,
    })
}

fn live(
    connection: &dyn Sql,
    organization: OrganizationId,
    policy: PolicyId,
) -> StorageResult<Option<Policy>> {
    connection
        .sql("SELECT * FROM policies WHERE policy = ? AND organization = ? AND deleted_at IS NULL")
        .maybe([policy.key(), organization.key()], |row| {
            Ok(Policy { content: Some(row.get("content")?), ..policy_of(row)? })
        })
}

fn existing(tx: &Tx<'_>, organization: OrganizationId, policy: PolicyId) -> StorageResult<Policy> {
    live(tx.connection(), organization, policy)?
        .ok_or(StorageError::Refused(Refusal::NotFound("the policy")))
}

fn tell(
    tx: &mut Tx<'_>,
    by: &Caller,
    kind: EventKind,
    policy: &Policy,
    now: Timestamp,
) -> StorageResult<()> {
    let action = match kind {
        EventKind::PolicyCreated => "policy.create",
        EventKind::PolicyDeleted => "policy.delete",
        _ => "policy.change",
    };
    tx.audit(by, action, &policy.id.id.to_string(), now)?;
    tx.caches.open_policies.remove(&(by.organization, policy.id.id));
    announce(tx, by.organization, kind, policy, now)
}

/// Tells what became of a version.
pub(crate) fn announce(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    kind: EventKind,
    policy: &Policy,
    now: Timestamp,
) -> StorageResult<()> {
    let event = Event {
        id: tx.id(now),
        organization,
        kind,
        created_at: now,
        subject: None,
        render_version: RENDER_VERSION,
        body: EventBody::Policy(Policy { content: None, ..policy.clone() }),
    };
    publish(tx, &Arc::new(event), now)
}

/// The policy that stands under that type and version.
pub(crate) fn taken(
    tx: &Tx<'_>,
    organization: OrganizationId,
    policy_type: PolicyType,
    version: &str,
) -> StorageResult<Option<PolicyId>> {
    tx.sql(
        "SELECT policy FROM policies WHERE organization = ? AND policy_type = ? AND version = ? \
         AND deleted_at IS NULL",
    )
    .maybe(params![organization.key(), policy_type.as_str(), version], |row| id(row, "policy"))
}

/// Writes a new version with its content.
pub(crate) fn insert(
    tx: &Tx<'_>,
    organization: OrganizationId,
    policy: &Policy,
) -> StorageResult<()> {
    tx.sql(
        "INSERT INTO policies (policy, organization, policy_type, version, title, content, content_hash, \
         effective_date, is_active, created_at, updated_at, original) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .execute(params![
        policy.id.id.key(),
        organization.key(),
        policy.policy_type.as_str(),
        policy.version,
        policy.title,
        policy.content,
        policy.content_hash,
        policy.effective_date.as_millis(),
        policy.is_active,
        policy.created_at.as_millis(),
        policy.updated_at.as_millis(),
        policy.id.original.as_ref().map(OriginalId::as_str),
    ])?;
    Ok(())
}

#[async_trait]
impl<D: Database> Policies for SqlStore<D> {
    async fn create(&self, by: &Caller, new: NewPolicy, now: Timestamp) -> StorageResult<Policy> {
        new.check()?;
        self.act(by, 1_024 + new.content.len(), now, move |tx, by| {
            if taken(tx, by.organization, new.policy_type, &new.version)?.is_some() {
                return refused(Refusal::Conflict(
                    "a policy of this type and version exists".to_owned(),
                ));
            }
            let policy = Policy {
                id: tx.id::<PolicyKind>(now).into(),
                policy_type: new.policy_type,
                version: new.version.clone(),
                title: new.title.clone(),
                content: Some(new.content.clone()),
                content_hash: content_hash(&new.content),
                effective_date: new.effective_date.unwrap_or(now),
                is_active: true,
                created_at: now,
                updated_at: now,
                deleted_at: None,
            };
            insert(tx, by.organization, &policy)?;
            tell(tx, by, EventKind::PolicyCreated, &policy, now)?;
            Ok(policy)
        })
        .await
    }

    async fn list(
        &self,
        organization: OrganizationId,
        filter: PolicyFilter,
        page: PageWanted,
    ) -> StorageResult<Page<Policy>> {
        self.read(move |connection, _| {
            let policy_type = filter.policy_type.map(PolicyType::as_str);
            let total = connection
                .sql(
                    "SELECT count(*) FROM policies WHERE organization = ?1 AND deleted_at IS NULL \
                     AND (policy_type = ?2 OR ?2 IS NULL) AND (is_active = ?3 OR ?3 IS NULL)",
                )
                .one(params![organization.key(), policy_type, filter.is_active], count)?;
            let items = connection
                .sql(
                    "SELECT * FROM policies WHERE organization = ?1 AND deleted_at IS NULL \
                     AND (policy_type = ?2 OR ?2 IS NULL) AND (is_active = ?3 OR ?3 IS NULL) \
                     ORDER BY policy DESC LIMIT ?4 OFFSET ?5",
                )
                .all(
                    params![
                        organization.key(),
                        policy_type,
                        filter.is_active,
                        page.limit,
                        page.offset() as i64
                    ],
                    policy_of,
                )?;
            Ok(Page { items, total })
        })
        .await
    }

    async fn get(
        &self,
        organization: OrganizationId,
        policy: PolicyId,
    ) -> StorageResult<Option<Policy>> {
        self.read(move |connection, _| live(connection, organization, policy)).await
    }

    async fn change(
        &self,
        by: &Caller,
        policy: PolicyId,
        patch: PolicyPatch,
        now: Timestamp,
    ) -> StorageResult<Policy> {
        patch.check()?;
        self.act(by, 512, now, move |tx, by| {
            let before = existing(tx, by.organization, policy)?;
            let after = Policy {
                title: patch.title.clone().unwrap_or_else(|| before.title.clone()),
                effective_date: patch.effective_date.unwrap_or(before.effective_date),
                is_active: patch.is_active.unwrap_or(before.is_active),
                ..before.clone()
            };
            if after == before {
                return Ok(before);
            }
            let after = Policy { updated_at: now, ..after };
            tx.sql(
                "UPDATE policies SET title = ?, effective_date = ?, is_active = ?, updated_at = ? WHERE policy = ?",
            )
            .execute(params![
                after.title,
                after.effective_date.as_millis(),
                after.is_active,
                now.as_millis(),
                policy.key()
            ])?;
            tell(tx, by, EventKind::PolicyUpdated, &after, now)?;
            Ok(after)
        })
        .await
    }

    async fn delete(&self, by: &Caller, policy: PolicyId, now: Timestamp) -> StorageResult<Policy> {
        self.act(by, 64, now, move |tx, by| {
            let before = existing(tx, by.organization, policy)?;
            tx.sql("UPDATE policies SET deleted_at = ?, updated_at = ?, is_active = 0 WHERE policy = ?")
                .execute([now.as_millis(), now.as_millis(), policy.key()])?;
            let deleted =
                Policy { is_active: false, updated_at: now, deleted_at: Some(now), ..before };
            tell(tx, by, EventKind::PolicyDeleted, &deleted, now)?;
            Ok(deleted)
        })
        .await
    }
}
