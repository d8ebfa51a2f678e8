//! Consents: recorded, read, changed, withdrawn.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod create_batch;
pub(crate) mod get;
pub(crate) mod withdraw;

use crate::input::Name;

// The second spelling is ours in camelCase, the third the vendor's own word (P34).
const SUBJECT_ID: Name = Name(&["subject_id", "subjectId", "userReference"]);
const SUBJECT_EMAIL: Name = Name(&["subject_email", "subjectEmail", "userEmail"]);
const POLICY_ID: Name = Name(&["policy_id", "policyId", "policyVersionId"]);
const CONSENT_TYPE: Name = Name(&["consent_type", "consentType"]);
const GRANTED: Name = Name(&["granted", "consentGiven"]);
const METADATA: Name = Name(&["metadata"]);
const IP_ADDRESS: Name = Name(&["ip_address", "ipAddress"]);
