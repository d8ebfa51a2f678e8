//! Draws keys: time-ordered, unique on this node, never twice over restarts.

use std::sync::atomic::{AtomicI64, Ordering};

use abide_core::Timestamp;
use abide_core::ids::{Id, Kind, SEQUENCE_BITS};

/// The source of new ids of one store.
#[derive(Debug)]
pub struct IdSource {
    last: AtomicI64,
}

impl IdSource {
    /// A source whose ids all come after `last`, the highest key in the store.
    pub fn after(last: i64) -> Self {
        Self { last: AtomicI64::new(last) }
    }

    /// A new id. Its time is `now`, or later where the clock stood still, ran backwards or was outrun.
    pub fn next<K: Kind>(&self, now: Timestamp) -> Id<K> {
        let floor = now.as_millis() << SEQUENCE_BITS;
        let drawn = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(floor.max(last + 1)))
            .map_or(floor, |last| floor.max(last + 1));
        Id::from_key(drawn)
    }

    /// The last key drawn.
    pub fn last(&self) -> i64 {
        self.last.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use abide_core::ids::EventId;

    use super::*;

    #[test]
    fn ids_grow_whatever_the_clock_does() {
        let source = IdSource::after(0);
        let first: EventId = source.next(Timestamp::from_millis(1_000));
        let second: EventId = source.next(Timestamp::from_millis(1_000));
        let third: EventId = source.next(Timestamp::from_millis(10));
        assert!(first < second && second < third);
        assert_eq!(first.drawn_at(), Timestamp::from_millis(1_000));
        let restarted = IdSource::after(source.last());
        assert!(restarted.next::<abide_core::ids::Event>(Timestamp::from_millis(5)) > third);
    }
}
