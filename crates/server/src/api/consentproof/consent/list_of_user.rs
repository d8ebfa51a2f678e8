//! `GET /v1/consent/user/{ref}`: one person's consents, by the caller's own reference, byte for byte. A person without
//! consents, and one who was erased, has an empty page: whether somebody is known is no more than that.

use abide_core::policy::text_problem;
use abide_storage::consent_search::ConsentFilter;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::Uri;

use super::list::{answer, filter};
use crate::api::consentproof::envelope::Answer;
use crate::caller::{By, ConsentRead};
use crate::input::{Name, Params};
use crate::router::Shared;

const REF: Name = Name(&["ref"]);

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentRead>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer {
    let mut params = Params::parse(&uri)?;
    let wanted = params.page();
    let reference = match path {
        Ok(Path(text)) => {
            if let Some(problem) = text_problem(&text, 255) {
                params.problem(REF, problem);
            }
            Some(text)
        }
        Err(_) => {
            params.problem(REF, "must be UTF-8 text, percent-encoded");
            None
        }
    };
    let filter = ConsentFilter { reference, ..filter(&mut params) };
    let filter = params.finish(filter)?;
    let app = &shared.app;
    let found = app.storage.consents().list(by.caller.organization, filter, wanted).await?;
    answer(&found, wanted, app.clock.now())
}
