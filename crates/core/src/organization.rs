//! The life of an organization, and the time in which its deletion can be taken back.

use crate::{Refusal, Timestamp};

/// Where an organization stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrganizationState {
    /// It works.
    Active,
    /// Somebody asked for its deletion: it can be read, exported and restored, nothing else.
    Deleting {
        /// When everything of it goes.
        deletes_at: Timestamp,
    },
    /// Its keys were destroyed, and nothing of it can be read any more. The mark stays.
    Deleted {
        /// When they were.
        deleted_at: Timestamp,
    },
}

/// The longest time, in days, in which a deletion can be taken back.
pub const LONGEST_GRACE_DAYS: u32 = 90;

/// That time where nobody says another.
pub const USUAL_GRACE_DAYS: u32 = 14;

const DAY_MILLIS: i64 = 24 * 3600 * 1000;

impl OrganizationState {
    /// The names of the states, as they are stored and shown.
    pub const NAMES: [&'static str; 3] = ["active", "deleting", "deleted"];

    /// The stored and public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleting { .. } => "deleting",
            Self::Deleted { .. } => "deleted",
        }
    }

    /// Refuses to record or to change anything in an organization that is being deleted.
    pub fn must_be_active(self) -> Result<(), Refusal> {
        match self {
            Self::Active => Ok(()),
            Self::Deleting { deletes_at } => Err(Refusal::Conflict(format!(
                "this organization is being deleted: until {} it can be read and exported, and nothing can be \
                 recorded or changed; `POST /abide/v1/organization/restore` or `abide organizations restore` takes the \
                 deletion back",
                deletes_at.to_seconds_text()
            ))),
            Self::Deleted { .. } => Err(Refusal::NotFound("the organization")),
        }
    }

    /// Begins a deletion that can be taken back for so many days.
    pub fn begin_deletion(self, grace_days: u32, now: Timestamp) -> Result<Self, Refusal> {
        if grace_days > LONGEST_GRACE_DAYS {
            let problem = format!("must be a whole number from 0 to {LONGEST_GRACE_DAYS}");
            return Err(Refusal::field("grace_days", problem));
        }
        match self {
            Self::Active => {
                let deletes_at = now.plus_millis(i64::from(grace_days) * DAY_MILLIS);
                Ok(Self::Deleting { deletes_at })
            }
            Self::Deleting { deletes_at } => Err(Refusal::Conflict(format!(
                "this organization is being deleted already, at {}; restore it first to choose another time",
                deletes_at.to_seconds_text()
            ))),
            Self::Deleted { .. } => Err(Refusal::NotFound("the organization")),
        }
    }

    /// Takes a deletion back, while there is something left to restore. Twice is no mistake.
    pub fn restore(self, now: Timestamp) -> Result<Self, Refusal> {
        match self {
            Self::Active => Ok(Self::Active),
            Self::Deleting { deletes_at } if now < deletes_at => Ok(Self::Active),
            Self::Deleting { .. } => Err(Refusal::Conflict(
                "the time in which the deletion could be taken back is over".to_owned(),
            )),
            Self::Deleted { .. } => Err(Refusal::NotFound("the organization")),
        }
    }

    /// Whether it is there: active, or to be deleted.
    pub fn is_alive(self) -> bool {
        match self {
            Self::Active | Self::Deleting { .. } => true,
            Self::Deleted { .. } => false,
        }
    }

    /// Whether the deletion is to be carried out now.
    pub fn is_due(self, now: Timestamp) -> bool {
        matches!(self, Self::Deleting { deletes_at } if deletes_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_deletion_is_taken_back_before_its_time_alone() {
        let begun = OrganizationState::Active.begin_deletion(1, at(5)).unwrap();
        assert_eq!(begun, OrganizationState::Deleting { deletes_at: at(5 + DAY_MILLIS) });
        let end = at(5 + DAY_MILLIS);
        let before = end.plus_millis(-1);
        assert_eq!((begun.is_due(before), begun.is_due(end)), (false, true));
        assert_eq!(begun.restore(before), Ok(OrganizationState::Active));
        assert!(matches!(begun.restore(end), Err(Refusal::Conflict(_))));
        assert_eq!(OrganizationState::Active.restore(end), Ok(OrganizationState::Active));
        assert!(matches!(begun.begin_deletion(1, at(5)), Err(Refusal::Conflict(_))));
        let gone = OrganizationState::Deleted { deleted_at: end };
        assert!(matches!(gone.restore(at(0)), Err(Refusal::NotFound(_))));
        assert!(matches!(gone.begin_deletion(0, at(0)), Err(Refusal::NotFound(_))));
        assert!(!gone.is_due(at(i64::MAX)));
    }

    #[test]
    fn grace_has_bounds() {
        for (days, allowed) in [(0, true), (90, true), (91, false), (u32::MAX, false)] {
            let begun = OrganizationState::Active.begin_deletion(days, at(0));
            assert_eq!(begun.is_ok(), allowed, "{days}");
        }
        let at_once = OrganizationState::Active.begin_deletion(0, at(7)).unwrap();
        assert!(at_once.is_due(at(7)));
    }

    #[test]
    fn only_an_active_one_is_written_to() {
        assert_eq!(OrganizationState::Active.must_be_active(), Ok(()));
        let refused = OrganizationState::Deleting { deletes_at: at(0) }.must_be_active();
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("1970-01-01T00:00:00Z") && text.contains("restore"), "{text}");
        let gone = OrganizationState::Deleted { deleted_at: at(0) };
        assert!(gone.must_be_active().is_err());
    }
}
