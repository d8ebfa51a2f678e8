//! Policies: the versioned text that was shown when a decision was taken.

use serde::{Deserialize, Serialize};

use crate::ids::Policy as PolicyKind;
use crate::original::PublicId;
use crate::{Refusal, Timestamp};

/// What a policy is about (P36).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyType {
    /// The privacy policy.
    PrivacyPolicy,
    /// Terms of service.
    TermsOfService,
    /// The cookie policy.
    CookiePolicy,
    /// The wording of a marketing consent.
    MarketingConsent,
    /// A data processing agreement.
    DataProcessing,
    /// Anything else.
    Custom,
}

impl PolicyType {
    /// Every type with its public name.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::PrivacyPolicy, "privacy_policy"),
        (Self::TermsOfService, "terms_of_service"),
        (Self::CookiePolicy, "cookie_policy"),
        (Self::MarketingConsent, "marketing_consent"),
        (Self::DataProcessing, "data_processing"),
        (Self::Custom, "custom"),
    ];

    /// The public name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("custom", |(_, name)| name)
    }

    /// Reads the public name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(known, _)| *known)
    }
}

/// One version of a policy's text as stored and shown. `content` stays as given for as long as consents name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The version's id.
    pub id: PublicId<PolicyKind>,
    /// What it is about.
    pub policy_type: PolicyType,
    /// The version's name, as the organization counts: `1.0`, `2024-01`.
    pub version: String,
    /// Its title.
    pub title: String,
    /// The text shown. Not part of events, which carry the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// `sha256:` and hex, over the UTF-8 bytes of the content.
    pub content_hash: String,
    /// From when it applies.
    pub effective_date: Timestamp,
    /// Whether new decisions may name it.
    pub is_active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, for `policy.deleted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

/// What a new policy version is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// What it is about.
    pub policy_type: PolicyType,
    /// The version's name, 1 to 100 characters, unique per type in the organization.
    pub version: String,
    /// Its title, 1 to 200 characters.
    pub title: String,
    /// The text shown, 1 byte to 512 KiB.
    pub content: String,
    /// From when it applies; absent: at once.
    pub effective_date: Option<Timestamp>,
}

/// What may change about a policy version; the text may not, a new text is a new version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyPatch {
    /// A new title.
    pub title: Option<String>,
    /// A new effective date.
    pub effective_date: Option<Timestamp>,
    /// Whether new decisions may name it.
    pub is_active: Option<bool>,
}

/// Longest policy text, in bytes.
pub const CONTENT_LIMIT: usize = 512 * 1024;

impl NewPolicy {
    /// Refuses what cannot be stored or shown.
    pub fn check(&self) -> Result<(), Refusal> {
        text_field("version", &self.version, 100)?;
        text_field("title", &self.title, 200)?;
        if self.content.is_empty() || self.content.len() > CONTENT_LIMIT {
            return Err(Refusal::field("content", "must be 1 byte to 512 KiB of text"));
        }
        Ok(())
    }
}

impl PolicyPatch {
    /// Refuses a patch that changes nothing or sets what cannot be shown.
    pub fn check(&self) -> Result<(), Refusal> {
        if *self == Self::default() {
            return Err(Refusal::field(
                "body",
                "must set at least one of `title`, `effective_date`, `is_active`",
            ));
        }
        self.title.as_deref().map_or(Ok(()), |title| text_field("title", title, 200))
    }
}

/// A short text: not blank, no control characters, at most `limit` characters.
pub fn text_field(field: &str, text: &str, limit: usize) -> Result<(), Refusal> {
    text_problem(text, limit).map_or(Ok(()), |problem| Err(Refusal::field(field, problem)))
}

/// What is wrong with a short text, by the rules of [`text_field`].
pub fn text_problem(text: &str, limit: usize) -> Option<String> {
    let fits = !text.trim().is_empty()
        && text.chars().count() <= limit
        && !text.chars().any(char::is_control);
    (!fits)
        .then(|| format!("must be 1 to {limit} characters, not blank, without control characters"))
}

/// `sha256:` and hex of a text's UTF-8 bytes.
pub fn content_hash(content: &str) -> String {
    crate::consent::hash::sha256_text(content.as_bytes())
}
