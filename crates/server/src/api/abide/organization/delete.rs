//! `DELETE /abide/v1/organization`: asks for the deletion of the caller's organization.

use abide_core::access::Scope;
use abide_core::organization::{LONGEST_GRACE_DAYS, USUAL_GRACE_DAYS};
use axum::extract::State;
use serde_json::value::RawValue;

use super::{GROUP, OrganizationObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::{Operation, field, number, optional, text_of};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{Admin, By};
use crate::input::{Fields, FromField, Invalid, Name, Text};
use crate::problem::ProblemKind;
use crate::router::Shared;

const CONFIRM: Name = Name(&["confirm"]);
const GRACE_DAYS: Name = Name(&["grace_days"]);

/// Longest `uri`, in characters.
const URI_LIMIT: usize = 63;

pub(crate) fn about() -> Operation {
    Operation::new("delete_organization", GROUP, "Delete your organization", schema())
        .says(
            "Until `deletes_at` it can be read, exported and restored; nothing can be recorded or changed in it, and its \
             endpoints are sent nothing. Then its keys are destroyed, which nobody can undo: everything about people, \
             every secret and every API key is lost at once, and its rows are removed after that. Backups hold them until \
             they expire. Its `uri` is free for another from then on.",
        )
        .scope(Scope::Admin)
        .takes(vec![
            field("confirm", text_of(1, 63), "The `uri` of the organization, to say that it is meant."),
            optional(
                "grace_days",
                number(0, u64::from(LONGEST_GRACE_DAYS)),
                "For how many days it can be restored; 14 without it.",
            ),
        ])
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let (confirm, grace_days) = wish(&body)?;
    let deletions = app.storage.deletions();
    let asked = deletions.ask(&by.caller, &confirm, grace_days, app.clock.now()).await?;
    ok(&OrganizationObject::from(asked))
}

fn wish(body: &[u8]) -> Result<(String, u32), Invalid> {
    let mut fields = Fields::parse(body)?;
    fields.only(&[CONFIRM, GRACE_DAYS]);
    let confirm: Option<Text> = fields.required(CONFIRM);
    let confirm = fields.line(CONFIRM, confirm, URI_LIMIT);
    let days = fields.optional::<Days>(GRACE_DAYS).map_or(USUAL_GRACE_DAYS, |Days(days)| days);
    fields.finish(confirm.map(|confirm| (confirm, days)))
}

#[derive(Debug, PartialEq, Eq)]
struct Days(u32);

impl FromField for Days {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let days = raw.get().parse().ok().filter(|days| *days <= LONGEST_GRACE_DAYS);
        days.map(Self)
            .ok_or_else(|| format!("must be a whole number from 0 to {LONGEST_GRACE_DAYS}"))
    }
}
