//! `POST /abide/v1/organizations`: founds an organization; its first admin key is shown this once.

use abide_core::access::Scope;
use abide_core::rate::RateLimit;
use abide_core::shell::draw;
use abide_storage::accounts::{ApiKey, NewKey, NewOrganization, Organization};
use abide_storage::{ApiCredential, KeySecret};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::api::abide::answer::{Answer, created_with_secret};
use crate::api::abide::describe::{Operation, field, object, optional, or_null, text_of};
use crate::api::abide::keys::{NewKeyObject, new_key_schema};
use crate::api::abide::organization::{GROUP, NAME, NAME_LIMIT, OrganizationObject, schema};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, OrganizationsWrite};
use crate::idempotency::Repeatable;
use crate::input::{Fields, Invalid, Name, Text};
use crate::problem::ProblemKind;
use crate::router::Shared;

const URI: Name = Name(&["uri"]);

/// What the first key is called.
const KEY_NAME: &str = "admin (first key)";

#[derive(Serialize)]
struct Founded<'a> {
    organization: OrganizationObject,
    key: NewKeyObject<'a>,
}

pub(crate) fn about() -> Operation {
    let founded = object(vec![
        field("organization", schema(), "The new organization."),
        field("key", new_key_schema(), "Its first key, which may do everything in it."),
    ]);
    Operation::new("create_organization", GROUP, "Found an organization", founded)
        .says(
            "Answers the new organization's first admin key; its secret is in this answer and nowhere else. The caller's \
             own key opens nothing in it.",
        )
        .scope(Scope::OrganizationsWrite)
        .takes(vec![
            field("uri", text_of(1, 63), "Its short name: lower-case letters, digits and `-`. It never changes."),
            optional("name", or_null(text_of(1, 100)), "What people are shown."),
        ])
        .creates()
        .fails(&[ProblemKind::Conflict])
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<OrganizationsWrite>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let (uri, name) = read(&body)?;
    let secret = KeySecret::mint(&draw(app.chance.as_ref()));
    let key = NewKey {
        rate_limit: RateLimit::DEFAULT,
        name: KEY_NAME.to_owned(),
        scopes: vec![Scope::Admin],
        secret: secret.hash(),
        expires_at: None,
    };
    let new = NewOrganization { uri, name, key };
    let accounts = app.storage.accounts();
    let by = by.once::<Created>(&body);
    let (organization, key) = accounts.found_organization(&by, new, app.clock.now()).await?;
    answer(organization, &key, Some(&secret.issue(key.id)))
}

fn answer(organization: Organization, key: &ApiKey, issued: Option<&ApiCredential>) -> Answer {
    let founded =
        Founded { organization: organization.into(), key: NewKeyObject::new(key, issued) };
    // Reading it takes the new key.
    created_with_secret("/abide/v1/organization", &founded)
}

enum Created {}

impl Repeatable for Created {
    type Result = (Organization, ApiKey);

    fn answer((organization, key): &Self::Result) -> Response {
        answer(organization.clone(), key, None).into_response()
    }
}

fn read(body: &[u8]) -> Result<(String, Option<String>), Invalid> {
    let mut fields = Fields::parse(body)?;
    fields.only(&[URI, NAME]);
    let uri = fields.required(URI).map(|Text(uri)| uri);
    let name = fields.optional(NAME);
    let name = fields.line(NAME, name, NAME_LIMIT);
    fields.finish(uri.map(|uri| (uri, name)))
}
