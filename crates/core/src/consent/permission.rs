//! The permission in force for one (subject, purpose), and which event follows when it changes.
//!
//! In force is the decision with the latest `obtained_at` among those valid at the asked instant; ties go to the
//! one recorded last (D26). A decision can leave force without a new one: its validity ends, or that of a later one
//! begins. `next_change_at` is the next instant at which that can happen.

use super::decision::{PermissionState, Validity};
use crate::Timestamp;
use crate::event::EventKind;
use crate::ids::DecisionId;

/// The facts of a decision that bear on being in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The decision; ids grow in recording order.
    pub decision: DecisionId,
    /// What it decided.
    pub state: PermissionState,
    /// When the person decided.
    pub obtained_at: Timestamp,
    /// When it can be in force.
    pub validity: Validity,
}

/// What a consent record knows of itself before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The decision in force.
    pub in_force: Option<Candidate>,
    /// When time alone changes that.
    pub next_change_at: Option<Timestamp>,
    /// Whether `consent.created` was ever told.
    pub announced: bool,
    /// When GRANTED last gave way, unless granted again.
    pub withdrawn_at: Option<Timestamp>,
}

impl Standing {
    /// Whether the record's older decisions must be read to judge `new`. They need not when nothing waits for its
    /// time and `new`, without bounds of its own, is the latest: nothing else can then be in force again.
    pub fn needs_history(&self, new: &Candidate) -> bool {
        self.next_change_at.is_some()
            || new.validity != Validity::default()
            || self.in_force.is_some_and(|held| held.obtained_at > new.obtained_at)
    }
}

/// What follows from judging a record's decisions at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The record's new standing.
    pub standing: Standing,
    /// The event to tell, if any.
    pub event: Option<EventKind>,
}

/// Judges the decisions of one record at `now`. `candidates` are all that can matter: every decision of the record,
/// or the newest alone where [`Standing::needs_history`] says that this is enough.
pub fn decide(before: &Standing, candidates: &[Candidate], now: Timestamp) -> Change {
    let in_force = in_force_at(candidates, now);
    let next_change_at = candidates
        .iter()
        .flat_map(|candidate| [candidate.validity.from, candidate.validity.until])
        .flatten()
        .filter(|at| *at > now)
        .min();
    let event = event_of(before, in_force.as_ref());
    let withdrawn_at = match (event, in_force.map(|held| held.state)) {
        (Some(EventKind::ConsentWithdrawn), _) => Some(now),
        (_, Some(PermissionState::Granted)) => None,
        _ => before.withdrawn_at,
    };
    let announced = before.announced || event == Some(EventKind::ConsentCreated);
    Change { standing: Standing { in_force, next_change_at, announced, withdrawn_at }, event }
}

fn in_force_at(candidates: &[Candidate], at: Timestamp) -> Option<Candidate> {
    candidates
        .iter()
        .filter(|candidate| candidate.validity.holds(at))
        .max_by_key(|candidate| (candidate.obtained_at, candidate.decision))
        .copied()
}

/// Whether a record with these decisions, all of them, grants at `now` or will at a later time without a further word.
pub fn grants_in_time(candidates: &[Candidate], now: Timestamp) -> bool {
    let bounds = candidates.iter().flat_map(|one| [one.validity.from, one.validity.until]);
    let later = bounds.flatten().filter(|at| *at > now);
    std::iter::once(now).chain(later).any(|at| {
        in_force_at(candidates, at).is_some_and(|held| held.state == PermissionState::Granted)
    })
}

