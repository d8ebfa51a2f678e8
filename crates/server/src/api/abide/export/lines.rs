//! The lines of an export: `{"type": "decision", "data": {...}}`.

use std::collections::BTreeMap;

use abide_core::Timestamp;
use abide_core::consent::PermissionState;
use abide_core::ids::{
    Consent, ConsentId, Decision, DecisionId, Policy as PolicyKind, PolicyId, Purpose, PurposeId,
    Subject, SubjectId, User as UserKind, UserId,
};
use abide_core::json::JsonObject;
use abide_core::original::OriginalId;
use abide_core::policy::{Policy, PolicyType};
use abide_core::user::{Role, UserState};
use abide_storage::exports::{ExportedConsent, ExportedDecision};
use abide_storage::users::User;
use serde::Serialize;

use crate::api::abide::answer::Time;
use crate::api::abide::decisions::list::DecisionObject;
use crate::api::abide::describe::{
    Schema, any_object, any_of, count, field, flag, id, named, number, object, one_of, or_null,
    text, time,
};
use crate::api::abide::events::state;
use crate::api::abide::organization::OrganizationObject;
use crate::api::abide::{audit, decisions, endpoints, keys, organization, purposes};

/// The version of this form. Lines may get further fields without a new one.
pub(super) const VERSION: u32 = 1;

/// What a line tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Header,
    Policy,
    Purpose,
    Decision,
    Consent,
    Endpoint,
    Key,
    User,
    AuditEntry,
    Trailer,
}

#[derive(Serialize)]
pub(super) struct Line<T> {
    pub(super) r#type: Kind,
    pub(super) data: T,
}

#[derive(Serialize)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) organization: OrganizationObject,
    pub(super) exported_at: Time,
    pub(super) last_decision: u64,
}

#[derive(Serialize)]
pub(super) struct Trailer {
    pub(super) counts: BTreeMap<Kind, u64>,
    pub(super) sha256: String,
}

#[derive(Serialize)]
pub(super) struct PolicyLine {
    id: PolicyId,
    original_id: Option<OriginalId>,
    policy_type: PolicyType,
    version: String,
    title: String,
    content: Option<String>,
    content_hash: String,
    effective_date: Time,
    is_active: bool,
    created_at: Time,
    updated_at: Time,
    deleted_at: Option<Time>,
}

impl From<Policy> for PolicyLine {
    fn from(policy: Policy) -> Self {
        Self {
            id: policy.id.id,
            original_id: policy.id.original,
            policy_type: policy.policy_type,
            version: policy.version,
            title: policy.title,
            content: policy.content,
            content_hash: policy.content_hash,
            effective_date: Time(policy.effective_date),
            is_active: policy.is_active,
            created_at: Time(policy.created_at),
            updated_at: Time(policy.updated_at),
            deleted_at: policy.deleted_at.map(Time),
        }
    }
}

#[derive(Serialize)]
pub(super) struct DecisionLine {
    log_index: u64,
    decision: DecisionObject,
    said: Option<Said>,
}

#[derive(Serialize)]
struct Said {
    email: Option<String>,
    metadata: Option<JsonObject>,
    ip_address: Option<String>,
    consent_hash: String,
}

impl From<ExportedDecision> for DecisionLine {
    fn from(ExportedDecision { log_index, told, said }: ExportedDecision) -> Self {
        let said = said.map(|said| Said {
            email: said.email,
            metadata: said.metadata,
            ip_address: said.ip_address,
            consent_hash: said.consent_hash,
        });
        Self { log_index, decision: told.into(), said }
    }
}

#[derive(Serialize)]
pub(super) struct ConsentLine {
    id: ConsentId,
    subject: SubjectId,
    purpose: String,
    purpose_id: PurposeId,
    version: u32,
    latest_decision: DecisionId,
    decision_in_force: Option<DecisionId>,
    state: Option<PermissionState>,
    valid_from: Option<Time>,
    valid_until: Option<Time>,
    withdrawn_at: Option<Time>,
    created_at: Time,
}

impl From<ExportedConsent> for ConsentLine {
    fn from(consent: ExportedConsent) -> Self {
        let shown = |at: Option<Timestamp>| at.map(Time);
        Self {
            id: consent.id,
            subject: consent.subject,
            purpose: consent.purpose_name,
            purpose_id: consent.purpose,
            version: consent.version,
            latest_decision: consent.latest,
            decision_in_force: consent.in_force,
            state: consent.state,
            valid_from: shown(consent.validity.from),
            valid_until: shown(consent.validity.until),
            withdrawn_at: shown(consent.withdrawn_at),
            created_at: Time(consent.created_at),
        }
    }
}

