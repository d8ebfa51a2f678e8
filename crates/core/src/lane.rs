//! Lanes: what must not overtake itself. One lane per (endpoint, subject) for full-state kinds (I7).
//!
//! At most one attempt per lane is open. It carries the version that was read when it was opened; a newer change
//! raises `wanted`, and the deliveries that it covers are superseded. After an attempt whose end is unknown the
//! current state is sent once more, also when a newer version was acknowledged meanwhile: the lost attempt may still
//! arrive after it. An outcome that comes late is such an end too, and moves nothing of the attempt that is open now,
//! though both be of the same delivery.

use crate::Timestamp;
#[cfg(feature = "faults")]
use crate::fault::{Fault, is_planted};
use crate::ids::{DeliveryId, LeaseId};

/// A lane as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// The newest version that the receiver should know.
    pub wanted: u64,
    /// The newest version that it has confirmed.
    pub acknowledged: u64,
    /// Whether an attempt ended unknown since the last acknowledged one was opened.
    pub unsure: bool,
    /// The open attempt.
    pub open: Option<OpenAttempt>,
    /// The last signature time drawn; the next one is later.
    pub last_sent_at: Timestamp,
}

/// Which attempt: a lost one and its successor are of the same delivery and never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptId {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The lease that it was opened under.
    pub lease: LeaseId,
    /// Its number over all runs, from 1.
    pub number: u32,
}

/// The one attempt under way in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Which.
    pub attempt: AttemptId,
    /// The version that it carries.
    pub version: u64,
    /// Whether an earlier attempt's outcome came late while this one was open: its success then settles nothing, for
    /// nobody knows which of them arrived last.
    pub doubted: bool,
    /// When its send must have ended.
    pub ends_by: Timestamp,
}

/// Whether a delivery of the lane may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Yes: send the current state with this signature time.
    Send(Timestamp),
    /// Not yet: another attempt is open, whose send ends by then.
    Wait(Timestamp),
    /// No need: the receiver has confirmed what it would say.
    Covered,
}

/// How an open attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The receiver confirmed it.
    Acknowledged,
    /// The receiver answered, and not with success.
    Refused,
    /// Nothing of it reached the receiver, certainly.
    NotSent,
    /// Nobody knows whether it arrived: timeout, reset, lost lease.
    Unknown,
}

impl Lane {
    /// A lane whose receiver should know `wanted` and knows nothing yet.
    pub fn new(wanted: u64) -> Self {
        Self {
            wanted,
            acknowledged: 0,
            unsure: false,
            open: None,
            last_sent_at: Timestamp::from_millis(0),
        }
    }

    /// Asks to open `attempt` at `now`, whose send ends by `ends_by`. `current` is the version read in the same
    /// transaction. `by_hand`: somebody asked, so the state is sent although it is confirmed.
    pub fn enter(
        &mut self,
        attempt: AttemptId,
        current: u64,
        by_hand: bool,
        now: Timestamp,
        ends_by: Timestamp,
    ) -> Entry {
        #[cfg(feature = "faults")]
        if is_planted(Fault::LaneNotExclusive) {
            self.open = None;
        }
        if let Some(open) = self.open {
            // Its own earlier attempt was lost with its lease; it is over once its send must have ended.
            if open.attempt.delivery != attempt.delivery || now < open.ends_by {
                return Entry::Wait(open.ends_by);
            }
            self.open = None;
            self.end(open, AttemptEnd::Unknown);
        }
        if !by_hand && !self.unsure && self.acknowledged >= self.wanted {
            return Entry::Covered;
        }
        let sent_at = now.max(self.last_sent_at.plus_millis(1));
        self.last_sent_at = sent_at;
        self.wanted = self.wanted.max(current);
        self.open = Some(OpenAttempt { attempt, version: current, doubted: false, ends_by });
        Entry::Send(sent_at)
    }

