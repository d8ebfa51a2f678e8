//! How long an organization keeps what it could do without. Decisions are no part of it: they are what Abide is for.
//!
//! Without a rule everything is kept. What was told to whom, and who did what, is the proof that promises were kept; when it
//! may go is for its owner to say, and nothing that cannot be undone should happen because nobody said anything.

use crate::{Refusal, Timestamp};

/// The shortest time that can be chosen, in days: what failed is still retried then, and what is gone still held.
pub const SHORTEST_DAYS: u32 = 14;
/// The longest, in days: a hundred years.
pub const LONGEST_DAYS: u32 = 36_500;

const DAY_MILLIS: i64 = 24 * 3_600 * 1_000;

/// For how many days each kind is kept; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Deliveries that have ended, with their attempts.
    pub deliveries_days: Option<u32>,
    /// Events, with their deliveries; one that a delivery still waits with stays.
    pub events_days: Option<u32>,
    /// Entries of the audit log.
    pub audit_days: Option<u32>,
}

/// A change of some of it; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionPatch {
    /// As in [`Retention`].
    pub deliveries_days: Option<Option<u32>>,
    /// As in [`Retention`].
    pub events_days: Option<Option<u32>>,
    /// As in [`Retention`].
    pub audit_days: Option<Option<u32>>,
}

impl Retention {
    /// This with a change, where it makes sense.
    pub fn changed(self, patch: RetentionPatch) -> Result<Self, Refusal> {
        let changed = Self {
            deliveries_days: patch.deliveries_days.unwrap_or(self.deliveries_days),
            events_days: patch.events_days.unwrap_or(self.events_days),
            audit_days: patch.audit_days.unwrap_or(self.audit_days),
        };
        for (field, days) in [
            ("deliveries_days", changed.deliveries_days),
            ("events_days", changed.events_days),
            ("audit_days", changed.audit_days),
        ] {
            if days.is_some_and(|days| !(SHORTEST_DAYS..=LONGEST_DAYS).contains(&days)) {
                let problem = format!(
                    "must be a whole number from {SHORTEST_DAYS} to {LONGEST_DAYS}, or null"
                );
                return Err(Refusal::field(field, problem));
            }
        }
        if let (Some(events), Some(deliveries)) = (changed.events_days, changed.deliveries_days)
            && deliveries > events
        {
            let problem = format!(
                "must not be more than `events_days` ({events}): deliveries go with their events"
            );
            return Err(Refusal::field("deliveries_days", problem));
        }
        Ok(changed)
    }

    /// Whether anything goes.
    pub fn is_for_ever(self) -> bool {
        self == Self::default()
    }
}

/// What was made before this is older than so many days.
pub fn older_than(days: u32, now: Timestamp) -> Timestamp {
    now.plus_millis(-i64::from(days) * DAY_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_within_its_bounds_and_leaves_the_rest() {
        let some = Retention { deliveries_days: Some(30), events_days: Some(90), audit_days: None };
        let change = |patch| some.changed(patch).map_err(|refusal| refusal.to_string());
        assert_eq!(change(RetentionPatch::default()), Ok(some));
        let forever = RetentionPatch { events_days: Some(None), ..RetentionPatch::default() };
        assert_eq!(change(forever), Ok(Retention { events_days: None, ..some }));
        for days in [0, SHORTEST_DAYS - 1, LONGEST_DAYS + 1, u32::MAX] {
            let patch =
                RetentionPatch { audit_days: Some(Some(days)), ..RetentionPatch::default() };
            assert!(change(patch).unwrap_err().contains("`audit_days` must be"), "{days}");
        }
        let longer =
            RetentionPatch { deliveries_days: Some(Some(91)), ..RetentionPatch::default() };
        assert!(change(longer).unwrap_err().contains("`deliveries_days` must not be more"));
        let shorter = RetentionPatch { events_days: Some(Some(29)), ..RetentionPatch::default() };
        assert!(change(shorter).is_err());
        assert!(Retention::default().is_for_ever() && !some.is_for_ever());
    }
}
