//! What must be true of what callers were told, and of the feed as it is read.

use std::collections::HashMap;

use super::Judge;

/// A call that records decisions, as who made it knows it. It is told from all others by when its decisions were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// In milliseconds.
    pub(crate) obtained_at: i64,
    /// How many decisions it takes.
    pub(crate) decisions: usize,
    pub(crate) said: Said,
}

/// What a call was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// That it was carried out.
    Done,
    /// That it was not.
    NotDone,
    /// That nobody knows.
    Unknown,
}

impl Judge {
    /// I1: what was called done is there, what was called not done is not, and nothing is there twice.
    pub(crate) fn judge_answers(&mut self, calls: &[Asked]) {
        let decisions = match self.rows.decisions(0) {
            Ok(decisions) => decisions,
            Err(why) => return self.breaks("I1", format!("decisions cannot be read: {why}")),
        };
        let mut stored: HashMap<i64, usize> = HashMap::new();
        for decision in decisions {
            *stored.entry(decision.obtained_at).or_default() += 1;
        }
        for call in calls {
            let found = stored.get(&call.obtained_at).copied().unwrap_or(0);
            let fits = match call.said {
                Said::Done => found == call.decisions,
                Said::NotDone => found == 0,
                Said::Unknown => found == 0 || found == call.decisions,
            };
            if !fits {
                let what = format!(
                    "a call of {} decisions was answered {:?}, and {found} of them are stored",
                    call.decisions, call.said
                );
                return self.breaks("I1", what);
            }
        }
    }

    /// Somebody read on in the feed from behind `after`: every number is there, and is the same event's for ever.
    pub(crate) fn reads_feed(&mut self, after: u64, events: &[i64], next: u64) {
        if next != after + events.len() as u64 {
            return self.breaks("feed", format!("the feed has gaps between {after} and {next}"));
        }
        for (place, event) in (after as usize..).zip(events) {
            match self.feed.get(place) {
                Some(known) if known == event => {}
                Some(_) => {
                    return self.breaks("feed", format!("number {} is another's", place + 1));
                }
                None if place == self.feed.len() => self.feed.push(*event),
                None => return self.breaks("feed", "the feed was read from nowhere"),
            }
        }
    }

    /// Whoever has read the feed to its end has read every event.
    pub(crate) fn judge_feed(&mut self) {
        let all = self.rows.events().unwrap_or_default();
        if let Some(missed) = all.iter().find(|event| !self.feed.contains(event)) {
            let id = abide_core::ids::EventId::from_key(*missed);
            self.breaks("feed", format!("{id} stands in no feed"));
        }
        if self.feed.len() > all.len() {
            self.breaks("feed", "the feed holds an event twice");
        }
    }
}
