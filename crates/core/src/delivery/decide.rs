//! What follows for a delivery from the outcome of an attempt.

use super::outcome::{Outcome, Reason};
use super::schedule::Schedule;
use super::state::Trigger;
use crate::Timestamp;

/// A series of attempts under one schedule. The first comes with the event; each manual retry opens another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// The run that every delivery starts with: the whole schedule.
    First,
    /// Asked for by hand: one attempt.
    Single,
    /// Asked for by hand: the whole schedule.
    Series,
    /// A test that somebody sent: one attempt, of which the endpoint's state is no matter and which stops nothing.
    Test,
}

impl Run {
    /// Every kind of run.
    pub const ALL: [Self; 4] = [Self::First, Self::Single, Self::Series, Self::Test];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Single => "single",
            Self::Series => "series",
            Self::Test => "test",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|run| run.as_str() == text)
    }
}

/// The answer to an outcome: which trigger the state table gets, and what the row says then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// For [`super::state::next`].
    pub trigger: Trigger,
    /// When the next attempt is due, if one is.
    pub due_at: Option<Timestamp>,
    /// Why, for held and final states other than delivered.
    pub reason: Option<Reason>,
}

/// Decides on the outcome of attempt number `attempts` (from 1) of a run, which ended at `ended`.
pub fn decide(
    outcome: Outcome,
    run: Run,
    attempts: u32,
    schedule: &Schedule,
    ended: Timestamp,
    draw: u16,
) -> Decided {
    let end = |trigger, reason| Decided { trigger, due_at: None, reason };
    match outcome {
        Outcome::Delivered => end(Trigger::OutcomeDelivered, None),
        Outcome::Skipped => end(Trigger::OutcomeSkipped, Some(Reason::NothingToDo)),
        Outcome::Failed => end(Trigger::OutcomeFailed, Some(Reason::Refused)),
        Outcome::Gone if run == Run::Test => end(Trigger::OutcomeFailed, Some(Reason::Refused)),
        Outcome::Gone => end(Trigger::Gone, Some(Reason::EndpointGone)),
        Outcome::Retry { retry_after } => {
            let due_at = match run {
                Run::First | Run::Series => schedule.next(attempts, ended, retry_after, draw),
                Run::Single | Run::Test => None,
            };
            match due_at {
                Some(due_at) => {
                    Decided { trigger: Trigger::OutcomeRetry, due_at: Some(due_at), reason: None }
                }
                None => end(Trigger::OutcomeFailed, Some(Reason::AttemptsUsedUp)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::schedule::Afterwards;

    const TWO: Schedule = Schedule {
        delays: std::borrow::Cow::Borrowed(&[60]),
        afterwards: Afterwards::Fail,
        jitter_percent: 0,
    };

    #[test]
    fn i2_every_outcome_says_what_follows_and_why() {
        let at = Timestamp::from_millis(5_000);
        let retry = Outcome::Retry { retry_after: None };
        let cases = [
            (Outcome::Delivered, Run::First, 1, Trigger::OutcomeDelivered, None, None),
            (
                Outcome::Skipped,
                Run::First,
                1,
                Trigger::OutcomeSkipped,
                None,
                Some(Reason::NothingToDo),
            ),
            (Outcome::Failed, Run::First, 1, Trigger::OutcomeFailed, None, Some(Reason::Refused)),
            (Outcome::Gone, Run::First, 1, Trigger::Gone, None, Some(Reason::EndpointGone)),
            (retry, Run::First, 1, Trigger::OutcomeRetry, Some(65_000), None),
            (retry, Run::First, 2, Trigger::OutcomeFailed, None, Some(Reason::AttemptsUsedUp)),
            (retry, Run::Single, 1, Trigger::OutcomeFailed, None, Some(Reason::AttemptsUsedUp)),
            (retry, Run::Series, 1, Trigger::OutcomeRetry, Some(65_000), None),
            (retry, Run::Test, 1, Trigger::OutcomeFailed, None, Some(Reason::AttemptsUsedUp)),
            (Outcome::Gone, Run::Test, 1, Trigger::OutcomeFailed, None, Some(Reason::Refused)),
        ];
        for (outcome, run, attempts, trigger, due, reason) in cases {
            let decided = decide(outcome, run, attempts, &TWO, at, 0);
            let due_at = due.map(Timestamp::from_millis);
            assert_eq!(
                decided,
                Decided { trigger, due_at, reason },
                "{outcome:?} {run:?} {attempts}"
            );
        }
    }
}
