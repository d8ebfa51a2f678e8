//! What a request may say of an endpoint, read for creating and for changing one. The dashboard's forms are read by the
//! same functions, so that nothing is allowed here and refused there.

use abide_core::endpoint::{
    AuthProblem, Authorization, ClientAuth, ClientCertificate, EndpointAuth, EventFilter,
    FixedHeader, Overrides,
};
use abide_dialects::{Dialect, SecretForm};
use abide_storage::sealing::Secret;
use serde_json::value::RawValue;

use super::view;
use crate::EndpointPolicy;
use crate::api::abide::describe::{
    Field, list, number, one_of as one_of_names, optional, or_null, text, text_of,
};
use crate::input::{EventNames, Fields, FromField, Name, Text, endpoint, one_of};

pub(super) const URL: Name = Name(&["url"]);
pub(super) const DIALECT: Name = Name(&["dialect"]);
pub(super) const EVENTS: Name = Name(&["events"]);
pub(super) const DESCRIPTION: Name = Name(&["description"]);
pub(super) const SECRET: Name = Name(&["secret"]);
pub(super) const SECRET_FORM: Name = Name(&["secret_form"]);
pub(super) const AUTH: Name = Name(&["auth"]);
pub(super) const RETRY_DELAYS: Name = Name(&["retry_delays"]);
pub(super) const DEADLINE_SECONDS: Name = Name(&["deadline_seconds"]);

/// The fields that creating and changing have in common, as they are described; `url` is not among them.
pub(in crate::api::abide) fn described() -> Vec<Field> {
    use abide_core::endpoint::{MAX_DEADLINE, MAX_RETRY_DELAY};
    let delays = or_null(list(number(1, u64::from(MAX_RETRY_DELAY))));
    vec![
        optional(
            "events",
            view::events(),
            "The kinds of events to tell; `*` is all, later ones too.",
        ),
        optional("description", or_null(text_of(0, 500)), "A note; null or nothing removes it."),
        optional(
            "auth",
            or_null(view::auth_input()),
            "How Abide proves itself beside its signature: headers, one of `basic`, `bearer` and `oauth2`, a client \
             certificate, the authorities that are trusted. Replaced as a whole; null removes it.",
        ),
        optional(
            "retry_delays",
            delays,
            "Seconds before each further attempt, 50 at most, in place of the dialect's; none means one attempt.",
        ),
        optional(
            "deadline_seconds",
            or_null(number(1, u64::from(MAX_DEADLINE))),
            "How long one attempt may take, in place of the dialect's.",
        ),
    ]
}

/// The fields about a secret, as they are described.
pub(super) fn described_secret() -> Vec<Field> {
    vec![
        optional(
            "secret",
            text(),
            "A signing secret that you bring along; without it one is made.",
        ),
        optional(
            "secret_form",
            one_of_names(SecretForm::ALL.map(SecretForm::as_str)),
            "What to make: `shared`, which both sides hold, or `key_pair`, of which receivers hold the public key.",
        ),
    ]
}

/// A URL that an endpoint may have.
pub(super) fn url(
    fields: &mut Fields<'_>,
    policy: &dyn EndpointPolicy,
    url: Option<Text>,
) -> Option<String> {
    let Text(url) = url?;
    let judged = endpoint::check_url(policy, &url);
    judged.map_err(|problem| fields.problem(URL.0[0], problem)).ok().map(|()| url)
}

/// A note that can be shown on one line; an empty one is none.
pub(super) fn description(fields: &mut Fields<'_>, given: Option<Text>) -> Option<String> {
    let Text(given) = given.filter(|Text(text)| !text.is_empty())?;
    let judged = endpoint::check_description(&given);
    judged.map_err(|problem| fields.problem(DESCRIPTION.0[0], problem)).ok().map(|()| given)
}

/// A filter that the dialect can serve.
pub(super) fn events(
    fields: &mut Fields<'_>,
    dialect: Option<&dyn Dialect>,
    EventNames(filter): EventNames,
) -> EventFilter {
    if let Some(Err(problem)) = dialect.map(|dialect| endpoint::check_events(dialect, &filter)) {
        fields.problem(EVENTS.0[0], problem);
    }
    filter
}

