//! What a job is about, judged when somebody wishes for it.

use super::JobKind;
use crate::delivery::{DeliveryState, Run};
use crate::event::EventKind;
use crate::ids::EndpointId;
use crate::{Refusal, Timestamp};

/// What somebody wishes to be done with many deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What is to be done.
    pub kind: JobKind,
    /// With deliveries to this endpoint alone.
    pub endpoint: Option<EndpointId>,
    /// With those of events of this kind alone.
    pub event_kind: Option<EventKind>,
    /// With those in these states alone; empty: the usual ones of the job's kind.
    pub states: Vec<DeliveryState>,
    /// With those made at this time or later; for missed events: that happened then or later.
    pub from: Option<Timestamp>,
    /// With those made before this time.
    pub until: Option<Timestamp>,
    /// What run a retry opens; `None`: what the dialect of each endpoint usually does.
    pub run: Option<Run>,
    /// How many a second, at most; `None`: [`Plan::USUAL_RATE`].
    pub rate: Option<u32>,
}

/// A wish that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is done.
    pub kind: JobKind,
    /// The endpoint; always there but for retries.
    pub endpoint: Option<EndpointId>,
    /// The kind of event.
    pub event_kind: Option<EventKind>,
    /// The states, sorted; empty for missed events.
    pub states: Vec<DeliveryState>,
    /// The first instant.
    pub from: Option<Timestamp>,
    /// The first instant that is not in it any more.
    pub until: Option<Timestamp>,
    /// The run that a retry opens.
    pub run: Option<Run>,
    /// How many a second, at most.
    pub rate: u32,
}

impl Plan {
    /// The rate of a job for which none was given, per second.
    pub const USUAL_RATE: u32 = 100;
    /// The highest rate, per second.
    pub const HIGHEST_RATE: u32 = 1_000;

    /// Judges a wish.
    pub fn of(wish: Wish) -> Result<Self, Refusal> {
        let Wish { kind, endpoint, event_kind, states, from, until, run, rate } = wish;
        if endpoint.is_none() && kind != JobKind::RetryFailed {
            let problem = format!("is required for a job that is `{}`", kind.as_str());
            return Err(Refusal::field("endpoint", problem));
        }
        let states = Self::states(kind, states)?;
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            return Err(Refusal::field("until", "must be later than `from`"));
        }
        if run.is_some_and(|run| kind != JobKind::RetryFailed || !Self::may_open(run)) {
            let problem = "must be `single` or `series`, and is for `retry_failed` alone";
            return Err(Refusal::field("run", problem));
        }
        let rate = rate.unwrap_or(Self::USUAL_RATE);
        if !(1..=Self::HIGHEST_RATE).contains(&rate) {
            let problem = format!("must be 1 to {} a second", Self::HIGHEST_RATE);
            return Err(Refusal::field("rate", problem));
        }
        Ok(Self { kind, endpoint, event_kind, states, from, until, run, rate })
    }

    /// The states that a job of that kind may be about, the usual ones first, and how many those are.
    pub fn possible_states(kind: JobKind) -> (&'static [DeliveryState], usize) {
        match kind {
            JobKind::RetryFailed => {
                (&[DeliveryState::Failed, DeliveryState::Cancelled, DeliveryState::Discarded], 1)
            }
            JobKind::Discard => {
                (&[DeliveryState::Held, DeliveryState::Parked, DeliveryState::Pending], 3)
            }
            JobKind::ReplayMissing => (&[], 0),
        }
    }

    fn states(
        kind: JobKind,
        mut states: Vec<DeliveryState>,
    ) -> Result<Vec<DeliveryState>, Refusal> {
        let (possible, usual) = Self::possible_states(kind);
        if states.iter().any(|state| !possible.contains(state)) {
            let names: Vec<_> =
                possible.iter().map(|state| format!("`{}`", state.as_str())).collect();
            let problem = if names.is_empty() {
                format!("is not for a job that is `{}`", kind.as_str())
            } else {
                format!("must be of {}", names.join(", "))
            };
            return Err(Refusal::field("states", problem));
        }
        if states.is_empty() {
            states = possible[..usual].to_vec();
        }
        states.sort_unstable();
        states.dedup();
        Ok(states)
    }

    fn may_open(run: Run) -> bool {
        match run {
            Run::Single | Run::Series => true,
            Run::First | Run::Test => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(kind: JobKind) -> Wish {
        Wish {
            kind,
            endpoint: Some(EndpointId::from_key(1)),
            event_kind: None,
            states: Vec::new(),
            from: None,
            until: None,
            run: None,
            rate: None,
        }
    }

    #[test]
    fn a_wish_gets_what_is_usual() {
        let retry = Plan::of(Wish { endpoint: None, ..wish(JobKind::RetryFailed) }).unwrap();
        assert_eq!((retry.states, retry.rate), (vec![DeliveryState::Failed], Plan::USUAL_RATE));
        let discard = Plan::of(wish(JobKind::Discard)).unwrap();
        let waiting = [DeliveryState::Pending, DeliveryState::Parked, DeliveryState::Held];
        assert_eq!(discard.states, waiting);
        let twice = vec![DeliveryState::Failed, DeliveryState::Cancelled, DeliveryState::Failed];
        let retry = Plan::of(Wish { states: twice, ..wish(JobKind::RetryFailed) }).unwrap();
        assert_eq!(retry.states, [DeliveryState::Failed, DeliveryState::Cancelled]);
        assert!(Plan::of(wish(JobKind::ReplayMissing)).unwrap().states.is_empty());
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_the_fields_name() {
        let at = |millis| Some(Timestamp::from_millis(millis));
        let cases = [
            ("endpoint", Wish { endpoint: None, ..wish(JobKind::Discard) }),
            ("endpoint", Wish { endpoint: None, ..wish(JobKind::ReplayMissing) }),
            (
                "states",
                Wish { states: vec![DeliveryState::Delivered], ..wish(JobKind::RetryFailed) },
            ),
            ("states", Wish { states: vec![DeliveryState::Failed], ..wish(JobKind::Discard) }),
            ("states", Wish { states: vec![DeliveryState::Held], ..wish(JobKind::ReplayMissing) }),
            ("until", Wish { from: at(2), until: at(2), ..wish(JobKind::RetryFailed) }),
            ("run", Wish { run: Some(Run::First), ..wish(JobKind::RetryFailed) }),
            ("run", Wish { run: Some(Run::Single), ..wish(JobKind::Discard) }),
            ("rate", Wish { rate: Some(0), ..wish(JobKind::Discard) }),
            ("rate", Wish { rate: Some(1_001), ..wish(JobKind::Discard) }),
        ];
        for (expected, wish) in cases {
            let Err(Refusal::Field { field, .. }) = Plan::of(wish.clone()) else {
                panic!("not refused: {wish:?}")
            };
            assert_eq!(field, expected, "{wish:?}");
        }
    }
}
