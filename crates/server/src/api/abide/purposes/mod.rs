//! Purposes: what consent is about.

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod list;

use abide_core::ids::{Purpose as PurposeKind, PurposeId};
use abide_storage::purposes::Purpose;
use serde::Serialize;

use super::answer::Time;
use super::describe::{Schema, field, id, named, object, text_of, time};

const GROUP: &str = "Purposes";

/// A purpose as this API shows it.
#[derive(Serialize)]
pub(crate) struct PurposeObject {
    id: PurposeId,
    name: String,
    created_at: Time,
}

impl From<Purpose> for PurposeObject {
    fn from(Purpose { id, name, created_at }: Purpose) -> Self {
        Self { id, name, created_at: Time(created_at) }
    }
}

pub(crate) fn schema() -> Schema {
    named(
        "Purpose",
        object(vec![
            field("id", id::<PurposeKind>(), "Its id."),
            field("name", text_of(1, 100), "Its name, as decisions name it."),
            field("created_at", time(), "When it was created."),
        ]),
    )
}
