//! An endpoint as this API shows it.

use abide_core::endpoint::{EndpointState, Failing, ShownAuth};
use abide_core::event::EventKind;
use abide_core::ids::{Endpoint, EndpointId};
use abide_core::original::OriginalId;
use abide_dialects::all;
use abide_storage::endpoints::EndpointView;
use serde::Serialize;
use serde_json::json;

use crate::api::abide::answer::Time;
use crate::api::abide::describe::{
    Field, Schema, count, field, flag, id, list, named, number, object, one_of, or_null, text,
    text_of, time,
};
use crate::input::ShownEvents;
use crate::public_keys::PublicKeys;

/// An endpoint, without its secret.
#[derive(Serialize)]
pub(crate) struct EndpointObject<'a> {
    id: EndpointId,
    original_id: Option<&'a OriginalId>,
    url: &'a str,
    dialect: &'a str,
    events: ShownEvents<'a>,
    description: Option<&'a str>,
    state: EndpointState,
    stopped_because: Option<&'static str>,
    failing: Option<ShownFailing>,
    auth: &'a ShownAuth,
    retry_delays: Option<&'a [u32]>,
    deadline_seconds: Option<u32>,
    replaced_secret_until: Option<Time>,
    version: u32,
    created_at: Time,
    updated_at: Time,
}

/// How long an endpoint has failed.
#[derive(Serialize)]
struct ShownFailing {
    since: Time,
    stops_at: Option<Time>,
    stopped_at: Option<Time>,
    advice: &'static str,
}

impl From<Failing> for ShownFailing {
    fn from(failing: Failing) -> Self {
        let (stops_at, stopped_at) = match failing {
            Failing::Warned { stops_at, .. } => (Some(Time(stops_at)), None),
            Failing::Stopped { stopped_at, .. } => (None, Some(Time(stopped_at))),
        };
        Self { since: Time(failing.since()), stops_at, stopped_at, advice: advice(failing) }
    }
}

/// What to do about an endpoint that fails for long, in sentences.
fn advice(failing: Failing) -> &'static str {
    match failing {
        Failing::Warned { .. } => {
            "Every attempt since then has failed. Look at its deliveries for the reason, and mend the receiver or the \
             endpoint's URL: the first success ends this."
        }
        Failing::Stopped { .. } => {
            "Every attempt since then failed, so nothing is sent any more. Look at its deliveries for the reason, mend \
             the receiver or the endpoint's URL, and resume the endpoint: what is held goes on."
        }
    }
}

/// Why nothing is sent to an endpoint.
fn stopped_because(endpoint: &EndpointView) -> Option<&'static str> {
    match (endpoint.state, endpoint.failing) {
        (EndpointState::Paused, Some(Failing::Stopped { .. })) => Some("failing"),
        (EndpointState::Paused, _) => Some("paused"),
        (EndpointState::Gone, _) => Some("gone"),
        (EndpointState::Active | EndpointState::Deleted, _) => None,
    }
}

/// An endpoint with a secret that was just made: the one time that it is shown.
#[derive(Serialize)]
pub(crate) struct WithSecret<'a> {
    #[serde(flatten)]
    endpoint: EndpointObject<'a>,
    secret: Option<&'a str>,
    public_key: Option<String>,
}

/// An endpoint with what its receiver verifies with, where that is no secret.
#[derive(Serialize)]
pub(crate) struct WithPublicKeys<'a> {
    #[serde(flatten)]
    endpoint: EndpointObject<'a>,
    public_keys: Vec<String>,
    public_keys_url: Option<String>,
}

impl<'a> From<&'a EndpointView> for EndpointObject<'a> {
    fn from(endpoint: &'a EndpointView) -> Self {
        Self {
            id: endpoint.id,
            original_id: endpoint.original.as_ref(),
            url: &endpoint.url,
            dialect: &endpoint.dialect,
            events: ShownEvents(&endpoint.events),
            description: endpoint.description.as_deref(),
            state: endpoint.state,
            stopped_because: stopped_because(endpoint),
            failing: endpoint.failing.map(ShownFailing::from),
            auth: &endpoint.auth,
            retry_delays: endpoint.overrides.retry_delays.as_deref(),
            deadline_seconds: endpoint.overrides.deadline_seconds,
            replaced_secret_until: endpoint.replaced_secret_until.map(Time),
            version: endpoint.version,
            created_at: Time(endpoint.created_at),
            updated_at: Time(endpoint.updated_at),
        }
    }
}

impl<'a> WithSecret<'a> {
    pub(crate) fn new(
        endpoint: &'a EndpointView,
        secret: Option<&'a str>,
        public_key: Option<String>,
    ) -> Self {
        Self { endpoint: endpoint.into(), secret, public_key }
    }
}

impl<'a> WithPublicKeys<'a> {
    pub(crate) fn new(endpoint: &'a EndpointView, shown: Option<PublicKeys>) -> Self {
        let (public_keys, public_keys_url) = match shown {
            Some(PublicKeys { keys, url }) => (keys, Some(url)),
            None => (Vec::new(), None),
        };
        Self { endpoint: endpoint.into(), public_keys, public_keys_url }
    }
}

