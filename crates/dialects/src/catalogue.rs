//! The catalogue of events: for each kind its name, what it means, the shape of its message and an example.
//!
//! Shape and example are those of [`crate::standard_webhooks`], whose `data` is Abide's own. A schema is a promise about
//! the messages that are sent; receivers should take fields that it does not name, since later versions add some. Where
//! a value is about a person, the schema says `"x-personal-data": true`.

use abide_core::event::EventKind;

/// One kind of event as receivers' developers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The kind.
    pub kind: EventKind,
    /// What it means, in one sentence.
    pub description: &'static str,
    /// The shape of the message: a JSON Schema (2020-12) as text.
    pub schema: &'static str,
    /// The message of [`abide_core::event::sample`], exactly as it is sent.
    pub example: &'static str,
}

impl CatalogueEntry {
    /// The public name, as in a message's `type` and in an endpoint's filter.
    pub fn name(&self) -> &'static str {
        self.kind.as_str()
    }
}

/// Every kind of event, in the order documentation lists them.
pub fn catalogue() -> [CatalogueEntry; EventKind::ALL.len()] {
    EventKind::ALL.map(entry)
}

/// A kind without files or description does not compile.
fn entry(kind: EventKind) -> CatalogueEntry {
    macro_rules! entry {
        ($name:literal, $description:literal) => {
            CatalogueEntry {
                kind,
                description: $description,
                schema: include_str!(concat!("../schemas/", $name, ".json")),
                example: include_str!(concat!("../schemas/", $name, ".example.json")),
            }
        };
    }
    match kind {
        EventKind::ConsentCreated => entry!(
            "consent.created",
            "A person's first decision for a purpose came into force: given or refused."
        ),
        EventKind::ConsentUpdated => entry!(
            "consent.updated",
            "The decision in force changed, other than by a withdrawal: given again, or with other data."
        ),
        EventKind::ConsentWithdrawn => entry!(
            "consent.withdrawn",
            "A given consent is no longer in force: withdrawn, replaced, or past its end."
        ),
        EventKind::ConsentBatchCreated => {
            entry!("consent.batch_created", "Several consent records began in one call.")
        }
        EventKind::PolicyCreated => entry!("policy.created", "A policy version was created."),
        EventKind::PolicyUpdated => entry!(
            "policy.updated",
            "A policy version changed: its title, its date, or whether it may be named."
        ),
        EventKind::PolicyDeleted => entry!("policy.deleted", "A policy version was deleted."),
    }
}
