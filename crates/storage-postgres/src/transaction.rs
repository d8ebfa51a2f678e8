//! Transactions and looks on a connection: how they begin, how they end, and when they are tried again.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use abide_core::ids::OrganizationId;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::after::follow;
use abide_storage_sql::database::Alone;
use abide_storage_sql::shared::Shared;
use abide_storage_sql::sql::Sql;
use abide_storage_sql::tx::{Caches, Tx};

use crate::connection::{Connection, Failure};
use crate::pool::Pool;

/// How often a call runs while others are in its way.
const TRIES: u32 = 8;

/// Why nothing was done, and what of it was the connection's.
pub(crate) type Failed = (StorageError, Option<Failure>);

/// Carries a call out on a connection, again while others are in its way or where its connection had been lost.
pub(crate) fn again<T>(
    pool: &Pool,
    mut carry_out: impl FnMut(&Connection) -> Result<T, Failed>,
) -> StorageResult<T> {
    let mut tries = 0;
    loop {
        tries += 1;
        let connection = pool.take()?;
        let done = carry_out(&connection);
        pool.give_back(connection);
        if matches!(done, Err((_, Some(Failure::Lost)))) {
            pool.doubt();
        }
        match done {
            Ok(done) => return Ok(done),
            Err((_, Some(Failure::InTheWay | Failure::Lost))) if tries < TRIES => {}
            Err((error, _)) => return Err(error),
        }
    }
}

/// One transaction of one call, and what follows its commit.
pub(crate) fn one_call<T>(
    connection: &Connection,
    shared: &Arc<Shared>,
    alone: Alone,
    work: &mut impl FnMut(&mut Tx<'_>) -> StorageResult<T>,
) -> Result<T, Failed> {
    let begin = match alone {
        Alone::Rows => String::new(),
        Alone::Organization(of) => {
            format!("SELECT FROM organizations WHERE organization = {} FOR NO KEY UPDATE", of.key())
        }
        Alone::People(of) => keeping(&BTreeSet::from([of])),
    };
    let (mut caches, mut after) = (Caches::default(), Vec::new());
    let mut tx = Tx::new(connection, shared, &mut caches, &mut after);
    let done = within(connection, &begin, || work(&mut tx))?;
    follow(shared, after);
    Ok(done)
}

/// Words that keep organizations as they are, in one order.
pub(crate) fn keeping(organizations: &BTreeSet<OrganizationId>) -> String {
    let keys: Vec<String> = organizations.iter().map(|of| of.key().to_string()).collect();
    format!(
        "SELECT FROM organizations WHERE organization IN ({}) ORDER BY organization FOR SHARE",
        keys.join(",")
    )
}

/// One transaction that begins with those words: what `work` does stands if that went well.
pub(crate) fn within<T>(
    connection: &Connection,
    begin: &str,
    work: impl FnOnce() -> StorageResult<T>,
) -> Result<T, Failed> {
    let failed = |error| (error, connection.failure());
    // A plan is kept for long: one that was made while a table was small must not read all of it when it has grown.
    let begin = format!("BEGIN; SET LOCAL enable_seqscan = off; {begin}");
    connection.simple(&begin).map_err(failed)?;
    let result = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StorageError::Damaged("a call panicked".to_owned())));
    let result = result.and_then(|done| connection.write_all().map(|()| done));
    // A transaction in which a statement failed is undone by its COMMIT, which does not say so.
    let result =
        result.and_then(|done| if connection.has_failed() { Err(passed_over()) } else { Ok(done) });
    match result {
        Ok(done) => {
            if let Err(error) = connection.simple("COMMIT") {
                return Err(match connection.failure() {
                    // Whether the server committed before the connection was lost, nobody knows.
                    Some(Failure::Lost) | None => (StorageError::Unknown(error.to_string()), None),
                    failure => (error, failure),
                });
            }
            Ok(done)
        }
        Err(error) => {
            let failure = connection.failure();
            // Where that fails, the connection is of no more use, and says so.
            let _ = connection.roll_back();
            Err((error, failure))
        }
    }
}

fn passed_over() -> StorageError {
    StorageError::Unavailable("a statement failed, and its call went on".to_owned())
}

/// One look at one moment.
pub(crate) fn look<T>(
    connection: &Connection,
    shared: &Shared,
    work: &impl Fn(&dyn Sql, &Shared) -> StorageResult<T>,
) -> Result<T, Failed> {
    let failed = |error| (error, connection.failure());
    connection.simple("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").map_err(failed)?;
    let found = catch_unwind(AssertUnwindSafe(|| work(connection, shared)))
        .unwrap_or_else(|_| Err(StorageError::Damaged("a read panicked".to_owned())));
    let failure = connection.failure();
    let _ = connection.roll_back();
    found.map_err(|error| (error, failure))
}