    /// Closes `attempt`; false when it is not the open one (a late outcome), which then stays open. One of which nothing
    /// was sent leaves everything else as it was before it.
    pub fn close(&mut self, attempt: AttemptId, end: AttemptEnd) -> bool {
        match &mut self.open {
            Some(open) if open.attempt == attempt => {
                let open = *open;
                self.open = None;
                self.end(open, end);
                true
            }
            _ if end == AttemptEnd::NotSent => false,
            #[cfg(feature = "faults")]
            _ if is_planted(Fault::LateEndForgotten) => false,
            other => {
                // A late outcome proves that an attempt ended out of order.
                self.unsure = true;
                if let Some(open) = other {
                    open.doubted = true;
                }
                false
            }
        }
    }

    fn end(&mut self, open: OpenAttempt, end: AttemptEnd) {
        match end {
            AttemptEnd::Acknowledged => {
                self.acknowledged = self.acknowledged.max(open.version);
                self.unsure = open.doubted;
            }
            AttemptEnd::Refused | AttemptEnd::NotSent => {}
            AttemptEnd::Unknown => self.unsure = true,
        }
    }

    /// Whether something is left to say.
    pub fn needs_sending(&self) -> bool {
        self.unsure || self.acknowledged < self.wanted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// The first attempt of a delivery.
    fn first(delivery: i64) -> AttemptId {
        attempt(delivery, 1, 1)
    }

    fn attempt(delivery: i64, lease: i64, number: u32) -> AttemptId {
        AttemptId {
            delivery: DeliveryId::from_key(delivery),
            lease: LeaseId::from_key(lease),
            number,
        }
    }

    /// I7: one open attempt, the newest state, once more after an unknown end.
    #[test]
    fn i7_the_way_of_a_lane() {
        let mut lane = Lane::new(1);
        assert_eq!(lane.enter(first(1), 1, false, at(100), at(200)), Entry::Send(at(100)));
        lane.wanted = 2;
        assert_eq!(lane.enter(first(2), 2, false, at(100), at(200)), Entry::Wait(at(200)));
        assert!(lane.close(first(1), AttemptEnd::Unknown));
        assert_eq!(lane.enter(first(2), 2, false, at(90), at(200)), Entry::Send(at(101)));
        assert!(lane.close(first(2), AttemptEnd::Acknowledged));
        assert!(!lane.needs_sending());
        assert_eq!(lane.enter(first(3), 2, false, at(300), at(400)), Entry::Covered);
        assert_eq!(lane.enter(first(3), 2, true, at(300), at(400)), Entry::Send(at(300)));
        assert!(lane.close(first(3), AttemptEnd::Refused));
        assert!(!lane.close(first(1), AttemptEnd::Acknowledged), "late");
        assert!(lane.needs_sending(), "a late end makes the lane unsure");
    }

    /// I7: an attempt of which nothing was sent frees the lane and is followed by nothing, in time or late.
    #[test]
    fn i7_an_attempt_never_sent_leaves_the_lane_as_it_was() {
        let mut lane = Lane::new(1);
        let before = lane;
        assert_eq!(lane.enter(first(1), 1, false, at(100), at(200)), Entry::Send(at(100)));
        assert!(lane.close(first(1), AttemptEnd::NotSent));
        assert_eq!(lane, Lane { last_sent_at: at(100), ..before });
        assert_eq!(lane.enter(first(2), 1, false, at(100), at(200)), Entry::Send(at(101)));
        let open = lane;
        assert!(!lane.close(first(1), AttemptEnd::NotSent), "late");
        assert_eq!(lane, open);
        assert!(lane.close(first(2), AttemptEnd::Acknowledged));
        assert!(!lane.close(first(1), AttemptEnd::NotSent));
        assert!(!lane.needs_sending());
    }

    /// I7, I5: the outcome of a lost attempt leaves its delivery's next attempt open, confirms nothing, and is followed
    /// by one more sending whatever that next attempt shows.
    #[test]
    fn i7_a_late_outcome_closes_no_other_attempt() {
        for second in [attempt(1, 2, 1), attempt(1, 1, 2), attempt(2, 1, 1)] {
            let mut lane = Lane::new(1);
            assert_eq!(lane.enter(first(1), 1, false, at(100), at(200)), Entry::Send(at(100)));
            lane.wanted = 2;
            if second.delivery != first(1).delivery {
                assert!(lane.close(first(1), AttemptEnd::Unknown));
            }
            assert_eq!(lane.enter(second, 2, false, at(200), at(300)), Entry::Send(at(200)));
            assert!(!lane.close(first(1), AttemptEnd::Acknowledged), "{second:?}");
            assert_eq!(lane.open.map(|open| (open.attempt, open.version)), Some((second, 2)));
            assert_eq!(lane.acknowledged, 0, "a late recording moves nothing");
            assert_eq!(lane.enter(first(3), 2, false, at(250), at(400)), Entry::Wait(at(300)));
            assert!(lane.close(second, AttemptEnd::Acknowledged));
            assert_eq!(lane.acknowledged, 2);
            assert!(lane.needs_sending(), "the lost one may have arrived after it");
            assert_eq!(lane.enter(first(3), 2, false, at(250), at(400)), Entry::Send(at(250)));
            assert!(lane.close(first(3), AttemptEnd::Acknowledged));
            assert!(!lane.needs_sending());
        }
    }

    /// The attempts of a walk, and what the lane owes by them.
    #[derive(Default)]
    struct Model {
        /// Opened and not reported yet; the last one may be open.
        unreported: Vec<AttemptId>,
        /// Attempts opened so far.
        opened: u32,
        /// Attempts opened when one last ended unknown or late.
        unknown_at: Option<u32>,
    }

    proptest! {
        /// I7: whatever happens, attempts carry the version current at their opening, signature times strictly
        /// increase, no attempt opens with a version below one that was acknowledged, none is closed but by its own
        /// outcome or end, and after an unknown end the lane is not at rest before a later attempt was acknowledged.
        #[test]
        fn i7_no_older_state_after_a_newer_acknowledged(
            steps in prop::collection::vec((0u8..6, 0i64..50), 1..60),
        ) {
            let mut lane = Lane::new(1);
            let mut model = Model::default();
            let (mut version, mut now, mut last) = (1u64, 0i64, -1i64);
            for (step, advance) in steps {
                now += advance - 10;
                let now = at(now.max(0));
                let open_before = lane.open;
                let pick = advance as usize % model.unreported.len().max(1);
                match step {
                    0 => { version += 1; lane.wanted = version; }
                    1 => {
                        let acknowledged = lane.acknowledged;
                        // Of few deliveries, so that some take over their own lost attempt.
                        let next = attempt(advance % 2, advance % 3, model.opened + 1);
                        let entry = lane.enter(next, version, false, now, now);
                        if open_before.is_some() && open_before != lane.open {
                            prop_assert_eq!(open_before.unwrap().attempt.delivery, next.delivery);
                            model.unknown_at = Some(model.opened);
                        }
                        if let Entry::Send(sent) = entry {
                            model.opened += 1;
                            model.unreported.push(next);
                            prop_assert!(sent.as_millis() > last);
                            last = sent.as_millis();
                            prop_assert!(lane.open.unwrap().version >= acknowledged);
                        }
                    }
                    _ if model.unreported.is_empty() => {}
                    _ => {
                        let reported = model.unreported.remove(pick);
                        let end = match step {
                            2 => AttemptEnd::Acknowledged,
                            3 => AttemptEnd::Unknown,
                            4 => AttemptEnd::NotSent,
                            _ => AttemptEnd::Refused,
                        };
                        let (before, acknowledged) = (lane, lane.acknowledged);
                        let own = open_before.is_some_and(|open| open.attempt == reported);
                        prop_assert_eq!(lane.close(reported, end), own);
                        if own {
                            prop_assert_eq!(lane.open, None);
                        } else {
                            prop_assert_eq!(lane.open.map(|open| open.attempt), open_before.map(|open| open.attempt));
                            prop_assert_eq!(lane.acknowledged, acknowledged);
                        }
                        if end == AttemptEnd::NotSent {
                            prop_assert_eq!(lane.unsure, before.unsure);
                        } else if !own || end == AttemptEnd::Unknown {
                            model.unknown_at = Some(model.opened);
                        } else if end == AttemptEnd::Acknowledged
                            && model.unknown_at.is_some_and(|then| reported.number > then)
                        {
                            model.unknown_at = None;
                        }
                    }
                }
                prop_assert!(lane.needs_sending() || model.unknown_at.is_none());
                prop_assert!(lane.acknowledged <= lane.wanted && lane.wanted <= version);
            }
        }
    }
}
