//! Consents: recorded, read, changed, withdrawn.
//!
//! Address and browser of the person have fields of their own in requests and none in answers: there, and in events,
//! they stand in `metadata`. So whoever holds an answer has everything that `consent_hash` was made of (P35).

mod brought;
pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod create_batch;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod list_of_user;
pub(crate) mod verify;
pub(crate) mod withdraw;

use std::net::IpAddr;

use abide_core::json::JsonObject;

pub(crate) use brought::brought;

use crate::input::{Address, Fields, Metadata, Name, Text, with_text};

// The second spelling is ours in camelCase, the third the vendor's own word (P34).
const SUBJECT_ID: Name = Name(&["subject_id", "subjectId", "userReference"]);
const SUBJECT_EMAIL: Name = Name(&["subject_email", "subjectEmail", "userEmail"]);
const POLICY_ID: Name = Name(&["policy_id", "policyId", "policyVersionId"]);
const CONSENT_TYPE: Name = Name(&["consent_type", "consentType"]);
const GRANTED: Name = Name(&["granted", "consentGiven"]);
const METADATA: Name = Name(&["metadata"]);
const IP_ADDRESS: Name = Name(&["ip_address", "ipAddress"]);
const USER_AGENT: Name = Name(&["user_agent", "userAgent"]);
const OBTAINED_AT: Name = Name(&["obtained_at", "obtainedAt"]);
const VALID_FROM: Name = Name(&["valid_from", "validFrom"]);
const VALID_UNTIL: Name = Name(&["valid_until", "validUntil"]);
const LAWFUL_BASIS: Name = Name(&["lawful_basis", "lawfulBasis"]);
const STATE: Name = Name(&["state"]);
const CONSENT_HASH: Name = Name(&["consent_hash", "consentHash"]);

/// What the ledger knows of a decision and this API does not take: to ignore it would record something else than the
/// caller meant.
fn refuse_ledger_fields(fields: &mut Fields<'_>) {
    const BASIS: &str = "cannot be set: every record made through this API rests on consent";
    fields.fixed(LAWFUL_BASIS, BASIS);
    fields.fixed(Name(&["basis"]), BASIS);
    fields.fixed(STATE, "cannot be set: say it with `granted`, or withdraw the consent");
    fields.fixed(
        Name(&["validity"]),
        "cannot be set as a whole: record a decision with `valid_from` and `valid_until`",
    );
}

/// Under what circumstances somebody decided.
struct Circumstances {
    metadata: Option<JsonObject>,
    /// The text at `ip_address` in the metadata.
    ip_address: Option<String>,
}

/// Metadata with address and browser in it. What the metadata itself says of the browser wins; two addresses that
/// differ are a problem.
fn circumstances(
    fields: &mut Fields<'_>,
    metadata: Option<Metadata>,
    address: Option<Address>,
    browser: Option<Text>,
) -> Circumstances {
    let Some(metadata) = metadata else {
        let mut made = None;
        if let Some(Address(address)) = &address {
            made = with_key(made, "ip_address", address);
        }
        if let Some(Text(browser)) = &browser {
            made = with_key(made, "user_agent", browser);
        }
        return Circumstances { metadata: made, ip_address: address.map(|Address(text)| text) };
    };
    let mut object = Some(metadata.object);
    let mut ip_address = metadata.ip_address;
    match address {
        Some(Address(address)) if !metadata.holds_ip_address => {
            object = with_key(object, "ip_address", &address);
            ip_address = Some(address);
        }
        Some(Address(address)) if !are_same(&address, ip_address.as_deref()) => {
            fields.problem(IP_ADDRESS.0[0], "differs from `metadata.ip_address`; give one of them");
        }
        Some(_) | None => {}
    }
    if let Some(Text(browser)) = browser
        && !metadata.holds_user_agent
    {
        object = with_key(object, "user_agent", &browser);
    }
    Circumstances { metadata: object, ip_address }
}

fn with_key(object: Option<JsonObject>, key: &str, text: &str) -> Option<JsonObject> {
    with_text(&object.or_else(|| JsonObject::parse("{}"))?, key, text)
}

/// The same address, however it is spelled.
fn are_same(one: &str, other: Option<&str>) -> bool {
    other.is_some_and(|other| {
        one == other
            || matches!((one.parse::<IpAddr>(), other.parse::<IpAddr>()), (Ok(a), Ok(b)) if a == b)
    })
}
