//! Statements and rows, as both databases have them.
//!
//! A statement is written once, in the words that SQLite and PostgreSQL share, with `?` or `?1` for its values. Where one of
//! them needs a word of its own, its [`Sql`] puts it there: `FOR UPDATE` is nothing to SQLite, which has one writer, and
//! `INDEXED BY` is nothing to PostgreSQL, which chooses by itself.

use std::ops::ControlFlow;

use abide_storage::{StorageError, StorageResult};

use crate::rows::damaged;

/// An open transaction of a database, or a reader's view of one moment.
pub trait Sql {
    /// Carries out a statement; answers how many rows it changed.
    fn execute(&self, statement: &'static str, values: &[&dyn Bind]) -> StorageResult<usize>;

    /// Gives each row that a statement answers to `look`, until that breaks off. All may be held meanwhile.
    fn each(
        &self,
        statement: &'static str,
        values: &[&dyn Bind],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()>;

    /// [`Sql::each`] for a `SELECT` of which there may be more than is looked at, or than is to be held: no more rows are held
    /// at a time than fit together. Where a database is far away, that costs more than to take them all at once.
    fn each_of_many(
        &self,
        statement: &'static str,
        values: &[&dyn Bind],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        self.each(statement, values, look)
    }

    /// Carries an `UPDATE` out for each set of values, in one go where the database can; answers the places of the sets that
    /// changed a row. No two sets are for the same row.
    fn change_all(
        &self,
        statement: &'static str,
        sets: &[&[&dyn Bind]],
    ) -> StorageResult<Vec<usize>> {
        let mut changed = Vec::new();
        for (place, values) in sets.iter().enumerate() {
            if self.execute(statement, values)? > 0 {
                changed.push(place);
            }
        }
        Ok(changed)
    }

    /// Gives each row that a `SELECT` answers for each set of values to `look`, in no order of the sets.
    fn look_at_all(
        &self,
        statement: &'static str,
        sets: &[&[&dyn Bind]],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<()>,
    ) -> StorageResult<()> {
        for values in sets {
            self.each(statement, values, &mut |row| look(row).map(ControlFlow::Continue))?;
        }
        Ok(())
    }

    /// Carries out a statement that writes the whole row `key`, an `INSERT` or an `UPDATE`, at the latest before anything else
    /// that names the table, and before the commit. A database that is far away takes many at once; of two updates of one row
    /// it then takes the last.
    fn later(&self, statement: &'static str, _key: i64, values: &[&dyn Bind]) -> StorageResult<()> {
        self.execute(statement, values).map(drop)
    }

    /// Changes of this transaction so far: rows, or anything else that grows with each.
    fn changes(&self) -> u64;

    /// Keeps everybody else waiting who asks for the same turn, until the transaction ends. For what has no row to lock. A
    /// database with one writer has nothing to do.
    fn alone(&self, turn: Turn) -> StorageResult<()>;
}

/// What one transaction at a time does, over all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Brings the tables to the newest version.
    Migrating,
    /// Takes the number of a node.
    TakingNodeNumber,
    /// Gives up what was held for too long.
    Discarding,
    /// Changes an endpoint: whoever looks for changes goes by their order.
    ChangingEndpoints,
    /// Erases somebody: whoever looks for erasures goes by their order.
    Erasing,
    /// Removes parts of blobs, or begins a pause in which none are removed.
    RemovingBlobs,
    /// Counts for an owner, an endpoint or an organization, by its key.
    Counting(i64),
}

impl Turn {
    /// A number for each; those that are nobody's are lower than any key.
    pub fn number(self) -> i64 {
        match self {
            Self::Migrating => 1,
            Self::TakingNodeNumber => 2,
            Self::Discarding => 3,
            Self::ChangingEndpoints => 4,
            Self::Erasing => 5,
            Self::RemovingBlobs => 6,
            Self::Counting(owner) => owner,
        }
    }
}

impl<'a> dyn Sql + 'a {
    /// A statement, to be given its values.
    pub fn sql(&self, text: &'static str) -> Statement<'_, 'a> {
        Statement { sql: self, text }
    }
}

/// A statement without its values.
pub struct Statement<'s, 'a> {
    sql: &'s (dyn Sql + 'a),
    text: &'static str,
}

