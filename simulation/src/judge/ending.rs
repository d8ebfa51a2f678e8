//! What must be true at the end, when nothing has gone wrong for a while: everything accepted was delivered, or stands in a
//! state that says why.

use abide_core::delivery::DeliveryState;
use abide_core::endpoint::Source;
use abide_core::ids::DeliveryId;

use super::Judge;
use crate::receivers::Request;

impl Judge {
    /// Whether everything has come to rest.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.is_job_running()
            && self.deliveries.values().all(|row| self.is_row_at_rest(row.endpoint, row.state))
    }

    fn is_row_at_rest(&self, endpoint: i64, state: DeliveryState) -> bool {
        state.is_final() || state == DeliveryState::Held && !self.is_active(endpoint)
    }

    /// When the next attempt falls due, in the clock's time.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.deliveries.values().filter_map(|row| row.due_at).min()
    }

    /// The last look.
    pub(crate) fn judge_ending(&mut self) {
        self.all_accepted_are_there();
        let stuck = self
            .deliveries
            .values()
            .find(|row| !self.is_row_at_rest(row.endpoint, row.state))
            .map(|row| (DeliveryId::from_key(row.id), row.state.as_str()));
        if let Some((id, state)) = stuck {
            return self.breaks("I2", format!("{id} is {state} for ever"));
        }
        if self.is_job_running() {
            return self.breaks("I2", "a job runs for ever");
        }
        for index in 0..self.receivers.len() {
            let receiver = &self.receivers[index];
            let (speech, endpoint) = (receiver.speech, receiver.endpoint);
            let lane = endpoint.filter(|id| speech.source() == Source::Lane && self.is_active(*id));
            if let Some(what) = lane.and_then(|endpoint| self.unfinished_lane(endpoint)) {
                return self.breaks("I7", format!("{} {what}", Self::name(index, speech)));
            }
        }
    }

    /// I7: the last attempt of a lane carried the newest state and was confirmed.
    fn unfinished_lane(&mut self, endpoint: i64) -> Option<&'static str> {
        let mut people: Vec<i64> = self
            .deliveries
            .values()
            .filter(|row| row.endpoint == endpoint)
            .filter_map(|row| row.subject)
            .filter(|subject| !self.erased_since.contains_key(subject))
            .collect();
        people.sort_unstable();
        people.dedup();
        for subject in people {
            let of_lane = self
                .deliveries
                .values()
                .filter(|row| row.endpoint == endpoint && row.subject == Some(subject));
            let newest = of_lane.max_by_key(|row| row.id)?;
            // Refused by the receiver: there is nothing more to say.
            if newest.state != DeliveryState::Delivered {
                continue;
            }
            let same = |one: &&Request| one.event.is_none() && one.subjects.contains(&subject);
            let Some(last) = self.receiver_of(endpoint)?.requests.iter().rfind(same) else {
                return Some("was never told a person's state");
            };
            if !last.is_confirmed() {
                return Some("was told a state last of which nobody knows whether it arrived");
            }
            if self.doubts.get(&(endpoint, subject)).is_some_and(|at| last.began < *at) {
                return Some(
                    "was not told a person's state once more after an end that was unknown or late",
                );
            }
            let told = last.version;
            let wanted = self.rows.newest_in_lane(endpoint, subject).ok().flatten();
            if wanted.is_some_and(|wanted| told < wanted as u64) {
                return Some("was never told a person's newest state");
            }
        }
        None
    }
}
