//! Bring-along: what people who move here take with them, under the ids and hashes it had before.

use abide_core::access::Caller;
use abide_core::consent::NewDecision;
use abide_core::ids::OrganizationId;
use abide_core::original::OriginalId;
use abide_core::policy::NewPolicy;
use abide_core::{Refusal, Timestamp};
use async_trait::async_trait;

use crate::StorageResult;
use crate::endpoints::NewEndpoint;

/// Lines of one call, at most.
pub const IMPORT_LIMIT: usize = 1_000;

/// One line of an import.
#[derive(Debug)]
pub enum Imported {
    /// An endpoint with its secret.
    Endpoint(ImportedEndpoint),
    /// One version of a policy.
    Policy(ImportedPolicy),
    /// One decision of a consent record. Several lines under one id are its history and stand in order of time.
    Consent(ImportedConsent),
}

/// An endpoint as it was elsewhere.
#[derive(Debug)]
pub struct ImportedEndpoint {
    /// What it was called.
    pub original: OriginalId,
    /// What it is made of, its secret unchanged.
    pub new: NewEndpoint,
    /// Whether it was sent anything.
    pub is_active: bool,
    /// When it was created; absent: now.
    pub created_at: Option<Timestamp>,
}

/// A policy version as it was elsewhere.
#[derive(Debug)]
pub struct ImportedPolicy {
    /// What it was called; absent: Abide's id is its only one.
    pub original: Option<OriginalId>,
    /// What it is made of.
    pub new: NewPolicy,
    /// The hash it had, kept unchanged; absent: computed.
    pub content_hash: Option<String>,
    /// Whether new decisions may name it.
    pub is_active: bool,
    /// When it was created; absent: now.
    pub created_at: Option<Timestamp>,
}

/// A decision as it was recorded elsewhere.
#[derive(Debug)]
pub struct ImportedConsent {
    /// What its record was called; absent: Abide's id is its only one.
    pub original: Option<OriginalId>,
    /// What was decided. Its policy may be inactive or deleted by now, but must be there.
    pub new: NewDecision,
    /// The hash it had, kept unchanged; absent: computed.
    pub consent_hash: Option<String>,
    /// When it was recorded there. Of a record that is here: later than its last decision.
    pub recorded_at: Timestamp,
    /// When consent was withdrawn, never with a grant; absent in a denial that follows a grant: `recorded_at`.
    pub withdrawn_at: Option<Timestamp>,
}

/// Whether endpoints hear of what is brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Each change makes its event, as if it were recorded now, in the order of the lines; records that are created make
    /// `consent.batch_created` together. An endpoint hears of the lines that follow its own.
    Events,
    /// Nothing is told, now or later: what time alone changed before now included. The next change of a record is told as
    /// a change, though its beginning was not.
    Nothing,
}

/// Whether an import is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earnest {
    /// It is carried out.
    Real,
    /// Everything is judged as if it were, and then nothing has happened.
    DryRun,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is new here.
    Created,
    /// A further decision of a record that was here.
    Appended,
    /// It was here already, just so: an import can be run again.
    Unchanged,
    /// It is about somebody who was erased here since it was recorded, whom no import brings back.
    LeftOut,
}

/// Whether a hash that came along is what Abide computes from the same facts (P35).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashCheck {
    /// It is.
    Matches,
    /// It is not: another way to compute it, or other facts. It is kept and shown as it came.
    Differs,
    /// None came along; Abide's own is kept.
    Computed,
}

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Brought {
    /// What became of it.
    pub outcome: Outcome,
    /// Abide's own id of it; `None` for what was left out.
    pub id: Option<String>,
    /// About its hash; `None` for an endpoint and for what was left out.
    pub hash: Option<HashCheck>,
}

/// A line that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Its place among the lines, from 0.
    pub line: usize,
    /// Why.
    pub refusal: Refusal,
}

/// What an original id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OriginalOf {
    /// An endpoint.
    Endpoint,
    /// A policy version.
    Policy,
    /// A consent record.
    Consent,
}

/// Bring-along.
#[async_trait]
pub trait Imports: Send + Sync {
    /// Takes up to [`IMPORT_LIMIT`] lines as one change: all, or none where one of them does not fit; then every misfit is
    /// told, not the first alone. Lines may name what stands in lines before them. Taking the same lines again changes
    /// nothing. One audit entry tells of a call that took something, with how many.
    ///
    /// Only a call that took its lines is remembered under the caller's `Idempotency-Key`: after a misfit or a dry run the
    /// key is as good as new.
    async fn import(
        &self,
        by: &Caller,
        lines: Vec<Imported>,
        telling: Telling,
        earnest: Earnest,
        now: Timestamp,
    ) -> StorageResult<Result<Vec<Brought>, Vec<Misfit>>>;

    /// Abide's own key of what had that id elsewhere; `None` where nothing of the organization had it.
    async fn own_key(
        &self,
        organization: OrganizationId,
        of: OriginalOf,
        original: OriginalId,
    ) -> StorageResult<Option<i64>>;
}
