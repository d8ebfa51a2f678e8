//! The states of a delivery, and the one table that says what moves it where.
//!
//! ```text
//!            +------------- retry -------------+
//!            v                                 |
//! (new) -> pending --claim--> claimed --outcome--> delivered | skipped | failed
//!   |       ^  ^  \              ^ |
//!   |       |  |   no room       | no room / lost lease
//!   |       |  |     v         claim
//!   +-> hot-+  |   parked -------+
//!              |
//!            resume
//!              |
//!             held <- pause / 410 from every waiting state
//!
//! waiting states end as cancelled (deactivate, delete), superseded, erased, discarded
//! ```
//!
//! An open attempt is finished by its outcome, whatever else was wanted meanwhile; the table is for rows at rest
//! and for outcomes. [`Next::Late`] is an outcome for a row that has moved on: kept as an attempt, moving nothing
//! (I5).

#[cfg(feature = "faults")]
use crate::fault::{Fault, is_planted};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// In a node's memory under its lease, first attempt due now.
    Hot,
    /// Waiting for its due time.
    Pending,
    /// Taken in a page of due work, for as long as its lease lives.
    Claimed,
    /// Due, but its endpoint has no room or its breaker is open.
    Parked,
    /// Waiting for somebody: a stated reason and a named way out.
    Held,
    /// Final: the receiver has it.
    Delivered,
    /// Final: the receiver had nothing to do.
    Skipped,
    /// Final: the schedule is used up, or trying again cannot help.
    Failed,
    /// Final: its endpoint was stopped or deleted.
    Cancelled,
    /// Final: a newer delivery carries the state.
    Superseded,
    /// Final: its person was erased.
    Erased,
    /// Final: somebody gave it up.
    Discarded,
}

/// What can happen to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// A node takes it as due work.
    Claim,
    /// Its endpoint has no room for it in memory, or its breaker is open.
    NoRoom,
    /// An attempt was answered: delivered.
    OutcomeDelivered,
    /// An attempt was answered: nothing to do.
    OutcomeSkipped,
    /// An attempt failed and another one is due later.
    OutcomeRetry,
    /// An attempt failed and it was the last, or trying again cannot help.
    OutcomeFailed,
    /// An attempt was answered 410, or the endpoint of a waiting row was.
    Gone,
    /// Its endpoint is stopped and its dialect holds what waits.
    Pause,
    /// Its endpoint is stopped and its dialect cancels what waits.
    Deactivate,
    /// Its endpoint is active again.
    Resume,
    /// Its endpoint is deleted.
    Delete,
    /// Somebody asks for another run.
    ManualRetry,
    /// Its person is erased.
    Erase,
    /// The lease it is held under has no work in memory any more.
    LostLease,
    /// Another node takes over the lease; the row itself waits for [`Trigger::LostLease`].
    Takeover,
    /// A newer delivery of the same lane carries the state.
    Supersede,
    /// Somebody gives it up.
    Discard,
}

/// What a trigger does to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The delivery moves.
    To(DeliveryState),
    /// Nothing changes; it is no mistake.
    Stay,
    /// An attempt is recorded as late and moves nothing (I5).
    Late,
    /// The request is refused.
    Refused,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Hot,
        Self::Pending,
        Self::Claimed,
        Self::Parked,
        Self::Held,
        Self::Delivered,
        Self::Skipped,
        Self::Failed,
        Self::Cancelled,
        Self::Superseded,
        Self::Erased,
        Self::Discarded,
    ];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Parked => "parked",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Erased => "erased",
            Self::Discarded => "discarded",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether only a manual retry leaves it.
    pub fn is_final(self) -> bool {
        match self {
            Self::Hot | Self::Pending | Self::Claimed | Self::Parked | Self::Held => false,
            Self::Delivered
            | Self::Skipped
            | Self::Failed
            | Self::Cancelled
            | Self::Superseded
            | Self::Erased
            | Self::Discarded => true,
        }
    }

    /// Whether a node works on it now, so that the row names a lease.
    pub fn is_leased(self) -> bool {
        matches!(self, Self::Hot | Self::Claimed)
    }
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 17] = [
        Self::Claim,
        Self::NoRoom,
        Self::OutcomeDelivered,
        Self::OutcomeSkipped,
        Self::OutcomeRetry,
        Self::OutcomeFailed,
        Self::Gone,
        Self::Pause,
        Self::Deactivate,
        Self::Resume,
        Self::Delete,
        Self::ManualRetry,
        Self::Erase,
        Self::LostLease,
        Self::Takeover,
        Self::Supersede,
        Self::Discard,
    ];
}

