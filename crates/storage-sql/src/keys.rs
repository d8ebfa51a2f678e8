//! Organization keys under master keys.

use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::access::{Actor, Caller};
use abide_core::ids::OrganizationId;
use abide_core::{Refusal, Timestamp};
use abide_storage::keys::Rewrapped;
use abide_storage::sealing::{
    MasterId, MasterKey, MasterKeys, OrganizationKeys, WrappedOrganizationKeys,
};
use abide_storage::{Keys, StorageError, StorageResult};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::after::After;
use crate::database::Database;
use crate::rows::{damaged, id};
use crate::shared::{KnownKeys, Shared};
use crate::store::SqlStore;

/// An organization's opened keys, from memory where they are known.
pub(crate) fn organization_keys(
    connection: &dyn Sql,
    shared: &Shared,
    of: OrganizationId,
) -> StorageResult<Arc<OrganizationKeys>> {
    match shared.organization_keys.read().get(&of) {
        Some(KnownKeys::Open(keys)) => return Ok(Arc::clone(keys)),
        Some(KnownKeys::Destroyed) => return Err(destroyed()),
        None => {}
    }
    let wrapped = connection.sql("SELECT * FROM organizations WHERE organization = ?").one(
        [of.key()],
        |row| {
            let state: String = row.get("state")?;
            Ok((state == "deleted", wrapped_of(row)?))
        },
    )?;
    let wrapped = match wrapped {
        (true, _) => return Err(destroyed()),
        (false, wrapped) => wrapped.ok_or_else(|| damaged("organizations.master_id"))?,
    };
    let keys = OrganizationKeys::unwrap(&shared.masters.read(), of.key(), &wrapped)
        .map_err(|_| damaged("organizations.wrapped_key"))?;
    let keys = Arc::new(keys);
    // What was read before the keys were destroyed is not remembered after it.
    match shared.organization_keys.write().entry(of) {
        Entry::Occupied(known) if matches!(known.get(), KnownKeys::Destroyed) => Err(destroyed()),
        Entry::Occupied(_) => Ok(keys),
        Entry::Vacant(place) => {
            place.insert(KnownKeys::Open(Arc::clone(&keys)));
            Ok(keys)
        }
    }
}

