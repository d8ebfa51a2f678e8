//! The list of events a webhook wants (P7, P10).

use abide_core::endpoint::EventFilter;
use abide_core::event::EventKind;
use abide_dialects::Dialect as _;
use abide_dialects::consentproof::ConsentProof;
use serde::ser::{Serialize, SerializeSeq as _, Serializer};
use serde_json::value::RawValue;

use crate::input::{FromField, Text, elements, one_of};

/// Longest list read; it is folded afterwards.
const LIMIT: usize = 50;
/// Every event, now and later.
const ALL: &str = "*";

/// A filter as this API spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Events(pub(crate) EventFilter);

impl FromField for Events {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let mut all = false;
        let mut kinds: Vec<EventKind> = Vec::new();
        for (at, element) in elements(raw.get().as_bytes(), LIMIT)?.into_iter().enumerate() {
            let Text(name) = Text::read(element).map_err(|problem| format!("[{at}] {problem}"))?;
            match known(&name) {
                Some(Wanted::All) => all = true,
                Some(Wanted::Kind(kind)) if kinds.contains(&kind) => {}
                Some(Wanted::Kind(kind)) => kinds.push(kind),
                None => {
                    let names = EventKind::ALL.iter().map(|kind| kind.as_str()).chain([ALL]);
                    return Err(format!("[{at}] {}", one_of(names)));
                }
            }
        }
        match (all, kinds.is_empty()) {
            (true, _) => Ok(Self(EventFilter::All)),
            (false, true) => Err("must name at least one event, or `*` for all".to_owned()),
            (false, false) => {
                kinds.sort_unstable();
                Ok(Self(EventFilter::Only(kinds)))
            }
        }
    }
}

enum Wanted {
    All,
    Kind(EventKind),
}

fn known(name: &str) -> Option<Wanted> {
    match name {
        ALL => Some(Wanted::All),
        // The name on the vendor's detail pages.
        "consent.revoked" => Some(Wanted::Kind(EventKind::ConsentWithdrawn)),
        name => EventKind::parse(name).filter(|kind| ConsentProof.applies(*kind)).map(Wanted::Kind),
    }
}

/// The list as answers show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a EventFilter);

impl Serialize for Shown<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Events, String> {
        Events::read(serde_json::from_str(json).unwrap())
    }

    fn shown(json: &str) -> String {
        serde_json::to_string(&Shown(&read(json).unwrap().0)).unwrap()
    }

    /// P7: known names, all of them by `*`, each once; P10: the vendor's other name for a withdrawal.
    #[test]
    fn p7_p10_which_events() {
        assert_eq!(
            shown(r#"["consent.withdrawn","consent.created","consent.revoked","consent.created"]"#),
            r#"["consent.created","consent.withdrawn"]"#
        );
        assert_eq!(shown(r#"["consent.created","*"]"#), r#"["*"]"#);
        for kind in EventKind::ALL {
            assert_eq!(
                shown(&format!("[\"{}\"]", kind.as_str())),
                format!("[\"{}\"]", kind.as_str())
            );
        }
        for bad in ["[]", "{}", "\"*\"", "[1]", r#"["consent"]"#, r#"["consent.created","x"]"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