#[derive(Serialize)]
pub(super) struct UserLine {
    id: UserId,
    email: String,
    name: String,
    role: &'static str,
    state: &'static str,
    created_at: Time,
    last_sign_in_at: Option<Time>,
}

impl From<User> for UserLine {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            role: user.role.as_str(),
            state: user.state.as_str(),
            created_at: Time(user.created_at),
            last_sign_in_at: user.last_sign_in_at.map(Time),
            email: user.email,
            name: user.name,
        }
    }
}

/// A line.
pub(super) fn schema() -> Schema {
    let line = |kind: &str, data: Schema| {
        object(vec![
            field("type", one_of([kind]), "What the line tells of."),
            field("data", data, "That."),
        ])
    };
    named(
        "ExportLine",
        any_of(vec![
            line("header", header()),
            line("policy", policy()),
            line("purpose", purposes::schema()),
            line("decision", decision()),
            line("consent", consent()),
            line("endpoint", endpoints::view::schema()),
            line("key", keys::schema()),
            line("user", user()),
            line("audit_entry", audit::list::schema()),
            line("trailer", trailer()),
        ]),
    )
}

fn header() -> Schema {
    object(vec![
        field("version", number(1, u64::from(VERSION)), "The version of this form."),
        field("organization", organization::schema(), "Whose export it is."),
        field("exported_at", time(), "When it began."),
        field("last_decision", count(), "The number of the last decision in it."),
    ])
}

fn policy() -> Schema {
    object(vec![
        field("id", id::<PolicyKind>(), "Its id."),
        field("original_id", or_null(text()), "The id it had before it was brought along."),
        field(
            "policy_type",
            one_of(PolicyType::ALL.map(|(_, name)| name)),
            "What the policy is about.",
        ),
        field("version", text(), "The version's name."),
        field("title", text(), "Its title."),
        field("content", text(), "The text that was shown."),
        field(
            "content_hash",
            text(),
            "`sha256:` and hex over the text; another where it was brought along.",
        ),
        field("effective_date", time(), "From when it applies."),
        field("is_active", flag(), "Whether new decisions may name it."),
        field("created_at", time(), "When it was created."),
        field("updated_at", time(), "When it last changed."),
        field("deleted_at", or_null(time()), "When it was deleted."),
    ])
}

fn decision() -> Schema {
    let said = object(vec![
        field("email", or_null(text()), "The e-mail address that came with it."),
        field("metadata", or_null(any_object()), "What the caller attached."),
        field("ip_address", or_null(text()), "From where it was taken."),
        field("consent_hash", text(), "The hash that anyone can recompute."),
    ]);
    object(vec![
        field("log_index", count(), "Its number in the feed."),
        field("decision", decisions::list::schema(), "The decision."),
        field("said", or_null(said), "What was said with it; null once its person was erased."),
    ])
}

fn consent() -> Schema {
    object(vec![
        field("id", id::<Consent>(), "Its id."),
        field("subject", id::<Subject>(), "Whose."),
        field("purpose", text(), "For what."),
        field("purpose_id", id::<Purpose>(), "The purpose's id."),
        field("version", count(), "How many decisions were taken into it."),
        field("latest_decision", id::<Decision>(), "The one taken last."),
        field("decision_in_force", or_null(id::<Decision>()), "The one in force."),
        field("state", or_null(state()), "What the one in force decided."),
        field("valid_from", or_null(time()), "From when that one can be in force."),
        field("valid_until", or_null(time()), "Until when that one can be in force."),
        field("withdrawn_at", or_null(time()), "When it was withdrawn."),
        field("created_at", time(), "When the first one was recorded."),
    ])
}

fn user() -> Schema {
    object(vec![
        field("id", id::<UserKind>(), "Their id."),
        field("email", text(), "Their address."),
        field("name", text(), "What they are called."),
        field("role", one_of(Role::ALL.map(Role::as_str)), "What they may do."),
        field("state", one_of(UserState::ALL.map(UserState::as_str)), "Where they stand."),
        field("created_at", time(), "When they were invited."),
        field("last_sign_in_at", or_null(time()), "When they last signed in."),
    ])
}

fn trailer() -> Schema {
    let of = |name, about| field(name, count(), about);
    let counts = object(vec![
        of("policy", "Lines of policies."),
        of("purpose", "Lines of purposes."),
        of("decision", "Lines of decisions."),
        of("consent", "Lines of consent records."),
        of("endpoint", "Lines of endpoints."),
        of("key", "Lines of keys."),
        of("user", "Lines of users."),
        of("audit_entry", "Lines of the audit log."),
    ]);
    object(vec![
        field("counts", counts, "How many lines of each type stand before this one."),
        field("sha256", text(), "Hex, over all lines before this one with their ends."),
    ])
}
