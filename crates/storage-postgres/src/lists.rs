//! Values for many rows at once: a list for each column, as PostgreSQL's arrays.

use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::sql::{Bind, Value, ValueKind};
use tokio_postgres::types::{ToSql, Type};

/// Sets of values, by column.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    columns: Vec<List>,
    rows: usize,
    bytes: usize,
}

#[derive(Debug)]
enum List {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Lists {
    pub(crate) fn of(sets: &[&[&dyn Bind]]) -> StorageResult<Self> {
        let mut lists = Self::default();
        for values in sets {
            lists.push(values)?;
        }
        Ok(lists)
    }

    /// What each column holds.
    pub(crate) fn kinds(&self) -> Vec<ValueKind> {
        self.columns.iter().map(List::kind).collect()
    }

    /// A list more: the place of each set, from 0.
    pub(crate) fn number(&mut self) {
        self.columns.push(List::Integers((0..self.rows as i64).map(Some).collect()));
    }

    pub(crate) fn push(&mut self, values: &[&dyn Bind]) -> StorageResult<()> {
        if self.columns.is_empty() {
            self.columns = values.iter().map(|value| List::new(value.kind())).collect();
        }
        self.check(values)?;
        for (column, value) in self.columns.iter_mut().zip(values) {
            self.bytes += column.push(value.value());
        }
        self.rows += 1;
        Ok(())
    }

    /// Puts a set in the place of another one.
    pub(crate) fn replace(&mut self, row: usize, values: &[&dyn Bind]) -> StorageResult<()> {
        self.check(values)?;
        for (column, value) in self.columns.iter_mut().zip(values) {
            self.bytes += column.push(value.value());
            column.swap_remove(row);
        }
        Ok(())
    }

    /// Refuses a set that is none of these: what does not fit a column would be nothing there.
    fn check(&self, values: &[&dyn Bind]) -> StorageResult<()> {
        let kinds = self.columns.iter().map(List::kind);
        if kinds.eq(values.iter().map(Bind::kind)) {
            return Ok(());
        }
        Err(StorageError::Damaged(
            "a row for others of its statement is of another form".to_owned(),
        ))
    }

    /// The row of the set that was pushed last.
    pub(crate) fn last(&self) -> usize {
        self.rows.saturating_sub(1)
    }

    /// About how much is held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The sets, where each is two numbers.
    pub(crate) fn pairs(&self) -> Vec<(i64, i64)> {
        match self.columns.as_slice() {
            [List::Integers(first), List::Integers(second)] => first
                .iter()
                .zip(second)
                .filter_map(|(first, second)| Some(((*first)?, (*second)?)))
                .collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.columns.iter().map(List::value).collect()
    }
}

impl List {
    fn new(kind: ValueKind) -> Self {
        match kind {
            ValueKind::Integer => Self::Integers(Vec::new()),
            ValueKind::Text => Self::Texts(Vec::new()),
            ValueKind::Bytes => Self::Bytes(Vec::new()),
        }
    }

    fn kind(&self) -> ValueKind {
        match self {
            Self::Integers(_) => ValueKind::Integer,
            Self::Texts(_) => ValueKind::Text,
            Self::Bytes(_) => ValueKind::Bytes,
        }
    }

    /// Answers about how much that takes. A value is of its column's kind, which was checked, or nothing.
    fn push(&mut self, value: Value<'_>) -> usize {
        match (self, value) {
            (Self::Integers(list), Value::Integer(number)) => list.push(Some(number)),
            (Self::Texts(list), Value::Text(text)) => list.push(Some(text.to_owned())),
            (Self::Bytes(list), Value::Bytes(bytes)) => list.push(Some(bytes.to_vec())),
            (Self::Integers(list), _) => list.push(None),
            (Self::Texts(list), _) => list.push(None),
            (Self::Bytes(list), _) => list.push(None),
        }
        match value {
            Value::Null | Value::Integer(_) => 8,
            Value::Text(text) => 24 + text.len(),
            Value::Bytes(bytes) => 24 + bytes.len(),
        }
    }

    fn value(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Integers(list) => (list, Type::INT8_ARRAY),
            Self::Texts(list) => (list, Type::TEXT_ARRAY),
            Self::Bytes(list) => (list, Type::BYTEA_ARRAY),
        }
    }

    /// Takes the last in the place of that one.
    fn swap_remove(&mut self, row: usize) {
        match self {
            Self::Integers(list) => drop(list.swap_remove(row)),
            Self::Texts(list) => drop(list.swap_remove(row)),
            Self::Bytes(list) => drop(list.swap_remove(row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_another_form_is_refused_and_leaves_the_columns_even() {
        let mut lists = Lists::default();
        lists.push(&[&1_i64, &"one".to_owned()]).unwrap();
        lists.push(&[&2_i64, &None::<String>]).unwrap();
        lists.push(&[&3_i64, &None::<i64>]).expect_err("nothing, of another kind");
        lists.push(&[&3_i64, &3_i64]).expect_err("a number for a text");
        lists.push(&[&3_i64]).expect_err("a value too few");
        lists.push(&[&3_i64, &"three".to_owned(), &3_i64]).expect_err("a value too many");
        lists.replace(0, &[&[1_u8], &"one".to_owned()]).expect_err("bytes for a number");
        assert_eq!(lists.last(), 1);
        let shown = format!("{lists:?}");
        assert!(shown.contains("[Some(1), Some(2)]"), "{shown}");
        assert!(shown.contains("[Some(\"one\"), None]"), "{shown}");
    }
}
