//! What must be true of each request as it arrives.

use abide_core::Timestamp;
use abide_core::delivery::DeliveryState;
use abide_core::endpoint::Source;
use abide_core::ids::EventId;
use abide_dialects::Received;

use super::Judge;
use crate::receivers::Request;
use crate::rows::Nodes;
use crate::speech::hear;

/// How long an attempt in a lane can take, in milliseconds.
const LANE_DEADLINE: i64 = 3_000;

impl Judge {
    /// A request arrives. `now` is the clock's time and `at` the time since the beginning.
    pub(crate) fn arrives(
        &mut self,
        to: usize,
        request: &Received,
        now: Timestamp,
        at: i64,
    ) -> Option<usize> {
        if self.rows.nodes == Nodes::Several {
            // What was committed before this came is known when it is judged.
            self.look(at);
        }
        let receiver = &self.receivers[to];
        let name = Self::name(to, receiver.speech);
        let speech = receiver.speech;
        // I6: signed over the bytes sent. Whether its time is near is judged below: the clock may have been set.
        if let Err(why) = speech.dialect().verify(request, &receiver.secret, now) {
            self.breaks("I6", format!("{name} cannot verify a request: {why}"));
            return None;
        }
        let Some(mut told) = Request::of(&hear(speech, request)) else {
            self.breaks("I3", format!("{name} cannot read what it is told"));
            return None;
        };
        told.began = at;
        told.clock_jumps = self.clock_jumps;
        for consent in &told.consents {
            match self.rows.subject_of(*consent) {
                Ok(Some(subject)) => told.subjects.push(subject),
                Ok(None) | Err(_) => {
                    self.breaks("I1", format!("{name} is told of a consent that is not stored"));
                }
            }
        }
        self.judge_whom(to, &told, at);
        self.judge_event(to, &told, request);
        match speech.source() {
            Source::Lane if told.event.is_none() => self.judge_lane(to, &told),
            Source::Latest => self.judge_latest(to, &told),
            Source::Snapshot | Source::Lane => {}
        }
        let all = &mut self.receivers[to].requests;
        all.push(told);
        Some(all.len() - 1)
    }

    /// Nothing begins to a stopped endpoint or about an erased person more than two seconds after it was so.
    fn judge_whom(&mut self, to: usize, told: &Request, at: i64) {
        let name = Self::name(to, self.receivers[to].speech);
        let longest = self.may_still_begin();
        let Some(endpoint) = self.receivers[to].endpoint else {
            return self.breaks("I1", format!("{name} is sent something and is not stored"));
        };
        if self.stopped_since.get(&endpoint).is_some_and(|(_, since)| at - since > longest) {
            self.breaks("stopped", format!("{name} is sent something and was stopped long ago"));
        }
        let erased = told.subjects.iter().find_map(|subject| self.erased_since.get(subject));
        if erased.is_some_and(|since| at - since > longest) {
            self.breaks("erased", format!("{name} is told of somebody who was erased long ago"));
        }
    }

    /// I3: an event keeps its id, and a snapshot its bytes.
    fn judge_event(&mut self, to: usize, told: &Request, request: &Received) {
        let Some(event) = told.event else { return };
        let receiver = &self.receivers[to];
        let name = Self::name(to, receiver.speech);
        let id = EventId::from_key(event);
        let known = self.rows.told_to(event).unwrap_or_default();
        if !receiver.endpoint.is_some_and(|endpoint| known.contains(&endpoint)) {
            return self.breaks("I3", format!("{name} is told {id}, which is no event of its"));
        }
        // At least once, and once where the first time is known.
        let known = self
            .deliveries()
            .find(|row| row.event == event && Some(row.endpoint) == receiver.endpoint)
            .filter(|row| row.state == DeliveryState::Delivered && !self.is_retried(row.id));
        if known.is_some() {
            return self.breaks("I5", format!("{name} is told {id}, which is delivered, again"));
        }
        if receiver.speech.source() != Source::Snapshot {
            return;
        }
        let whole = told.subjects.iter().all(|subject| !self.erased_since.contains_key(subject));
        let first = self.receivers[to].bodies.entry(event).or_insert_with(|| request.body.to_vec());
        // A batch loses the parts of people who are erased.
        let shorter = first.len() > request.body.len() && !self.erased_since.is_empty();
        if *first != request.body && whole && !shorter {
            self.breaks("I6", format!("{name} is told {id} in other bytes than before"));
        }
    }

    /// I7: one attempt at a time, each newer than the one before and at least as new in what it says.
    fn judge_lane(&mut self, to: usize, told: &Request) {
        let receiver = &self.receivers[to];
        let name = Self::name(to, receiver.speech);
        let same = |one: &&Request| {
            one.event.is_none()
                && one.subjects.iter().any(|subject| told.subjects.contains(subject))
        };
        let Some(last) = receiver.requests.iter().rfind(same) else { return };
        let problem = if last.version > told.version {
            Some("is told an older state after a newer one")
        } else if last.signed_at >= told.signed_at {
            Some("is told a state that is signed for no later time than the one before")
        } else if last.ended.is_none()
            && told.began - last.began < LANE_DEADLINE
            && last.clock_jumps == self.clock_jumps
        {
            // One whose process died is over when its send must have ended.
            Some("is told a state while an attempt in the same lane is open")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.breaks("I7", format!("{name} {problem}"));
        }
    }

    /// I6: drawn times strictly increase per record, over states that never get older; no event is told by a state that
    /// is older than itself.
    fn judge_latest(&mut self, to: usize, told: &Request) {
        let receiver = &self.receivers[to];
        let name = Self::name(to, receiver.speech);
        // Drawn per record: over all endpoints that are told of it.
        let mut all = self.receivers.iter().filter(|one| one.speech.source() == Source::Latest);
        let of_record = |one: &&Request| one.version > 0 && one.consents == told.consents;
        let disordered = all.any(|receiver| {
            receiver.requests.iter().filter(of_record).any(|one| {
                one.signed_at == told.signed_at
                    || (one.signed_at < told.signed_at && one.version > told.version)
                    || (one.signed_at > told.signed_at && one.version < told.version)
            })
        });
        if told.version > 0 && disordered {
            return self.breaks("I6", format!("{name}: signature times do not follow the states"));
        }
        let Some(event) = told.event else { return };
        let needed = self.rows.version_told(event).ok().flatten().unwrap_or(0);
        if told.version < needed {
            self.breaks("I6", format!("{name} is told a state older than the event"));
        }
    }
}
