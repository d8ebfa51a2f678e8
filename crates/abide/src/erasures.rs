//! The journal of erasures beside a store: held against it before anything is served or sent, and kept while a node runs.
//!
//! What is committed is journaled afterwards. So of what stands in a journal at a moment, the store that it belongs to has
//! everything from then on, as long as nobody puts an earlier state of that store in its place. Where something is lacking
//! that is what happened: whoever was erased since is back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use abide_core::ids::{AuditEntryId, Id};
use abide_core::organization::OrganizationState;
use abide_storage::erasures::{Erasure, ErasureJournal, JournalError};
use abide_storage::{Erasures, Storage, StorageResult};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::Place;
use crate::exit::Refused;

/// How often a node looks for what other nodes erased, and whether its database is still the one that it was.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Erasures that are read from the store at once.
const PAGE: u32 = 1_000;

/// How many erasures of the store the journal does not have.
pub(crate) async fn missing(store: &dyn Erasures, journal: &[Erasure]) -> StorageResult<u64> {
    let there = sorted_keys(journal);
    let mut missing = 0;
    each(store, None, |erasure| {
        missing += u64::from(there.binary_search(&erasure.entry.key()).is_err());
    })
    .await?;
    Ok(missing)
}

/// How many erasures of the journal the store does not have, of those that are its own to have: a journal may be several
/// stores', and of an organization that is gone nothing is left to erase. Answers also the store's last one.
async fn lacking(
    storage: &dyn Storage,
    journal: &[Erasure],
) -> StorageResult<(u64, Option<AuditEntryId>)> {
    let mut there = Vec::new();
    let last = each(storage.erasures(), None, |erasure| there.push(erasure.entry.key())).await?;
    let mut lacking = 0;
    let mut is_here = HashMap::new();
    for erasure in journal {
        if there.binary_search(&erasure.entry.key()).is_ok() {
            continue;
        }
        let of = erasure.organization;
        lacking += u64::from(match is_here.entry(of) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let found = storage.accounts().organization_of(of).await?;
                let is_gone = |state| matches!(state, OrganizationState::Deleted { .. });
                *place.insert(found.is_some_and(|found| !is_gone(found.state)))
            }
        });
    }
    Ok((lacking, last))
}

/// Shows each erasure of the store after an entry, in their order; answers the last one's entry, or `after`.
async fn each(
    store: &dyn Erasures,
    after: Option<AuditEntryId>,
    mut look: impl FnMut(&Erasure),
) -> StorageResult<Option<AuditEntryId>> {
    let mut last = after;
    loop {
        let page = store.erasures_after(last, PAGE).await?;
        page.iter().for_each(&mut look);
        last = page.last().map_or(last, |newest| Some(newest.entry));
        if page.len() < PAGE as usize {
            return Ok(last);
        }
    }
}

fn sorted_keys(journal: &[Erasure]) -> Vec<i64> {
    let mut keys: Vec<i64> = journal.iter().map(|erasure| erasure.entry.key()).collect();
    keys.sort_unstable();
    keys
}

/// The journal of a running node, whatever the node's role.
pub(crate) struct Journaling {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    found_in: FoundIn,
    /// The store's last erasure, when it was looked at.
    last: Option<AuditEntryId>,
}

/// Where the store's data are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FoundIn {
    /// Only `abide restore` puts an earlier state there, and erases again by itself.
    Folder,
    /// Others' tools do, and erase nobody.
    Database,
}

impl Journaling {
    /// Holds the journal against the database, and refuses one that lacks erasures; then appends what the journal lacks.
    pub(crate) async fn begin(storage: Arc<dyn Storage>, place: &Place) -> anyhow::Result<Self> {
        let found_in = match place.database_url {
            Some(_) => FoundIn::Database,
            None => FoundIn::Folder,
        };
        let mut journaling = Self { storage, path: place.journal.clone(), found_in, last: None };
        if found_in == FoundIn::Database {
            journaling.compare().await?;
        }
        journaling.keep().await;
        Ok(journaling)
    }

    /// Keeps the journal, for as long as that is right: answers why it is not any more.
    pub(crate) async fn go_on(mut self) -> anyhow::Error {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            tick.tick().await;
            if self.found_in == FoundIn::Database {
                match self.look().await {
                    Ok(()) => {}
                    Err(error) if error.is::<Refused>() => return error,
                    Err(error) => {
                        tracing::warn!(%error, "the erasure journal could not be held against the database");
                    }
                }
            }
            self.keep().await;
        }
    }

    /// Refuses a database that is not any more what it was at the last look.
    async fn look(&mut self) -> anyhow::Result<()> {
        let erasures = self.storage.erasures();
        if let Some(last) = self.last {
            let before = Id::from_key(last.key() - 1);
            let found = erasures.erasures_after(Some(before), 1).await?;
            if found.first().is_none_or(|found| found.entry != last) {
                // It may also have been emptied out with its organization.
                return self.compare().await;
            }
        }
        self.last = each(erasures, self.last, |_| {}).await?;
        Ok(())
    }

    async fn compare(&mut self) -> anyhow::Result<()> {
        let path = self.path.clone();
        // Read first: what it has by now was committed before.
        let journal = tokio::task::spawn_blocking(move || ErasureJournal::read(&path)).await?;
        let journal = journal.unwrap_or_else(|error: JournalError| {
            tracing::error!(
                %error,
                "the erasure journal cannot be read: nobody would notice if the database was restored to an earlier moment"
            );
            None
        });
        let (lacking, last) = lacking(&*self.storage, &journal.unwrap_or_default()).await?;
        self.last = last;
        if lacking == 0 {
            return Ok(());
        }
        let path = self.path.display();
        let text = format!(
            "the database lacks {lacking} of the erasures that the erasure journal {path} has: it was restored to an earlier \
             moment, and whoever was erased since is back. Stop every node, and run `abide subjects erase-again` before one \
             starts. Where it is another database, such as a copy for trials, name another journal for it with \
             --erasure-journal"
        );
        Err(Refused(text).into())
    }

    async fn keep(&self) {
        if let Err(why) = self.storage.erasures().journal().await {
            tracing::warn!(
                %why, "the erasure journal cannot be kept: a restored backup would bring back who is erased from now on"
            );
        }
    }
}

#[cfg(test)]
mod tests;
