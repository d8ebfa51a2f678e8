//! What an import takes and answers, as it is described.

use abide_core::consent::{LawfulBasis, PermissionState};
use abide_core::policy::PolicyType;

use super::lines::Kind;
use crate::api::abide::describe::{
    Schema, any_object, any_of, count, field, flag, list, named, number, object, one_of, optional,
    or_null, text, text_of, time,
};
use crate::api::abide::endpoints;

/// A line of the body.
pub(super) fn line() -> Schema {
    let line = |kind: &str, data: Schema| {
        object(vec![
            field("type", one_of([kind]), "What the line brings along."),
            field("data", data, "That, as ConsentProof's API shows it; in its camelCase too."),
        ])
    };
    let lines =
        vec![line("endpoint", endpoint()), line("policy", policy()), line("consent", consent())];
    named("ImportLine", any_of(lines))
}

fn endpoint() -> Schema {
    let mut fields = vec![
        field("id", original(), "Its original id."),
        field("url", text_of(1, 2048), "Where to send: an https URL."),
        field("dialect", endpoints::view::dialects(), "The wire contract that is spoken there."),
        field("secret", text(), "The signing secret that its receiver verifies with."),
    ];
    fields.extend(endpoints::described());
    fields.push(optional("is_active", or_null(flag()), "Whether to send to it; true without it."));
    fields.push(optional("created_at", or_null(time()), "When it was created; now without it."));
    object(fields)
}

fn policy() -> Schema {
    object(vec![
        optional("id", or_null(original()), "Its original id."),
        field("policy_type", one_of(PolicyType::ALL.map(|(_, name)| name)), "What it is about."),
        field("version", text_of(1, 100), "The version's name; each type has it once."),
        field("title", text_of(1, 200), "Its title."),
        field("content", text(), "The text that was shown: 1 byte to 512 KiB."),
        optional("content_hash", or_null(hash()), "The hash it had; computed without it."),
        optional("effective_date", or_null(text()), "From when it applies: a day or a time."),
        optional(
            "is_active",
            or_null(flag()),
            "Whether new consents may name it; true without it.",
        ),
        optional("created_at", or_null(time()), "When it was created; now without it."),
    ])
}

fn consent() -> Schema {
    object(vec![
        optional("id", or_null(original()), "The original id of its record."),
        field("subject_id", text_of(1, 255), "Your own reference of the person."),
        optional("subject_email", or_null(text()), "Their e-mail address."),
        optional(
            "policy_id",
            or_null(text()),
            "The policy that was shown: its original id, or Abide's.",
        ),
        field("consent_type", text_of(1, 100), "What it is about."),
        optional("granted", or_null(flag()), "Whether they agreed. This or `state`."),
        optional(
            "state",
            or_null(one_of(PermissionState::ALL.map(PermissionState::as_str))),
            "What was decided, in place of `granted`.",
        ),
        optional(
            "lawful_basis",
            or_null(one_of(LawfulBasis::ALL.map(LawfulBasis::as_str))),
            "On which basis; `consent` without it.",
        ),
        optional("consent_hash", or_null(hash()), "The hash it had; computed without it."),
        optional("metadata", or_null(any_object()), "What was attached."),
        optional("ip_address", or_null(text()), "The person's network address."),
        optional("user_agent", or_null(text()), "Their browser."),
        field("recorded_at", time(), "When it was recorded; `created_at` is taken in its place."),
        optional(
            "obtained_at",
            or_null(time()),
            "When the person decided; `recorded_at` without it.",
        ),
        optional("valid_from", or_null(time()), "From when it can be in force."),
        optional("valid_until", or_null(time()), "Until when it can be in force."),
        optional("withdrawn_at", or_null(time()), "When it was withdrawn."),
    ])
}

fn original() -> Schema {
    Schema(serde_json::json!({
        "type": "string",
        "minLength": 1,
        "maxLength": abide_core::original::ORIGINAL_ID_LIMIT,
        "pattern": "^[!-~]+$",
    }))
}

fn hash() -> Schema {
    text_of(1, 200)
}

/// What became of all lines.
pub(super) fn answer() -> Schema {
    let line = object(vec![
        field(
            "line",
            number(1, u64::from(u32::MAX)),
            "Its number among the lines of the body, from 1.",
        ),
        field("type", one_of(Kind::ALL.map(|(_, name)| name)), "What it brought along."),
        field(
            "outcome",
            one_of(["created", "appended", "unchanged", "left_out"]),
            "`created`; `appended`: a further decision of a record that was there; `unchanged`: it was there, just so; \
             `left_out`: it is about somebody who was erased here since it was recorded, whom no import brings back.",
        ),
        field(
            "id",
            or_null(text()),
            "Abide's own id; null where a dry run would create it, and for what is left out.",
        ),
        field("original_id", or_null(text()), "The id it had."),
        field(
            "hash",
            or_null(one_of(["matches", "differs", "computed"])),
            "`matches` what Abide computes from the same facts; `differs` and is kept as it came; `computed` where none \
             came along; null for an endpoint and for what is left out.",
        ),
    ]);
    named(
        "Import",
        object(vec![
            field("dry_run", flag(), "Whether nothing was changed."),
            field("created", count(), "Lines that are new here."),
            field(
                "appended",
                count(),
                "Lines that are further decisions of records that were there.",
            ),
            field("unchanged", count(), "Lines that were there already."),
            field("left_out", count(), "Lines about people who were erased here since."),
            field("lines", list(line), "What became of each line, in their order."),
        ]),
    )
}
