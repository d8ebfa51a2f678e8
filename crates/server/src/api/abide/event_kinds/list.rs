//! `GET /abide/v1/event-kinds`: every type of event, with what it means, its shape and an example.

use abide_core::event::EventKind;
use abide_dialects::{CatalogueEntry, catalogue};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::abide::answer::{Answer, whole_list};
use crate::api::abide::describe::{
    Operation, any_object, field, named, object, one_of, page_of, text,
};
use crate::caller::{AnyScope, By};
use crate::problem::Problem;

#[derive(Serialize)]
struct KindObject {
    r#type: EventKind,
    description: &'static str,
    schema: &'static RawValue,
    example: &'static RawValue,
}

impl TryFrom<CatalogueEntry> for KindObject {
    type Error = serde_json::Error;

    fn try_from(entry: CatalogueEntry) -> Result<Self, serde_json::Error> {
        let CatalogueEntry { kind, description, schema, example } = entry;
        let (schema, example) = (serde_json::from_str(schema)?, serde_json::from_str(example)?);
        Ok(Self { r#type: kind, description, schema, example })
    }
}

pub(crate) fn about() -> Operation {
    let kinds = one_of(EventKind::ALL.map(EventKind::as_str));
    let kind = named(
        "EventKind",
        object(vec![
            field("type", kinds, "The `type` of its events."),
            field("description", text(), "When it happens."),
            field(
                "schema",
                any_object(),
                "The shape of its messages, as Standard Webhooks endpoints get them: a JSON Schema (2020-12).",
            ),
            field("example", any_object(), "A made-up message of this type."),
        ]),
    );
    Operation::new("list_event_kinds", "Events", "List the types of events", page_of(kind))
        .says("All on one page.")
}

pub(crate) async fn handler(_by: By<AnyScope>) -> Answer {
    let kinds: Result<Vec<_>, _> = catalogue().into_iter().map(KindObject::try_from).collect();
    let kinds = kinds.map_err(|error| {
        Problem::internal(format!("the catalogue of events is no JSON: {error}"))
    })?;
    whole_list(kinds)
}
