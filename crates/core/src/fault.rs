//! Faults planted in the product on purpose, to show that the simulation finds them. One is picked at run time.
//!
//! Nothing of this is in a normal build: the feature `faults` is asked for by `abide-simulation` alone, and no build
//! without debug assertions, as every release is, compiles with it.

use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(not(debug_assertions))]
compile_error!(
    "the feature `faults` breaks Abide on purpose; it is for tests and never for a release"
);

/// Its place among all of them, from 1 on; 0 is none.
static PLANTED: AtomicUsize = AtomicUsize::new(0);

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident = $name:literal,)*) => {
        /// A fault: what the product does wrong when it is planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[doc = $doc])+ $fault,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Self] = &[$(Self::$fault),*];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }

            /// What is wrong with it, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$fault => concat!($($doc),+).trim_ascii(),)*
                }
            }
        }
    };
}

faults! {
    /// A call is answered before its batch is committed.
    AnsweredBeforeCommit = "answered_before_commit",
    /// An attempt's outcome is recorded when it is opened, before anything is sent.
    RecordedBeforeSent = "recorded_before_sent",
    /// Deliveries that were in the memory of a process that died are not looked for at the next start.
    ForgottenAtRestart = "forgotten_at_restart",
    /// A report moves the state of a delivery whose lease was lost.
    LeaseNotFenced = "lease_not_fenced",
    /// A late outcome leaves a final state.
    LateOutcomeMovesFinal = "late_outcome_moves_final",
    /// A retry carries another event id than the attempt before.
    NewIdOnRetry = "new_id_on_retry",
    /// The time that is signed is the clock's, also where the last one was later.
    SignatureTimeNotDrawn = "signature_time_not_drawn",
    /// A newer delivery of a lane supersedes the one whose attempt is open.
    SupersededTooEarly = "superseded_too_early",
    /// An attempt in a lane does not wait for the one that is open.
    LaneNotExclusive = "lane_not_exclusive",
    /// After an attempt in a lane whose outcome came late, the state is not sent once more.
    LateEndForgotten = "late_end_forgotten",
    /// What was held is not released when its endpoint is resumed.
    HoldForgotten = "hold_forgotten",
    /// What waits in memory about a person who was erased is sent all the same.
    ErasedStillSent = "erased_still_sent",
    /// The engine does not hear that an endpoint was stopped.
    StopNotHeard = "stop_not_heard",
    /// Events go to the endpoints that there were before the last change of them.
    StaleEndpointSet = "stale_endpoint_set",
    /// A delivery fails one attempt before its schedule is used up.
    GivenUpEarly = "given_up_early",
    /// A node works on under a lease that another node has taken over.
    LeaseNotChecked = "lease_not_checked",
    /// A node that was not heard of for longer than its lease sends what it had in memory.
    SlowNodeSends = "slow_node_sends",
    /// A call whose COMMIT is in doubt is answered as if it had not been carried out.
    DoubtCalledFailure = "doubt_called_failure",
    /// A call whose COMMIT is in doubt is carried out again.
    DoubtRunAgain = "doubt_run_again",
    /// Events get their place in the feed before they are committed.
    FeedNumberedEarly = "feed_numbered_early",
}

impl Fault {
    /// Those that take several nodes, or a server, to show.
    pub const NEED_NODES: &[Self] = &[
        Self::LeaseNotChecked,
        Self::SlowNodeSends,
        Self::DoubtCalledFailure,
        Self::DoubtRunAgain,
        Self::FeedNumberedEarly,
    ];

    /// Those that several nodes on one database in memory must be found to have.
    pub const OF_LEASES: &[Self] =
        &[Self::LeaseNotFenced, Self::LaneNotExclusive, Self::LeaseNotChecked, Self::SlowNodeSends];

    /// Those that several nodes on one PostgreSQL database must be found to have.
    pub const OF_NODES: &[Self] = &[
        Self::LeaseNotFenced,
        Self::LaneNotExclusive,
        Self::LeaseNotChecked,
        Self::SlowNodeSends,
        Self::DoubtCalledFailure,
        Self::DoubtRunAgain,
        Self::FeedNumberedEarly,
    ];
}

/// Plants a fault in what this process runs, or none.
pub fn plant(fault: Option<Fault>) {
    PLANTED.store(fault.map_or(0, number), Ordering::Relaxed);
}

/// Whether it is planted in what this process runs.
pub fn is_planted(fault: Fault) -> bool {
    PLANTED.load(Ordering::Relaxed) == number(fault)
}

fn number(fault: Fault) -> usize {
    1 + fault as usize
}