/// The names of the dialects.
pub(in crate::api::abide) fn dialects() -> Schema {
    one_of(all().iter().map(|dialect| dialect.name()))
}

/// Names of events, or `*`.
pub(super) fn events() -> Schema {
    list(one_of(EventKind::ALL.iter().map(|kind| kind.as_str()).chain(["*"])))
}

fn fields() -> Vec<Field> {
    let auth = object(vec![
        field("headers", list(text()), "The names of the headers with fixed values."),
        field("authorization", or_null(one_of(["basic", "bearer", "oauth2"])), "Its kind."),
        field("token_url", or_null(text()), "Where `oauth2` fetches its tokens."),
        field("client_certificate", flag(), "Whether Abide shows a certificate."),
        field("trusted_roots", flag(), "Whether only certain authorities are trusted."),
    ]);
    let state = one_of(["active", "paused", "gone"]);
    let failing = vec![
        field("since", time(), "When the first of those attempts was made."),
        field(
            "stops_at",
            or_null(time()),
            "When it is stopped at the earliest, if attempts go on failing until then; null once it is stopped.",
        ),
        field("stopped_at", or_null(time()), "When it was stopped."),
        field("advice", text(), "What to do, in sentences for people."),
    ];
    vec![
        field("id", id::<Endpoint>(), "Its id."),
        field(
            "original_id",
            or_null(text_of(1, 100)),
            "The id it had before it was brought along.",
        ),
        field("url", text(), "Where events are sent."),
        field("dialect", dialects(), "The wire contract that is spoken there."),
        field(
            "events",
            events(),
            "The kinds of events that it is told; `*` is all, later ones too.",
        ),
        field("description", or_null(text_of(1, 500)), "Its owner's note."),
        field(
            "state",
            state,
            "`active`; `paused` by its owner, or since it failed for long; `gone` when its receiver answered 410. It is \
             stopped until it is resumed.",
        ),
        field(
            "stopped_because",
            or_null(one_of(["paused", "gone", "failing"])),
            "Why nothing is sent there: its owner paused it, its receiver answered 410, or every attempt failed for long.",
        ),
        field(
            "failing",
            or_null(object(failing)),
            "Where every attempt has failed for half the time after which its dialect stops an endpoint; null where one \
             succeeded since, and in dialects that know of no such stop.",
        ),
        field(
            "auth",
            auth,
            "How Abide proves itself there beside its signature, without credentials.",
        ),
        field(
            "retry_delays",
            or_null(list(number(1, u64::from(abide_core::endpoint::MAX_RETRY_DELAY)))),
            "Its own seconds before each further attempt; null where the dialect's count.",
        ),
        field(
            "deadline_seconds",
            or_null(number(1, u64::from(abide_core::endpoint::MAX_DEADLINE))),
            "Its own time for one attempt; null where the dialect's counts.",
        ),
        field(
            "replaced_secret_until",
            or_null(time()),
            "Until when a replaced secret signs, or signed, beside the newest.",
        ),
        field("version", count(), "Counts its changes, from 1."),
        field("created_at", time(), "When it was created."),
        field("updated_at", time(), "When it last changed."),
    ]
}

/// An endpoint.
pub(crate) fn schema() -> Schema {
    named("Endpoint", object(fields()))
}

/// An endpoint with the secret that the call made.
pub(super) fn schema_with_secret() -> Schema {
    let mut fields = fields();
    fields.extend([
        field(
            "secret",
            or_null(text()),
            "The signing secret, shown this once; null where the answer is repeated for an `Idempotency-Key`.",
        ),
        field("public_key", or_null(text()), "What verifies, where the secret is a private key."),
    ]);
    named("EndpointWithSecret", object(fields))
}

/// An endpoint with its public keys.
pub(super) fn schema_with_public_keys() -> Schema {
    let mut fields = fields();
    fields.extend([
        field(
            "public_keys",
            list(text()),
            "The public keys of its key pairs that sign now, of replaced ones too; none where its secret is shared.",
        ),
        field(
            "public_keys_url",
            or_null(text()),
            "Where anybody may read them; null where there are none.",
        ),
    ]);
    named("EndpointWithPublicKeys", object(fields))
}

/// `auth` as a request gives it.
pub(super) fn auth_input() -> Schema {
    let text = json!({"type": "string"});
    let strings = |names: &[&str], required: &[&str]| {
        let properties: serde_json::Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), text.clone())).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    let mut oauth2 = strings(
        &["token_url", "client_id", "client_secret", "scope", "audience"],
        &["token_url", "client_id", "client_secret"],
    );
    oauth2["properties"]["client_auth"] = json!({"type": "string", "enum": ["basic", "post"]});
    Schema(json!({
        "type": "object",
        "properties": {
            "headers": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 20},
            "basic": strings(&["username", "password"], &["username", "password"]),
            "bearer": strings(&["token"], &["token"]),
            "oauth2": oauth2,
            "client_certificate": strings(&["chain", "key"], &["chain", "key"]),
            "trusted_roots": text,
        },
        "additionalProperties": false,
    }))
}
