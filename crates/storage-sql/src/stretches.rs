//! Where an owner's deliveries stand among those of all: noted after the fact, so that writing a delivery costs nothing
//! for it, and looked up by lists.
//!
//! A stretch leads from one delivery of an owner (an organization or an endpoint) to another, with at most [`GAP`] rows of
//! others between any two of the owner's in it. Going along stretches one therefore meets a delivery of the owner at least
//! once in so many rows, however many others have. Deliveries above the mark are not in any stretch yet: they are few, and
//! looked at one by one.

use std::ops::ControlFlow;

use std::collections::BTreeMap;

use crate::leases::must_do_chores;
use crate::params;
use crate::rows::newest;
use crate::sql::{Row, Sql};
use abide_storage::StorageResult;

use crate::database::Database;
use crate::shared::Nodes;
use crate::store::SqlStore;

/// Rows of others between two deliveries of a stretch, at most.
const GAP: i64 = 256;
/// Deliveries that are read for one batch, beside the writer.
const BATCH: u32 = 16_384;
/// Stretches that are written in one transaction.
const TURN: usize = 256;

/// A stretch, by the keys of its first and its last delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The key of the last delivery that was noted.
pub(crate) fn noted_through(connection: &dyn Sql) -> StorageResult<i64> {
    connection.sql("SELECT through FROM noted_stretches").one((), |row| row.get(0))
}

/// An owner's newest stretch that begins below that key.
pub(crate) fn newest_below(
    connection: &dyn Sql,
    owner: i64,
    below: i64,
) -> StorageResult<Option<Stretch>> {
    connection
        .sql(
            "SELECT first, last FROM delivery_stretches WHERE owner = ? AND first < ? ORDER BY first DESC LIMIT 1",
        ).maybe([owner, below], |row: &dyn Row| Ok(Stretch { first: row.get("first")?, last: row.get("last")? }))
}

/// Some deliveries that were not noted yet, and where each owner has theirs.
struct Batch {
    read: u32,
    through: i64,
    /// By owner, then by key: so each page of the table is written once.
    found: Vec<(i64, Stretch)>,
}

/// Keys that are closed: a transaction that makes a delivery reads up to where they are, after it has kept a row to itself, and
/// draws a higher one. Who may not have read it began to write before transaction `since`, the first one afterwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    through: i64,
    since: i64,
}

/// Which deliveries can be noted.
enum Settled {
    /// Those up to this key.
    UpTo(i64),
    /// Too few came since the last time.
    TooFew,
    /// It will be known when everybody has ended who writes since before keys were closed: also in another database of the
    /// server. What came meanwhile is looked at one by one for as long.
    NotYet,
}

