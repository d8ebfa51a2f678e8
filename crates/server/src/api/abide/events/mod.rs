//! Events: what happened, in the order in which it was recorded.

pub(crate) mod get;
pub(crate) mod list;

mod schema;

use abide_core::event::{Event, EventKind};
use abide_core::ids::EventId;
use abide_dialects::data::EventData;
use abide_storage::feeds::ToldEvent;
use serde::{Serialize, Serializer};

use super::answer::Time;
pub(crate) use schema::{basis, schema, state};

const GROUP: &str = "Events";

/// An event as this API shows it.
pub(crate) struct EventObject(pub(crate) ToldEvent);

#[derive(Serialize)]
struct Whole<'a> {
    id: EventId,
    r#type: EventKind,
    timestamp: Time,
    test: Test,
    data: EventData<'a>,
}

/// Whether an event was made up for a test.
#[derive(Serialize)]
struct Test(bool);

/// What stays of an event about a person who was erased: its place, and nothing of them.
#[derive(Serialize)]
struct Mark {
    id: EventId,
    r#type: EventKind,
    timestamp: Time,
    erased: bool,
}

impl Serialize for EventObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            ToldEvent::Whole(event) => whole(event, Test(false)).serialize(serializer),
            ToldEvent::Test(event) => whole(event, Test(true)).serialize(serializer),
            ToldEvent::Erased { id, kind, created_at } => {
                Mark { id: *id, r#type: *kind, timestamp: Time(*created_at), erased: true }
                    .serialize(serializer)
            }
        }
    }
}

fn whole(event: &Event, test: Test) -> Whole<'_> {
    Whole {
        id: event.id,
        r#type: event.kind,
        timestamp: Time(event.created_at),
        test,
        data: EventData::from(event),
    }
}
