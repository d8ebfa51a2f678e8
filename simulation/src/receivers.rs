//! The receivers: what they were sent, what they did, what they answered. Their tables are what a user would look at.

use std::collections::{HashMap, VecDeque};

use abide_core::ids::{ConsentId, EventId, Id};

use crate::plan::{Does, Manner};
use crate::speech::{Heard, Speech};

/// One receiver, behind one endpoint.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) speech: Speech,
    pub(crate) secret: String,
    /// The endpoint's key, once its creation is known to be stored.
    pub(crate) endpoint: Option<i64>,
    pub(crate) manners: VecDeque<Manner>,
    pub(crate) requests: Vec<Request>,
    /// The body that each event came with first.
    pub(crate) bodies: HashMap<i64, Vec<u8>>,
}

/// A request as its receiver has it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The event told; a person's whole state is no one event's.
    pub(crate) event: Option<i64>,
    /// Whom it tells of.
    pub(crate) subjects: Vec<i64>,
    pub(crate) consents: Vec<i64>,
    pub(crate) version: u64,
    pub(crate) signed_at: Option<i64>,
    pub(crate) began: i64,
    /// Whether the receiver acted on it.
    pub(crate) acted: bool,
    /// How it ended for its sender, and when.
    pub(crate) ended: Option<(i64, Ended)>,
    /// How often the clock had been set when it began.
    pub(crate) clock_jumps: u32,
}

/// How a request ended for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It got that status.
    Answered(u16),
    /// It got nothing.
    Nothing,
}

impl Receiver {
    pub(crate) fn new(speech: Speech, secret: String) -> Self {
        Self {
            speech,
            secret,
            endpoint: None,
            manners: VecDeque::new(),
            requests: Vec::new(),
            bodies: HashMap::new(),
        }
    }

    /// Whether it has told its sender well of an event.
    pub(crate) fn has_confirmed(&self, event: i64) -> bool {
        self.requests.iter().any(|one| one.event == Some(event) && one.is_confirmed())
    }

    /// Whether it has told its sender well of a person's state, as new as that.
    pub(crate) fn has_confirmed_state(&self, subject: i64, version: u64) -> bool {
        self.requests.iter().any(|one| {
            one.subjects.contains(&subject) && one.version >= version && one.is_confirmed()
        })
    }

    /// Requests that told of an event.
    pub(crate) fn times_told(&self, event: i64) -> u32 {
        self.requests.iter().filter(|one| one.event == Some(event)).count() as u32
    }
}

impl Request {
    pub(crate) fn is_confirmed(&self) -> bool {
        matches!(self.ended, Some((_, Ended::Answered(200..300))))
    }

    pub(crate) fn of(heard: &Heard) -> Option<Self> {
        let event = match &heard.event {
            Some(text) => Some(EventId::parse(text).ok()?.key()),
            None => None,
        };
        let consents = heard.consents.iter().map(|text| ConsentId::parse(text).map(Id::key));
        Some(Self {
            event,
            subjects: Vec::new(),
            consents: consents.collect::<Result<_, _>>().ok()?,
            version: heard.version,
            signed_at: heard.signed_at,
            began: 0,
            acted: false,
            ended: None,
            clock_jumps: 0,
        })
    }
}

impl Does {
    /// Whether the receiver acts, and what it then answers: a status with its wish, or nothing but a broken connection,
    /// or nothing at all.
    pub(crate) fn outcome(self) -> (bool, Reply) {
        match self {
            Self::Good => (true, Reply::Status(200, None)),
            Self::Status(status) => ((200..300).contains(&status), Reply::Status(status, None)),
            Self::Busy(seconds) => (false, Reply::Status(429, Some(seconds))),
            Self::ActsAndBreaks => (true, Reply::Break),
            Self::Breaks => (false, Reply::Break),
            Self::ActsAndHangs => (true, Reply::Silence),
            Self::Hangs => (false, Reply::Silence),
        }
    }
}

/// What comes back of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Status(u16, Option<u32>),
    Break,
    Silence,
}
