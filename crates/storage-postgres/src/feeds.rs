//! Numbers for the feeds, given after the commit: under a lock on the feed's head, so that each is given once and none is
//! seen before all below it.

use abide_core::ids::OrganizationId;
use abide_storage::StorageResult;
use abide_storage_sql::sql::Sql;

/// Whether everything that is committed has its number.
pub(crate) fn is_numbered(sql: &dyn Sql, of: OrganizationId) -> StorageResult<bool> {
    let waits = sql
        .sql(
            "SELECT 1 FROM unnumbered_decisions WHERE organization = ?1 \
             UNION ALL SELECT 1 FROM unnumbered_events WHERE organization = ?1 LIMIT 1",
        )
        .exists([of.key()])?;
    Ok(!waits)
}

/// Numbers what is committed, in the order of its keys.
pub(crate) fn number(sql: &dyn Sql, of: OrganizationId) -> StorageResult<()> {
    sql.sql(
        "INSERT INTO feed_heads (organization) VALUES (?) ON CONFLICT (organization) DO NOTHING",
    )
    .execute([of.key()])?;
    // The statements below see what was committed before this lock was given.
    sql.sql("SELECT 1 FROM feed_heads WHERE organization = ? FOR UPDATE").exists([of.key()])?;
    sql.sql(
        "WITH taken AS (DELETE FROM unnumbered_decisions WHERE organization = ?1 RETURNING decision), \
         given AS (INSERT INTO decision_feed (organization, log_index, decision) \
         SELECT ?1, (SELECT decisions FROM feed_heads WHERE organization = ?1) + row_number() OVER (ORDER BY decision), \
         decision FROM taken RETURNING log_index) \
         UPDATE feed_heads SET decisions = coalesce((SELECT max(log_index) FROM given), decisions) WHERE organization = ?1",
    )
    .execute([of.key()])?;
    sql.sql(
        "WITH taken AS (DELETE FROM unnumbered_events WHERE organization = ?1 RETURNING event), \
         given AS (INSERT INTO event_feed (organization, log_index, event) \
         SELECT ?1, (SELECT events FROM feed_heads WHERE organization = ?1) + row_number() OVER (ORDER BY event), \
         event FROM taken RETURNING log_index) \
         UPDATE feed_heads SET events = coalesce((SELECT max(log_index) FROM given), events) WHERE organization = ?1",
    )
    .execute([of.key()])?;
    Ok(())
}
