//! Lists of event kinds: which an endpoint wants, by name, or `*` for all of them, later ones too.

use abide_core::endpoint::EventFilter;
use abide_core::event::EventKind;
use serde::ser::{Serialize, SerializeSeq as _, Serializer};
use serde_json::value::RawValue;

use super::{FromField, Text, elements, one_of};

/// Longest list read; it is folded afterwards.
const LIMIT: usize = 50;
/// Every event, now and later.
const ALL: &str = "*";

/// One kind by its name; the error completes "`field` ...".
pub(crate) fn event_kind(name: &str) -> Result<EventKind, String> {
    let names = || one_of(EventKind::ALL.iter().map(|kind| kind.as_str()));
    EventKind::parse(name).ok_or_else(names)
}

impl FromField for EventKind {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let Text(name) = Text::read(raw)?;
        event_kind(&name)
    }
}

/// A filter in Abide's own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventNames(pub(crate) EventFilter);

impl FromField for EventNames {
    fn read(raw: &RawValue) -> Result<Self, String> {
        read_events(raw, EventKind::parse).map(Self)
    }
}

/// Reads a list of names, each as `known` knows it; the kinds come in one order and without repetition.
pub(crate) fn read_events(
    raw: &RawValue,
    known: impl Fn(&str) -> Option<EventKind>,
) -> Result<EventFilter, String> {
    let mut all = false;
    let mut kinds: Vec<EventKind> = Vec::new();
    for (at, element) in elements(raw.get().as_bytes(), LIMIT)?.into_iter().enumerate() {
        let Text(name) = Text::read(element).map_err(|problem| format!("[{at}] {problem}"))?;
        match known(&name) {
            _ if name == ALL => all = true,
            Some(kind) if kinds.contains(&kind) => {}
            Some(kind) => kinds.push(kind),
            None => {
                let names = EventKind::ALL.iter().map(|kind| kind.as_str()).chain([ALL]);
                return Err(format!("[{at}] {}", one_of(names)));
            }
        }
    }
    match (all, kinds.is_empty()) {
        (true, _) => Ok(EventFilter::All),
        (false, true) => Err("must name at least one event, or `*` for all".to_owned()),
        (false, false) => {
            kinds.sort_unstable();
            Ok(EventFilter::Only(kinds))
        }
    }
}

/// The list as answers show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownEvents<'a>(pub(crate) &'a EventFilter);

impl Serialize for ShownEvents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            EventFilter::All => [ALL].serialize(serializer),
            EventFilter::Only(kinds) => {
                let mut list = serializer.serialize_seq(Some(kinds.len()))?;
                for kind in kinds {
                    list.serialize_element(kind.as_str())?;
                }
                list.end()
            }
        }
    }
}
