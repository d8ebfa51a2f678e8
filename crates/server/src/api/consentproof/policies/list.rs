//! `GET /v1/policies`: versions, newest first, without their texts.

use abide_core::policy::PolicyType;
use abide_dialects::consentproof::PolicyObject;
use abide_storage::policies::PolicyFilter;
use axum::extract::State;
use http::Uri;

use super::{IS_ACTIVE, POLICY_TYPE};
use crate::api::consentproof::envelope::{Answer, page};
use crate::caller::{By, ConsentRead};
use crate::input::{Params, one_of};
use crate::router::Shared;

pub(crate) async fn handler(State(shared): State<Shared>, by: By<ConsentRead>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    let wanted = params.page();
    let filter = PolicyFilter {
        policy_type: params.take(POLICY_TYPE, |text| {
            PolicyType::parse(text)
                .ok_or_else(|| one_of(PolicyType::ALL.iter().map(|(_, name)| *name)))
        }),
        is_active: params.flag(IS_ACTIVE),
    };
    let filter = params.finish(filter)?;
    let policies = shared.app.storage.policies();
    let found = policies.list(by.caller.organization, filter, wanted).await?;
    page(&found, wanted, PolicyObject::read)
}