/// What comes after the mark, up to there.
fn next_batch(connection: &dyn Sql, up_to: i64) -> StorageResult<Batch> {
    let noted = noted_through(connection)?;
    let mut batch = Batch { read: 0, through: noted, found: Vec::new() };
    let mut owners: BTreeMap<i64, Vec<(i64, Stretch)>> = BTreeMap::new();
    let statement = connection.sql(
        "SELECT delivery, organization, endpoint FROM deliveries NOT INDEXED WHERE delivery > ? AND delivery <= ? \
             ORDER BY delivery LIMIT ?",
    );
    statement.each(params![noted, up_to, BATCH], |row| {
        batch.read += 1;
        let place = i64::from(batch.read);
        let key: i64 = row.get("delivery")?;
        batch.through = key;
        for owner in ["organization", "endpoint"] {
            let stretches = owners.entry(row.get(owner)?).or_default();
            match stretches.last_mut() {
                Some((at, stretch)) if place - *at <= GAP + 1 => {
                    *at = place;
                    stretch.last = key;
                }
                _ => stretches.push((place, Stretch { first: key, last: key })),
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for (owner, stretches) in owners {
        batch.found.extend(stretches.into_iter().map(|(_, stretch)| (owner, stretch)));
    }
    Ok(batch)
}

impl<D: Database> SqlStore<D> {
    /// Notes where deliveries stand that were made since the last time, if there are so many. Answers how many it noted;
    /// `None` where others must come to an end first.
    ///
    /// The mark follows in a transaction after all the stretches before it: where a batch is cut short, the next one begins
    /// where it began, and writes the same stretches again, which are then the same or longer.
    pub(crate) async fn note_stretches(&self, at_least: u32) -> StorageResult<Option<u32>> {
        let at_least = at_least.min(BATCH);
        let (up_to, at_least) = match self.shared.nodes {
            Nodes::One => (i64::MAX, at_least),
            Nodes::Several => match self.settled(at_least).await? {
                Settled::UpTo(up_to) => (up_to, 1),
                Settled::TooFew => return Ok(Some(0)),
                Settled::NotYet => return Ok(None),
            },
        };
        let Batch { read, through, found } =
            self.read(move |connection, _| next_batch(connection, up_to)).await?;
        if read == 0 {
            // What was there may have gone meanwhile.
            *self.shared.closed.lock() = None;
        }
        if read < at_least.max(1) {
            return Ok(Some(0));
        }
        for turn in found.chunks(TURN) {
            let turn = turn.to_vec();
            self.write(64 + 24 * turn.len(), move |tx| {
                must_do_chores(tx)?;
                for (owner, Stretch { first, last }) in &turn {
                    tx.sql(
                        "INSERT INTO delivery_stretches (owner, first, last) VALUES (?, ?, ?) \
                         ON CONFLICT (owner, first) DO UPDATE SET last = greatest(delivery_stretches.last, excluded.last)",
                    )
                    .execute([owner, first, last])?;
                }
                Ok(())
            })
            .await?;
        }
        self.write(64, move |tx| {
            must_do_chores(tx)?;
            tx.sql("UPDATE noted_stretches SET through = greatest(through, ?)")
                .execute([through])?;
            Ok(Some(read))
        })
        .await
    }

    /// Up to where every delivery that there will ever be is there to be seen, where others write, too: a lower key can be
    /// committed after a higher one, however much later.
    async fn settled(&self, at_least: u32) -> StorageResult<Settled> {
        let noted = self.read(|connection, _| noted_through(connection)).await?;
        let known = self.shared.closed.lock().filter(|closed| closed.through > noted);
        let closed = match known {
            Some(closed) => closed,
            None => match self.close(noted, at_least).await? {
                Some(closed) => closed,
                None => return Ok(Settled::TooFew),
            },
        };
        let first = self.read(|connection, _| {
            connection
                .sql("SELECT first_under_way() AS first FROM closed_keys WHERE only_row = 1")
                .one((), |row| row.get::<i64>("first"))
        });
        let is_over = first.await? > closed.since;
        Ok(if is_over { Settled::UpTo(closed.through) } else { Settled::NotYet })
    }

    /// Closes the keys up to the newest delivery that is there.
    async fn close(&self, noted: i64, at_least: u32) -> StorageResult<Option<Closed>> {
        let newest = self.read(move |connection, _| {
            let is_enough = connection
                .sql("SELECT 1 FROM deliveries WHERE delivery > ? ORDER BY delivery LIMIT 1 OFFSET ?")
                .exists([noted, i64::from(at_least.max(1)) - 1])?;
            let newest = || newest(connection, "SELECT max(delivery) FROM deliveries");
            is_enough.then(newest).transpose()
        });
        let Some(through) = newest.await? else { return Ok(None) };
        self.write(64, move |tx| {
            must_do_chores(tx)?;
            tx.sql("UPDATE closed_keys SET through = greatest(through, ?) WHERE only_row = 1")
                .execute([through])?;
            Ok(())
        })
        .await?;
        let since = self.write(64, |tx| {
            tx.sql("SELECT this_transaction() AS this FROM closed_keys WHERE only_row = 1")
                .one((), |row| row.get("this"))
        });
        let closed = Closed { through, since: since.await? };
        *self.shared.closed.lock() = Some(closed);
        Ok(Some(closed))
    }
}
