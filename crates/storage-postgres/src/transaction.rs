//! Transactions and looks on a connection: how they begin, how they end, and when they are tried again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
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
    carry_out: impl FnMut(&Connection) -> Result<T, Failed>,
) -> StorageResult<T> {
    let passing = [Failure::InTheWay, Failure::Blocked, Failure::Lost];
    repeated(pool, TRIES, &passing, carry_out).map_err(|(error, _)| error)
}

/// Carries `calls` calls out on a connection; again where something came in between that may be over. Many are tried twice:
/// then fewer of them are less likely to meet others.
pub(crate) fn tried<T>(
    pool: &Pool,
    calls: usize,
    carry_out: impl FnMut(&Connection) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let tries = if calls == 1 { TRIES } else { 2 };
    repeated(pool, tries, &[Failure::InTheWay, Failure::Lost], carry_out)
}

fn repeated<T>(
    pool: &Pool,
    tries: u32,
    passing: &[Failure],
    mut carry_out: impl FnMut(&Connection) -> Result<T, Failed>,
) -> Result<T, Failed> {
    for _ in 1..tries {
        match once(pool, &mut carry_out) {
            Err((_, Some(failure))) if passing.contains(&failure) => {}
            done => return done,
        }
    }
    once(pool, carry_out)
}

fn once<T>(
    pool: &Pool,
    carry_out: impl FnOnce(&Connection) -> Result<T, Failed>,
) -> Result<T, Failed> {
    // Where none can be made, the same call finds none in the next moment either.
    let connection = pool.take().map_err(|error| (error, Some(Failure::Silent)))?;
    let done = carry_out(&connection);
    if matches!(done, Err((_, Some(Failure::Lost | Failure::Silent)))) {
        drop(connection);
        pool.doubt();
    } else {
        pool.give_back(connection);
    }
    done
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
            let (turn, of) = (turn_of(of), of.key());
            format!(
                "SELECT pg_advisory_xact_lock({turn}); \
                 SELECT FROM organizations WHERE organization = {of} FOR NO KEY UPDATE"
            )
        }
        Alone::People(of) => keeping(&BTreeSet::from([of])),
    };
    let (mut caches, mut after) = (Caches::default(), Vec::new());
    let mut tx = Tx::new(connection, shared, &mut caches, &mut after);
    let done = within(connection, &of_calls(&begin), || work(&mut tx))?;
    follow(shared, after);
    Ok(done)
}

/// Words that keep organizations as they are, in one order. Whoever wants to change one waits with the others for the turn,
/// which is given in the order of asking: the lock of a row is shared with whoever comes, and never free under load.
pub(crate) fn keeping(organizations: &BTreeSet<OrganizationId>) -> String {
    let mut words = String::new();
    for of in organizations {
        let _ = write!(words, "SELECT pg_advisory_xact_lock_shared({}); ", turn_of(*of));
    }
    let keys: Vec<String> = organizations.iter().map(|of| of.key().to_string()).collect();
    let _ = write!(
        words,
        "SELECT FROM organizations WHERE organization IN ({}) ORDER BY organization FOR SHARE",
        keys.join(",")
    );
    words
}

/// The turn of an organization as a whole; no [`Turn`](abide_storage_sql::sql::Turn) is below 0.
fn turn_of(organization: OrganizationId) -> i64 {
    -organization.key()
}

/// How a transaction of calls begins, with more words of its own. What it reads under its locks must be as new as they are,
/// whatever the server has as its default. A plan is kept for long: one that was made while a table was small must not read
/// all of it when it has grown.
pub(crate) fn of_calls(words: &str) -> String {
    format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL enable_seqscan = off; {words}")
}

/// One transaction that begins with those words: what `work` does stands if that went well.
pub(crate) fn within<T>(
    connection: &Connection,
    begin: &str,
    work: impl FnOnce() -> StorageResult<T>,
) -> Result<T, Failed> {
    // What failed before is not this transaction's.
    connection.failure();
    let result = connection.begin(begin).and_then(|()| {
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(StorageError::Damaged("a call panicked".to_owned())))
    });
    let result = result.and_then(|done| connection.write_all().map(|()| done));
    // A transaction in which a statement failed is undone by its COMMIT, which does not say so.
    let result =
        result.and_then(|done| if connection.has_failed() { Err(passed_over()) } else { Ok(done) });
    match result {
        Ok(done) => {
            if let Err(error) = connection.simple("COMMIT") {
                let failure = connection.failure();
                #[cfg(feature = "faults")]
                if let Some(planted) = misjudged(&error, failure) {
                    return Err(planted);
                }
                return Err(match failure {
                    // Whether the server committed before the connection was lost, nobody knows.
                    Some(Failure::Lost | Failure::Silent) | None => {
                        (StorageError::Unknown(error.to_string()), None)
                    }
                    failure => (error, failure),
                });
            }
            Ok(done)
        }
        Err(error) => {
            // Also where it had hardly begun: a connection goes back to the others without a transaction, or not at all.
            let failure = connection.roll_back();
            Err((error, failure))
        }
    }
}

/// How a COMMIT in doubt is answered by faults that are planted.
#[cfg(feature = "faults")]
fn misjudged(error: &StorageError, failure: Option<Failure>) -> Option<Failed> {
    use abide_core::fault::{Fault, is_planted};
    let again = match failure {
        Some(Failure::Lost | Failure::Silent) | None if is_planted(Fault::DoubtRunAgain) => {
            Some(Failure::Lost)
        }
        Some(Failure::Lost | Failure::Silent) | None if is_planted(Fault::DoubtCalledFailure) => {
            None
        }
        _ => return None,
    };
    Some((StorageError::Unavailable(error.to_string()), again))
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
    let begun = connection.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    let found = begun.and_then(|()| {
        catch_unwind(AssertUnwindSafe(|| work(connection, shared)))
            .unwrap_or_else(|_| Err(StorageError::Damaged("a read panicked".to_owned())))
    });
    let failure = connection.roll_back();
    found.map_err(|error| (error, failure))
}
