//! Partitions of events and attempts: keys are time-ordered, so a range of keys is a range of time.

use abide_core::Timestamp;
use abide_core::ids::SEQUENCE_BITS;

use crate::connection::Connection;

/// What one partition holds, in milliseconds: 30 days.
const SPAN: i64 = 30 * 24 * 3_600_000;
/// Partitions that are there beforehand, after the one of today.
const AHEAD: i64 = 2;

/// Makes the partition of today and the next ones. One that cannot be made leaves its rows to the default partition, where
/// they are found as well.
pub(crate) fn look_ahead(connection: &Connection, now: Timestamp) {
    let today = now.as_millis() / SPAN;
    for span in today..=today + AHEAD {
        let key = |span: i64| (span * SPAN) << SEQUENCE_BITS;
        for table in ["events", "attempts"] {
            let made = connection.simple(&format!(
                "BEGIN; SET LOCAL lock_timeout = '2s'; \
                 CREATE TABLE IF NOT EXISTS {table}_{span} PARTITION OF {table} FOR VALUES FROM ({}) TO ({}); COMMIT",
                key(span),
                key(span + 1)
            ));
            if let Err(why) = made {
                tracing::warn!(%why, table, "a partition could not be made");
                // Where that fails, too, the connection is of no more use, and the next beat makes another.
                let _ = connection.simple("ROLLBACK");
            }
        }
    }
}
