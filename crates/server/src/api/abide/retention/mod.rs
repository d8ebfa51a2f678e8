//! How long the caller's organization keeps what it could do without.

pub(crate) mod change;
pub(crate) mod get;

use abide_core::retention::{LONGEST_DAYS, Retention, SHORTEST_DAYS};
use serde::Serialize;

use super::describe::{Schema, field, named, number, object, or_null};
use crate::input::Name;

const GROUP: &str = super::organization::GROUP;

const DELIVERIES_DAYS: Name = Name(&["deliveries_days"]);
const EVENTS_DAYS: Name = Name(&["events_days"]);
const AUDIT_DAYS: Name = Name(&["audit_days"]);

const OF_DELIVERIES: &str = "For how many days deliveries that have ended are kept, with their attempts, counted from the last \
                             attempt; null: for ever, or as long as their events.";
const OF_EVENTS: &str = "For how many days events are kept, with their deliveries; null: for ever. One that a delivery still \
                         waits with stays until that has ended.";
const OF_AUDIT: &str = "For how many days entries of the audit log are kept; null: for ever.";

/// The rules as this API shows them.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "a field's name says its unit")]
struct RetentionObject {
    deliveries_days: Option<u32>,
    events_days: Option<u32>,
    audit_days: Option<u32>,
}

impl From<Retention> for RetentionObject {
    fn from(rules: Retention) -> Self {
        let Retention { deliveries_days, events_days, audit_days } = rules;
        Self { deliveries_days, events_days, audit_days }
    }
}

fn days() -> Schema {
    or_null(number(SHORTEST_DAYS.into(), LONGEST_DAYS.into()))
}

fn schema() -> Schema {
    named(
        "Retention",
        object(vec![
            field("deliveries_days", days(), OF_DELIVERIES),
            field("events_days", days(), OF_EVENTS),
            field("audit_days", days(), OF_AUDIT),
        ]),
    )
}
