//! The writer's prepared statements.
//!
//! Readers find theirs by their text, in the driver's own cache. A decision takes a dozen statements, and finding each of
//! them by some hundred bytes of text, twice, is work that the one writer need not do: a text that stands in the program
//! is known by where it stands.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{Deref, DerefMut};

use rusqlite::{Connection, PrepFlags, Statement};

/// Statements prepared on a connection, but for those in use.
pub(crate) struct Statements<'c> {
    connection: &'c Connection,
    words: Words,
    idle: RefCell<HashMap<Place, Statement<'c>, BuildHasherDefault<Mixer>>>,
}

/// Puts a shared statement in words of this database.
pub(crate) type Words = fn(&str) -> Cow<'_, str>;

/// Where a text stands, and its length.
type Place = (usize, usize);

/// A statement in use; back in its place when dropped. What was bound to it stays bound.
pub(crate) struct Kept<'s, 'c> {
    /// There until it is dropped.
    statement: Option<Statement<'c>>,
    place: Place,
    home: &'s Statements<'c>,
}

impl<'c> Statements<'c> {
    pub(crate) fn new(connection: &'c Connection, words: Words) -> Self {
        Self { connection, words, idle: RefCell::default() }
    }

    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// The statement of that text; another one of it where the first is in use.
    pub(crate) fn take(&self, text: &'static str) -> rusqlite::Result<Kept<'_, 'c>> {
        let place = (text.as_ptr().addr(), text.len());
        let idle = self.idle.borrow_mut().remove(&place);
        let statement = match idle {
            Some(statement) => statement,
            None => self
                .connection
                .prepare_with_flags(&(self.words)(text), PrepFlags::SQLITE_PREPARE_PERSISTENT)?,
        };
        Ok(Kept { statement: Some(statement), place, home: self })
    }
}

impl Drop for Kept<'_, '_> {
    fn drop(&mut self) {
        if let Some(statement) = self.statement.take() {
            self.home.idle.borrow_mut().insert(self.place, statement);
        }
    }
}

impl<'c> Deref for Kept<'_, 'c> {
    type Target = Statement<'c>;

    fn deref(&self) -> &Statement<'c> {
        self.statement.as_ref().expect("a statement in use")
    }
}

impl<'c> DerefMut for Kept<'_, 'c> {
    fn deref_mut(&mut self) -> &mut Statement<'c> {
        self.statement.as_mut().expect("a statement in use")
    }
}

/// Addresses are few and nobody chooses them: to multiply them is enough.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, value: usize) {
        // An odd number without pattern: 2^64 by the golden ratio.
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(5) ^ value as u64).wrapping_mul(ODD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_prepared_once_and_once_more_while_in_use() {
        let connection = Connection::open_in_memory().unwrap();
        let statements = Statements::new(&connection, |text| Cow::Borrowed(text));
        let text = "SELECT ?1 + 1";
        let ask = |value: i64| -> i64 {
            statements.take(text).unwrap().query_row([value], |row| row.get(0)).unwrap()
        };
        assert_eq!((ask(1), ask(2)), (2, 3));
        assert_eq!(statements.idle.borrow().len(), 1);
        let first = statements.take(text).unwrap();
        assert_eq!(ask(3), 4, "while the first is in use");
        drop(first);
        assert_eq!(statements.idle.borrow().len(), 1);
        assert!(statements.take("SELECT").is_err());
    }
}
