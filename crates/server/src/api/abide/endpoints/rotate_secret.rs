//! `POST /abide/v1/endpoints/{id}/rotate-secret`: another secret, shown this once.

use abide_core::access::Scope;
use abide_core::ids::Endpoint;
use abide_core::shell::draw;
use abide_dialects::{Dialect, SignedBy};
use abide_storage::endpoints::EndpointView;
use abide_storage::sealing::Secret;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;

use super::input::{self, SECRET, SECRET_FORM};
use super::view::{self, WithSecret};
use super::{GROUP, dialect_of, find};
use crate::api::abide::answer::{Answer, ok_with_secret};
use crate::api::abide::describe::{Operation, number, optional};
use crate::body::{JsonBody, SINGLE};
use crate::caller::{By, WebhooksWrite};
use crate::idempotency::Repeatable;
use crate::input::{Fields, FromField, Name, Named};
use crate::router::Shared;

const OVERLAP: Name = Name(&["overlap_seconds"]);
/// How long the old secret signs beside the new one, unless the call says otherwise.
const USUAL_OVERLAP: u32 = 24 * 3600;
/// The longest that it may.
const LONGEST_OVERLAP: u32 = 7 * 24 * 3600;

pub(crate) fn about() -> Operation {
    let mut fields = input::described_secret();
    fields.push(optional(
        "overlap_seconds",
        number(0, u64::from(LONGEST_OVERLAP)),
        "How long the secrets before go on signing beside the new one; a day without it, and 0 for a secret that leaked.",
    ));
    Operation::new("rotate_endpoint_secret", GROUP, "Replace an endpoint's secret", view::schema_with_secret())
        .says(
            "The new secret signs from the answer on. Where the dialect's requests carry several signatures, those before \
             sign beside it for `overlap_seconds`, so that receivers can change over; in the others it takes their place \
             at once.",
        )
        .scope(Scope::WebhooksWrite)
        .takes(fields)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<WebhooksWrite>,
    Named(id): Named<Endpoint>,
    JsonBody(body, _share): JsonBody<SINGLE>,
) -> Answer {
    let app = &shared.app;
    let before = find(app, &by.caller, id).await?;
    let dialect = dialect_of(&before)?;
    let mut fields = Fields::parse(&body)?;
    fields.only(&[SECRET, SECRET_FORM, OVERLAP]);
    let secret = input::secret(&mut fields, dialect, &draw(app.chance.as_ref()));
    let overlap = overlap(&mut fields, dialect);
    let secret = fields.finish(secret)?;
    let now = app.clock.now();
    let others_until = now.plus_millis(i64::from(overlap) * 1000);
    let shown = Secret::from(secret.reveal().to_owned());
    let endpoints = app.storage.endpoints();
    let by = by.once::<Rotated>(&body);
    let endpoint = endpoints.rotate_secret(&by, id, secret, others_until, now).await?;
    let public_key = dialect.public_key(shown.reveal());
    ok_with_secret(&WithSecret::new(&endpoint, Some(shown.reveal()), public_key))
}

enum Rotated {}

impl Repeatable for Rotated {
    type Result = EndpointView;

    fn answer(endpoint: &EndpointView) -> Response {
        ok_with_secret(&WithSecret::new(endpoint, None, None)).into_response()
    }
}

fn overlap(fields: &mut Fields<'_>, dialect: &dyn Dialect) -> u32 {
    let wished: Option<Overlap> = fields.optional(OVERLAP);
    match (dialect.signed_by(), wished) {
        (SignedBy::EveryLive, wished) => wished.map_or(USUAL_OVERLAP, |Overlap(seconds)| seconds),
        (SignedBy::Newest, None | Some(Overlap(0))) => 0,
        (SignedBy::Newest, Some(_)) => {
            let problem = "must be 0 in this dialect, whose requests carry one signature";
            fields.problem(OVERLAP.0[0], problem);
            0
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Overlap(u32);

impl FromField for Overlap {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let seconds = raw.get().parse().ok().filter(|seconds| *seconds <= LONGEST_OVERLAP);
        seconds
            .map(Self)
            .ok_or_else(|| format!("must be a whole number from 0 to {LONGEST_OVERLAP}"))
    }
}
