//! What an organization keeps for how long.

use abide_core::access::Caller;
use abide_core::retention::{Retention, RetentionPatch};
use serde::{Deserialize, Serialize};

use super::Ground;

/// For how long something is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kept {
    /// Always.
    Forever,
    /// For so many days.
    Days(u32),
}

/// A change of the rules; what is `None` stays.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct WantedRetention {
    /// Deliveries that have ended.
    pub(crate) deliveries: Option<Kept>,
    /// Events.
    pub(crate) events: Option<Kept>,
    /// Entries of the audit log.
    pub(crate) audit: Option<Kept>,
}

/// The rules, in days; `None`: for ever.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "a field's name says its unit")]
pub(crate) struct RetentionFacts {
    /// Deliveries that have ended.
    pub(crate) deliveries_days: Option<u32>,
    /// Events.
    pub(crate) events_days: Option<u32>,
    /// Entries of the audit log.
    pub(crate) audit_days: Option<u32>,
}

impl Kept {
    fn days(self) -> Option<u32> {
        match self {
            Self::Forever => None,
            Self::Days(days) => Some(days),
        }
    }
}

/// Changes what is given; reads the rules where nothing is.
pub(super) async fn change(
    ground: &Ground,
    by: &Caller,
    wanted: &WantedRetention,
) -> anyhow::Result<RetentionFacts> {
    let patch = RetentionPatch {
        deliveries_days: wanted.deliveries.map(Kept::days),
        events_days: wanted.events.map(Kept::days),
        audit_days: wanted.audit.map(Kept::days),
    };
    let retentions = ground.storage.retentions();
    let rules = if patch == RetentionPatch::default() {
        retentions.retention(by.organization).await?
    } else {
        retentions.change_retention(by, patch, ground.clock.now()).await?
    };
    let Retention { deliveries_days, events_days, audit_days } = rules;
    Ok(RetentionFacts { deliveries_days, events_days, audit_days })
}
