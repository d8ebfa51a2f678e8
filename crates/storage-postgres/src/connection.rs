//! One connection: the open transaction on it, as shared statements see it.
//!
//! A call runs on a blocking thread from beginning to end. Its connection is driven by that same thread, so that no answer
//! of the database has to wake another one.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::damaged;
use abide_storage_sql::sql::{Bind, Row, Sql, Turn, Value};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::try_join_all;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow, Statement};

use crate::address::{Address, Pooler};
use crate::later::Later;
use crate::lists::Lists;
use crate::transaction::within;
use crate::words::{Places, for_all, in_postgres};

/// How long a server may take to greet us, sign-in and all: one that takes connections and says nothing is none.
const GREETING: Duration = Duration::from_secs(10);

/// The server ended a transaction that took too long altogether.
const TRANSACTION_TIMEOUT: &str = "25P04";

/// Bytes of a bulk copy that are given to the connection at once.
const AT_ONCE: usize = 256 * 1024;

/// Why there is no connection. Shown without anything that was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotConnected {
    /// The server, or the way to it, said so.
    #[error("{}", why(.0))]
    Refused(tokio_postgres::Error),
    /// This machine has nothing left to make one with.
    #[error("{0}")]
    Here(std::io::Error),
    /// Nobody said anything.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
}

impl From<NotConnected> for StorageError {
    fn from(error: NotConnected) -> Self {
        match error {
            NotConnected::Refused(error) => database(&error),
            NotConnected::Here(_) | NotConnected::Silent(_) => {
                Self::Unavailable(format!("PostgreSQL: {error}"))
            }
        }
    }
}

/// What an error of connecting says, without what was sent.
pub(crate) fn why(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(answer) => answer.message().to_owned(),
        None => error.source().map_or_else(|| error.to_string(), ToString::to_string),
    }
}

/// Why a statement has no result.
#[derive(Debug)]
enum Trouble {
    /// The server, or the way to it, said so.
    Told(tokio_postgres::Error),
    /// Nobody said anything for as long as is waited for that.
    Silent(Duration),
}

/// A connection to the server.
pub(crate) struct Connection {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    pooler: Pooler,
    /// Follows each `BEGIN`.
    for_transaction: String,
    /// How long an answer is waited for; for ever where nothing is said.
    patience: Cell<Option<Duration>>,
    /// Set once one did not come: what would come now is an answer to that.
    is_silent: Cell<bool>,
    /// By where a statement's text stands in the program.
    known: RefCell<HashMap<Text, Known>>,
    /// How the last statement failed, if it did.
    failure: Cell<Option<Failure>>,
    changes: Cell<u64>,
    /// What the open transaction has still to write.
    later: RefCell<Later>,
    /// Whether the transaction's one cursor is open.
    is_walking: Cell<bool>,
}

/// Where a statement's text stands in the program, and how it was put.
type Text = (usize, usize, Form);

/// How a statement is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    ForOne,
    ForAll(Places),
    /// As a cursor.
    Walked,
}

/// Rows that a walk holds first, when it does not know how large they are.
const FIRST_ROWS: usize = 16;
/// Rows that it holds at most.
const MOST_ROWS: usize = 1_000;
/// Bytes of rows that it holds, about.
const ROW_BYTES: usize = 256 * 1024;

/// A statement that was carried out before.
#[derive(Clone)]
enum Known {
    Prepared(Statement),
    /// Its text here. The server that answers next may not have it: it is sent each time.
    Unnamed(Arc<str>),
}

/// How a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another transaction was in the way: the same call may go well now.
    InTheWay,
    /// A row was held by somebody else for longer than the transaction waits.
    Blocked,
    /// The connection is lost.
    Lost,
    /// The server took too long, and gave up by itself. Whoever asks again would wait as long.
    Late,
    /// The server took too long, and said nothing.
    Silent,
    /// Anything else.
    Other,
}

