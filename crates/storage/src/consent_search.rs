//! Questions about consents that name no record: lists by filters, and whether one is in force.

use abide_core::Timestamp;
use abide_core::consent::ConsentView;
use abide_core::consent::verdict::HashFinding;
use abide_core::ids::Policy;
use abide_core::original::Reference;

use crate::Page;

/// Which records a list shows. Times are those at which a record's last decision was recorded, told by its id: that time
/// never runs backwards, though the clock may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsentFilter {
    /// Only those of the person with exactly that reference.
    pub reference: Option<String>,
    /// Only those for the purpose of that name.
    pub purpose: Option<String>,
    /// Only those that grant, or only those that do not.
    pub granted: Option<bool>,
    /// Only those whose decision shown names this policy version.
    pub policy: Option<Reference<Policy>>,
    /// Only those decided last at this time or later.
    pub from: Option<Timestamp>,
    /// Only those decided last before this time.
    pub to: Option<Timestamp>,
}

/// A page of records, and what of the list it leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentPage {
    /// The records, those decided last first. The total counts what was looked at.
    pub page: Page<ConsentView>,
    /// Whether there is more than the total says.
    pub rest: Rest,
}

/// What a list leaves open, so that no call reads without bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: the total is exact.
    Nothing,
    /// There are more than the total says; asking for later pages counts on.
    Uncounted,
    /// Records decided last before that time were not looked at: a filter with this `to` shows them.
    Before(Timestamp),
}

/// What somebody wants to know before relying on a consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentQuestion {
    /// Whose consent.
    pub reference: String,
    /// For which purpose; absent: whichever names the policy.
    pub purpose: Option<String>,
    /// Under which policy version. With a purpose it does not choose the record: that is answered as it is.
    pub policy: Option<Reference<Policy>>,
    /// A hash to be found among what the record's decisions said: `sha256:` and lower-case hex.
    pub hash: Option<String>,
}

/// The record that answers a question, as it stands at the asked instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentAnswer {
    /// The record: of several the one that grants, then the one decided last.
    pub consent: ConsentView,
    /// What the hash belongs to, where one was asked for. Hashes are computed again from what was
    /// recorded; that of a decision which was brought along is the recorded one.
    pub hash: Option<HashFinding>,
}
