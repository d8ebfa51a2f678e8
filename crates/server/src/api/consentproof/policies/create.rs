//! `POST /v1/policies`: a new version of a policy.

use abide_core::policy::{NewPolicy, Policy};
use abide_dialects::consentproof::PolicyObject;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::{CONTENT, EFFECTIVE_DATE, IS_ACTIVE, POLICY_TYPE, TITLE, VERSION};
use crate::api::consentproof::envelope::{Answer, created};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, PoliciesWrite};
use crate::idempotency::Repeatable;
use crate::input::{EffectiveDate, Fields, Text};
use crate::router::Shared;

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<PoliciesWrite>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let mut fields = Fields::parse(&body)?;
    let new = creation(&mut fields);
    let new = fields.finish(new)?;
    let app = &shared.app;
    let by = by.once::<Created>(&body);
    let policy = app.storage.policies().create(&by, new, app.clock.now()).await?;
    answer(&policy)
}

fn answer(policy: &Policy) -> Answer {
    created(PolicyObject::read(policy))
}

enum Created {}

impl Repeatable for Created {
    type Result = Policy;

    fn answer(policy: &Policy) -> Response {
        answer(policy).into_response()
    }
}

fn creation(fields: &mut Fields<'_>) -> Option<NewPolicy> {
    let new = version(fields);
    if fields.optional(IS_ACTIVE) == Some(false) {
        fields
            .problem(IS_ACTIVE.0[0], "cannot be false at first; change it once the version exists");
    }
    new
}

/// What a version is made of.
pub(super) fn version(fields: &mut Fields<'_>) -> Option<NewPolicy> {
    let policy_type = fields.required(POLICY_TYPE);
    let version = fields.required(VERSION);
    let title = fields.required(TITLE);
    let content: Option<Text> = fields.required(CONTENT);
    let effective_date = fields.optional(EFFECTIVE_DATE);
    if content.as_ref().is_some_and(|Text(text)| text.contains('\0')) {
        fields.problem(CONTENT.0[0], "must not hold a NUL character");
    }
    let (Text(version), Text(title), Text(content)) = (version?, title?, content?);
    Some(NewPolicy {
        policy_type: policy_type?,
        version,
        title,
        content,
        effective_date: effective_date.map(|EffectiveDate(at)| at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Invalid;

    /// P36: the vendor's spelling, with a day for a date.
    #[test]
    fn p36_the_vendors_spelling() {
        let body = br#"{"policyType":"privacy_policy","version":"1.0","title":"Privacy","content":"We ...",
            "effectiveDate":"2024-01-15","isActive":true}"#;
        let mut fields = Fields::parse(body).unwrap();
        let new = creation(&mut fields);
        let new = fields.finish(new).unwrap();
        assert_eq!(new.effective_date.unwrap().to_seconds_text(), "2024-01-15T00:00:00Z");
    }

    #[test]
    fn a_wish_that_cannot_be_met_is_refused() {
        let body = br#"{"policy_type":"custom","version":"1","title":"T","content":"a\u0000b","is_active":false}"#;
        let mut fields = Fields::parse(body).unwrap();
        let new = creation(&mut fields);
        let Err(Invalid::Fields(problems)) = fields.finish(new) else { panic!() };
        let named: Vec<_> = problems.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(named, ["content", "is_active"]);
    }
}
