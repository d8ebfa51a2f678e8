//! What an attempt showed, and the reasons that held and final states give.

/// How a dialect read the answer to one attempt, or the courier the lack of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver has nothing to do and wants no more of it.
    Skipped,
    /// Not delivered; the schedule says whether to try again. `retry_after` is the receiver's own wish, in seconds.
    Retry {
        /// Seconds the receiver asked to be left alone.
        retry_after: Option<u32>,
    },
    /// Not delivered and trying again cannot help.
    Failed,
    /// The receiver says that the endpoint is gone for good.
    Gone,
}

/// Why a delivery is held or ended as it did. Stored with the row; no chain ends silently (I2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The schedule is used up.
    AttemptsUsedUp,
    /// The receiver's answer says that trying again cannot help.
    Refused,
    /// The receiver answered that it has nothing to do.
    NothingToDo,
    /// The endpoint is stopped by its owner.
    EndpointPaused,
    /// The endpoint answered 410.
    EndpointGone,
    /// The endpoint was deleted.
    EndpointDeleted,
    /// The organization is being deleted, and sends nothing.
    OrganizationDeleting,
    /// A newer delivery carries the state.
    NewerState,
    /// The person was erased.
    SubjectErased,
    /// Somebody discarded it.
    DiscardedByHand,
    /// Its endpoint answered 410 and did not come back within a week.
    DiscardedAfterGone,
    /// What was stored can no longer be read or rendered.
    Unreadable,
    /// A test whose attempt was cut off, by a crash or a stop; it is not made again.
    TestCutOff,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::AttemptsUsedUp,
        Self::Refused,
        Self::NothingToDo,
        Self::EndpointPaused,
        Self::EndpointGone,
        Self::EndpointDeleted,
        Self::OrganizationDeleting,
        Self::NewerState,
        Self::SubjectErased,
        Self::DiscardedByHand,
        Self::DiscardedAfterGone,
        Self::Unreadable,
        Self::TestCutOff,
    ];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AttemptsUsedUp => "attempts_used_up",
            Self::Refused => "refused",
            Self::NothingToDo => "nothing_to_do",
            Self::EndpointPaused => "endpoint_paused",
            Self::EndpointGone => "endpoint_gone",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::OrganizationDeleting => "organization_deleting",
            Self::NewerState => "newer_state",
            Self::SubjectErased => "subject_erased",
            Self::DiscardedByHand => "discarded_by_hand",
            Self::DiscardedAfterGone => "discarded_after_gone",
            Self::Unreadable => "unreadable",
            Self::TestCutOff => "test_cut_off",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}
