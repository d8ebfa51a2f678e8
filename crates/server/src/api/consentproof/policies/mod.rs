//! Policies: the versions of the texts that people are shown (P36).

mod brought;
pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;

use crate::input::Name;

pub(crate) use brought::brought;

const POLICY_TYPE: Name = Name(&["policy_type", "policyType"]);
const VERSION: Name = Name(&["version"]);
const TITLE: Name = Name(&["title"]);
const CONTENT: Name = Name(&["content"]);
const EFFECTIVE_DATE: Name = Name(&["effective_date", "effectiveDate"]);
const IS_ACTIVE: Name = Name(&["is_active", "isActive"]);
