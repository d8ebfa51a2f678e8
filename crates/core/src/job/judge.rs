//! What a job does with one delivery or event that it meets.

use crate::delivery::{DeliveryState, Next, Trigger, next};
use crate::endpoint::EndpointState;

/// What becomes of what was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done: asked for again, made, given up.
    Do,
    /// It is not what the job is about.
    Pass,
    /// It is what the job is about, and left out.
    Skip(Skip),
}

/// Why something is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Its endpoint is paused, or gone.
    EndpointStopped,
    /// Its endpoint is deleted.
    EndpointDeleted,
    /// It is no longer in a state that can be left that way.
    MovedOn,
    /// The person it is about was erased.
    Erased,
    /// The endpoint was told a newer state of the person, which says all that this would.
    ToldNewer,
}

/// What is known of an event that an endpoint may have missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The endpoint does not want its kind, or the job is not about it, or there is a delivery of it.
    NotMissed,
    /// There is none.
    Missed,
    /// There is none, and everyone it is about was erased.
    Erased,
    /// There is none, and the endpoint was told a newer state.
    ToldNewer,
}

fn stopped(endpoint: EndpointState) -> Option<Skip> {
    match endpoint {
        EndpointState::Active => None,
        EndpointState::Paused | EndpointState::Gone => Some(Skip::EndpointStopped),
        EndpointState::Deleted => Some(Skip::EndpointDeleted),
    }
}

/// Judges a delivery that may be asked for again.
pub fn judge_retry(state: DeliveryState, endpoint: EndpointState, erased: Option<Skip>) -> Verdict {
    if let Some(skip) = stopped(endpoint).or(erased) {
        return Verdict::Skip(skip);
    }
    match next(state, Trigger::ManualRetry) {
        Next::To(DeliveryState::Pending) if state.is_final() => Verdict::Do,
        Next::To(_) | Next::Stay | Next::Late | Next::Refused => Verdict::Skip(Skip::MovedOn),
    }
}

/// Judges an event that an endpoint may have missed.
pub fn judge_missed(missed: Missed, endpoint: EndpointState) -> Verdict {
    match (missed, stopped(endpoint)) {
        (Missed::NotMissed, _) => Verdict::Pass,
        (_, Some(skip)) => Verdict::Skip(skip),
        (Missed::Erased, None) => Verdict::Skip(Skip::Erased),
        (Missed::ToldNewer, None) => Verdict::Skip(Skip::ToldNewer),
        (Missed::Missed, None) => Verdict::Do,
    }
}

/// Judges a delivery that may be given up. Its endpoint's state is no matter: nothing is sent.
pub fn judge_discard(state: DeliveryState) -> Verdict {
    match next(state, Trigger::Discard) {
        // A node works on it: it is not taken out of its hands.
        Next::To(_) if state.is_leased() => Verdict::Skip(Skip::MovedOn),
        Next::To(_) => Verdict::Do,
        Next::Stay | Next::Late | Next::Refused => Verdict::Skip(Skip::MovedOn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ended_deliveries_of_active_endpoints_are_retried() {
        let again = [
            DeliveryState::Delivered,
            DeliveryState::Skipped,
            DeliveryState::Failed,
            DeliveryState::Cancelled,
            DeliveryState::Superseded,
            DeliveryState::Discarded,
        ];
        for state in DeliveryState::ALL {
            let expected =
                if again.contains(&state) { Verdict::Do } else { Verdict::Skip(Skip::MovedOn) };
            assert_eq!(judge_retry(state, EndpointState::Active, None), expected, "{state:?}");
            let erased = judge_retry(state, EndpointState::Active, Some(Skip::Erased));
            assert_eq!(erased, Verdict::Skip(Skip::Erased), "{state:?}");
            for (endpoint, skip) in [
                (EndpointState::Paused, Skip::EndpointStopped),
                (EndpointState::Gone, Skip::EndpointStopped),
                (EndpointState::Deleted, Skip::EndpointDeleted),
            ] {
                assert_eq!(judge_retry(state, endpoint, None), Verdict::Skip(skip), "{state:?}");
            }
        }
    }

    #[test]
    fn what_waits_is_given_up_and_nothing_else() {
        for state in DeliveryState::ALL {
            let waits = matches!(
                state,
                DeliveryState::Pending | DeliveryState::Parked | DeliveryState::Held
            );
            let expected = if waits { Verdict::Do } else { Verdict::Skip(Skip::MovedOn) };
            assert_eq!(judge_discard(state), expected, "{state:?}");
        }
    }

    #[test]
    fn what_was_missed_is_made_for_active_endpoints() {
        let cases = [
            (Missed::NotMissed, EndpointState::Deleted, Verdict::Pass),
            (Missed::Missed, EndpointState::Active, Verdict::Do),
            (Missed::Missed, EndpointState::Paused, Verdict::Skip(Skip::EndpointStopped)),
            (Missed::Erased, EndpointState::Gone, Verdict::Skip(Skip::EndpointStopped)),
            (Missed::Missed, EndpointState::Deleted, Verdict::Skip(Skip::EndpointDeleted)),
            (Missed::Erased, EndpointState::Active, Verdict::Skip(Skip::Erased)),
            (Missed::ToldNewer, EndpointState::Active, Verdict::Skip(Skip::ToldNewer)),
        ];
        for (missed, endpoint, expected) in cases {
            assert_eq!(judge_missed(missed, endpoint), expected, "{missed:?} {endpoint:?}");
        }
    }
}
