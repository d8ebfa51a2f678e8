//! What was erased for good, told by id alone: so that no backup brings back whom an organization has erased, and no
//! organization that was destroyed.
//!
//! Every erasure that is committed is also appended to a journal beside the master key file, which is in no backup. After
//! the commit, and before its caller hears of it: one that was journaled first and then not committed would erase somebody
//! at the next restore whom nobody erased. What a crash leaves between the two, and what other nodes erase, is appended
//! by the next look of a node, which compares the journal with the store: at each start and every few seconds.

mod journal;

use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::ids::{AuditEntryId, OrganizationId, SubjectId};
use async_trait::async_trait;

use crate::StorageResult;

pub use journal::{ErasureJournal, JournalError};

/// Somebody or something that is gone for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Its id, drawn in order: what was erased later has a higher one.
    pub entry: AuditEntryId,
    /// In which organization.
    pub organization: OrganizationId,
    /// What is gone.
    pub gone: Gone,
    /// Since when.
    pub at: Timestamp,
}

/// What can go for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// A person: their key, what they are found by, and what waited for them.
    Person(SubjectId),
    /// The whole organization: its keys.
    Organization,
}

/// What doing erasures again came to, in a store that was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repeated {
    /// People who were there and are gone now.
    pub people: u32,
    /// Organizations whose keys were there and are gone now.
    pub organizations: u32,
    /// Waiting deliveries that ended as `erased`.
    pub deliveries: u32,
}

/// Erasures as the journal keeps them.
#[async_trait]
pub trait Erasures: Send + Sync {
    /// What was erased after that entry, all organizations together, at most `limit` in the order of their entries. What
    /// was erased in an organization that is itself gone may be left out.
    async fn erasures_after(
        &self,
        after: Option<AuditEntryId>,
        limit: u32,
    ) -> StorageResult<Vec<Erasure>>;

    /// Does erasures again, for a store that was restored from a backup older than they are: whoever is there goes as by
    /// [`crate::Subjects::erase`], and an organization's keys are destroyed as by its deletion; audited. Each is on record
    /// again under its entry and with its time, whether or not anybody was there. What is of organizations that the store
    /// does not know is left out. May be repeated.
    async fn repeat(&self, erasures: Vec<Erasure>, now: Timestamp) -> StorageResult<Repeated>;

    /// From now on every erasure is appended to this journal once it is committed. The first call counts.
    fn journal_to(&self, journal: Arc<ErasureJournal>);

    /// Appends what the journal lacks; nothing without a journal.
    async fn journal(&self) -> Result<(), JournalError>;
}
