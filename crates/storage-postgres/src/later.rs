//! What a transaction writes later: rows that wait for others of their table, to go to the server with them.

use std::collections::HashMap;

use abide_storage::StorageResult;
use abide_storage_sql::sql::Bind;

use crate::lists::Lists;
use crate::words::table_of;

/// So much waits in one transaction at most.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Rows that wait, by the statement that will write them.
#[derive(Debug, Default)]
pub(crate) struct Later {
    statements: Vec<Waiting>,
    bytes: usize,
}

/// The rows of one statement.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) statement: &'static str,
    pub(crate) lists: Lists,
    table: &'static str,
    /// Where the update of a row waits.
    updates: HashMap<i64, usize>,
}

impl Later {
    /// Adds a row. Of two updates of one row only the last one is carried out.
    pub(crate) fn push(
        &mut self,
        statement: &'static str,
        key: i64,
        values: &[&dyn Bind],
    ) -> StorageResult<()> {
        let known = self.statements.iter_mut().find(|one| std::ptr::eq(one.statement, statement));
        let waiting = match known {
            Some(waiting) => waiting,
            None => {
                self.statements.push(Waiting {
                    statement,
                    lists: Lists::default(),
                    table: table_of(statement),
                    updates: HashMap::new(),
                });
                let last = self.statements.len() - 1;
                &mut self.statements[last]
            }
        };
        let before = waiting.lists.bytes();
        match waiting.updates.get(&key) {
            Some(row) => waiting.lists.replace(*row, values)?,
            None => {
                waiting.lists.push(values)?;
                if statement.starts_with("UPDATE") {
                    waiting.updates.insert(key, waiting.lists.last());
                }
            }
        }
        self.bytes += waiting.lists.bytes() - before;
        Ok(())
    }

    /// Whether a statement may see or meet what waits; one that is about no table, a savepoint, is about all of them.
    pub(crate) fn concerns(&self, statement: &str) -> bool {
        let is_about_tables = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]
            .iter()
            .any(|word| statement.starts_with(word));
        !is_about_tables || self.statements.iter().any(|waiting| statement.contains(waiting.table))
    }

    /// Whether no more should wait.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
    }

    /// The new rows of a table that wait, each of which is two numbers; they wait no longer.
    pub(crate) fn take_pairs(&mut self, table: &str) -> Vec<(i64, i64)> {
        let place = self.statements.iter().position(|waiting| waiting.table == table);
        let waiting = place.map(|place| self.statements.remove(place));
        waiting.map_or_else(Vec::new, |waiting| {
            self.bytes -= waiting.lists.bytes();
            waiting.lists.pairs()
        })
    }

    /// All that waits, new rows before changes of rows.
    pub(crate) fn take(&mut self) -> Vec<Waiting> {
        let mut all = std::mem::take(self).statements;
        all.sort_by_key(|waiting| waiting.statement.starts_with("UPDATE"));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSERT: &str = "INSERT INTO consents (consent, version) VALUES (?, ?)";
    const UPDATE: &str = "UPDATE consents SET version = ?2 WHERE consent = ?1";

    #[test]
    fn rows_wait_for_others_of_their_statement_and_new_ones_go_first() {
        let mut later = Later::default();
        later.push(UPDATE, 1, &[&1_i64, &7_i64]).unwrap();
        later.push(UPDATE, 2, &[&2_i64, &1_i64]).unwrap();
        later.push(INSERT, 3, &[&3_i64, &None::<i64>]).unwrap();
        later.push(UPDATE, 1, &[&1_i64, &8_i64]).unwrap();
        assert!(later.concerns("SELECT * FROM consents"));
        assert!(!later.concerns("SELECT * FROM endpoints"));
        assert!(later.concerns("SAVEPOINT part"));
        let taken = later.take();
        assert_eq!(taken.iter().map(|one| one.statement).collect::<Vec<_>>(), [INSERT, UPDATE]);
        let shown = format!("{:?}", taken[1].lists);
        assert!(
            shown.contains("[Some(1), Some(2)]") && shown.contains("[Some(8), Some(1)]"),
            "{shown}"
        );
        assert!(!later.concerns("SELECT * FROM consents"));
    }
}
