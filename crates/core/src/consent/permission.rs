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

/// Decisions of one record that can be in force now or later, at most: each new one is judged against all of them.
pub const MAX_CANDIDATES: usize = 200;

/// Which of a record's decisions must be read to judge a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// None: nothing waits for its time, and the new one, without bounds of its own, is the latest.
    NewAlone,
    /// None: the decision in force stands in the new one's way for as long as that could be in force.
    Nothing,
    /// Those that can be in force now or later.
    Candidates,
}

impl Candidate {
    /// Whether `other` cannot be in force at `now` or later because of this one: it has run out, or this one was taken
    /// later and can be in force whenever the other could.
    fn outdoes(&self, other: &Self, now: Timestamp) -> bool {
        if other.validity.until.is_some_and(|until| until <= now) {
            return true;
        }
        let begins = other.validity.from.map_or(now, |from| from.max(now));
        let from_the_beginning = self.validity.from.is_none_or(|from| from <= begins);
        let to_the_end = match (self.validity.until, other.validity.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => own >= others,
        };
        self.rank() > other.rank() && from_the_beginning && to_the_end
    }

    /// The decision taken last goes before; ties go to the one recorded last (D26).
    fn rank(&self) -> (Timestamp, DecisionId) {
        (self.obtained_at, self.decision)
    }

    /// What must be read after this one from now on, of a record's candidates so far in the order newest first: all from
    /// the first on that it does not outdo. `None` where one of them outdoes it: then it is no candidate itself.
    pub fn joins<'a>(&self, others: &'a [Self], now: Timestamp) -> Option<&'a [Self]> {
        if others.iter().any(|one| one.outdoes(self, now)) {
            return None;
        }
        let front = others.iter().take_while(|one| self.outdoes(one, now)).count();
        Some(&others[front..])
    }
}

impl Standing {
    /// What must be read to judge `new`.
    pub fn needed_for(&self, new: &Candidate, now: Timestamp) -> Needed {
        match self.in_force {
            Some(held)
                if self.next_change_at.is_none_or(|at| at > now) && held.outdoes(new, now) =>
            {
                Needed::Nothing
            }
            held => {
                let is_latest = held.is_none_or(|held| held.obtained_at <= new.obtained_at);
                let is_unbound = new.validity == Validity::default();
                if self.next_change_at.is_none() && is_unbound && is_latest {
                    Needed::NewAlone
                } else {
                    Needed::Candidates
                }
            }
        }
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

/// Judges the decisions of one record at `now`. `candidates` are all that can matter: those that
/// [`Standing::needed_for`] asks for, and the new one.
pub fn decide(before: &Standing, candidates: &[Candidate], now: Timestamp) -> Change {
    let in_force = in_force_at(candidates, now);
    let next_change_at = changes_after(candidates, now).min();
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
        .max_by_key(|candidate| candidate.rank())
        .copied()
}

/// When time alone can change which of them is in force.
fn changes_after(candidates: &[Candidate], now: Timestamp) -> impl Iterator<Item = Timestamp> {
    let bounds = candidates.iter().flat_map(|one| [one.validity.from, one.validity.until]);
    bounds.flatten().filter(move |at| *at > now)
}

/// Whether a record with these decisions, all of them, grants at `now` or will at a later time without a further word.
pub fn grants_in_time(candidates: &[Candidate], now: Timestamp) -> bool {
    std::iter::once(now).chain(changes_after(candidates, now)).any(|at| {
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
        assert_eq!(before.needed_for(&older, at(200)), Needed::Nothing);
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
        /// Reading all decisions gives the same answer as reading no more than is needed, whatever was recorded in
        /// which order, and whenever time is looked at.
        #[test]
        fn the_short_ways_agree_with_the_whole_history(
            all in prop::collection::vec(any_candidate(0), 1..9),
            pauses in prop::collection::vec(0i64..30, 9),
        ) {
            let (mut short, mut whole) = (Standing::default(), Standing::default());
            let (mut kept, mut every): (Vec<Candidate>, Vec<Candidate>) = (Vec::new(), Vec::new());
            let mut now = 0;
            for (place, (drawn, pause)) in all.iter().zip(pauses).enumerate() {
                for passed in now..now + pause {
                    let expected = decide(&whole, &every, at(passed));
                    let judged = if short.next_change_at == Some(at(passed)) {
                        decide(&short, &kept, at(passed))
                    } else {
                        Change { standing: short, event: None }
                    };
                    prop_assert_eq!(judged.event, expected.event, "at {}", passed);
                    prop_assert_eq!(judged.standing.in_force, expected.standing.in_force);
                    (short, whole) = (judged.standing, expected.standing);
                }
                now += pause;
                let obtained_at = at(drawn.obtained_at.as_millis().min(now));
                let decision = DecisionId::from_key(place as i64 + 1);
                let new = Candidate { decision, obtained_at, ..*drawn };
                every.push(new);
                let needed = short.needed_for(&new, at(now));
                let judged = match needed {
                    Needed::NewAlone => decide(&short, &[new], at(now)),
                    Needed::Nothing => Change { standing: short, event: None },
                    Needed::Candidates => {
                        let read: Vec<_> = [new].into_iter().chain(kept.clone()).collect();
                        decide(&short, &read, at(now))
                    }
                };
                let expected = decide(&whole, &every, at(now));
                prop_assert_eq!(judged.event, expected.event, "at {}", now);
                prop_assert_eq!(judged.standing.in_force, expected.standing.in_force, "at {}", now);
                let left = match needed {
                    Needed::NewAlone => Some(&[][..]),
                    Needed::Nothing => None,
                    Needed::Candidates => new.joins(&kept, at(now)),
                };
                if let Some(left) = left {
                    kept = [&[new], left].concat();
                }
                (short, whole) = (judged.standing, expected.standing);
            }
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
