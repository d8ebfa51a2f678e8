//! Rows of organizations.

use std::sync::Arc;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::access::Caller;
use abide_core::ids::{Id, Organization as OrganizationKind, OrganizationId};
use abide_core::organization::OrganizationState;
use abide_core::policy::text_field;
use abide_core::{Refusal, Timestamp};
use abide_storage::accounts::{ApiKey, NewOrganization, Organization, OrganizationPatch};
use abide_storage::sealing::OrganizationKeys;
use abide_storage::{StorageError, StorageResult};

use crate::accounts::insert_key;
use crate::after::refused;
use crate::rows::{at, id, named};
use crate::tx::Tx;

/// Longest name shown, in characters.
const NAME_LIMIT: usize = 100;

pub(crate) fn of_row(row: &dyn Row) -> StorageResult<Organization> {
    Ok(Organization {
        id: id(row, "organization")?,
        uri: row.get::<Option<String>>("former_uri")?.map_or_else(|| row.get("uri"), Ok)?,
        name: row.get("name")?,
        strict_purposes: row.get("strict_purposes")?,
        state: state_of(row)?,
        created_at: at(row, "created_at")?,
    })
}

fn state_of(row: &dyn Row) -> StorageResult<OrganizationState> {
    let state = named(row, "state", |text| {
        OrganizationState::NAMES.into_iter().find(|name| *name == text)
    })?;
    Ok(match state {
        "deleting" => OrganizationState::Deleting { deletes_at: at(row, "deletes_at")? },
        "deleted" => OrganizationState::Deleted { deleted_at: at(row, "deleted_at")? },
        _ => OrganizationState::Active,
    })
}

pub(crate) fn by_id(
    connection: &dyn Sql,
    organization: OrganizationId,
) -> StorageResult<Option<Organization>> {
    connection
        .sql("SELECT * FROM organizations WHERE organization = ?")
        .maybe([organization.key()], of_row)
}

/// Organizations in the order of their ids.
pub(crate) fn page(
    connection: &dyn Sql,
    after: Option<OrganizationId>,
    limit: u32,
) -> StorageResult<Vec<Organization>> {
    connection
        .sql("SELECT * FROM organizations WHERE organization > ? ORDER BY organization LIMIT ?")
        .all(params![after.map_or(0, Id::key), limit], of_row)
}

/// Writes an organization with its keys. Its audit entry is the caller's to write, who knows on whose behalf.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    uri: &str,
    name: Option<&str>,
    now: Timestamp,
) -> StorageResult<Organization> {
    if !is_uri(uri) {
        let problem = "must be 1 to 63 lower-case letters, digits and `-`";
        return refused(Refusal::field("uri", problem));
    }
    name.map_or(Ok(()), |name| text_field("name", name, NAME_LIMIT))?;
    let taken = tx.sql("SELECT 1 FROM organizations WHERE uri = ?").exists([uri])?;
    if taken {
        return refused(Refusal::Conflict("an organization of that name exists".to_owned()));
    }
    let organization = tx.id::<OrganizationKind>(now);
    let chance = Arc::clone(&tx.shared.chance);
    let (_, wrapped) = OrganizationKeys::generate(
        &tx.shared.masters.read(),
        organization.key(),
        &mut |bytes: &mut [u8]| chance.fill(bytes),
    );
    tx.sql(
        "INSERT INTO organizations (organization, uri, name, created_at, master_id, wrapped_key, wrapped_index_key) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .execute(params![
        organization.key(),
        uri,
        name,
        now.as_millis(),
        wrapped.master_id.to_string(),
        wrapped.wrapped_key,
        wrapped.wrapped_index_key,
    ])?;
    Ok(Organization {
        id: organization,
        uri: uri.to_owned(),
        name: name.map(str::to_owned),
        strict_purposes: false,
        state: OrganizationState::Active,
        created_at: now,
    })
}

/// Founds an organization with its first key. The new organization's log shows who did it, and so does theirs.
pub(crate) fn found(
    tx: &mut Tx<'_>,
    by: &Caller,
    new: &NewOrganization,
    now: Timestamp,
) -> StorageResult<(Organization, ApiKey)> {
    let organization = insert(tx, &new.uri, new.name.as_deref(), now)?;
    let there = Caller::new(organization.id, by.actor);
    for log in [by, &there] {
        tx.audit(log, "organization.create", &organization.id.to_string(), now)?;
    }
    let key = insert_key(tx, &there, &new.key, now)?;
    Ok((organization, key))
}

pub(crate) fn change(
    tx: &mut Tx<'_>,
    by: &Caller,
    patch: &OrganizationPatch,
    now: Timestamp,
) -> StorageResult<Organization> {
    if let Some(Some(name)) = &patch.name {
        text_field("name", name, NAME_LIMIT)?;
    }
    let before = by_id(tx.connection(), by.organization)?
        .ok_or(StorageError::Refused(Refusal::NotFound("the organization")))?;
    let after = Organization {
        name: patch.name.clone().unwrap_or_else(|| before.name.clone()),
        strict_purposes: patch.strict_purposes.unwrap_or(before.strict_purposes),
        ..before.clone()
    };
    if after == before {
        return Ok(before);
    }
    tx.sql("UPDATE organizations SET name = ?, strict_purposes = ? WHERE organization = ?")
        .execute(params![after.name, after.strict_purposes, after.id.key()])?;
    tx.caches.strict_purposes.insert(after.id, after.strict_purposes);
    tx.audit(by, "organization.change", &after.id.to_string(), now)?;
    Ok(after)
}

/// Whether an organization refuses decisions for purposes that nobody created. Looked up once for each.
pub(crate) fn has_strict_purposes(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
) -> StorageResult<bool> {
    if let Some(strict) = tx.caches.strict_purposes.get(&organization) {
        return Ok(*strict);
    }
    let strict: bool = tx
        .sql("SELECT strict_purposes FROM organizations WHERE organization = ?")
        .one([organization.key()], |row| row.get(0))?;
    tx.caches.strict_purposes.insert(organization, strict);
    Ok(strict)
}

fn is_uri(text: &str) -> bool {
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(sound)
}

/// Keeps an organization as it is until the transaction ends: its standing, its endpoints.
pub(crate) fn hold(tx: &Tx<'_>, of: OrganizationId) -> StorageResult<()> {
    tx.sql("SELECT 1 FROM organizations WHERE organization = ? FOR SHARE").exists([of.key()])?;
    Ok(())
}

/// Keeps every other call of an organization waiting until the transaction ends, where that was not known beforehand.
pub(crate) fn hold_alone(tx: &Tx<'_>, of: OrganizationId) -> StorageResult<()> {
    tx.sql("SELECT 1 FROM organizations WHERE organization = ? FOR UPDATE").exists([of.key()])?;
    Ok(())
}
