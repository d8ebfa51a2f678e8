//! The schema's versions: forward only, embedded, applied at open. `user_version` says how many were applied, and a
//! hash of each stands beside it, so that a store made by another text of the same name is not taken for ours.

use abide_core::consent::hash::sha256;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

/// Every migration, in order. A released one is never edited.
pub(crate) const EACH: &[(&str, &str)] = &[
    ("0001_begin.sql", include_str!("../migrations/0001_begin.sql")),
    ("0002_idempotency.sql", include_str!("../migrations/0002_idempotency.sql")),
    ("0004_users.sql", include_str!("../migrations/0004_users.sql")),
    ("0005_history.sql", include_str!("../migrations/0005_history.sql")),
    ("0006_accounts.sql", include_str!("../migrations/0006_accounts.sql")),
    ("0007_key_limits.sql", include_str!("../migrations/0007_key_limits.sql")),
    ("0008_organizations.sql", include_str!("../migrations/0008_organizations.sql")),
    ("0009_originals.sql", include_str!("../migrations/0009_originals.sql")),
    ("0010_failing_endpoints.sql", include_str!("../migrations/0010_failing_endpoints.sql")),
    ("0011_stretches.sql", include_str!("../migrations/0011_stretches.sql")),
    ("0012_suppressions.sql", include_str!("../migrations/0012_suppressions.sql")),
    ("0013_numbered.sql", include_str!("../migrations/0013_numbered.sql")),
    ("0014_backups.sql", include_str!("../migrations/0014_backups.sql")),
    ("0015_retention.sql", include_str!("../migrations/0015_retention.sql")),
    ("0016_blobs.sql", include_str!("../migrations/0016_blobs.sql")),
];

/// Why a store cannot be brought to this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It was written by a later version of Abide, which knew so many migrations.
    TooNew(usize),
    /// A migration was another one when it was applied here.
    Altered(&'static str),
}

/// Where a store stands.
pub(crate) struct Standing {
    /// How many were applied.
    pub(crate) applied: usize,
    /// How many there are.
    pub(crate) known: usize,
    /// The first applied one that is not the one we know.
    pub(crate) altered: Option<&'static str>,
}

/// Looks where a store stands, without moving it.
pub(crate) fn standing(connection: &Connection) -> rusqlite::Result<Standing> {
    let applied: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let applied = applied as usize;
    let altered = altered(connection, &EACH[..applied.min(EACH.len())])?;
    Ok(Standing { applied, known: EACH.len(), altered })
}

/// Brings a store to the newest version; each migration is one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), Unfit>> {
    let Standing { applied, known, altered } = standing(connection)?;
    if applied > known {
        return Ok(Err(Unfit::TooNew(applied)));
    }
    if let Some(name) = altered {
        return Ok(Err(Unfit::Altered(name)));
    }
    for (number, (_, statements)) in EACH.iter().enumerate().skip(applied) {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        apply(&step, number, statements)?;
        step.commit()?;
    }
    Ok(Ok(()))
}

fn apply(step: &Transaction<'_>, number: usize, statements: &str) -> rusqlite::Result<()> {
    step.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, sha256 BLOB NOT NULL) STRICT",
    )?;
    step.execute_batch(statements)?;
    step.execute(
        "INSERT INTO migrations (number, sha256) VALUES (?, ?)",
        params![number as i64, sha256(statements.as_bytes())],
    )?;
    step.pragma_update(None, "user_version", number as u32 + 1)
}

/// The first of the applied migrations that is not the one we know.
fn altered(
    connection: &Connection,
    applied: &[(&'static str, &'static str)],
) -> rusqlite::Result<Option<&'static str>> {
    let is_noted = connection.table_exists(None, "migrations")?;
    for (number, (name, statements)) in applied.iter().enumerate() {
        let ours = params![number as i64, sha256(statements.as_bytes())];
        let look = "SELECT 1 FROM migrations WHERE number = ? AND sha256 = ?";
        if !is_noted || !connection.prepare(look)?.exists(ours)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
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
            for (number, (_, statements)) in EACH[..applied].iter().enumerate() {
                let step = connection.transaction().unwrap();
                apply(&step, number, statements).unwrap();
                step.commit().unwrap();
            }
            assert_eq!(migrate(&mut connection).unwrap(), Ok(()), "from {applied}");
            assert_eq!(migrate(&mut connection).unwrap(), Ok(()), "again from {applied}");
        }
    }

    #[test]
    fn a_store_of_a_later_version_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", EACH.len() as u32 + 1).unwrap();
        assert_eq!(migrate(&mut connection).unwrap(), Err(Unfit::TooNew(EACH.len() + 1)));
    }

    #[test]
    fn a_store_made_by_another_text_of_a_migration_is_refused() {
        let name = EACH[0].0;
        for tamper in ["UPDATE migrations SET sha256 = x'00'", "DROP TABLE migrations"] {
            let mut connection = Connection::open_in_memory().unwrap();
            migrate(&mut connection).unwrap().unwrap();
            connection.execute_batch(tamper).unwrap();
            assert_eq!(migrate(&mut connection).unwrap(), Err(Unfit::Altered(name)), "{tamper}");
        }
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