/// What `trigger` does to a delivery in `state`. Total: every pair has its answer.
pub fn next(state: DeliveryState, trigger: Trigger) -> Next {
    use DeliveryState::{
        Cancelled, Claimed, Delivered, Discarded, Erased, Failed, Held, Hot, Parked, Pending,
        Skipped, Superseded,
    };
    use Next::{Late, Refused, Stay, To};
    #[cfg(feature = "faults")]
    if is_planted(Fault::LateOutcomeMovesFinal) && trigger == Trigger::OutcomeRetry {
        return To(Pending);
    }
    match (trigger, state) {
        (Trigger::Claim, Pending | Parked) => To(Claimed),
        (Trigger::NoRoom, Hot | Claimed | Pending) => To(Parked),
        (Trigger::OutcomeDelivered, Hot | Claimed) => To(Delivered),
        (Trigger::OutcomeSkipped, Hot | Claimed) => To(Skipped),
        (Trigger::OutcomeRetry, Hot | Claimed) => To(Pending),
        (Trigger::OutcomeFailed, Hot | Claimed) => To(Failed),
        (
            Trigger::OutcomeDelivered
            | Trigger::OutcomeSkipped
            | Trigger::OutcomeRetry
            | Trigger::OutcomeFailed,
            Pending | Parked | Held | Delivered | Skipped | Failed | Cancelled | Superseded
            | Erased | Discarded,
        ) => Late,
        (Trigger::Gone | Trigger::Pause, Hot | Claimed | Pending | Parked) => To(Held),
        (
            Trigger::Gone,
            Delivered | Skipped | Failed | Cancelled | Superseded | Erased | Discarded,
        ) => Late,
        (Trigger::Deactivate | Trigger::Delete, Hot | Claimed | Pending | Parked | Held) => {
            To(Cancelled)
        }
        (Trigger::Resume, Held) => To(Pending),
        (Trigger::ManualRetry, Parked | Pending) => To(Pending),
        (
            Trigger::ManualRetry,
            Delivered | Skipped | Failed | Cancelled | Superseded | Discarded,
        ) => To(Pending),
        (Trigger::ManualRetry, Erased | Held) => Refused,
        (Trigger::ManualRetry, Hot | Claimed) => Stay,
        (Trigger::Erase, Hot | Claimed | Pending | Parked | Held) => To(Erased),
        (Trigger::LostLease, Hot | Claimed) => To(Pending),
        (Trigger::Supersede, Hot | Claimed | Pending | Parked | Held) => To(Superseded),
        (Trigger::Discard, Hot | Claimed | Pending | Parked | Held) => To(Discarded),
        (
            Trigger::Discard,
            Delivered | Skipped | Failed | Cancelled | Superseded | Erased | Discarded,
        ) => Refused,
        (
            Trigger::Claim
            | Trigger::NoRoom
            | Trigger::Pause
            | Trigger::Gone
            | Trigger::Deactivate
            | Trigger::Delete
            | Trigger::Resume
            | Trigger::Erase
            | Trigger::LostLease
            | Trigger::Takeover
            | Trigger::Supersede,
            Hot | Pending | Claimed | Parked | Held | Delivered | Skipped | Failed | Cancelled
            | Superseded | Erased | Discarded,
        ) => Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I2, I5: the whole table, written out once more. Columns in the order of `DeliveryState::ALL`:
    /// hot pending claimed parked held | delivered skipped failed cancelled superseded erased discarded.
    #[test]
    fn i2_the_table_of_states_and_triggers() {
        let table = [
            (Trigger::Claim, ". C . C . | . . . . . . ."),
            (Trigger::NoRoom, "K K K . . | . . . . . . ."),
            (Trigger::OutcomeDelivered, "D l D l l | l l l l l l l"),
            (Trigger::OutcomeSkipped, "S l S l l | l l l l l l l"),
            (Trigger::OutcomeRetry, "P l P l l | l l l l l l l"),
            (Trigger::OutcomeFailed, "F l F l l | l l l l l l l"),
            (Trigger::Gone, "H H H H . | l l l l l l l"),
            (Trigger::Pause, "H H H H . | . . . . . . ."),
            (Trigger::Deactivate, "X X X X X | . . . . . . ."),
            (Trigger::Resume, ". . . . P | . . . . . . ."),
            (Trigger::Delete, "X X X X X | . . . . . . ."),
            (Trigger::ManualRetry, ". P . P r | P P P P P r P"),
            (Trigger::Erase, "E E E E E | . . . . . . ."),
            (Trigger::LostLease, "P . P . . | . . . . . . ."),
            (Trigger::Takeover, ". . . . . | . . . . . . ."),
            (Trigger::Supersede, "U U U U U | . . . . . . ."),
            (Trigger::Discard, "G G G G G | r r r r r r r"),
        ];
        assert_eq!(table.len(), Trigger::ALL.len());
        for (trigger, row) in table {
            let cells: Vec<char> = row.chars().filter(|c| !matches!(c, ' ' | '|')).collect();
            assert_eq!(cells.len(), DeliveryState::ALL.len(), "{trigger:?}");
            for (state, cell) in DeliveryState::ALL.into_iter().zip(cells) {
                let expected = match cell {
                    '.' => Next::Stay,
                    'l' => Next::Late,
                    'r' => Next::Refused,
                    'C' => Next::To(DeliveryState::Claimed),
                    'K' => Next::To(DeliveryState::Parked),
                    'D' => Next::To(DeliveryState::Delivered),
                    'S' => Next::To(DeliveryState::Skipped),
                    'P' => Next::To(DeliveryState::Pending),
                    'F' => Next::To(DeliveryState::Failed),
                    'H' => Next::To(DeliveryState::Held),
                    'X' => Next::To(DeliveryState::Cancelled),
                    'E' => Next::To(DeliveryState::Erased),
                    'U' => Next::To(DeliveryState::Superseded),
                    'G' => Next::To(DeliveryState::Discarded),
                    other => panic!("no such cell: {other}"),
                };
                assert_eq!(next(state, trigger), expected, "{trigger:?} in {state:?}");
            }
        }
    }

    /// I5: nothing but a manual retry leaves a final state.
    #[test]
    fn i5_final_states_stay() {
        for state in DeliveryState::ALL.into_iter().filter(|state| state.is_final()) {
            for trigger in Trigger::ALL {
                let moved = matches!(next(state, trigger), Next::To(_));
                assert!(!moved || trigger == Trigger::ManualRetry, "{trigger:?} in {state:?}");
            }
        }
    }

    /// I2: from every state that is not final some way leads to a final one.
    #[test]
    fn i2_every_waiting_state_has_a_way_out() {
        for state in DeliveryState::ALL.into_iter().filter(|state| !state.is_final()) {
            let out = Trigger::ALL
                .into_iter()
                .any(|trigger| matches!(next(state, trigger), Next::To(to) if to.is_final()));
            assert!(out, "{state:?}");
        }
    }

    #[test]
    fn names_round_trip_and_the_diagram_shows_every_state() {
        let source = include_str!("state.rs");
        let diagram: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::parse(state.as_str()), Some(state));
            assert!(diagram.contains(state.as_str()), "the diagram lacks {state:?}");
        }
    }
}
