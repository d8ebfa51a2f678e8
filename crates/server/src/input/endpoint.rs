//! What an endpoint may be given, judged alike for APIs and pages. Each answers what was wrong: "must be ...".

use abide_core::endpoint::EventFilter;
use abide_core::policy::text_field;
use abide_dialects::Dialect;

use crate::EndpointPolicy;

/// Longest URL, in bytes.
const URL_LIMIT: usize = 2048;
/// Longest description, in characters.
const DESCRIPTION_LIMIT: usize = 500;

/// A URL that an endpoint may have.
pub(crate) fn check_url(policy: &dyn EndpointPolicy, url: &str) -> Result<(), String> {
    if url.len() > URL_LIMIT {
        return Err(format!("must be at most {URL_LIMIT} bytes long"));
    }
    policy.check_url(url)
}

/// A note that can be shown on one line.
pub(crate) fn check_description(text: &str) -> Result<(), String> {
    text_field("description", text, DESCRIPTION_LIMIT).map_err(|_| {
        format!(
            "must be at most {DESCRIPTION_LIMIT} characters, not blank, without control characters"
        )
    })
}

/// A filter that the dialect can serve.
pub(crate) fn check_events(dialect: &dyn Dialect, filter: &EventFilter) -> Result<(), String> {
    let EventFilter::Only(kinds) = filter else { return Ok(()) };
    match kinds.iter().find(|kind| !dialect.applies(**kind)) {
        Some(kind) => {
            Err(format!("must not hold `{}`, which this dialect does not tell", kind.as_str()))
        }
        None => Ok(()),
    }
}
