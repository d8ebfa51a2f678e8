//! `GET /abide/v1/decisions`: the ledger's feed, in order and without gaps.

use abide_core::access::Scope;
use abide_core::consent::hash::hex;
use abide_core::consent::{LawfulBasis, PermissionState};
use abide_core::ids::{
    Consent, ConsentId, Decision, DecisionId, Policy, PolicyId, Purpose, PurposeId, Subject,
    SubjectId,
};
use abide_core::original::OriginalId;
use abide_storage::feeds::ToldDecision;
use axum::extract::State;
use http::Uri;
use serde::Serialize;

use crate::api::abide::answer::{Answer, Time, feed};
use crate::api::abide::cursor::{CURSOR, FROM, LIMIT, List, Window};
use crate::api::abide::describe::{
    Operation, Schema, feed_of, field, flag, id, named, object, or_null, text, time,
};
use crate::api::abide::events::{basis, state};
use crate::caller::{By, ConsentRead};
use crate::input::Params;
use crate::problem::ProblemKind;
use crate::router::Shared;

/// A decision as this API shows it.
#[derive(Serialize)]
pub(crate) struct DecisionObject {
    id: DecisionId,
    consent: ConsentId,
    consent_original_id: Option<OriginalId>,
    subject: SubjectObject,
    purpose: String,
    purpose_id: PurposeId,
    lawful_basis: LawfulBasis,
    state: PermissionState,
    policy: Option<PolicyId>,
    policy_original_id: Option<OriginalId>,
    obtained_at: Time,
    recorded_at: Time,
    valid_from: Option<Time>,
    valid_until: Option<Time>,
    recorded_by: String,
    commitment: String,
}

#[derive(Serialize)]
struct SubjectObject {
    id: SubjectId,
    reference: Option<String>,
    erased: bool,
}

impl From<ToldDecision> for DecisionObject {
    fn from(told: ToldDecision) -> Self {
        Self {
            id: told.id,
            consent: told.consent,
            consent_original_id: told.original,
            subject: SubjectObject {
                id: told.subject,
                erased: told.reference.is_none(),
                reference: told.reference,
            },
            purpose: told.purpose_name,
            purpose_id: told.purpose,
            lawful_basis: told.basis,
            state: told.state,
            policy: told.policy,
            policy_original_id: told.policy_original,
            obtained_at: Time(told.obtained_at),
            recorded_at: Time(told.recorded_at),
            valid_from: told.validity.from.map(Time),
            valid_until: told.validity.until.map(Time),
            recorded_by: told.recorded_by,
            commitment: format!("sha256:{}", hex(&told.commitment)),
        }
    }
}

pub(crate) fn schema() -> Schema {
    let subject = object(vec![
        field("id", id::<Subject>(), "Abide's id of the person; stays when they are erased."),
        field(
            "reference",
            or_null(text()),
            "The organization's own reference, until they are erased.",
        ),
        field("erased", flag(), "Whether they were erased."),
    ]);
    named(
        "Decision",
        object(vec![
            field("id", id::<Decision>(), "Its id."),
            field("consent", id::<Consent>(), "The record that it was taken into."),
            field(
                "consent_original_id",
                or_null(text()),
                "The id that the record had before it was brought along, until its person is erased.",
            ),
            field("subject", subject, "Who decided."),
            field("purpose", text(), "What it is about."),
            field("purpose_id", id::<Purpose>(), "The purpose's id."),
            field("lawful_basis", basis(), "On which basis."),
            field("state", state(), "What was decided."),
            field("policy", or_null(id::<Policy>()), "The policy version that was shown."),
            field(
                "policy_original_id",
                or_null(text()),
                "The id that the policy version had before, likewise.",
            ),
            field("obtained_at", time(), "When the person decided."),
            field("recorded_at", time(), "When it was recorded."),
            field("valid_from", or_null(time()), "From when it can be in force."),
            field("valid_until", or_null(time()), "Until when it can be in force."),
            field("recorded_by", text(), "Who recorded it: a key's id, `operator` or `system`."),
            field(
                "commitment",
                text(),
                "`sha256:` and hex over a salt and the entry; outlives the person's erasure.",
            ),
        ]),
    )
}

pub(crate) fn about() -> Operation {
    Operation::new("list_decisions", "Decisions", "Read the ledger", feed_of(schema()))
        .says(
            "Every decision, in the order in which they were recorded, without gaps; decisions never change. One of a \
             person who was erased keeps its place and its commitment.",
        )
        .scope(Scope::ConsentRead)
        .feeds()
        .fails(&[ProblemKind::CursorGone])
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<ConsentRead>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[FROM, LIMIT, CURSOR]);
    let window = Window::read_feed(List::Decisions, &mut params)?;
    let mut window = params.finish(window)?;
    let feeds = shared.app.storage.feeds();
    let epoch = feeds.epoch().await?;
    window.must_be_of(epoch)?;
    let organization = by.caller.organization;
    if let Some(start) = window.start {
        window = window.behind(feeds.decisions_start(organization, start).await?);
    }
    let page = feeds.decisions_after(organization, window.of_feed()).await?;
    feed(&window, epoch, page, DecisionObject::from)
}
