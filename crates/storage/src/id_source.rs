//! Draws keys: time-ordered, unique on this node, never twice over restarts.

use std::sync::atomic::{AtomicI64, Ordering};

use abide_core::Timestamp;
use abide_core::ids::{Id, Kind, SEQUENCE_BITS};

/// The source of new ids of one store, or of one of several nodes on it.
#[derive(Debug)]
pub struct IdSource {
    last: AtomicI64,
    /// From one key to the next.
    step: i64,
    /// What every key leaves over when it is divided by the step.
    node: i64,
}

/// How many bits of a key say which of several nodes drew it.
pub const NODE_BITS: u32 = 10;

impl IdSource {
    /// A source whose ids all come after `last`, the highest key in the store.
    pub fn after(last: i64) -> Self {
        Self { last: AtomicI64::new(last), step: 1, node: 0 }
    }

    /// The source of one of several nodes: its keys end in its number, below 2^[`NODE_BITS`], so that no two nodes draw the
    /// same one. They come after `last`.
    pub fn of_node(node: u16, last: i64) -> Self {
        let step = 1 << NODE_BITS;
        let node = i64::from(node) % step;
        Self { last: AtomicI64::new(last / step * step + node), step, node }
    }

    /// A new id. Its time is `now`, or later where the clock stood still, ran backwards or was outrun.
    pub fn next<K: Kind>(&self, now: Timestamp) -> Id<K> {
        let floor = (now.as_millis() << SEQUENCE_BITS) + self.node;
        let next = |last: i64| floor.max(last + self.step);
        let drawn = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
            .map_or(floor, next);
        Id::from_key(drawn)
    }

    /// Sees to it that the next key comes after that one.
    pub fn pass(&self, key: i64) {
        let floor = key / self.step * self.step + self.node;
        self.last.fetch_max(floor, Ordering::Relaxed);
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

    #[test]
    fn nodes_draw_apart() {
        let nodes = [0, 1, 1_023].map(|node| IdSource::of_node(node, 5_000_000));
        let mut drawn = std::collections::BTreeSet::new();
        for now in [1, 1, 1, 1_000, 999] {
            for node in &nodes {
                let id: EventId = node.next(Timestamp::from_millis(now));
                assert!(id.key() > 5_000_000);
                assert!(drawn.insert(id), "{id} was drawn twice");
            }
        }
        let ending = nodes[2].next::<abide_core::ids::Event>(Timestamp::from_millis(7)).key();
        assert_eq!(ending % 1_024, 1_023);
    }
}
