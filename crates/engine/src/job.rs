//! A delivery in this node's memory.

use std::sync::{Arc, OnceLock};

use abide_core::consent::hash::sha256;
use abide_core::delivery::Run;
use abide_core::event::{Event, EventBody};
use abide_core::ids::{DeliveryId, SubjectId};
use abide_dialects::{Content, Dialect, Rendered};
use abide_storage::Slot;
use parking_lot::Mutex;

use crate::leases::Hold;
use crate::room::{Place, RoomBook};

/// One delivery that this node works on. Whoever drops it without passing its delivery to the reporter leaves the
/// row to be found when its lease is worked off.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) delivery: DeliveryId,
    /// Keeps the lease from being closed.
    pub(crate) hold: Arc<Hold>,
    run: Run,
    content: Held,
}

/// What is kept of a delivery's content.
#[derive(Debug)]
enum Held {
    /// The event, as committed; its slot is the room. Only for first attempts.
    Event(Arc<SharedEvent>),
    /// Nothing: it is read when the attempt is opened.
    Id { _place: Place },
}

impl Job {
    pub(crate) fn hot(delivery: DeliveryId, hold: Arc<Hold>, event: Arc<SharedEvent>) -> Self {
        Self { delivery, hold, run: Run::First, content: Held::Event(event) }
    }

    /// A test, which goes past its endpoint's line.
    pub(crate) fn test(delivery: DeliveryId, hold: Arc<Hold>, event: Arc<SharedEvent>) -> Self {
        Self { run: Run::Test, ..Self::hot(delivery, hold, event) }
    }

    pub(crate) fn by_id(delivery: DeliveryId, hold: Arc<Hold>, place: Place) -> Self {
        Self { delivery, hold, run: Run::First, content: Held::Id { _place: place } }
    }

    /// Its run, as long as its attempt was not opened.
    pub(crate) fn run(&self) -> Run {
        self.run
    }

    /// Whether it is a test.
    pub(crate) fn is_test(&self) -> bool {
        self.run == Run::Test
    }

    pub(crate) fn event(&self) -> Option<&Arc<SharedEvent>> {
        match &self.content {
            Held::Event(event) => Some(event),
            Held::Id { .. } => None,
        }
    }

    /// Keeps the id only.
    pub(crate) fn shed(&mut self, room: &Arc<RoomBook>) {
        if let Held::Event(_) = self.content {
            self.content = Held::Id { _place: Place::taken(room) };
        }
    }
}

/// A committed event and what was rendered of it, shared by its deliveries. The slot lives as long as the bodies.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    pub(crate) event: Arc<Event>,
    first: OnceLock<Box<Rendering>>,
    _slot: Arc<Mutex<Slot>>,
}

/// What one dialect made of an event.
#[derive(Debug)]
pub(crate) struct Rendering {
    dialect: &'static str,
    pub(crate) rendered: Rendered,
    pub(crate) sha256: [u8; 32],
    next: OnceLock<Box<Rendering>>,
}

impl SharedEvent {
    pub(crate) fn new(event: Arc<Event>, slot: Arc<Mutex<Slot>>) -> Self {
        Self { event, first: OnceLock::new(), _slot: slot }
    }

    /// The event in that dialect: rendered once, by whoever needs it first.
    pub(crate) fn rendering(&self, dialect: &dyn Dialect) -> &Rendering {
        let mut link = &self.first;
        loop {
            let rendering =
                link.get_or_init(|| Box::new(Rendering::of(Content::Event(&self.event), dialect)));
            if rendering.dialect == dialect.name() {
                return rendering;
            }
            link = &rendering.next;
        }
    }

    /// Whether it says something of that person.
    pub(crate) fn is_about(&self, concerns: &dyn Fn(SubjectId) -> bool) -> About {
        if self.event.subject.is_some_and(concerns) {
            return About::ThemAlone;
        }
        match &self.event.body {
            EventBody::Batch(batch) if batch.consents.iter().any(|one| concerns(one.subject)) => {
                About::ThemAmongOthers
            }
            EventBody::Batch(_) | EventBody::Consent(_) | EventBody::Policy(_) => About::Others,
        }
    }
}

impl Rendering {
    /// Renders, and names the bytes.
    pub(crate) fn of(content: Content<'_>, dialect: &dyn Dialect) -> Self {
        let rendered = dialect.render(&content);
        let sha256 = sha256(&rendered.body);
        Self { dialect: dialect.name(), rendered, sha256, next: OnceLock::new() }
    }
}

/// Whom an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    ThemAlone,
    ThemAmongOthers,
    Others,
}
