//! Webhooks: where ConsentProof's events are told.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deliveries;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod replace;
pub(crate) mod test;

mod events;
mod view;

use abide_core::access::Caller;
use abide_core::ids::{Endpoint, EndpointId, Kind as _};
use abide_core::policy::text_field;
use abide_dialects::Dialect as _;
use abide_dialects::consentproof::ConsentProof;
use abide_storage::endpoints::EndpointView;

use crate::api::consentproof::envelope::ApiError;
use crate::input::{Fields, Name, Text};
use crate::{App, EndpointPolicy};

pub(crate) use events::Events;
pub(crate) use view::WebhookObject;

const URL: Name = Name(&["url"]);
const EVENTS: Name = Name(&["events"]);
const DESCRIPTION: Name = Name(&["description"]);
const SECRET: Name = Name(&["secret"]);
const IS_ACTIVE: Name = Name(&["is_active", "isActive"]);

/// Longest URL, in bytes.
const URL_LIMIT: usize = 2048;
/// Longest description, in characters.
const DESCRIPTION_LIMIT: usize = 500;

/// Finds a webhook of this API. Endpoints of other dialects have ids of the same form; here they do not exist. An
/// endpoint's dialect never changes, so a change may follow in a second call.
async fn find(app: &App, by: &Caller, id: EndpointId) -> Result<EndpointView, ApiError> {
    let found = app.storage.endpoints().get(by.organization, id).await?;
    found
        .filter(|endpoint| endpoint.dialect == ConsentProof.name())
        .ok_or_else(|| ApiError::not_found(Endpoint::NAME))
}

/// A URL that an endpoint may have (P8).
fn sound_url(
    fields: &mut Fields<'_>,
    policy: &dyn EndpointPolicy,
    url: Option<Text>,
) -> Option<String> {
    let Text(url) = url?;
    let judged = if url.len() > URL_LIMIT {
        Err(format!("must be at most {URL_LIMIT} bytes long"))
    } else if url.bytes().any(|byte| !byte.is_ascii_graphic()) {
        Err("must hold printable ASCII characters only; escape others".to_owned())
    } else {
        policy.check_url(&url)
    };
    match judged {
        Ok(()) => Some(url),
        Err(problem) => {
            fields.problem(URL.0[0], problem);
            None
        }
    }
}

/// A note that can be shown on one line; an empty one is none.
fn sound_description(fields: &mut Fields<'_>, description: Option<Text>) -> Option<String> {
    let Text(description) = description.filter(|Text(text)| !text.is_empty())?;
    if text_field("description", &description, DESCRIPTION_LIMIT).is_err() {
        let problem = "must be at most 500 characters, not blank, without control characters";
        fields.problem(DESCRIPTION.0[0], problem);
        return None;
    }
    Some(description)
}