impl Connection {
    /// Connects. Blocks.
    pub(crate) fn open(address: &Address) -> Result<Self, NotConnected> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(NotConnected::Here)?;
        let greeting = address.patience().map_or(GREETING, |patience| patience.min(GREETING));
        let settings = address.for_connection();
        let client = runtime.block_on(async {
            let met = async {
                let client = address.connect().await?;
                if !settings.is_empty() {
                    client.batch_execute(&settings).await?;
                }
                Ok(client)
            };
            timeout(greeting, met).await
        });
        let client = client.map_err(|_| NotConnected::Silent(greeting))?;
        let client = client.map_err(NotConnected::Refused)?;
        Ok(Self {
            runtime: Some(runtime),
            client,
            pooler: address.pooler(),
            for_transaction: address.for_transaction(),
            patience: Cell::new(address.patience()),
            is_silent: Cell::new(false),
            known: RefCell::default(),
            failure: Cell::default(),
            changes: Cell::default(),
            later: RefCell::default(),
            is_walking: Cell::new(false),
        })
    }

    /// Waits for what the server answers, and no longer than that is bearable.
    fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        let runtime = self.runtime.as_ref().expect("there until dropped");
        let Some(patience) = self.patience.get() else {
            return runtime.block_on(answer).map_err(Trouble::Told);
        };
        if self.is_silent.get() {
            return Err(Trouble::Silent(patience));
        }
        // The timer belongs to the runtime.
        let answered = runtime.block_on(async { timeout(patience, answer).await });
        let Ok(answered) = answered else {
            self.is_silent.set(true);
            return Err(Trouble::Silent(patience));
        };
        answered.map_err(Trouble::Told)
    }

    /// Waits no longer than that for what is asked from now on.
    pub(crate) fn be_patient_for(&self, patience: Duration) {
        self.patience.set(Some(patience));
    }

    /// Whether it can be used again.
    pub(crate) fn is_sound(&self) -> bool {
        let is_lost = self.failure.get() == Some(Failure::Lost) || self.is_silent.get();
        !is_lost && !self.client.is_closed()
    }

    /// Whether a statement failed and nobody has asked how.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// How the last statement failed; forgotten with the asking.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// Statements without values.
    pub(crate) fn simple(&self, statements: &str) -> StorageResult<()> {
        self.noted(self.wait(self.client.batch_execute(statements)))
    }

    /// Begins a transaction with those words.
    pub(crate) fn begin(&self, words: &str) -> StorageResult<()> {
        match self.for_transaction.as_str() {
            "" => self.simple(words),
            settings => self.simple(&format!("{words}; {settings}")),
        }
    }

    /// The rows of a statement that is put together while the program runs, each value as the text that the server writes it as.
    pub(crate) fn texts(&self, statement: &str) -> StorageResult<Vec<Vec<Option<String>>>> {
        let answered = self.noted(self.wait(self.client.simple_query(statement)))?;
        let text = |row: &SimpleQueryRow, place| row.get(place).map(str::to_owned);
        let rows = answered.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|place| text(row, place)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Takes bytes into a table, by a `COPY ... FROM STDIN`; answers how many rows that was.
    pub(crate) fn copy_in(&self, statement: &str, parts: &[&[u8]]) -> StorageResult<u64> {
        self.noted(self.wait(async {
            let mut sink = pin!(self.client.copy_in::<_, Bytes>(statement).await?);
            for part in parts.iter().flat_map(|part| part.chunks(AT_ONCE)) {
                sink.send(Bytes::copy_from_slice(part)).await?;
            }
            sink.finish().await
        }))
    }

    /// Gives what a `COPY ... TO STDOUT` answers to `look`, message by message.
    pub(crate) fn copy_out(
        &self,
        statement: &str,
        mut look: impl FnMut(&[u8]) -> StorageResult<()>,
    ) -> StorageResult<()> {
        let mut stream = Box::pin(self.noted(self.wait(self.client.copy_out(statement)))?);
        while let Some(message) = self.noted(self.wait(stream.next().map(Option::transpose)))? {
            look(&message)?;
        }
        Ok(())
    }

    /// One transaction: what `work` does stands if that went well.
    pub(crate) fn within<T>(
        &self,
        work: impl FnOnce(&dyn Sql) -> StorageResult<T>,
    ) -> StorageResult<T> {
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
        within(self, begin, || work(self)).map_err(|(error, _)| error)
    }

    /// Ends the transaction with nothing done; answers how it had failed. A connection on which that fails is of no more use,
    /// and says so.
    pub(crate) fn roll_back(&self) -> Option<Failure> {
        drop(self.later.take());
        self.is_walking.set(false);
        let failure = self.failure();
        if self.is_silent.get() {
            // The server ends what a connection leaves behind that is dropped.
            return failure;
        }
        if self.simple("ROLLBACK").is_err() {
            self.failure.set(Some(Failure::Lost));
        }
        failure
    }

    /// Writes what was left for later.
    pub(crate) fn write_all(&self) -> StorageResult<()> {
        let all = self.later.borrow_mut().take();
        let known = all
            .iter()
            .map(|waiting| self.known_for_all(waiting.statement, &waiting.lists, Places::NotAsked));
        let known = self.noted(known.collect::<Result<Vec<_>, _>>())?;
        let values: Vec<_> = all.iter().map(|waiting| waiting.lists.values()).collect();
        // They are sent in their order, one behind the other, and the server need not wait for us between them.
        let sent = known.iter().zip(&values).map(|(known, values)| self.executing(known, values));
        self.noted(self.wait(try_join_all(sent))).map(drop)
    }

    /// Takes the new rows of a table out of what is written later, each of which is two numbers.
    pub(crate) fn take_pairs(&self, table: &str) -> Vec<(i64, i64)> {
        self.later.borrow_mut().take_pairs(table)
    }

    fn write_what_concerns(&self, statement: &str) -> StorageResult<()> {
        // Borrowed no longer than it takes to look.
        let concerned = self.later.borrow().concerns(statement);
        if concerned { self.write_all() } else { Ok(()) }
    }

    /// A statement without answers: sent where this is polled first, done where the server has said so.
    async fn executing(
        &self,
        known: &Known,
        values: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64, tokio_postgres::Error> {
        match known {
            Known::Prepared(prepared) => {
                let values: Vec<_> = values.iter().map(|(value, _)| *value).collect();
                self.client.execute(prepared, &values).await
            }
            Known::Unnamed(text) => self.client.execute_typed(text, values).await,
        }
    }

    fn query_with(
        &self,
        known: &Known,
        values: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<tokio_postgres::Row>, Trouble> {
        match known {
            Known::Prepared(prepared) => {
                let values: Vec<_> = values.iter().map(|(value, _)| *value).collect();
                self.wait(self.client.query(prepared, &values))
            }
            Known::Unnamed(text) => self.wait(self.client.query_typed(text, values)),
        }
    }

    fn noted<T>(&self, result: Result<T, Trouble>) -> StorageResult<T> {
        result.map_err(|trouble| {
            let (kind, error) = match trouble {
                Trouble::Told(error) => (kind_of(&error), database(&error)),
                Trouble::Silent(patience) => {
                    let text = format!("PostgreSQL: no answer within {} s", patience.as_secs_f32());
                    (Failure::Silent, StorageError::Unavailable(text))
                }
            };
            // The first one says why; what follows in its transaction fails because of it.
            if self.failure.get().is_none() {
                self.failure.set(Some(kind));
            }
            error
        })
    }

    fn known(&self, text: &'static str) -> Result<Known, Trouble> {
        self.known_as((text.as_ptr().addr(), text.len(), Form::ForOne), || in_postgres(text))
    }

    fn known_for_all(
        &self,
        text: &'static str,
        lists: &Lists,
        places: Places,
    ) -> Result<Known, Trouble> {
        let place = (text.as_ptr().addr(), text.len(), Form::ForAll(places));
        self.known_as(place, || for_all(text, &lists.kinds(), places).into())
    }

    /// The rows that a statement answers for all sets of values.
    fn query_all(
        &self,
        statement: &'static str,
        sets: &[&[&dyn Bind]],
        places: Places,
    ) -> StorageResult<Vec<tokio_postgres::Row>> {
        if sets.is_empty() {
            return Ok(Vec::new());
        }
        self.write_what_concerns(statement)?;
        let mut lists = Lists::of(sets)?;
        let known = self.known_for_all(statement, &lists, places);
        if places == Places::Answered {
            lists.number();
        }
        self.noted(known.and_then(|known| self.query_with(&known, &lists.values())))
    }

    /// A cursor over what a statement answers, from its beginning to its end.
    fn walk(
        &self,
        statement: &'static str,
        values: &[&dyn Bind],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        self.write_what_concerns(statement)?;
        let bound: Vec<Bound<'_>> = values.iter().map(|value| Bound(value.value())).collect();
        let place = (statement.as_ptr().addr(), statement.len(), Form::Walked);
        let known = self.known_as(place, || {
            format!("DECLARE walk NO SCROLL CURSOR FOR {}", in_postgres(statement)).into()
        });
        self.noted(known.and_then(|known| self.wait(self.executing(&known, &typed(&bound)))))?;
        let walked = self.fetch(look);
        if !self.has_failed() {
            self.simple("CLOSE walk")?;
        }
        walked
    }

    /// Gives the rows of the open cursor to `look`: a few at first, then as many at once as may be held.
    fn fetch(
        &self,
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        let (mut wanted, mut count, mut bytes) = (FIRST_ROWS, 0, 0);
        loop {
            let statement = format!("FETCH FORWARD {wanted} FROM walk");
            let rows = self.noted(self.wait(self.client.query_typed(&statement, &[])))?;
            for row in &rows {
                if look(&Found(row))?.is_break() {
                    return Ok(());
                }
            }
            if rows.len() < wanted {
                return Ok(());
            }
            count += rows.len();
            bytes += rows.iter().map(tokio_postgres::Row::raw_size_bytes).sum::<usize>();
            wanted = (ROW_BYTES / (bytes / count).max(1)).clamp(1, MOST_ROWS);
        }
    }

    fn known_as(
        &self,
        place: Text,
        here: impl FnOnce() -> Cow<'static, str>,
    ) -> Result<Known, Trouble> {
        if let Some(known) = self.known.borrow().get(&place) {
            return Ok(known.clone());
        }
        let here = here();
        let known = match self.pooler {
            Pooler::None => Known::Prepared(self.wait(self.client.prepare(&here))?),
            Pooler::Transaction => Known::Unnamed(here.into()),
        };
        self.known.borrow_mut().insert(place, known.clone());
        Ok(known)
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
        self.write_what_concerns(statement)?;
        let bound: Vec<Bound<'_>> = values.iter().map(|value| Bound(value.value())).collect();
        let known = self.known(statement);
        let done = known.and_then(|known| self.wait(self.executing(&known, &typed(&bound))));
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
        self.write_what_concerns(statement)?;
        let bound: Vec<Bound<'_>> = values.iter().map(|value| Bound(value.value())).collect();
        let known = self.known(statement);
        let found = known.and_then(|known| self.query_with(&known, &typed(&bound)));
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

    fn each_of_many(
        &self,
        statement: &'static str,
        values: &[&dyn Bind],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<ControlFlow<()>>,
    ) -> StorageResult<()> {
        if self.is_walking.replace(true) {
            // Within another walk, which has the cursor.
            return self.each(statement, values, look);
        }
        let walked = self.walk(statement, values, look);
        self.is_walking.set(false);
        walked
    }

    fn change_all(
        &self,
        statement: &'static str,
        sets: &[&[&dyn Bind]],
    ) -> StorageResult<Vec<usize>> {
        let changed = self.query_all(statement, sets, Places::Answered)?;
        self.changes.set(self.changes.get() + changed.len() as u64);
        let places = changed.iter().map(|row| Found(row).get_place());
        places.collect()
    }

    fn look_at_all(
        &self,
        statement: &'static str,
        sets: &[&[&dyn Bind]],
        look: &mut dyn FnMut(&dyn Row) -> StorageResult<()>,
    ) -> StorageResult<()> {
        let found = self.query_all(statement, sets, Places::NotAsked)?;
        found.iter().try_for_each(|row| look(&Found(row)))
    }

    fn later(&self, statement: &'static str, key: i64, values: &[&dyn Bind]) -> StorageResult<()> {
        self.later.borrow_mut().push(statement, key, values)?;
        self.changes.set(self.changes.get() + 1);
        let is_full = self.later.borrow().is_full();
        if is_full { self.write_all() } else { Ok(()) }
    }

    fn changes(&self) -> u64 {
        self.changes.get()
    }

    fn alone(&self, turn: Turn) -> StorageResult<()> {
        self.simple(&format!("SELECT pg_advisory_xact_lock({})", turn.number()))
    }
}

/// Values with their types, for a statement that nobody has described: the server reads their text as what it wants there.
fn typed<'b>(bound: &'b [Bound<'_>]) -> Vec<(&'b (dyn ToSql + Sync), Type)> {
    let kind = |value: &Value<'_>| match value {
        Value::Bytes(_) => Type::BYTEA,
        Value::Integer(_) | Value::Text(_) | Value::Null => Type::UNKNOWN,
    };
    bound.iter().map(|one| (one as _, kind(&one.0))).collect()
}

#[derive(Debug)]
struct Bound<'v>(Value<'v>);

/// A value that cannot be sent as what the statement wants there. The connection is as it was.
#[derive(Debug, thiserror::Error)]
#[error("a value was given that no {0} is")]
struct Unfit(Type);

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let unfit = || Unfit(kind.clone());
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) => match *kind {
                Type::INT8 => out.put_i64(number),
                Type::INT4 => out.put_i32(number.try_into().map_err(|_| unfit())?),
                Type::INT2 => out.put_i16(number.try_into().map_err(|_| unfit())?),
                Type::BOOL => out.put_u8(u8::from(number != 0)),
                Type::TEXT | Type::UNKNOWN => out.put_slice(number.to_string().as_bytes()),
                _ => return Err(unfit().into()),
            },
            Value::Text(text) => out.put_slice(text.as_bytes()),
            Value::Bytes(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn encode_format(&self, kind: &Type) -> Format {
        if *kind == Type::UNKNOWN { Format::Text } else { Format::Binary }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

struct Found<'r>(&'r tokio_postgres::Row);

impl Found<'_> {
    /// The place of a set, as it was numbered.
    fn get_place(&self) -> StorageResult<usize> {
        let place: i64 = (self as &dyn Row).get(0_usize)?;
        usize::try_from(place).map_err(|_| damaged("a place"))
    }
}

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
    ];
    // What the connection knows is not so any more: a plan of before the tables were changed, a statement that its server does
    // not have, a transaction that nobody ended, a server that may write.
    let stale = [
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::IN_FAILED_SQL_TRANSACTION,
    ];
    match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => Failure::Blocked,
        Some(&SqlState::QUERY_CANCELED) => Failure::Late,
        Some(code) if stale.contains(code) => Failure::Lost,
        Some(code) if passing.contains(code) => Failure::InTheWay,
        Some(&SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT) => Failure::Lost,
        // The connection ends with it, which is noticed when the transaction is rolled back.
        Some(code) if code.code() == TRANSACTION_TIMEOUT => Failure::Late,
        Some(code) if code.code().starts_with("57P") || code.code().starts_with("08") => {
            Failure::Lost
        }
        Some(_) => Failure::Other,
        None if error.source().is_some_and(<dyn Error>::is::<Unfit>) => Failure::Other,
        // What is no answer of the server's is the connection's.
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
