//! What is done with an endpoint by one button each: paused, resumed, its secret replaced, deleted.

use abide_core::shell::draw;
use abide_dialects::SignedBy;
use abide_storage::endpoints::EndpointPatch;
use abide_storage::sealing::Secret;
use axum::extract::{Path, State};
use http::StatusCode;

use super::one::{Beside, changed, refused_here, show};
use super::secret::hand_on;
use super::secret_fields;
use super::{dialect_of, find, host};
use crate::caller::WebhooksWrite;
use crate::pages::field::Problems;
use crate::pages::form::Form;
use crate::pages::shown_once::Shown;
use crate::pages::signed_in::Allowed;
use crate::pages::{Answer, see_other_with};
use crate::router::Shared;

/// How long a replaced secret may go on signing, in seconds, as the page offers it.
const OVERLAPS: [u32; 4] = [0, 3_600, 24 * 3_600, 7 * 24 * 3_600];

/// `POST /endpoints/{id}/pause`.
pub(crate) async fn pause(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let patch = EndpointPatch { is_active: Some(false), ..EndpointPatch::default() };
    change(&shared, &who, &id, patch, "The endpoint is paused: nothing is sent there.").await
}

/// `POST /endpoints/{id}/resume`.
pub(crate) async fn resume(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let patch = EndpointPatch { is_active: Some(true), ..EndpointPatch::default() };
    change(&shared, &who, &id, patch, "The endpoint is active again.").await
}

/// Changes an endpoint as a button says, and shows it with the notice.
pub(super) async fn change(
    shared: &Shared,
    who: &Allowed<WebhooksWrite>,
    id: &str,
    patch: EndpointPatch,
    notice: &'static str,
) -> Answer {
    let endpoint = find(shared, who, id).await?;
    let (endpoints, now) = (shared.app.storage.endpoints(), shared.app.clock.now());
    match endpoints.change(&who.caller(), endpoint.id, patch, now).await {
        Ok(_) => Ok(changed(shared, &endpoint, notice)),
        Err(error) => refused_here(shared, who, &endpoint, error).await,
    }
}

/// `POST /endpoints/{id}/rotate`: another secret, which the next page shows once.
pub(crate) async fn rotate(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    form: Form,
) -> Answer {
    let app = &shared.app;
    let endpoint = find(&shared, &who, &id).await?;
    let dialect = dialect_of(&endpoint)?;
    let overlap = match dialect.signed_by() {
        SignedBy::Newest => Some(0),
        SignedBy::EveryLive => {
            form.text("overlap").parse().ok().filter(|seconds| OVERLAPS.contains(seconds))
        }
    };
    let Some(overlap) = overlap else {
        let problem = Some("Choose how long the secret before goes on signing.".to_owned());
        let beside = Beside { problem, ..Beside::default() };
        return show(&shared, &who, StatusCode::BAD_REQUEST, &endpoint, beside).await;
    };
    let mut problems = Problems::default();
    let random = draw(app.chance.as_ref());
    let Some(secret) = secret_fields::judge(&form, dialect, &random, &mut problems) else {
        let secret_form = Some(form.text("secret_form").to_owned());
        let beside = Beside { secret_form, problems, ..Beside::default() };
        return show(&shared, &who, StatusCode::BAD_REQUEST, &endpoint, beside).await;
    };
    let now = app.clock.now();
    let until = now.plus_millis(i64::from(overlap) * 1_000);
    let kept = Secret::from(secret.reveal().to_owned());
    let endpoints = app.storage.endpoints();
    match endpoints.rotate_secret(&who.caller(), endpoint.id, kept, until, now).await {
        Ok(endpoint) => Ok(hand_on(&shared, &who, endpoint.id, Shown::RotatedSecret, &secret)),
        Err(error) => refused_here(&shared, &who, &endpoint, error).await,
    }
}

/// `POST /endpoints/{id}/end-replaced-secrets`.
pub(crate) async fn end_replaced_secrets(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    _form: Form,
) -> Answer {
    let endpoint = find(&shared, &who, &id).await?;
    let (endpoints, now) = (shared.app.storage.endpoints(), shared.app.clock.now());
    endpoints.end_replaced_secrets(&who.caller(), endpoint.id, now).await?;
    Ok(changed(&shared, &endpoint, "The newest secret alone signs now."))
}

/// `POST /endpoints/{id}/delete`, once its host was typed.
pub(crate) async fn delete(
    State(shared): State<Shared>,
    who: Allowed<WebhooksWrite>,
    Path(id): Path<String>,
    form: Form,
) -> Answer {
    let endpoint = find(&shared, &who, &id).await?;
    if !form.text("confirm").trim().eq_ignore_ascii_case(host(&endpoint.url)) {
        let mut problems = Problems::default();
        problems.add("confirm", &format!("must be `{}`", host(&endpoint.url)));
        let beside = Beside { problems, ..Beside::default() };
        return show(&shared, &who, StatusCode::BAD_REQUEST, &endpoint, beside).await;
    }
    let (endpoints, now) = (shared.app.storage.endpoints(), shared.app.clock.now());
    endpoints.delete(&who.caller(), endpoint.id, now).await?;
    let notice = "The endpoint was deleted. The history of its deliveries stays.";
    Ok(see_other_with("/endpoints", notice, shared.app.dashboard.cookies))
}
