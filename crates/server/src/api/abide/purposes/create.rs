//! `POST /abide/v1/purposes`: a new purpose.

use abide_core::access::Scope;
use abide_storage::purposes::Purpose;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::{GROUP, PurposeObject, schema};
use crate::api::abide::answer::{Answer, created};
use crate::api::abide::describe::{Operation, field, text_of};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{Admin, By};
use crate::idempotency::Repeatable;
use crate::input::{Fields, Invalid, Name};
use crate::problem::ProblemKind;
use crate::router::Shared;

const NAME: Name = Name(&["name"]);

/// Longest name, in characters.
const NAME_LIMIT: usize = 100;

pub(crate) fn about() -> Operation {
    Operation::new("create_purpose", GROUP, "Create a purpose", schema())
        .says("Where `strict_purposes` is set, decisions can be recorded for purposes created here and no others.")
        .scope(Scope::Admin)
        .takes(vec![field("name", text_of(1, 100), "Its name, as decisions name it.")])
        .creates()
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let name = read(&body)?;
    let by = by.once::<Created>(&body);
    let purpose = app.storage.purposes().create(&by, &name, app.clock.now()).await?;
    answer(purpose)
}

fn answer(purpose: Purpose) -> Answer {
    let location = format!("/abide/v1/purposes/{}", purpose.id);
    created(&location, &PurposeObject::from(purpose))
}

enum Created {}

impl Repeatable for Created {
    type Result = Purpose;

    fn answer(purpose: &Purpose) -> Response {
        answer(purpose.clone()).into_response()
    }
}

fn read(body: &[u8]) -> Result<String, Invalid> {
    let mut fields = Fields::parse(body)?;
    fields.only(&[NAME]);
    let name = fields.required(NAME);
    let name = fields.line(NAME, name, NAME_LIMIT);
    fields.finish(name)
}
