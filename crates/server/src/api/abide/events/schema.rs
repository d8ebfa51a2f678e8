//! What is said of events and their `data`, whose form is [`abide_dialects::data`]'s.

use abide_core::consent::{LawfulBasis, PermissionState};
use abide_core::event::EventKind;
use abide_core::ids::{Batch, Event, Subject};
use abide_core::policy::PolicyType;
use serde_json::json;

use crate::api::abide::describe::{
    Field, Schema, any_object, any_of, count, field, flag, id, list, named, object, one_of,
    or_null, text, text_of, time,
};

/// An event: whole, or what stays of one about a person who was erased.
pub(crate) fn schema() -> Schema {
    named("Event", any_of(vec![whole(), erased()]))
}

fn head() -> Vec<Field> {
    vec![
        field("id", id::<Event>(), "Its id: the same in every delivery of it."),
        field("type", one_of(EventKind::ALL.map(EventKind::as_str)), "What happened."),
        field("timestamp", time(), "When it happened."),
    ]
}

fn whole() -> Schema {
    let mut fields = head();
    fields.extend([
        field("test", flag(), "Whether it was made up for a test."),
        field("data", any_of(vec![consent(), batch(), policy()]), "What happened, by `type`."),
    ]);
    named("WholeEvent", object(fields))
}

fn erased() -> Schema {
    let mut fields = head();
    let always = Schema(json!({"type": "boolean", "const": true}));
    fields.push(field("erased", always, "Everybody it was about was erased since."));
    named("ErasedEvent", object(fields))
}

/// A person, by what the organization calls them.
fn subject() -> Schema {
    named(
        "Subject",
        object(vec![
            field("id", id::<Subject>(), "Abide's id of the person."),
            field("reference", text(), "The organization's own reference."),
        ]),
    )
}

pub(crate) fn basis() -> Schema {
    one_of(LawfulBasis::ALL.map(LawfulBasis::as_str))
}

pub(crate) fn state() -> Schema {
    one_of(PermissionState::ALL.map(PermissionState::as_str))
}

fn consent() -> Schema {
    named(
        "ConsentData",
        object(vec![
            field(
                "id",
                shown_id(),
                "The record, by its original id where it has one: one for a person and a purpose.",
            ),
            field("version", count(), "How many decisions the record has."),
            field("subject", subject(), "Whose it is."),
            field("email", or_null(text()), "The e-mail address given with the decision."),
            field("purpose", text(), "What it is about."),
            field("lawful_basis", basis(), "On which basis."),
            field("state", or_null(state()), "What is in force; null when no decision is."),
            field("policy", or_null(shown_id()), "The policy version that was shown, likewise."),
            field("obtained_at", time(), "When the person decided."),
            field("recorded_at", time(), "When it was recorded."),
            field("valid_from", or_null(time()), "From when it can be in force."),
            field("valid_until", or_null(time()), "Until when it can be in force."),
            field("withdrawn_at", or_null(time()), "When it was withdrawn, while that stands."),
            field("metadata", or_null(any_object()), "What was attached, as it was sent."),
            field(
                "consent_hash",
                text(),
                "`sha256:` and hex over what was decided; another where it was brought along.",
            ),
        ]),
    )
}

/// An id as it is shown to those who may know it from before.
fn shown_id() -> Schema {
    text_of(1, 100)
}

fn batch() -> Schema {
    named(
        "BatchData",
        object(vec![
            field("batch_id", id::<Batch>(), "The batch; a large one makes several events."),
            field("consents", list(consent()), "What it created, without people erased since."),
        ]),
    )
}

fn policy() -> Schema {
    let types: Vec<&str> = PolicyType::ALL.iter().map(|(_, name)| *name).collect();
    named(
        "PolicyData",
        object(vec![
            field("id", shown_id(), "The policy version, by its original id where it has one."),
            field("policy_type", one_of(types), "What it is about."),
            field("version", text(), "The version's name."),
            field("title", text(), "Its title."),
            field("content_hash", text(), "`sha256:` and hex over its text."),
            field("effective_date", time(), "From when it applies."),
            field("is_active", flag(), "Whether new decisions may name it."),
            field("created_at", time(), "When it was created."),
            field("updated_at", time(), "When it last changed."),
            field("deleted_at", or_null(time()), "When it was deleted."),
        ]),
    )
}