impl Statement<'_, '_> {
    /// Carries it out; answers how many rows it changed.
    pub fn execute(&self, values: impl Values) -> StorageResult<usize> {
        values.with(&mut |values| self.sql.execute(self.text, values))
    }

    /// Carries it out as [`Sql::later`] does.
    pub fn later(&self, key: i64, values: impl Values) -> StorageResult<()> {
        values.with(&mut |values| self.sql.later(self.text, key, values))
    }

    /// Carries it out as [`Sql::change_all`] does.
    pub fn change_all<const N: usize>(&self, sets: &[[&dyn Bind; N]]) -> StorageResult<Vec<usize>> {
        let sets: Vec<&[&dyn Bind]> = sets.iter().map(<[_; N]>::as_slice).collect();
        self.sql.change_all(self.text, &sets)
    }

    /// Its rows for each set of values, as [`Sql::look_at_all`] gives them.
    pub fn look_at_all<const N: usize>(
        &self,
        sets: &[[&dyn Bind; N]],
        mut look: impl FnMut(&dyn Row) -> StorageResult<()>,
    ) -> StorageResult<()> {
        let sets: Vec<&[&dyn Bind]> = sets.iter().map(<[_; N]>::as_slice).collect();
        self.sql.look_at_all(self.text, &sets, &mut look)
    }

    /// Its first row.
    pub fn one<T>(
        &self,
        values: impl Values,
        read: impl FnMut(&dyn Row) -> StorageResult<T>,
    ) -> StorageResult<T> {
        let none = || StorageError::Damaged("a row that must be there is not".to_owned());
        self.maybe(values, read)?.ok_or_else(none)
    }

