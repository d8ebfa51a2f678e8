//! One connection: the open transaction on it, as shared statements see it.
//!
//! A call runs on a blocking thread from beginning to end. Its connection is driven by that same thread, so that no answer
//! of the database has to wake another one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;

use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::damaged;
use abide_storage_sql::sql::{Bind, Row, Sql, Value};
use bytes::{BufMut, BytesMut};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type};
use tokio_postgres::{Client, Statement};

use crate::address::Address;
use crate::words::in_postgres;

/// A connection to the server.
pub(crate) struct Connection {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    /// By where a statement's text stands in the program.
    prepared: RefCell<HashMap<(usize, usize), Statement>>,
    /// How the last statement failed, if it did.
    failure: Cell<Option<Failure>>,
    changes: Cell<u64>,
}

/// How a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another transaction was in the way: the same call may go well now.
    InTheWay,
    /// The connection is lost.
    Lost,
    /// Anything else.
    Other,
}

impl Connection {
    /// Connects. Blocks.
    pub(crate) fn open(address: &Address) -> Result<Self, tokio_postgres::Error> {
        let runtime =
            Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        let client = runtime.block_on(address.connect())?;
        Ok(Self {
            runtime: Some(runtime),
            client,
            prepared: RefCell::default(),
            failure: Cell::default(),
            changes: Cell::default(),
        })
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("there until dropped").block_on(future)
    }

    /// Whether it can be used again.
    pub(crate) fn is_sound(&self) -> bool {
        !self.client.is_closed() && self.failure.get() != Some(Failure::Lost)
    }

    /// How the last statement failed; forgotten with the asking.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// Statements without values.
    pub(crate) fn simple(&self, statements: &str) -> StorageResult<()> {
        self.noted(self.wait(self.client.batch_execute(statements)))
    }

    fn noted<T>(&self, result: Result<T, tokio_postgres::Error>) -> StorageResult<T> {
        result.map_err(|error| {
            self.failure.set(Some(kind_of(&error)));
            database(&error)
        })
    }

    fn prepared(&self, text: &'static str) -> Result<Statement, tokio_postgres::Error> {
        let place = (text.as_ptr().addr(), text.len());
        if let Some(known) = self.prepared.borrow().get(&place) {
            return Ok(known.clone());
        }
        let statement = self.wait(self.client.prepare(&in_postgres(text)))?;
        self.prepared.borrow_mut().insert(place, statement.clone());
        Ok(statement)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which is not allowed everywhere.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Sql for Connection {
    fn execute(&self, statement: &'static str, values: &[&dyn Bind]) -> StorageResult<usize> {
        let done = self.prepared(statement).and_then(|prepared| {
            let bound: Vec<Bound<'_>> = values.iter().map(|value| Bound(value.value())).collect();
            let values: Vec<&(dyn ToSql + Sync)> = bound.iter().map(|one| one as _).collect();
            self.wait(self.client.execute(&prepared, &values))
        });
        let changed = self.noted(done)?;
        self.changes.set(self.changes.get() + changed);
        Ok(changed as usize)
    }

    fn each(
        &self,
        statement: &'static str,
        values: &[&dyn Bind],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        let found = self.prepared(statement).and_then(|prepared| {
            let bound: Vec<Bound<'_>> = values.iter().map(|value| Bound(value.value())).collect();
            let values: Vec<&(dyn ToSql + Sync)> = bound.iter().map(|one| one as _).collect();
            self.wait(self.client.query(&prepared, &values))
        });
        let rows = self.noted(found)?;
        if !statement.starts_with("SELECT") && !statement.starts_with("WITH") {
            self.changes.set(self.changes.get() + rows.len() as u64);
        }
        for row in &rows {
            if look(&Found(row))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn changes(&self) -> u64 {
        self.changes.get()
    }

    fn alone(&self, key: i64) -> StorageResult<()> {
        self.sql_alone(key)
    }
}

impl Connection {
    fn sql_alone(&self, key: i64) -> StorageResult<()> {
        // A key is a number: nothing of it needs quoting.
        self.simple(&format!("SELECT pg_advisory_xact_lock({key})"))
    }
}

#[derive(Debug)]
struct Bound<'v>(Value<'v>);

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) => match *kind {
                Type::INT8 => out.put_i64(number),
                Type::INT4 => out.put_i32(number.try_into()?),
                Type::INT2 => out.put_i16(number.try_into()?),
                Type::BOOL => out.put_u8(u8::from(number != 0)),
                Type::TEXT => out.put_slice(number.to_string().as_bytes()),
                _ => return Err(format!("a number was given where {kind} is wanted").into()),
            },
            Value::Text(text) => out.put_slice(text.as_bytes()),
            Value::Bytes(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

struct Found<'r>(&'r tokio_postgres::Row);

impl Row for Found<'_> {
    fn value(&self, place: usize) -> StorageResult<Value<'_>> {
        let columns = self.0.columns();
        let Some(column) = columns.get(place) else { return Err(damaged("a column is missing")) };
        let wrong = |_| damaged(column.name());
        let value = match *column.type_() {
            Type::INT8 => {
                self.0.try_get::<_, Option<i64>>(place).map_err(wrong)?.map(Value::Integer)
            }
            Type::INT4 => {
                let number = self.0.try_get::<_, Option<i32>>(place).map_err(wrong)?;
                number.map(|number| Value::Integer(number.into()))
            }
            Type::INT2 => {
                let number = self.0.try_get::<_, Option<i16>>(place).map_err(wrong)?;
                number.map(|number| Value::Integer(number.into()))
            }
            Type::BOOL => {
                let flag = self.0.try_get::<_, Option<bool>>(place).map_err(wrong)?;
                flag.map(|flag| Value::Integer(flag.into()))
            }
            Type::BYTEA => {
                self.0.try_get::<_, Option<&[u8]>>(place).map_err(wrong)?.map(Value::Bytes)
            }
            _ => self.0.try_get::<_, Option<&str>>(place).map_err(wrong)?.map(Value::Text),
        };
        Ok(value.unwrap_or(Value::Null))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.columns().iter().position(|column| column.name() == name)
    }

    fn name(&self, place: usize) -> &str {
        self.0.columns().get(place).map_or("", |column| column.name())
    }
}

fn kind_of(error: &tokio_postgres::Error) -> Failure {
    let passing = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        // Two calls made the same thing at once: the second one finds it now.
        SqlState::UNIQUE_VIOLATION,
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    match error.code() {
        Some(code) if passing.contains(code) => Failure::InTheWay,
        Some(code) if code.code().starts_with("57P") || code.code().starts_with("08") => {
            Failure::Lost
        }
        Some(_) => Failure::Other,
        None if error.is_closed() => Failure::Lost,
        // What is no answer of the server's is the connection's, or ours.
        None => Failure::Lost,
    }
}

/// A database error as a storage error, by its code alone: the words may repeat what a statement was given.
pub(crate) fn database(error: &tokio_postgres::Error) -> StorageError {
    let text = match error.as_db_error() {
        Some(answer) => {
            let table = answer.table().map(|table| format!(" at {table}")).unwrap_or_default();
            let rule = answer.constraint().map(|rule| format!(" by {rule}")).unwrap_or_default();
            format!("PostgreSQL error {}{table}{rule}", answer.code().code())
        }
        None => format!("PostgreSQL: {error}"),
    };
    StorageError::Unavailable(text)
}