/// The secret brought along, or a new one of the form wished, or of the dialect's usual one.
pub(crate) fn secret(
    fields: &mut Fields<'_>,
    dialect: &dyn Dialect,
    random: &[u8; 32],
) -> Option<Secret> {
    let brought: Option<Text> = fields.optional(SECRET);
    let form: Option<Form> = fields.optional(SECRET_FORM);
    if let (Some(_), Some(_)) = (&brought, &form) {
        fields.problem(SECRET_FORM.0[0], "is for secrets that are made, and `secret` is given");
        return None;
    }
    if let Some(Text(secret)) = brought {
        if let Err(problem) = dialect.check_secret(&secret) {
            fields.problem(SECRET.0[0], problem);
        }
        return Some(Secret::from(secret));
    }
    let forms = dialect.secret_forms();
    let form = form.map_or(forms.first().copied(), |Form(form)| Some(form))?;
    if !forms.contains(&form) {
        let known = forms.iter().map(|form| form.as_str());
        fields.problem(SECRET_FORM.0[0], format!("{} in this dialect", one_of(known)));
        return None;
    }
    Some(Secret::from(dialect.new_secret(form, random)))
}

/// `auth`: `None` where it is left out, nothing where it is null.
pub(crate) fn auth(fields: &mut Fields<'_>, policy: &dyn EndpointPolicy) -> Option<EndpointAuth> {
    let given = fields.object(AUTH, |fields| {
        fields.only(&[HEADERS, BASIC, BEARER, OAUTH2, CLIENT_CERTIFICATE, TRUSTED_ROOTS]);
        let headers = fields.object(HEADERS, |fields| Some(read_headers(fields)));
        let headers = headers.flatten().unwrap_or_default();
        let kinds = [
            fields.object(BASIC, |fields| {
                fields.only(&[USERNAME, PASSWORD]);
                let (username, password) = (taken(fields, USERNAME), taken(fields, PASSWORD));
                Some(Authorization::Basic { username: username?, password: password? })
            }),
            fields.object(BEARER, |fields| {
                fields.only(&[TOKEN]);
                Some(Authorization::Bearer { token: taken(fields, TOKEN)? })
            }),
            fields.object(OAUTH2, read_oauth2),
        ];
        let mut kinds = kinds.into_iter().flatten().flatten();
        let authorization = kinds.next();
        if kinds.next().is_some() {
            fields.problem("oauth2", "must stand alone: one of `basic`, `bearer` and `oauth2`");
        }
        let client_certificate = fields.object(CLIENT_CERTIFICATE, |fields| {
            fields.only(&[CHAIN, KEY]);
            let (chain, key) = (taken(fields, CHAIN), taken(fields, KEY));
            Some(ClientCertificate { chain: chain?, key: key? })
        });
        let trusted_roots = fields.optional(TRUSTED_ROOTS).map(|Text(roots)| roots);
        let client_certificate = client_certificate.flatten();
        let auth = EndpointAuth { headers, authorization, client_certificate, trusted_roots };
        // What is not even read as it should be was told already, and would only be told again in other words.
        if fields.are_sound() {
            for AuthProblem { field, problem } in policy.check_auth(&auth) {
                fields.problem(field.strip_prefix("auth.").unwrap_or(&field), problem);
            }
        }
        Some(auth)
    })?;
    Some(given.unwrap_or_default())
}

const HEADERS: Name = Name(&["headers"]);
const BASIC: Name = Name(&["basic"]);
const BEARER: Name = Name(&["bearer"]);
const OAUTH2: Name = Name(&["oauth2"]);
const CLIENT_CERTIFICATE: Name = Name(&["client_certificate"]);
const TRUSTED_ROOTS: Name = Name(&["trusted_roots"]);
const USERNAME: Name = Name(&["username"]);
const PASSWORD: Name = Name(&["password"]);
const TOKEN: Name = Name(&["token"]);
const TOKEN_URL: Name = Name(&["token_url"]);
const CLIENT_ID: Name = Name(&["client_id"]);
const CLIENT_SECRET: Name = Name(&["client_secret"]);
const SCOPE: Name = Name(&["scope"]);
const AUDIENCE: Name = Name(&["audience"]);
const CLIENT_AUTH: Name = Name(&["client_auth"]);
const CHAIN: Name = Name(&["chain"]);
const KEY: Name = Name(&["key"]);