    /// Its first row, if there is one.
    pub fn maybe<T>(
        &self,
        values: impl Values,
        mut read: impl FnMut(&dyn Row) -> StorageResult<T>,
    ) -> StorageResult<Option<T>> {
        let mut found = None;
        self.each(values, |row| {
            found = Some(read(row)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// All its rows.
    pub fn all<T>(
        &self,
        values: impl Values,
        mut read: impl FnMut(&dyn Row) -> StorageResult<T>,
    ) -> StorageResult<Vec<T>> {
        let mut found = Vec::new();
        self.each(values, |row| {
            found.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Whether it has a row.
    pub fn exists(&self, values: impl Values) -> StorageResult<bool> {
        Ok(self.maybe(values, |_| Ok(()))?.is_some())
    }

    /// Its rows one by one, until `look` breaks off.
    pub fn each(
        &self,
        values: impl Values,
        mut look: impl FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        values.with(&mut |values| self.sql.each(self.text, values, &mut look))
    }

    /// Its rows one by one, until `look` breaks off, as [`Sql::each_of_many`] gives them.
    pub fn each_of_many(
        &self,
        values: impl Values,
        mut look: impl FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        values.with(&mut |values| self.sql.each_of_many(self.text, values, &mut look))
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'v> {
    /// Nothing.
    Null,
    /// A number, an instant, a key, or 0 and 1 for a flag.
    Integer(i64),
    /// Text.
    Text(&'v str),
    /// Bytes.
    Bytes(&'v [u8]),
}

/// Which of the three a value is, though it be nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// As [`Value::Integer`].
    Integer,
    /// As [`Value::Text`].
    Text,
    /// As [`Value::Bytes`].
    Bytes,
}

/// A row that a statement answered.
pub trait Row {
    /// The value in a column, by its place.
    fn value(&self, place: usize) -> StorageResult<Value<'_>>;
    /// The place of a column.
    fn place(&self, name: &str) -> Option<usize>;
    /// The name of a column, for naming damage.
    fn name(&self, place: usize) -> &str;
}

impl dyn Row + '_ {
    /// A column's value.
    pub fn get<T: Column>(&self, column: impl Place) -> StorageResult<T> {
        let place = column.in_row(self)?;
        T::of(self.value(place)?).ok_or_else(|| self.misshapen(place))
    }

    /// The error of a column that cannot be what it claims.
    pub fn misshapen(&self, place: usize) -> StorageError {
        damaged(&format!("column {} has the wrong type", self.name(place)))
    }
}

/// A column by its place or its name.
pub trait Place {
    /// Where it is.
    fn in_row(self, row: &dyn Row) -> StorageResult<usize>;
}

impl Place for usize {
    fn in_row(self, _: &dyn Row) -> StorageResult<usize> {
        Ok(self)
    }
}

impl Place for &str {
    fn in_row(self, row: &dyn Row) -> StorageResult<usize> {
        row.place(self).ok_or_else(|| damaged(&format!("column {self} is not there")))
    }
}

/// A type that columns are read as.
pub trait Column: Sized {
    /// Out of what the column holds; `None` where that is something else.
    fn of(value: Value<'_>) -> Option<Self>;
}

macro_rules! integer_columns {
    ($($kind:ty),+) => { $(
        impl Column for $kind {
            fn of(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::Integer(number) => Self::try_from(number).ok(),
                    _ => None,
                }
            }
        }
    )+ };
}

integer_columns!(i64, i32, u32, u16, u8);

impl Column for bool {
    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(flag) => Some(flag != 0),
            _ => None,
        }
    }
}

impl Column for String {
    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl Column for Vec<u8> {
    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

impl<const N: usize> Column for [u8; N] {
    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::of(other).map(Some),
        }
    }
}

/// What a statement can be given.
pub trait Bind {
    /// As a column holds it.
    fn value(&self) -> Value<'_>;
    /// What it is, and would be if it were not nothing.
    fn kind(&self) -> ValueKind;
}

/// A type whose values are all of one kind.
pub trait Kinded {
    /// Which.
    const KIND: ValueKind;
}

macro_rules! kinds {
    ($([$($generic:tt)*] $type:ty: $kind:ident, $value:ident => $as_value:expr;)+) => { $(
        impl<$($generic)*> Kinded for $type {
            const KIND: ValueKind = ValueKind::$kind;
        }

        impl<$($generic)*> Bind for $type {
            fn value(&self) -> Value<'_> {
                let $value = self;
                Value::$kind($as_value)
            }

            fn kind(&self) -> ValueKind {
                <Self as Kinded>::KIND
            }
        }
    )+ };
}

kinds! {
    [] i64: Integer, number => *number;
    [] i32: Integer, number => (*number).into();
    [] u32: Integer, number => (*number).into();
    [] u16: Integer, number => (*number).into();
    [] u8: Integer, number => (*number).into();
    [] bool: Integer, flag => (*flag).into();
    [] str: Text, text => text;
    [] String: Text, text => text;
    [] [u8]: Bytes, bytes => bytes;
    [] Vec<u8>: Bytes, bytes => bytes;
    [const N: usize] [u8; N]: Bytes, bytes => bytes;
}

impl<T: Kinded> Kinded for Option<T> {
    const KIND: ValueKind = T::KIND;
}

impl<T: Bind + Kinded> Bind for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Bind::value)
    }

    fn kind(&self) -> ValueKind {
        T::KIND
    }
}

impl<T: Kinded + ?Sized> Kinded for &T {
    const KIND: ValueKind = T::KIND;
}

impl<T: Bind + ?Sized> Bind for &T {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }

    fn kind(&self) -> ValueKind {
        (**self).kind()
    }
}

/// Values for a statement: an array of one type, or `params![...]` of several.
pub trait Values {
    /// Lends them.
    fn with<T>(self, lend: &mut dyn FnMut(&[&dyn Bind]) -> T) -> T;
}

impl<B: Bind, const N: usize> Values for [B; N] {
    fn with<T>(self, lend: &mut dyn FnMut(&[&dyn Bind]) -> T) -> T {
        lend(&self.each_ref().map(|value| value as &dyn Bind))
    }
}

impl Values for &[&dyn Bind] {
    fn with<T>(self, lend: &mut dyn FnMut(&[&dyn Bind]) -> T) -> T {
        lend(self)
    }
}

/// A statement without values.
impl Values for () {
    fn with<T>(self, lend: &mut dyn FnMut(&[&dyn Bind]) -> T) -> T {
        lend(&[])
    }
}

/// Values of several types.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$(&$value as &dyn $crate::sql::Bind),*] as &[&dyn $crate::sql::Bind] };
}
