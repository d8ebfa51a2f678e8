//! The schema's versions: forward only, embedded, applied at open. `user_version` says how many were applied.

use rusqlite::{Connection, TransactionBehavior};

/// Every migration, in order. A released one is never edited.
pub(crate) const EACH: &[(&str, &str)] =
    &[("0001_begin.sql", include_str!("../migrations/0001_begin.sql"))];

/// The store was written by a later version of Abide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooNew {
    /// The version found.
    pub(crate) found: usize,
}

/// Brings a store to the newest version; each migration is one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), TooNew>> {
    let applied: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let applied = applied as usize;
    if applied > EACH.len() {
        return Ok(Err(TooNew { found: applied }));
    }
    for (number, (_, statements)) in EACH.iter().enumerate().skip(applied) {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(statements)?;
        step.pragma_update(None, "user_version", number as u32 + 1)?;
        step.commit()?;
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_applies_from_empty_and_from_each_version() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        assert_eq!(folder.count(), EACH.len(), "a file is not listed");
        for applied in 0..=EACH.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for (_, statements) in &EACH[..applied] {
                connection.execute_batch(statements).unwrap();
            }
            connection.pragma_update(None, "user_version", applied as u32).unwrap();
            assert_eq!(migrate(&mut connection).unwrap(), Ok(()), "from {applied}");
            assert_eq!(migrate(&mut connection).unwrap(), Ok(()), "again from {applied}");
        }
    }

    #[test]
    fn a_store_of_a_later_version_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", EACH.len() as u32 + 1).unwrap();
        assert_eq!(migrate(&mut connection).unwrap(), Err(TooNew { found: EACH.len() + 1 }));
    }
}
