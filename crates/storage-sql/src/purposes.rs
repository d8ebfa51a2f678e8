//! Purposes: what decisions name, created by a call or by the first decision that names one.

use crate::params;
use crate::sql::Row;
use abide_core::access::Caller;
use abide_core::ids::{Id, OrganizationId, Purpose as PurposeKind, PurposeId};
use abide_core::policy::text_field;
use abide_core::{Refusal, Timestamp};
use abide_storage::purposes::Purpose;
use abide_storage::{Purposes, StorageResult};
use async_trait::async_trait;

use crate::after::refused;
use crate::database::Database;
use crate::rows::{at, id};
use crate::store::SqlStore;
use crate::tx::Tx;

fn of_row(row: &dyn Row) -> StorageResult<Purpose> {
    Ok(Purpose {
        id: id(row, "purpose")?,
        name: row.get("name")?,
        created_at: at(row, "created_at")?,
    })
}

/// The purpose of that name, from memory where it is known.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    name: &str,
) -> StorageResult<Option<PurposeId>> {
    let cached = (organization, name.to_owned());
    if let Some(purpose) = tx.caches.purposes.get(&cached) {
        return Ok(Some(purpose));
    }
    let found: Option<i64> = tx
        .sql("SELECT purpose FROM purposes WHERE organization = ? AND name = ?")
        .maybe(params![organization.key(), name], |row| row.get(0))?;
    let found = found.map(PurposeId::from_key);
    if let Some(purpose) = found {
        tx.caches.purposes.insert(cached, purpose);
    }
    Ok(found)
}

/// The purpose of that name, created where there is none.
pub(crate) fn find_or_create(
    tx: &mut Tx<'_>,
    by: &Caller,
    name: &str,
    now: Timestamp,
) -> StorageResult<PurposeId> {
    match find(tx, by.organization, name)? {
        Some(purpose) => Ok(purpose),
        None => insert(tx, by, name, now),
    }
}

fn insert(tx: &mut Tx<'_>, by: &Caller, name: &str, now: Timestamp) -> StorageResult<PurposeId> {
    let purpose = tx.id::<PurposeKind>(now);
    tx.sql("INSERT INTO purposes (purpose, organization, name, created_at) VALUES (?, ?, ?, ?)")
        .execute(params![purpose.key(), by.organization.key(), name, now.as_millis()])?;
    tx.audit(by, "purpose.create", &purpose.to_string(), now)?;
    tx.caches.purposes.insert((by.organization, name.to_owned()), purpose);
    Ok(purpose)
}

#[async_trait]
impl<D: Database> Purposes for SqlStore<D> {
    async fn create(&self, by: &Caller, name: &str, now: Timestamp) -> StorageResult<Purpose> {
        text_field("name", name, 100)?;
        let name = name.to_owned();
        self.act(by, 256, now, move |tx, by| {
            if find(tx, by.organization, &name)?.is_some() {
                return refused(Refusal::Conflict("a purpose of this name exists".to_owned()));
            }
            let id = insert(tx, by, &name, now)?;
            Ok(Purpose { id, name: name.clone(), created_at: now })
        })
        .await
    }

    async fn get(
        &self,
        organization: OrganizationId,
        purpose: PurposeId,
    ) -> StorageResult<Option<Purpose>> {
        self.read(move |connection, _| {
            connection
                .sql("SELECT * FROM purposes WHERE purpose = ? AND organization = ?")
                .maybe([purpose.key(), organization.key()], of_row)
        })
        .await
    }

    async fn list_after(
        &self,
        organization: OrganizationId,
        after: Option<PurposeId>,
        limit: u32,
    ) -> StorageResult<Vec<Purpose>> {
        self.read(move |connection, _| {
            // By the key and not by name: few organizations have many purposes, and a list in order of creation can be
            // read on from its last place.
            connection
                .sql(
                    "SELECT purpose, name, created_at FROM purposes WHERE organization = ? AND purpose > ? \
                     ORDER BY purpose LIMIT ?",
                ).all(params![organization.key(), after.map_or(0, Id::key), limit], of_row)
        })
        .await
    }
}
