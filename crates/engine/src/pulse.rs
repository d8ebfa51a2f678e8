//! Whether this node lives: heartbeats, looks at changes, loops that turn, workers that move. Monotonic time only. What others
//! may have done meanwhile goes on while the machine is suspended, which that leaves out: there it is counted in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abide_core::shell::Clock;
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

impl Moment {
    fn after(self, earlier: &AtomicU64) -> Duration {
        self.0.saturating_sub(Duration::from_millis(earlier.load(Ordering::Relaxed)))
    }
}

/// A loop that has not turned for so long stands still.
const STANDSTILL: Duration = Duration::from_secs(15);

/// A moment, counted from when the engine began, time that the machine was suspended included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(Duration);

/// When things happened last, in milliseconds since the engine began.
pub(crate) struct Pulse {
    began: Instant,
    /// Says how long the machine was suspended.
    clock: Arc<dyn Clock>,
    slept_before: Duration,
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
    pub(crate) fn new(
        began: Instant,
        clock: Arc<dyn Clock>,
        longest_deadline: Duration,
        options: &Options,
    ) -> Self {
        Self {
            began,
            slept_before: clock.slept(),
            clock,
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

    /// Now.
    pub(crate) fn now(&self) -> Moment {
        let slept = self.clock.slept().saturating_sub(self.slept_before);
        Moment(self.began.elapsed() + slept)
    }

    /// A heartbeat that was sent at `before` is confirmed.
    pub(crate) fn confirmed(&self, before: Moment) {
        self.confirmed.store(before.0.as_millis() as u64, Ordering::Relaxed);
    }

    /// All changes up to `before` are known.
    pub(crate) fn looked(&self, before: Moment) {
        self.looked.store(before.0.as_millis() as u64, Ordering::Relaxed);
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
        let now = self.now();
        now.after(&self.confirmed) < self.heartbeat_valid
            && now.after(&self.looked) < self.look_valid
    }

    /// What stands still, in words for an operator.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let now = self.now();
        if now.after(&self.confirmed) >= self.heartbeat_valid {
            problems.push("no heartbeat is confirmed".to_owned());
        }
        if now.after(&self.looked) >= self.look_valid {
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
    use abide_core::Timestamp;

    use super::*;

    /// A machine that sleeps when the test says so.
    #[derive(Default)]
    struct Machine(AtomicU64);

    impl Machine {
        fn sleep(&self, seconds: u64) {
            self.0.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn slept(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    /// I3: without a confirmed heartbeat, or blind to changes, no send starts, and readiness says why.
    #[tokio::test]
    async fn a_node_without_confirmed_heartbeats_starts_no_send() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).expect("up that long");
        let machine = Arc::new(Machine::default());
        let pulse = Pulse::new(
            ago(20),
            Arc::<Machine>::clone(&machine),
            Duration::ZERO,
            &Options::default(),
        );
        for (which, _) in Loop::ALL {
            pulse.ticked(which);
        }
        let before = |seconds| Moment(pulse.now().0.saturating_sub(Duration::from_secs(seconds)));
        pulse.confirmed(before(4));
        pulse.looked(before(0));
        assert!(pulse.may_send());
        assert_eq!(pulse.problems(), Vec::<String>::new());
        pulse.confirmed(before(7));
        assert!(!pulse.may_send(), "counted from before it was sent");
        assert_eq!(pulse.problems(), ["no heartbeat is confirmed"]);
        pulse.confirmed(before(0));
        pulse.looked(before(2));
        assert!(!pulse.may_send());
        assert_eq!(pulse.problems(), ["changes of endpoints are not seen"]);
    }

    /// I3, I15: while the machine was suspended, another node may have taken the leases over and an endpoint have been stopped:
    /// nothing is sent before that is known, though the steady clock says that no time has passed.
    #[tokio::test]
    async fn a_machine_that_was_suspended_starts_no_send() {
        let machine = Arc::new(Machine::default());
        machine.sleep(100);
        let now = Instant::now();
        let pulse =
            Pulse::new(now, Arc::<Machine>::clone(&machine), Duration::ZERO, &Options::default());
        pulse.confirmed(pulse.now());
        pulse.looked(pulse.now());
        assert!(pulse.may_send());
        let before = pulse.now();
        machine.sleep(7);
        assert!(!pulse.may_send());
        pulse.looked(pulse.now());
        assert!(!pulse.may_send(), "its leases may be another's");
        pulse.confirmed(before);
        assert!(!pulse.may_send(), "that was asked before");
        pulse.confirmed(pulse.now());
        assert!(pulse.may_send());
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
        let pulse_since = |began| {
            let machine = Arc::new(Machine::default());
            Pulse::new(began, machine, Duration::from_secs(50), &options)
        };
        let pulse = pulse_since(ago(200));
        assert!(pulse.workers_still_since().is_some_and(|since| since >= ago(100)));
        // One is under way with a large body, which began a while ago and may take another two minutes.
        pulse.longer_send(ago(110), Duration::from_secs(70));
        assert_eq!(pulse.workers_still_since(), None);
        let pulse = pulse_since(ago(200));
        pulse.longer_send(ago(180), Duration::from_secs(70));
        assert!(pulse.workers_still_since().is_some(), "its time is over");
        pulse.worker_moved(ago(80));
        assert_eq!(pulse.workers_still_since(), None);
        pulse.worker_moved(ago(100));
        assert!(pulse.workers_still_since().is_some());
    }
}
