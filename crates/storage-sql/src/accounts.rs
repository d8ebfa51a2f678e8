//! Organizations and API keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::params;
use crate::sql::{Place as _, Row, Sql};
use abide_core::access::{Actor, Caller, Scope};
use abide_core::ids::{Id, Key, KeyId, OrganizationId};
use abide_core::policy::text_field;
use abide_core::rate::RateLimit;
use abide_core::{Refusal, Timestamp};
use abide_storage::accounts::{ApiKey, NewKey, NewOrganization, Organization, OrganizationPatch};
use abide_storage::sealing::SecretHash;
use abide_storage::{Accounts, RateMeter, StorageError, StorageResult};
use async_trait::async_trait;

use crate::after::{After, refused};
use crate::database::Database;
use crate::organizations;
use crate::rows::{at, id, maybe_at, named};
use crate::store::SqlStore;
use crate::tx::Tx;

fn key_of(row: &dyn Row) -> StorageResult<ApiKey> {
    Ok(ApiKey {
        id: id(row, "api_key")?,
        organization: id(row, "organization")?,
        name: row.get("name")?,
        scopes: named(row, "scopes", |text| text.split(',').map(Scope::parse).collect())?,
        secret: SecretHash(row.get("secret_hash")?),
        rate_limit: limit_of(row)?,
        meter: RateMeter::default(),
        created_at: at(row, "created_at")?,
        revoked_at: maybe_at(row, "revoked_at")?,
        expires_at: maybe_at(row, "expires_at")?,
        last_used_at: maybe_at(row, "last_used_at")?,
    })
}

fn limit_of(row: &dyn Row) -> StorageResult<RateLimit> {
    let place = "rate_limit".in_row(row)?;
    RateLimit::new(row.get(place)?).ok_or_else(|| row.misshapen(place))
}

fn stored_key(connection: &dyn Sql, key: KeyId) -> StorageResult<Option<ApiKey>> {
    connection.sql("SELECT * FROM api_keys WHERE api_key = ?").maybe([key.key()], key_of)
}

/// Refuses a key that could not be stored or would open nothing.
fn check_key(new: &NewKey, now: Timestamp) -> StorageResult<()> {
    text_field("name", &new.name, 100)?;
    if new.scopes.is_empty() {
        return refused(Refusal::field("scopes", "must name at least one scope"));
    }
    if new.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return refused(Refusal::field("expires_at", "must lie in the future"));
    }
    Ok(())
}

/// Writes a key of the caller's organization, with its audit entry.
pub(crate) fn insert_key(
    tx: &mut Tx<'_>,
    by: &Caller,
    new: &NewKey,
    now: Timestamp,
) -> StorageResult<ApiKey> {
    let key = ApiKey {
        id: tx.id::<Key>(now),
        organization: by.organization,
        name: new.name.clone(),
        scopes: new.scopes.clone(),
        secret: new.secret,
        rate_limit: new.rate_limit,
        meter: RateMeter::default(),
        created_at: now,
        revoked_at: None,
        expires_at: new.expires_at,
        last_used_at: None,
    };
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    tx.sql(
        "INSERT INTO api_keys (api_key, organization, name, scopes, secret_hash, created_at, expires_at, \
         rate_limit) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .execute(params![
        key.id.key(),
        key.organization.key(),
        key.name,
        scopes.join(","),
        key.secret.0,
        now.as_millis(),
        key.expires_at.map(Timestamp::as_millis),
        key.rate_limit.per_minute(),
    ])?;
    tx.audit(by, "key.create", &key.id.to_string(), now)?;
    Ok(key)
}

#[async_trait]
impl<D: Database> Accounts for SqlStore<D> {
    async fn create_organization(&self, uri: &str, now: Timestamp) -> StorageResult<Organization> {
        let uri = uri.to_owned();
        self.write(256, move |tx| {
            let organization = organizations::insert(tx, &uri, None, now)?;
            let by = Caller::new(organization.id, Actor::Operator);
            tx.audit(&by, "organization.create", &organization.id.to_string(), now)?;
            Ok(organization)
        })
        .await
    }

    async fn begin_organization(
        &self,
        new: NewOrganization,
        now: Timestamp,
    ) -> StorageResult<(Organization, ApiKey)> {
        check_key(&new.key, now)?;
        self.write(512, move |tx| {
            let organization = organizations::insert(tx, &new.uri, new.name.as_deref(), now)?;
            let by = Caller::new(organization.id, Actor::Operator);
            tx.audit(&by, "organization.create", &organization.id.to_string(), now)?;
            let key = insert_key(tx, &by, &new.key, now)?;
            Ok((organization, key))
        })
        .await
    }

    async fn organization(&self, uri: &str) -> StorageResult<Option<Organization>> {
        let uri = uri.to_owned();
        self.read(move |connection, _| {
            connection
                .sql("SELECT * FROM organizations WHERE uri = ?")
                .maybe([&uri], organizations::of_row)
        })
        .await
    }