fn event_of(before: &Standing, after: Option<&Candidate>) -> Option<EventKind> {
    if before.in_force.map(|held| held.decision) == after.map(|held| held.decision) {
        return None;
    }
    let was_granted = before.in_force.is_some_and(|held| held.state == PermissionState::Granted);
    match after.map(|held| held.state) {
        Some(PermissionState::Granted | PermissionState::Denied) if !before.announced => {
            Some(EventKind::ConsentCreated)
        }
        Some(PermissionState::Granted) => Some(EventKind::ConsentUpdated),
        Some(PermissionState::Denied) if !was_granted => Some(EventKind::ConsentUpdated),
        Some(
            PermissionState::Denied
            | PermissionState::Pending
            | PermissionState::Claimed
            | PermissionState::Objected
            | PermissionState::ObjectionUpheld,
        )
        | None => was_granted.then_some(EventKind::ConsentWithdrawn),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn candidate(key: i64, state: PermissionState, obtained: i64) -> Candidate {
        Candidate {
            decision: DecisionId::from_key(key),
            state,
            obtained_at: at(obtained),
            validity: Validity::default(),
        }
    }

    fn standing(state: Option<PermissionState>, announced: bool) -> Standing {
        Standing {
            in_force: state.map(|state| candidate(1, state, 10)),
            announced,
            ..Standing::default()
        }
    }

    /// P37: what waits for its time counts as granted, unless something newer stands in its way by then.
    #[test]
    fn p37_a_grant_that_waits_for_its_time_is_seen() {
        let dated = |key, state, obtained, from: Option<i64>, until: Option<i64>| Candidate {
            validity: Validity { from: from.map(at), until: until.map(at) },
            ..candidate(key, state, obtained)
        };
        let (granted, denied) = (PermissionState::Granted, PermissionState::Denied);
        for (candidates, now, expected) in [
            (vec![], 5, false),
            (vec![candidate(1, granted, 1)], 5, true),
            (vec![candidate(1, denied, 1)], 5, false),
            (vec![dated(1, granted, 1, Some(100), None)], 5, true),
            (vec![dated(1, granted, 1, None, Some(4))], 5, false),
            (vec![dated(1, granted, 1, Some(100), None), candidate(2, denied, 2)], 5, false),
            (vec![candidate(1, denied, 1), dated(2, granted, 2, Some(100), None)], 5, true),
            (vec![candidate(1, granted, 1), dated(2, denied, 2, None, Some(50))], 5, true),
            (vec![candidate(1, granted, 1), dated(2, denied, 2, None, Some(50))], 60, true),
        ] {
            assert_eq!(grants_in_time(&candidates, at(now)), expected, "{candidates:?}");
        }
    }

    /// P37: each listed action has its one event; pending and the other bases have none.
    #[test]
    fn p37_which_event_follows() {
        use EventKind::{ConsentCreated, ConsentUpdated, ConsentWithdrawn};
        use PermissionState::{Claimed, Denied, Granted, Objected, Pending};
        let cases = [
            (None, false, Granted, Some(ConsentCreated)),
            (None, false, Denied, Some(ConsentCreated)),
            (None, false, Pending, None),
            (None, false, Claimed, None),
            (Some(Pending), false, Granted, Some(ConsentCreated)),
            (Some(Granted), true, Granted, Some(ConsentUpdated)),
            (Some(Granted), true, Denied, Some(ConsentWithdrawn)),
            (Some(Granted), true, Pending, Some(ConsentWithdrawn)),
            (Some(Denied), true, Granted, Some(ConsentUpdated)),
            (Some(Denied), true, Denied, Some(ConsentUpdated)),
            (Some(Denied), true, Pending, None),
            (None, true, Granted, Some(ConsentUpdated)),
            (None, true, Denied, Some(ConsentUpdated)),
            (Some(Claimed), false, Objected, None),
        ];
        for (before, announced, new, expected) in cases {
            let change = decide(&standing(before, announced), &[candidate(2, new, 20)], at(20));
            assert_eq!(change.event, expected, "{before:?} announced {announced} then {new:?}");
            assert_eq!(change.standing.announced, announced || expected.is_some());
        }
    }

    #[test]
    fn a_late_recorded_older_decision_changes_history_only() {
        let held = candidate(1, PermissionState::Granted, 100);
        let before = Standing { in_force: Some(held), announced: true, ..Standing::default() };
        let older = candidate(2, PermissionState::Denied, 50);
        assert!(before.needs_history(&older));
        let change = decide(&before, &[held, older], at(200));
        assert_eq!(change.event, None);
        assert_eq!(change.standing, before);
    }

    #[test]
    fn expiry_withdraws_and_an_older_grant_comes_back() {
        let mut short = candidate(2, PermissionState::Granted, 20);
        short.validity.until = Some(at(100));
        let first = decide(&standing(None, false), &[short], at(20));
        assert_eq!(first.standing.next_change_at, Some(at(100)));
        let expired = decide(&first.standing, &[short], at(100));
        assert_eq!(expired.event, Some(EventKind::ConsentWithdrawn));
        assert_eq!(expired.standing.withdrawn_at, Some(at(100)));
        let older = candidate(1, PermissionState::Granted, 10);
        let back = decide(&first.standing, &[older, short], at(100));
        assert_eq!(back.event, Some(EventKind::ConsentUpdated));
        assert_eq!(back.standing.in_force, Some(older));
    }

    fn any_candidate(key: i64) -> impl Strategy<Value = Candidate> {
        let state = prop::sample::select(vec![
            PermissionState::Granted,
            PermissionState::Denied,
            PermissionState::Pending,
        ]);
        let bound = || prop::option::weighted(0.3, 0i64..100);
        (state, 0i64..100, bound(), bound()).prop_map(move |(state, obtained, from, until)| {
            Candidate {
                validity: Validity { from: from.map(at), until: until.map(at) },
                ..candidate(key, state, obtained)
            }
        })
    }

    proptest! {
        /// Reading the whole history gives the same answer wherever the short way is taken.
        #[test]
        fn the_short_way_agrees_with_the_whole_history(
            history in (any_candidate(1), any_candidate(2), any_candidate(3)),
            obtained in 40i64..100,
            granted: bool,
            now in 0i64..200,
        ) {
            let state = if granted { PermissionState::Granted } else { PermissionState::Denied };
            let new = candidate(4, state, obtained);
            let (a, b, c) = history;
            let before = decide(&Standing::default(), &[a, b, c], at(now)).standing;
            prop_assume!(!before.needs_history(&new));
            let whole = decide(&before, &[a, b, c, new], at(now));
            prop_assert_eq!(decide(&before, &[new], at(now)), whole);
        }

        /// Told events always let a receiver know whether consent is granted.
        #[test]
        fn a_receiver_that_follows_the_events_knows_the_truth(
            all in prop::collection::vec((1i64..9).prop_flat_map(any_candidate), 1..6),
        ) {
            let mut standing = Standing::default();
            let mut told = false;
            let mut known: Vec<Candidate> = Vec::new();
            for now in 0..100 {
                for (place, candidate) in all.iter().enumerate() {
                    if now == place as i64 * 10 {
                        let decision = DecisionId::from_key(place as i64 + 1);
                        known.push(Candidate { decision, ..*candidate });
                    }
                }
                let change = decide(&standing, &known, at(now));
                match change.event {
                    Some(EventKind::ConsentWithdrawn) => told = false,
                    Some(_) => {
                        told = change.standing.in_force.unwrap().state == PermissionState::Granted;
                    }
                    None => {}
                }
                standing = change.standing;
                let truth = standing.in_force.is_some_and(|c| c.state == PermissionState::Granted);
                prop_assert_eq!(told, truth, "at {}", now);
            }
        }
    }
}