fn taken(fields: &mut Fields<'_>, name: Name) -> Option<String> {
    fields.required(name).map(|Text(text)| text)
}

fn read_headers(fields: &mut Fields<'_>) -> Vec<FixedHeader> {
    let mut headers = Vec::new();
    for (name, raw) in fields.entries() {
        match Text::read(raw) {
            Ok(Text(value)) => headers.push(FixedHeader::new(&name, value)),
            Err(problem) => fields.problem(&name, problem),
        }
    }
    headers
}

fn read_oauth2(fields: &mut Fields<'_>) -> Option<Authorization> {
    fields.only(&[TOKEN_URL, CLIENT_ID, CLIENT_SECRET, SCOPE, AUDIENCE, CLIENT_AUTH]);
    let token_url = taken(fields, TOKEN_URL);
    let (client_id, client_secret) = (taken(fields, CLIENT_ID), taken(fields, CLIENT_SECRET));
    let scope = fields.optional(SCOPE).map(|Text(scope)| scope);
    let audience = fields.optional(AUDIENCE).map(|Text(audience)| audience);
    let Auth(client_auth) = fields.optional(CLIENT_AUTH).unwrap_or(Auth(ClientAuth::Basic));
    Some(Authorization::OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope,
        audience,
        client_auth,
    })
}

/// The owner's own values; `None` where neither is given. `before` is what stands.
pub(crate) fn overrides(fields: &mut Fields<'_>, before: &Overrides) -> Option<Overrides> {
    let delays: Option<Option<Delays>> = fields.removable(RETRY_DELAYS);
    let deadline: Option<Option<Whole>> = fields.removable(DEADLINE_SECONDS);
    if delays.is_none() && deadline.is_none() {
        return None;
    }
    let overrides = Overrides {
        retry_delays: match delays {
            Some(delays) => delays.map(|Delays(delays)| delays),
            None => before.retry_delays.clone(),
        },
        deadline_seconds: match deadline {
            Some(deadline) => deadline.map(|Whole(seconds)| seconds),
            None => before.deadline_seconds,
        },
    };
    if let Err(abide_core::Refusal::Field { field, problem }) = overrides.check() {
        fields.problem(&field, problem);
    }
    Some(overrides)
}

/// A whole number of seconds.
#[derive(Debug, PartialEq, Eq)]
struct Whole(u32);

impl FromField for Whole {
    fn read(raw: &RawValue) -> Result<Self, String> {
        raw.get().parse().map(Self).map_err(|_| "must be a whole number".to_owned())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Delays(Vec<u32>);

impl FromField for Delays {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let elements =
            crate::input::elements(raw.get().as_bytes(), abide_core::endpoint::MAX_RETRY_DELAYS)?;
        let mut delays = Vec::with_capacity(elements.len());
        for (place, raw) in elements.into_iter().enumerate() {
            let Whole(delay) =
                Whole::read(raw).map_err(|problem| format!("[{place}] {problem}"))?;
            delays.push(delay);
        }
        Ok(Self(delays))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Form(SecretForm);

impl FromField for Form {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let Text(name) = Text::read(raw)?;
        let known = || one_of(SecretForm::ALL.iter().map(|form| form.as_str()));
        SecretForm::parse(&name).map(Self).ok_or_else(known)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Auth(ClientAuth);

impl FromField for Auth {
    fn read(raw: &RawValue) -> Result<Self, String> {
        match Text::read(raw)?.0.as_str() {
            "basic" => Ok(Self(ClientAuth::Basic)),
            "post" => Ok(Self(ClientAuth::Post)),
            _ => Err(one_of(["basic", "post"].into_iter())),
        }
    }
}