    async fn organizations_after(
        &self,
        after: Option<OrganizationId>,
        limit: u32,
    ) -> StorageResult<Vec<Organization>> {
        self.read(move |connection, _| organizations::page(connection, after, limit)).await
    }

    async fn found_organization(
        &self,
        by: &Caller,
        new: NewOrganization,
        now: Timestamp,
    ) -> StorageResult<(Organization, ApiKey)> {
        check_key(&new.key, now)?;
        self.act(by, 512, now, move |tx, by| organizations::found(tx, by, &new, now)).await
    }

    async fn organization_of(
        &self,
        organization: OrganizationId,
    ) -> StorageResult<Option<Organization>> {
        self.read(move |connection, _| organizations::by_id(connection, organization)).await
    }

    async fn change_organization(
        &self,
        by: &Caller,
        patch: OrganizationPatch,
        now: Timestamp,
    ) -> StorageResult<Organization> {
        self.act(by, 256, now, move |tx, by| organizations::change(tx, by, &patch, now)).await
    }

    async fn note_key_use(&self, key: KeyId, now: Timestamp) -> StorageResult<()> {
        self.write(64, move |tx| {
            tx.sql("UPDATE api_keys SET last_used_at = ?1 WHERE api_key = ?2 AND coalesce(last_used_at, 0) < ?1")
                .execute([now.as_millis(), key.key()])?;
            Ok(())
        })
        .await
    }

    async fn organizations(&self) -> StorageResult<Vec<Organization>> {
        self.read(|connection, _| {
            connection
                .sql("SELECT * FROM organizations ORDER BY organization")
                .all((), organizations::of_row)
        })
        .await
    }

    async fn create_key(&self, by: &Caller, new: NewKey, now: Timestamp) -> StorageResult<ApiKey> {
        check_key(&new, now)?;
        self.act(by, 256, now, move |tx, by| insert_key(tx, by, &new, now)).await
    }

    async fn keys(&self, organization: OrganizationId) -> StorageResult<Vec<ApiKey>> {
        self.read(move |connection, _| {
            connection
                .sql("SELECT * FROM api_keys WHERE organization = ? ORDER BY api_key")
                .all([organization.key()], key_of)
        })
        .await
    }

    async fn keys_after(
        &self,
        organization: OrganizationId,
        after: Option<KeyId>,
        limit: u32,
    ) -> StorageResult<Vec<ApiKey>> {
        self.read(move |connection, _| {
            connection
                .sql(
                    "SELECT * FROM api_keys WHERE organization = ? AND api_key > ? ORDER BY api_key LIMIT ?",
                ).all(params![organization.key(), after.map_or(0, Id::key), limit], key_of)
        })
        .await
    }

    async fn key_of(
        &self,
        organization: OrganizationId,
        key: KeyId,
    ) -> StorageResult<Option<ApiKey>> {
        self.read(move |connection, _| {
            let found = stored_key(connection, key)?;
            Ok(found.filter(|found| found.organization == organization))
        })
        .await
    }

    async fn revoke_key(&self, by: &Caller, key: KeyId, now: Timestamp) -> StorageResult<ApiKey> {
        self.act_in_any_state(by, 64, now, move |tx, by| {
            let stored = stored_key(tx.connection(), key)?
                .filter(|stored| stored.organization == by.organization)
                .ok_or(StorageError::Refused(Refusal::NotFound("the key")))?;
            if stored.revoked_at.is_some() {
                return Ok(stored);
            }
            tx.sql("UPDATE api_keys SET revoked_at = ? WHERE api_key = ?")
                .execute([now.as_millis(), key.key()])?;
            tx.audit(by, "key.revoke", &key.to_string(), now)?;
            // The answer leaves after this has run: from then on the key opens nothing.
            tx.after(After::Do(Box::new(move |shared| {
                let mut known = shared.api_keys.write();
                shared.revocations.fetch_add(1, Ordering::Release);
                known.remove(&key);
            })));
            Ok(ApiKey { revoked_at: Some(now), ..stored })
        })
        .await
    }

    async fn key(&self, key: KeyId) -> StorageResult<Option<Arc<ApiKey>>> {
        if let Some(known) = self.shared.api_keys.read().get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let generation = self.shared.revocations.load(Ordering::Acquire);
        self.read(move |connection, shared| {
            let Some(found) = stored_key(connection, key)? else { return Ok(None) };
            let found = Arc::new(found);
            let mut known = shared.api_keys.write();
            // A revocation committed since the read began must not be overtaken by what was read before it.
            if found.revoked_at.is_none()
                && shared.revocations.load(Ordering::Acquire) == generation
            {
                // Of two that read it at once the first stays: its requests are counted in one place.
                return Ok(Some(Arc::clone(known.entry(key).or_insert(found))));
            }
            drop(known);
            Ok(Some(found))
        })
        .await
    }
}
