//! Whether this node lives: heartbeats, looks at changes, loops that turn, workers that move. Monotonic time only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::Options;

/// A loop of the engine that must keep turning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loop {
    Due,
    Parked,
    Changes,
    Leases,
    Reporter,
    Clockwork,
    Release,
    Jobs,
}

impl Loop {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Due, "due work"),
        (Self::Parked, "parked work"),
        (Self::Changes, "changes"),
        (Self::Leases, "leases"),
        (Self::Reporter, "reports"),
        (Self::Clockwork, "housekeeping"),
        (Self::Release, "held work"),
        (Self::Jobs, "jobs over many deliveries"),
    ];
}

/// A loop that has not turned for so long stands still.
const STANDSTILL: Duration = Duration::from_secs(15);

/// When things happened last, in milliseconds since the engine began.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    confirmed: AtomicU64,
    looked: AtomicU64,
    ticks: [AtomicU64; Loop::ALL.len()],
    /// When any worker last took a job, ended an attempt or left.
    moved: AtomicU64,
    /// No attempt takes so long, but for one with a large body.
    longest_attempt: Duration,
    /// Until when a send of a large body may take.
    patient_until: AtomicU64,
    heartbeat_valid: Duration,
    look_valid: Duration,
}

impl Pulse {
    /// `longest_deadline` is that of the most patient dialect.
    pub(crate) fn new(began: Instant, longest_deadline: Duration, options: &Options) -> Self {
        Self {
            began,
            confirmed: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            ticks: Default::default(),
            moved: AtomicU64::new(0),
            patient_until: AtomicU64::new(0),
            longest_attempt: longest_deadline + options.opened_valid + options.worker_slack,
            heartbeat_valid: options.heartbeat_valid,
            look_valid: options.look_valid,
        }
    }

    /// A heartbeat that was sent at `before` is confirmed.
    pub(crate) fn confirmed(&self, before: Instant) {
        self.confirmed.store(self.millis(before), Ordering::Relaxed);
    }

    /// All changes up to `before` are known.
    pub(crate) fn looked(&self, before: Instant) {
        self.looked.store(self.millis(before), Ordering::Relaxed);
    }

    /// A loop turned.
    pub(crate) fn ticked(&self, which: Loop) {
        self.ticks[which as usize].store(self.millis(Instant::now()), Ordering::Relaxed);
    }

    /// A worker goes on to what it does next.
    pub(crate) fn worker_moved(&self, at: Instant) {
        self.moved.store(self.millis(at), Ordering::Relaxed);
    }

    /// An attempt begins at `at` that may take so much longer than its endpoint's own deadline, for its body is large.
    pub(crate) fn longer_send(&self, at: Instant, longer: Duration) {
        let until = self.millis(at + self.longest_attempt + longer);
        self.patient_until.fetch_max(until, Ordering::Relaxed);
    }

    /// Where no worker has moved for longer than any attempt takes: what waits since before then stands still.
    pub(crate) fn workers_still_since(&self) -> Option<Instant> {
        let patient = self.patient_until.load(Ordering::Relaxed) > self.millis(Instant::now());
        let still = !patient && self.age(&self.moved) >= self.longest_attempt;
        still.then(|| Instant::now().checked_sub(self.longest_attempt)).flatten()
    }

    /// Whether a send may start: the lease is certainly this node's, and what was stopped or erased is known.
    pub(crate) fn may_send(&self) -> bool {
        #[cfg(feature = "faults")]
        if abide_core::fault::is_planted(abide_core::fault::Fault::SlowNodeSends) {
            return true;
        }
        self.age(&self.confirmed) < self.heartbeat_valid && self.age(&self.looked) < self.look_valid
    }

    /// What stands still, in words for an operator.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.age(&self.confirmed) >= self.heartbeat_valid {
            problems.push("no heartbeat is confirmed".to_owned());
        }
        if self.age(&self.looked) >= self.look_valid {
            problems.push("changes of endpoints are not seen".to_owned());
        }
        for (which, name) in Loop::ALL {
            if self.age(&self.ticks[which as usize]) >= STANDSTILL {
                problems.push(format!("the loop for {name} stands still"));
            }
        }
        problems
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.began).as_millis() as u64
    }

    fn age(&self, at: &AtomicU64) -> Duration {
        let at = Duration::from_millis(at.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I3: without a confirmed heartbeat, or blind to changes, no send starts, and readiness says why.
    #[tokio::test]
    async fn a_node_without_confirmed_heartbeats_starts_no_send() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).expect("up that long");
        let pulse = Pulse::new(ago(20), Duration::ZERO, &Options::default());
        for (which, _) in Loop::ALL {
            pulse.ticked(which);
        }
        pulse.confirmed(ago(4));
        pulse.looked(now);
        assert!(pulse.may_send());
        assert_eq!(pulse.problems(), Vec::<String>::new());
        pulse.confirmed(ago(7));
        assert!(!pulse.may_send(), "counted from before it was sent");
        assert_eq!(pulse.problems(), ["no heartbeat is confirmed"]);
        pulse.confirmed(now);
        pulse.looked(ago(2));
        assert!(!pulse.may_send());
        assert_eq!(pulse.problems(), ["changes of endpoints are not seen"]);
    }

    /// I2: workers stand still only when none has moved for longer than the longest attempt may take.
    #[tokio::test]
    async fn workers_stand_still_after_the_longest_attempt() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).expect("up that long");
        let options = Options {
            opened_valid: Duration::from_secs(20),
            worker_slack: Duration::from_secs(30),
            ..Options::default()
        };
        let pulse = Pulse::new(ago(200), Duration::from_secs(50), &options);
        assert!(pulse.workers_still_since().is_some_and(|since| since >= ago(100)));
        // One is under way with a large body, which began a while ago and may take another two minutes.
        pulse.longer_send(ago(110), Duration::from_secs(70));
        assert_eq!(pulse.workers_still_since(), None);
        let pulse = Pulse::new(ago(200), Duration::from_secs(50), &options);
        pulse.longer_send(ago(180), Duration::from_secs(70));
        assert!(pulse.workers_still_since().is_some(), "its time is over");
        pulse.worker_moved(ago(80));
        assert_eq!(pulse.workers_still_since(), None);
        pulse.worker_moved(ago(100));
        assert!(pulse.workers_still_since().is_some());
    }
}
