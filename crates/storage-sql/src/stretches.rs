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
use crate::sql::{Row, Sql};
use abide_core::ids::SEQUENCE_BITS;
use abide_storage::StorageResult;

use crate::database::Database;
use crate::shared::{Nodes, Shared};
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

/// Until then what was written under a key is committed, or never will be; in milliseconds.
const COMMITTED_BY: i64 = 15_000;

/// What comes after the mark.
fn next_batch(connection: &dyn Sql, shared: &Shared) -> StorageResult<Batch> {
    // Where others write, too, a lower key can be committed after a higher one was seen: the newest are noted later.
    let below = match shared.nodes {
        Nodes::One => i64::MAX,
        Nodes::Several => shared.ids.last() - (COMMITTED_BY << SEQUENCE_BITS),
    };
    let noted = noted_through(connection)?;
    let mut batch = Batch { read: 0, through: noted, found: Vec::new() };
    let mut owners: BTreeMap<i64, Vec<(i64, Stretch)>> = BTreeMap::new();
    let statement = connection.sql(
        "SELECT delivery, organization, endpoint FROM deliveries NOT INDEXED WHERE delivery > ? AND delivery < ? \
             ORDER BY delivery LIMIT ?",
    );
    statement.each(params![noted, below, BATCH], |row| {
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
    /// Notes where deliveries stand that were made since the last time, if there are so many. Answers how many it noted.
    ///
    /// The mark follows in a transaction after all the stretches before it: where a batch is cut short, the next one begins
    /// where it began, and writes the same stretches again, which are then the same or longer.
    pub(crate) async fn note_stretches(&self, at_least: u32) -> StorageResult<u32> {
        let Batch { read, through, found } =
            self.read(move |connection, shared| next_batch(connection, shared)).await?;
        if read == 0 || read < at_least.min(BATCH) {
            return Ok(0);
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
            Ok(read)
        })
        .await
    }
}
