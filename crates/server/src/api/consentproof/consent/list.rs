//! `GET /v1/consent`: consents by filters, those decided last first.
//!
//! `from` (inclusive) and `to` (exclusive) are about when a consent was last decided. What one call reads is bounded; where
//! that shows, `meta` says so: the total is then the least there is.

use abide_core::Timestamp;
use abide_dialects::consentproof::ConsentObject;
use abide_storage::PageWanted;
use abide_storage::consent_search::{ConsentFilter, ConsentPage, Rest};
use axum::extract::State;
use http::Uri;

use super::{CONSENT_TYPE, GRANTED, POLICY_ID, SUBJECT_ID};
use crate::api::consentproof::envelope::{Answer, page_with_note};
use crate::caller::{By, ConsentRead};
use crate::input::{EffectiveDate, Name, Params};
use crate::router::Shared;

const FROM: Name = Name(&["from"]);
const TO: Name = Name(&["to"]);

pub(crate) async fn handler(State(shared): State<Shared>, by: By<ConsentRead>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    let wanted = params.page();
    let reference = params.text(SUBJECT_ID, 255);
    let filter = ConsentFilter { reference, ..filter(&mut params) };
    let filter = params.finish(filter)?;
    let app = &shared.app;
    let found = app.storage.consents().list(by.caller.organization, filter, wanted).await?;
    answer(&found, wanted, app.clock.now())
}

/// The filters that a list of all and a list of one person's have in common.
pub(super) fn filter(params: &mut Params) -> ConsentFilter {
    let filter = ConsentFilter {
        reference: None,
        purpose: params.text(CONSENT_TYPE, 100),
        granted: params.flag(GRANTED),
        policy: params.reference(POLICY_ID),
        from: params.take(FROM, EffectiveDate::parse).map(|EffectiveDate(at)| at),
        to: params.take(TO, EffectiveDate::parse).map(|EffectiveDate(at)| at),
    };
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && from >= to
    {
        params.problem(TO, "must be later than `from`");
    }
    filter
}

pub(super) fn answer(found: &ConsentPage, wanted: PageWanted, now: Timestamp) -> Answer {
    let note = match found.rest {
        Rest::Nothing => None,
        Rest::Uncounted => Some(
            "There are more consents than `total` says; asking for later pages counts on."
                .to_owned(),
        ),
        Rest::Before(at) => Some(format!(
            "Only consents decided since then were looked at; ask with `to={}` for those before.",
            at.to_millis_text()
        )),
    };
    page_with_note(&found.page, wanted, ConsentObject::from, note.as_deref(), now)
}
