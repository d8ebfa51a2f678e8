//! `/endpoints/{id}/authentication`: how Abide proves itself to an endpoint beside its signature, replaced or removed as a
//! whole. What stands is shown by names and kinds alone (I12).

use abide_core::endpoint::EndpointAuth;
use abide_storage::StorageError;
use abide_storage::endpoints::{EndpointPatch, EndpointView};
use askama::Template;
use axum::extract::{Path, State};
use http::StatusCode;

use super::auth_fields::{self, AuthFields, TypedAuth};
use super::deeds;
use super::one::{auth, changed, refused_here};
use super::{find, short};
use crate::caller::WebhooksWrite;
use crate::pages::field::Problems;
use crate::pages::form::Form;
use crate::pages::layout::{Layout, Section};
use crate::pages::signed_in::Allowed;
use crate::pages::{Answer, page_with};
use crate::router::Shared;

#[derive(Template)]
#[template(path = "endpoint_authentication.html")]
struct AuthPage {
    layout: Layout,
    id: String,
    short: String,
    /// What is sent now, by names and kinds.
    now: String,
    came_back: bool,
    problem: Option<String>,
    fields: AuthFields,
}

/// `GET /endpoints/{id}/authentication`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
) -> Answer {
    let endpoint = find(&shared, &who, &id).await?;
    let typed = TypedAuth::of(&endpoint.auth);
    show(&who, StatusCode::OK, &endpoint, &typed, &Problems::default())
}

fn show(
    who: &Allowed<WebhooksWrite>,
    status: StatusCode,
    endpoint: &EndpointView,
    typed: &TypedAuth,
    problems: &Problems,
) -> Answer {
    let page = AuthPage {
        layout: who.layout(Section::Endpoints),
        id: endpoint.id.to_string(),
        short: short(&endpoint.url),
        now: auth(endpoint).join(", "),
        came_back: !problems.is_empty(),
        problem: problems.of("form").map(str::to_owned),
        fields: typed.fields(problems),
    };
    page_with(status, &page)
}

/// `POST /endpoints/{id}/authentication`: all of it, in place of all that stood.
pub(crate) async fn replace(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    form: Form,
) -> Answer {
    let app = &shared.app;
    let endpoint = find(&shared, &who, &id).await?;
    let mut problems = Problems::default();
    let given = auth_fields::judge(&form, app.endpoints.as_ref(), &mut problems);
    if given.as_ref().is_some_and(EndpointAuth::is_empty) {
        auth_fields::nothing_given(&mut problems);
    }
    let Some(given) = given.filter(|_| problems.is_empty()) else {
        let typed = TypedAuth::read(&form);
        return show(&who, StatusCode::BAD_REQUEST, &endpoint, &typed, &problems);
    };
    let patch = EndpointPatch { auth: Some(given), ..EndpointPatch::default() };
    match app.storage.endpoints().change(&who.caller(), endpoint.id, patch, app.clock.now()).await {
        Ok(_) => Ok(changed(&shared, &endpoint, "The authentication was replaced.")),
        Err(StorageError::Refused(refusal @ abide_core::Refusal::Field { .. })) => {
            problems.note(Err(refusal))?;
            let typed = TypedAuth::read(&form);
            show(&who, StatusCode::BAD_REQUEST, &endpoint, &typed, &problems)
        }
        Err(error) => refused_here(&shared, &who, &endpoint, error).await,
    }
}

/// `POST /endpoints/{id}/authentication/remove`: the signature alone again.
pub(crate) async fn remove(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let patch = EndpointPatch { auth: Some(EndpointAuth::default()), ..EndpointPatch::default() };
    deeds::change(&shared, &who, &id, patch, "The authentication was removed.").await
}