/// The keys of an organization, for work that nobody asked for: `None` once they were destroyed.
pub(crate) fn unless_destroyed(
    keys: StorageResult<Arc<OrganizationKeys>>,
) -> StorageResult<Option<Arc<OrganizationKeys>>> {
    match keys {
        Ok(keys) => Ok(Some(keys)),
        Err(StorageError::Refused(Refusal::NotFound(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

fn destroyed() -> StorageError {
    StorageError::Refused(Refusal::NotFound("the organization"))
}

fn wrapped_of(row: &dyn Row) -> StorageResult<Option<WrappedOrganizationKeys>> {
    let master_id: String = row.get("master_id")?;
    let wrapped_key = row.get("wrapped_key")?;
    let wrapped_index_key = row.get("wrapped_index_key")?;
    Ok(master_id.parse::<MasterId>().ok().map(|master_id| WrappedOrganizationKeys {
        wrapped_key,
        wrapped_index_key,
        master_id,
    }))
}

/// The master keys that the store still needs, against those that the key file holds. A key not seen yet is noted.
pub fn check_masters(connection: &dyn Sql, masters: &MasterKeys) -> StorageResult<()> {
    let mut was_first = true;
    for unseen in compare_masters(connection, masters)? {
        let noted = connection
            .sql(
                "INSERT INTO master_keys (master_id, check_value) VALUES (?, ?) ON CONFLICT (master_id) DO NOTHING",
            )
            .execute(params![unseen.id().to_string(), unseen.check_value()])?;
        was_first &= noted > 0;
    }
    if !was_first {
        // Another node noted its own meanwhile.
        compare_masters(connection, masters)?;
    }
    Ok(())
}

/// The same without writing: keys the store has seen are compared by their check values; answers those not seen yet.
pub fn compare_masters<'a>(
    connection: &dyn Sql,
    masters: &'a MasterKeys,
) -> StorageResult<Vec<&'a MasterKey>> {
    for needed in in_use(connection)? {
        let held = needed.parse().ok().and_then(|id: MasterId| masters.get(id));
        if held.is_none() {
            let problem = format!("the key file lacks master key {needed}, which this store needs");
            return Err(StorageError::Unavailable(problem));
        }
    }
    let mut unseen = Vec::new();
    for master in masters.iter() {
        let id = master.id().to_string();
        let stored: Option<Vec<u8>> = connection
            .sql("SELECT check_value FROM master_keys WHERE master_id = ?")
            .maybe([&id], |row| row.get(0))?;
        match stored {
            Some(stored) if stored != master.check_value() => {
                let problem =
                    format!("master key {id} of the key file is not the one this store knows");
                return Err(StorageError::Unavailable(problem));
            }
            Some(_) => {}
            None => unseen.push(master),
        }
    }
    Ok(unseen)
}

/// Opens the keys of every organization that has any, and lets go of them again; answers how many there are.
pub fn open_each(connection: &dyn Sql, masters: &MasterKeys) -> StorageResult<u64> {
    let mut opened = 0;
    let statement = connection.sql("SELECT * FROM organizations WHERE state != 'deleted'");
    statement.each((), |row| {
        let organization: OrganizationId = id(row, "organization")?;
        let wrapped = wrapped_of(row)?.ok_or_else(|| damaged("organizations.master_id"))?;
        OrganizationKeys::unwrap(masters, organization.key(), &wrapped)
            .map_err(|_| damaged("organizations.wrapped_key"))?;
        opened += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(opened)
}

fn in_use(connection: &dyn Sql) -> StorageResult<Vec<String>> {
    connection
        .sql("SELECT DISTINCT master_id FROM organizations WHERE state != 'deleted'")
        .all((), |row| row.get(0))
}

#[async_trait]
impl<D: Database> Keys for SqlStore<D> {
    async fn reload(&self, keys: MasterKeys) -> StorageResult<()> {
        // The call can run twice, and what it takes over must wait for the commit.
        let keys = Arc::new(Mutex::new(Some(keys)));
        self.write(64, move |tx| {
            if let Some(keys) = &*keys.lock() {
                check_masters(tx.connection(), keys)?;
            }
            let keys = Arc::clone(&keys);
            tx.after(After::Do(Box::new(move |shared| {
                if let Some(keys) = keys.lock().take() {
                    *shared.masters.write() = keys;
                }
            })));
            Ok(())
        })
        .await
    }

    async fn rewrap(&self, limit: u32, now: Timestamp) -> StorageResult<Rewrapped> {
        self.write(64, move |tx| {
            let shared = Arc::clone(tx.shared);
            let masters = shared.masters.read();
            let current = masters.current().id().to_string();
            let page: Vec<(i64, Option<WrappedOrganizationKeys>)> = tx
                .sql(
                    "SELECT * FROM organizations WHERE master_id != ? AND state != 'deleted' \
                     ORDER BY organization LIMIT ?",
                )
                .all(params![current, limit.saturating_add(1)], |row| {
                    Ok((row.get("organization")?, wrapped_of(row)?))
                })?;
            let more = page.len() > limit as usize;
            let mut organizations = 0;
            for (organization, wrapped) in page.into_iter().take(limit as usize) {
                let rewrapped = wrapped
                    .and_then(|wrapped| wrapped.rewrap(&masters, organization).ok())
                    .ok_or_else(|| damaged("organizations.wrapped_key"))?;
                tx.sql(
                    "UPDATE organizations SET master_id = ?, wrapped_key = ?, wrapped_index_key = ? \
                     WHERE organization = ?",
                )
                .execute(params![
                    rewrapped.master_id.to_string(),
                    rewrapped.wrapped_key,
                    rewrapped.wrapped_index_key,
                    organization
                ])?;
                let organization = OrganizationId::from_key(organization);
                let by = Caller::new(organization, Actor::Operator);
                tx.audit(&by, "organization.rewrap", &current, now)?;
                organizations += 1;
            }
            if organizations > 0 {
                tx.after(After::Do(Box::new(Shared::key_wiped)));
            }
            Ok(Rewrapped { organizations, more })
        })
        .await
    }

    async fn in_use(&self) -> StorageResult<Vec<String>> {
        self.read(|connection, _| in_use(connection)).await
    }
}
