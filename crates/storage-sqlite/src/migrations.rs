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

    /// I15: the database has neither a clock nor dice; times and random bytes arrive as values.
    #[test]
    fn i15_no_clock_and_no_chance_in_sql() {
        let forbidden = [
            "CURRENT_TIME",
            "CURRENT_DATE",
            "STRFTIME",
            "UNIXEPOCH",
            "JULIANDAY",
            "DATETIME(",
            "RANDOM()",
            "RANDOMBLOB",
        ];
        let mut seen = 0;
        for folder in ["src", "migrations"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.ends_with("migrations.rs") || path.is_dir() {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap().to_uppercase();
                for word in forbidden {
                    assert!(!text.contains(word), "{} has {word}", path.display());
                }
                seen += 1;
            }
        }
        assert!(seen > 15, "the sources were not found");
    }
}
