//! `POST /abide/v1/subjects/erase`: erases a person.

use abide_core::access::Scope;
use abide_core::ids::{Subject, SubjectId};
use axum::extract::State;
use serde::Serialize;

use crate::api::abide::answer::{Answer, Time, ok};
use crate::api::abide::describe::{Operation, count, field, id, named, object, text_of, time};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{Admin, By};
use crate::input::{Fields, Name};
use crate::problem::{Problem, ProblemKind};
use crate::router::Shared;

const REFERENCE: Name = Name(&["reference"]);

/// Longest reference, in characters.
const REFERENCE_LIMIT: usize = 255;

#[derive(Serialize)]
struct ErasureObject {
    subject: SubjectId,
    erased_at: Time,
    erased_deliveries: u32,
}

pub(crate) fn about() -> Operation {
    let erasure = named(
        "Erasure",
        object(vec![
            field("subject", id::<Subject>(), "Whom; the id stays as a mark in what remains."),
            field("erased_at", time(), "When."),
            field(
                "erased_deliveries",
                count(),
                "How many waiting deliveries ended as `erased` at once.",
            ),
        ]),
    );
    Operation::new("erase_subject", "Subjects", "Erase a person", erasure)
        .says(
            "The person's key is destroyed, so that everything sealed under it cannot be read any more; what they are \
             known by goes; waiting deliveries about them end as `erased`. Decisions and events keep their places in \
             the feeds, with nothing of the person. This cannot be undone. Backups hold the key until they expire.",
        )
        .scope(Scope::Admin)
        .takes(vec![field("reference", text_of(1, 255), "The organization's own reference of the person.")])
        .fails(&[ProblemKind::NotFound])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let mut fields = Fields::parse(&body)?;
    fields.only(&[REFERENCE]);
    let reference = fields.required(REFERENCE);
    let reference = fields.line(REFERENCE, reference, REFERENCE_LIMIT);
    let reference = fields.finish(reference)?;
    let now = app.clock.now();
    let subjects = app.storage.subjects();
    let erased =
        subjects.erase(&by.caller, &reference, now).await.map_err(|error| match error {
            abide_storage::StorageError::Refused(abide_core::Refusal::NotFound(_)) => {
                Problem::new(ProblemKind::NotFound, "There is no person with this reference.")
            }
            other => other.into(),
        })?;
    ok(&ErasureObject {
        subject: erased.subject,
        erased_at: Time(now),
        erased_deliveries: erased.deliveries,
    })
}
