//! An endpoint as an import brings it along: what ConsentProof's API shows of a webhook, with its dialect and its secret.

use abide_core::original::OriginalId;
use abide_storage::imports::ImportedEndpoint;

use super::create::endpoint;
use super::input::{
    AUTH, DEADLINE_SECONDS, DESCRIPTION, DIALECT, EVENTS, RETRY_DELAYS, SECRET, URL,
};
use crate::App;
use crate::input::{Fields, Name};

const ID: Name = Name(&["id"]);
const IS_ACTIVE: Name = Name(&["is_active", "isActive"]);
const CREATED_AT: Name = Name(&["created_at", "createdAt"]);
/// What such objects hold beside, and says nothing that is kept: how it last changed and how its deliveries went.
const MEANINGLESS: [Name; 3] = [
    Name(&["updated_at", "updatedAt"]),
    Name(&["last_triggered_at", "lastTriggeredAt"]),
    Name(&["delivery_stats", "deliveryStats"]),
];

/// Reads one; every field that it does not have is refused.
pub(in crate::api::abide) fn brought(
    fields: &mut Fields<'_>,
    app: &App,
) -> Option<ImportedEndpoint> {
    fields.ignore(&MEANINGLESS);
    fields.only(&[
        ID,
        URL,
        DIALECT,
        EVENTS,
        SECRET,
        DESCRIPTION,
        IS_ACTIVE,
        CREATED_AT,
        AUTH,
        RETRY_DELAYS,
        DEADLINE_SECONDS,
    ]);
    let original: Option<OriginalId> = fields.required(ID);
    for (name, why) in [
        (DIALECT, "is required: it says which messages the receiver understands"),
        (SECRET, "is required: bring the one along that the receiver verifies with"),
    ] {
        if !fields.holds(name) {
            fields.problem(name.0[0], why);
        }
    }
    let new = endpoint(fields, app);
    let is_active = fields.optional(IS_ACTIVE).unwrap_or(true);
    let created_at = fields.optional(CREATED_AT);
    let (new, _) = new?;
    Some(ImportedEndpoint { original: original?, new, is_active, created_at })
}
