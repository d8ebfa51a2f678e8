//! The list of events a webhook wants, in ConsentProof's names (P7, P10).

use abide_core::endpoint::EventFilter;
use abide_core::event::EventKind;
use abide_dialects::Dialect as _;
use abide_dialects::consentproof::ConsentProof;
use serde_json::value::RawValue;

use crate::input::{FromField, read_events};

/// A filter as this API spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Events(pub(crate) EventFilter);

impl FromField for Events {
    fn read(raw: &RawValue) -> Result<Self, String> {
        read_events(raw, known).map(Self)
    }
}

pub(super) fn known(name: &str) -> Option<EventKind> {
    match name {
        // The name on the vendor's detail pages.
        "consent.revoked" => Some(EventKind::ConsentWithdrawn),
        name => EventKind::parse(name).filter(|kind| ConsentProof.applies(*kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::ShownEvents;

    fn read(json: &str) -> Result<Events, String> {
        Events::read(serde_json::from_str(json).unwrap())
    }

    fn shown(json: &str) -> String {
        serde_json::to_string(&ShownEvents(&read(json).unwrap().0)).unwrap()
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
