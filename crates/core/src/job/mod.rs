//! Work over many deliveries that somebody asked for: trying failed ones again, sending what an endpoint missed, giving
//! up what waits.
//!
//! A job freezes what it is about when it is created: the filter, and the job's own id, which everything it may touch was
//! made before. It works in pages, at a rate, and can be stopped between two of them; what is done stays done.

mod judge;
mod pace;
mod plan;

pub use judge::{Missed, Skip, Verdict, judge_discard, judge_missed, judge_retry};
pub use pace::{allowed, paced};
pub use plan::{Plan, Wish};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobKind {
    /// Asks for another run of deliveries that failed, and where it is wished of those cancelled or discarded.
    RetryFailed,
    /// Makes deliveries of events that an endpoint wants and was not sent: from before it existed, or from when it was
    /// stopped.
    ReplayMissing,
    /// Gives up deliveries that wait.
    Discard,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::RetryFailed, Self::ReplayMissing, Self::Discard];

    /// The public and stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetryFailed => "retry_failed",
            Self::ReplayMissing => "replay_missing",
            Self::Discard => "discard",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// It has pages to go.
    Running,
    /// It has looked at everything.
    Done,
    /// Somebody stopped it before its end.
    Cancelled,
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobTrigger {
    /// Its last page was worked.
    LastPage,
    /// Somebody stops it.
    Cancel,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Running, Self::Done, Self::Cancelled];

    /// The public and stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Where it stands afterwards; `None`: it has ended otherwise, and stays there.
    pub fn after(self, trigger: JobTrigger) -> Option<Self> {
        match (self, trigger) {
            (Self::Running | Self::Done, JobTrigger::LastPage) => Some(Self::Done),
            (Self::Running | Self::Cancelled, JobTrigger::Cancel) => Some(Self::Cancelled),
            (Self::Cancelled, JobTrigger::LastPage) | (Self::Done, JobTrigger::Cancel) => None,
        }
    }
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Deliveries or events that were looked at.
    pub looked: u64,
    /// Deliveries that were asked for again, made or given up.
    pub done: u64,
    /// Left out because their endpoint is stopped.
    pub endpoint_stopped: u64,
    /// Left out because their endpoint is deleted.
    pub endpoint_deleted: u64,
    /// Left out because they have moved on meanwhile.
    pub moved_on: u64,
    /// Left out because the person was erased.
    pub erased: u64,
    /// Left out because the endpoint was told a newer state of the person.
    pub told_newer: u64,
}

impl Progress {
    /// One more was looked at, with this verdict.
    pub fn note(&mut self, verdict: Verdict) {
        self.looked += 1;
        match verdict {
            Verdict::Do => self.done += 1,
            Verdict::Pass => {}
            Verdict::Skip(Skip::EndpointStopped) => self.endpoint_stopped += 1,
            Verdict::Skip(Skip::EndpointDeleted) => self.endpoint_deleted += 1,
            Verdict::Skip(Skip::MovedOn) => self.moved_on += 1,
            Verdict::Skip(Skip::Erased) => self.erased += 1,
            Verdict::Skip(Skip::ToldNewer) => self.told_newer += 1,
        }
    }

    /// All that were left out though the filter names them.
    pub fn skipped(&self) -> u64 {
        self.endpoint_stopped
            + self.endpoint_deleted
            + self.moved_on
            + self.erased
            + self.told_newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_ends_once() {
        use JobState::{Cancelled, Done, Running};
        let cases = [
            (Running, Some(Done), Some(Cancelled)),
            (Done, Some(Done), None),
            (Cancelled, None, Some(Cancelled)),
        ];
        for (state, last_page, cancel) in cases {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
            assert_eq!(state.after(JobTrigger::LastPage), last_page, "{state:?}");
            assert_eq!(state.after(JobTrigger::Cancel), cancel, "{state:?}");
        }
        for kind in JobKind::ALL {
            assert_eq!(JobKind::parse(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn progress_counts_each_once() {
        let mut progress = Progress::default();
        let skips = [
            Skip::EndpointStopped,
            Skip::EndpointDeleted,
            Skip::MovedOn,
            Skip::Erased,
            Skip::ToldNewer,
        ];
        for verdict in skips.map(Verdict::Skip).into_iter().chain([Verdict::Do, Verdict::Pass]) {
            progress.note(verdict);
        }
        assert_eq!((progress.looked, progress.done, progress.skipped()), (7, 1, 5));
    }
}
