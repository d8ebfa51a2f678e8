//! Signing secrets of endpoints: the newest, and those it replaced that still sign beside it.

use crate::params;
use crate::sql::Sql;
use abide_core::ids::{Endpoint, EndpointId};
use abide_core::{Refusal, Timestamp};
use abide_storage::endpoints::{LiveSecret, MAX_LIVE_SECRETS};
use abide_storage::sealing::{OrganizationKeys, Place, Secret};
use abide_storage::{StorageError, StorageResult};

use crate::rows::{damaged, maybe_at};
use crate::tx::Tx;

fn place(row: i64) -> Place {
    Place { table: "endpoint_secrets", column: "sealed", row }
}

/// Adds the newest.
pub(crate) fn add(
    tx: &Tx<'_>,
    keys: &OrganizationKeys,
    endpoint: EndpointId,
    secret: &Secret,
    now: Timestamp,
) -> StorageResult<()> {
    let row = tx.id::<Endpoint>(now).key();
    let sealed = keys.key.seal(&place(row), secret.reveal().as_bytes());
    tx.sql(
        "INSERT INTO endpoint_secrets (secret, endpoint, sealed, created_at) VALUES (?, ?, ?, ?)",
    )
    .execute(params![row, endpoint.key(), sealed, now.as_millis()])?;
    Ok(())
}

/// Refuses one more where too many would sign.
pub(crate) fn has_room(
    connection: &dyn Sql,
    endpoint: EndpointId,
    others_until: Timestamp,
    now: Timestamp,
) -> StorageResult<()> {
    if others_until <= now {
        return Ok(());
    }
    let live: i64 = connection
        .sql(
            "SELECT count(*) FROM endpoint_secrets WHERE endpoint = ? AND (live_until IS NULL OR live_until > ?)",
        ).one([endpoint.key(), now.as_millis()], |row| row.get(0))?;
    if live < MAX_LIVE_SECRETS as i64 {
        return Ok(());
    }
    let problem = format!(
        "{MAX_LIVE_SECRETS} secrets sign already: end the replaced ones, or replace without an overlap"
    );
    Err(StorageError::Refused(Refusal::Conflict(problem)))
}

/// Adds the newest; those it replaces go on signing until `others_until`, or where they end sooner, then.
pub(crate) fn replace(
    tx: &Tx<'_>,
    keys: &OrganizationKeys,
    endpoint: EndpointId,
    secret: &Secret,
    others_until: Timestamp,
    now: Timestamp,
) -> StorageResult<()> {
    tx.sql(
        "UPDATE endpoint_secrets SET live_until = least(coalesce(live_until, ?1), ?1) WHERE endpoint = ?2",
    )
    .execute([others_until.as_millis(), endpoint.key()])?;
    note_replaced(tx, endpoint)?;
    add(tx, keys, endpoint, secret, now)
}

/// Ends those that were replaced.
pub(crate) fn end_replaced(tx: &Tx<'_>, endpoint: EndpointId, now: Timestamp) -> StorageResult<()> {
    tx.sql("UPDATE endpoint_secrets SET live_until = least(live_until, ?) WHERE endpoint = ? AND live_until IS NOT NULL")
        .execute([now.as_millis(), endpoint.key()])?;
    note_replaced(tx, endpoint)
}

/// Keeps with the endpoint when the last of them ends.
fn note_replaced(tx: &Tx<'_>, endpoint: EndpointId) -> StorageResult<()> {
    tx.sql(
        "UPDATE endpoints SET replaced_secret_until = (SELECT max(live_until) FROM endpoint_secrets \
         WHERE endpoint_secrets.endpoint = endpoints.endpoint) WHERE endpoint = ?",
    )
    .execute([endpoint.key()])?;
    Ok(())
}

/// The secrets that sign at `now` or later.
pub(crate) fn live(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    endpoint: EndpointId,
    now: Timestamp,
) -> StorageResult<Vec<LiveSecret>> {
    let rows: Vec<(i64, Vec<u8>, Option<Timestamp>)> = connection
        .sql(
            "SELECT secret, sealed, live_until FROM endpoint_secrets \
             WHERE endpoint = ? AND (live_until IS NULL OR live_until > ?)",
        )
        .all([endpoint.key(), now.as_millis()], |row| {
            Ok((row.get("secret")?, row.get("sealed")?, maybe_at(row, "live_until")?))
        })?;
    rows.into_iter()
        .map(|(row, sealed, live_until)| {
            let secret = keys.key.open(&place(row), &sealed).ok();
            let secret = secret.and_then(|secret| String::from_utf8(secret).ok());
            let secret = secret.ok_or_else(|| damaged("endpoint_secrets.sealed"))?;
            Ok(LiveSecret { secret: Secret::from(secret), live_until })
        })
        .collect()
}
