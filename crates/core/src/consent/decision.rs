//! A decision: one immutable entry of the ledger, and the consent record it belongs to.

use serde::{Deserialize, Serialize};

use crate::ids::{Consent, DecisionId, Policy, SubjectId};
use crate::json::JsonObject;
use crate::original::{PublicId, Reference};
use crate::policy::text_field;
use crate::{Refusal, Timestamp};

/// Why data may be used (D24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LawfulBasis {
    /// The person agreed.
    Consent,
    /// The organization's own interest, open to objection.
    LegitimateInterest,
    /// A contract with the person.
    Contract,
    /// A task in the public interest.
    PublicInterest,
    /// Somebody's life.
    VitalInterest,
    /// A law.
    LegalObligation,
}

/// What was decided (D24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PermissionState {
    /// Consent given.
    Granted,
    /// Consent refused or withdrawn.
    Denied,
    /// Consent asked for, not yet confirmed.
    Pending,
    /// Another basis claimed.
    Claimed,
    /// A legitimate interest objected to.
    Objected,
    /// An objection upheld.
    ObjectionUpheld,
}

impl LawfulBasis {
    /// Every basis.
    pub const ALL: [Self; 6] = [
        Self::Consent,
        Self::LegitimateInterest,
        Self::Contract,
        Self::PublicInterest,
        Self::VitalInterest,
        Self::LegalObligation,
    ];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::LegitimateInterest => "legitimate_interest",
            Self::Contract => "contract",
            Self::PublicInterest => "public_interest",
            Self::VitalInterest => "vital_interest",
            Self::LegalObligation => "legal_obligation",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|basis| basis.as_str() == text)
    }

    /// Whether a decision on this basis can have that state.
    pub fn allows(self, state: PermissionState) -> bool {
        use PermissionState::{Claimed, Denied, Granted, Objected, ObjectionUpheld, Pending};
        match self {
            Self::Consent => matches!(state, Granted | Denied | Pending),
            Self::LegitimateInterest => matches!(state, Claimed | Objected | ObjectionUpheld),
            Self::Contract | Self::PublicInterest | Self::VitalInterest | Self::LegalObligation => {
                state == Claimed
            }
        }
    }
}

impl PermissionState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Granted,
        Self::Denied,
        Self::Pending,
        Self::Claimed,
        Self::Objected,
        Self::ObjectionUpheld,
    ];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "GRANTED",
            Self::Denied => "DENIED",
            Self::Pending => "PENDING",
            Self::Claimed => "CLAIMED",
            Self::Objected => "OBJECTED",
            Self::ObjectionUpheld => "OBJECTION_UPHELD",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The span in which a decision can be in force: from (inclusive) to until (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Validity {
    /// Not before; absent: since it was recorded.
    pub from: Option<Timestamp>,
    /// Not any more from then on; absent: without end.
    pub until: Option<Timestamp>,
}

impl Validity {
    /// Whether `at` lies in the span.
    pub fn holds(self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// How a caller names a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectInput {
    /// The organization's own reference, byte for byte.
    pub reference: String,
    /// An e-mail address to keep with the person and the decision.
    pub email: Option<String>,
}

/// A decision to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDecision {
    /// Who decided.
    pub subject: SubjectInput,
    /// The purpose's name; ConsentProof's `consent_type`.
    pub purpose: String,
    /// On which basis.
    pub basis: LawfulBasis,
    /// What was decided.
    pub state: PermissionState,
    /// The policy version that was shown.
    pub policy: Option<Reference<Policy>>,
    /// What the caller attaches: address, source, anything.
    pub metadata: Option<JsonObject>,
    /// The person's network address, for the hash (P35).
    pub ip_address: Option<String>,
    /// When the person decided; absent: when it is recorded.
    pub obtained_at: Option<Timestamp>,
    /// When it can be in force.
    pub validity: Validity,
}

/// What a change of a consent sets anew; what is absent is taken over from the decision before, and `Some(None)` removes.
/// Earlier decisions keep what they say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsentPatch {
    /// Given or refused.
    pub granted: Option<bool>,
    /// The e-mail address.
    pub email: Option<Option<String>>,
    /// The policy version that was shown.
    pub policy: Option<Option<Reference<Policy>>>,
    /// The metadata, as a whole; the address in it goes and comes with it.
    pub metadata: Option<Option<JsonObject>>,
    /// The person's network address.
    pub ip_address: Option<String>,
}

