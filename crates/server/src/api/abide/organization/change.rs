//! `PATCH /abide/v1/organization`: what the caller's organization is called and how it wants things.

use abide_core::access::Scope;
use abide_storage::accounts::OrganizationPatch;
use axum::extract::State;

use super::{GROUP, NAME, NAME_LIMIT, OrganizationObject, STRICT_PURPOSES, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::{Operation, flag, optional, or_null, text_of};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{Admin, By};
use crate::input::{Fields, Invalid, Text};
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("change_organization", GROUP, "Change your organization", schema())
        .says("What is left out stays as it is.")
        .scope(Scope::Admin)
        .takes(vec![
            optional("name", or_null(text_of(1, 100)), "What people are shown; null removes it."),
            optional(
                "strict_purposes",
                flag(),
                "Whether a decision for a purpose that nobody created is refused; else it creates the purpose.",
            ),
        ])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let patch = patch(&body)?;
    let accounts = app.storage.accounts();
    let changed = accounts.change_organization(&by.caller, patch, app.clock.now()).await?;
    ok(&OrganizationObject::from(changed))
}

fn patch(body: &[u8]) -> Result<OrganizationPatch, Invalid> {
    let mut fields = Fields::parse(body)?;
    fields.only(&[NAME, STRICT_PURPOSES]);
    let name: Option<Option<Text>> = fields.removable(NAME);
    let name = name.map(|name| fields.line(NAME, name, NAME_LIMIT));
    let patch = OrganizationPatch { name, strict_purposes: fields.changed(STRICT_PURPOSES) };
    if fields.are_sound() && patch == OrganizationPatch::default() {
        fields.problem("body", "must set at least one of `name`, `strict_purposes`");
    }
    fields.finish(Some(patch))
}
