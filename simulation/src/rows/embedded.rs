//! The rows of the embedded store. Its one writer writes nothing while somebody looks.

use anyhow::Result;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::{Changed, Source, Value};

/// A connection beside the store's.
pub(crate) struct Embedded {
    connection: Connection,
    version: i64,
}

impl Embedded {
    pub(crate) fn new(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(64);
        Self { connection, version: -1 }
    }
}

impl Source for Embedded {
    fn all(&mut self, statement: &'static str, values: &[i64]) -> Result<Vec<Vec<Value>>> {
        let mut prepared = self.connection.prepare_cached(statement)?;
        let columns = prepared.column_count();
        let mut rows = prepared.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut read = Vec::with_capacity(columns);
            for place in 0..columns {
                read.push(match row.get_ref(place)? {
                    ValueRef::Integer(number) => Value::Number(number),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
                });
            }
            found.push(read);
        }
        Ok(found)
    }

    fn looks(&mut self) -> Result<Changed> {
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        let before = std::mem::replace(&mut self.version, version);
        Ok(if before == version { Changed::No } else { Changed::Perhaps })
    }

    fn looked(&mut self) -> Result<()> {
        Ok(())
    }
}