/// A consent record as it stands: the decision in force, or the last one when none is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentView {
    /// The record's id, the same over all its decisions.
    pub id: PublicId<Consent>,
    /// How many decisions the record has.
    pub version: u32,
    /// The decision shown.
    pub decision: DecisionId,
    /// Whose it is.
    pub subject: SubjectId,
    /// The organization's reference of the person.
    pub reference: String,
    /// The e-mail address given with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The purpose's name.
    pub purpose: String,
    /// The policy version that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PublicId<Policy>>,
    /// The basis.
    pub basis: LawfulBasis,
    /// The state in force; `None` when no decision is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PermissionState>,
    /// P35's hash: `sha256:` and hex.
    pub consent_hash: String,
    /// What the caller attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
    /// The person's network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// When the person decided.
    pub obtained_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When it can be in force.
    #[serde(default)]
    pub validity: Validity,
    /// When the record began.
    pub created_at: Timestamp,
    /// When GRANTED last gave way, unless it is granted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
}

impl ConsentView {
    /// Whether the person agrees now.
    pub fn granted(&self) -> bool {
        self.state == Some(PermissionState::Granted)
    }
}

/// The full state of a person: every consent record, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectState {
    /// The person.
    pub subject: SubjectId,
    /// How often this person's state has changed.
    pub version: u64,
    /// The records.
    pub consents: Vec<ConsentView>,
}

/// Longest e-mail address taken, in bytes (RFC 5321's path limit less its brackets).
const EMAIL_LIMIT: usize = 254;
/// Longest metadata text, in bytes.
pub const METADATA_LIMIT: usize = 16 * 1024;

impl NewDecision {
    /// Refuses what cannot be recorded at `now`. Field names are those of the ledger (snake_case).
    pub fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        text_field("subject_id", &self.subject.reference, 255)?;
        text_field("consent_type", &self.purpose, 100)?;
        self.subject.email.as_deref().map_or(Ok(()), check_email)?;
        check_metadata(self.metadata.as_ref())?;
        self.ip_address.as_deref().map_or(Ok(()), |text| text_field("ip_address", text, 100))?;
        if !self.basis.allows(self.state) {
            let basis = self.basis.as_str();
            let problem = format!("cannot be {} on the basis {basis}", self.state.as_str());
            return Err(Refusal::field("state", problem));
        }
        if self.obtained_at.is_some_and(|at| at > now) {
            return Err(Refusal::field("obtained_at", "must not lie in the future"));
        }
        if let (Some(from), Some(until)) = (self.validity.from, self.validity.until)
            && from >= until
        {
            return Err(Refusal::field("valid_until", "must be later than `valid_from`"));
        }
        Ok(())
    }
}

impl ConsentPatch {
    /// Refuses a patch that changes nothing or sets what cannot be recorded.
    pub fn check(&self) -> Result<(), Refusal> {
        if *self == Self::default() {
            return Err(Refusal::field(
                "body",
                "must set at least one of `granted`, `subject_email`, `policy_id`, `metadata`, `ip_address`",
            ));
        }
        self.email.iter().flatten().try_for_each(|email| check_email(email))?;
        self.ip_address.as_deref().map_or(Ok(()), |text| text_field("ip_address", text, 100))?;
        check_metadata(self.metadata.as_ref().and_then(Option::as_ref))
    }
}

fn check_metadata(metadata: Option<&JsonObject>) -> Result<(), Refusal> {
    match metadata {
        Some(metadata) if metadata.as_str().len() > METADATA_LIMIT => {
            Err(Refusal::field("metadata", "must be at most 16 KiB of JSON"))
        }
        Some(_) | None => Ok(()),
    }
}

/// An address needs something on both sides of one `@` and no spaces; whether it exists is not judged here.
fn check_email(email: &str) -> Result<(), Refusal> {
    let sound = email.len() <= EMAIL_LIMIT
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    if sound {
        return Ok(());
    }
    Err(Refusal::field("subject_email", "must be an e-mail address of at most 254 bytes"))
}
