//! Lanes: what must not overtake itself. One lane per (endpoint, subject) for full-state kinds (I7).
//!
//! At most one attempt per lane is open. It carries the version that was read when it was opened; a newer change
//! raises `wanted`, and the deliveries that it covers are superseded. After an attempt whose end is unknown the
//! current state is sent once more, also when a newer version was acknowledged meanwhile: the lost attempt may still
//! arrive after it.

use crate::Timestamp;
use crate::ids::DeliveryId;

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

/// The one attempt under way in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Whose attempt it is.
    pub delivery: DeliveryId,
    /// The version that it carries.
    pub version: u64,
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

    /// Asks to open an attempt for `delivery` at `now`, whose send ends by `ends_by`. `current` is the version read in
    /// the same transaction. `by_hand`: somebody asked, so the state is sent although it is confirmed.
    pub fn enter(
        &mut self,
        delivery: DeliveryId,
        current: u64,
        by_hand: bool,
        now: Timestamp,
        ends_by: Timestamp,
    ) -> Entry {
        if let Some(open) = self.open {
            // Its own earlier attempt was lost with its lease; it is over once its send must have ended.
            if open.delivery != delivery || now < open.ends_by {
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
        self.open = Some(OpenAttempt { delivery, version: current, ends_by });
        Entry::Send(sent_at)
    }

    /// Closes the open attempt of `delivery`; false when it is not the open one (a late outcome). One of which nothing
    /// was sent leaves everything else as it was before it.
    pub fn close(&mut self, delivery: DeliveryId, end: AttemptEnd) -> bool {
        match self.open {
            Some(open) if open.delivery == delivery => {
                self.open = None;
                self.end(open, end);
                true
            }
            _ => {
                // A late outcome proves that an attempt ended out of order, if it was one.
                self.unsure |= end != AttemptEnd::NotSent;
                false
            }
        }
    }

    fn end(&mut self, attempt: OpenAttempt, end: AttemptEnd) {
        match end {
            AttemptEnd::Acknowledged => {
                self.acknowledged = self.acknowledged.max(attempt.version);
                self.unsure = false;
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

    fn delivery(key: i64) -> DeliveryId {
        DeliveryId::from_key(key)
    }

    /// I7: one open attempt, the newest state, once more after an unknown end.
    #[test]
    fn i7_the_way_of_a_lane() {
        let mut lane = Lane::new(1);
        assert_eq!(lane.enter(delivery(1), 1, false, at(100), at(200)), Entry::Send(at(100)));
        lane.wanted = 2;
        assert_eq!(lane.enter(delivery(2), 2, false, at(100), at(200)), Entry::Wait(at(200)));
        assert!(lane.close(delivery(1), AttemptEnd::Unknown));
        assert_eq!(lane.enter(delivery(2), 2, false, at(90), at(200)), Entry::Send(at(101)));
        assert!(lane.close(delivery(2), AttemptEnd::Acknowledged));
        assert!(!lane.needs_sending());
        assert_eq!(lane.enter(delivery(3), 2, false, at(300), at(400)), Entry::Covered);
        assert_eq!(lane.enter(delivery(3), 2, true, at(300), at(400)), Entry::Send(at(300)));
        assert!(lane.close(delivery(3), AttemptEnd::Refused));
        assert!(!lane.close(delivery(1), AttemptEnd::Acknowledged), "late");
        assert!(lane.needs_sending(), "a late end makes the lane unsure");
    }

    /// I7: an attempt of which nothing was sent frees the lane and is followed by nothing, in time or late.
    #[test]
    fn i7_an_attempt_never_sent_leaves_the_lane_as_it_was() {
        let mut lane = Lane::new(1);
        let before = lane;
        assert_eq!(lane.enter(delivery(1), 1, false, at(100), at(200)), Entry::Send(at(100)));
        assert!(lane.close(delivery(1), AttemptEnd::NotSent));
        assert_eq!(lane, Lane { last_sent_at: at(100), ..before });
        assert_eq!(lane.enter(delivery(2), 1, false, at(100), at(200)), Entry::Send(at(101)));
        assert!(
            !lane.close(delivery(1), AttemptEnd::NotSent),
            "late, and the other one stays open"
        );
        assert!(lane.close(delivery(2), AttemptEnd::Acknowledged));
        assert!(!lane.close(delivery(1), AttemptEnd::NotSent));
        assert!(!lane.needs_sending());
    }

    proptest! {
        /// I7: whatever happens, attempts carry the version current at their opening, signature times strictly
        /// increase, and no attempt opens with a version below one that was acknowledged.
        #[test]
        fn i7_no_older_state_after_a_newer_acknowledged(
            steps in prop::collection::vec((0u8..4, 0i64..50), 1..60),
        ) {
            let mut lane = Lane::new(1);
            let (mut version, mut now, mut last, mut next) = (1u64, 0i64, -1i64, 1i64);
            for (step, advance) in steps {
                now += advance - 10;
                let now = at(now.max(0));
                match step {
                    0 => { version += 1; lane.wanted = version; }
                    1 => {
                        let acknowledged = lane.acknowledged;
                        if let Entry::Send(sent) = lane.enter(delivery(next), version, false, now, now) {
                            prop_assert!(sent.as_millis() > last);
                            last = sent.as_millis();
                            prop_assert!(lane.open.unwrap().version >= acknowledged);
                        }
                        next += 1;
                    }
                    2 => if let Some(open) = lane.open { lane.close(open.delivery, AttemptEnd::Acknowledged); },
                    _ => if let Some(open) = lane.open { lane.close(open.delivery, AttemptEnd::Unknown); },
                }
                prop_assert!(lane.acknowledged <= lane.wanted && lane.wanted <= version);
            }
        }
    }
}
