//! The fields about how Abide proves itself to an endpoint beside its signature, and whom it trusts to be it.
//!
//! What is a credential never comes back in a form (I12): names do, and the fields say that their values are to be typed
//! again.

use abide_core::endpoint::{EndpointAuth, ShownAuth};
use askama::Template;
use askama::filters::HtmlSafe;

use super::read::{Object, read};
use crate::EndpointPolicy;
use crate::api::abide::endpoints::input;
use crate::pages::field::{Field, Problems};
use crate::pages::form::Form;

/// The kinds of `Authorization` header, by the names that the API has for them; first that there is none.
const KINDS: [(&str, &str, &str); 4] = [
    ("none", "None", "The signature is enough for most receivers."),
    ("basic", "Basic", "A user name and a password."),
    ("bearer", "Bearer", "A token that does not change by itself."),
    (
        "oauth2",
        "OAuth 2.0",
        "Client credentials: Abide fetches tokens, and new ones when they end.",
    ),
];
/// Every field, for whether one of them is wrong.
const NAMES: [&str; 14] = [
    "auth.kind",
    "auth.basic.username",
    "auth.basic.password",
    "auth.bearer.token",
    "auth.oauth2.token_url",
    "auth.oauth2.client_id",
    "auth.oauth2.client_secret",
    "auth.oauth2.client_auth",
    "auth.oauth2.scope",
    "auth.oauth2.audience",
    "auth.headers",
    "auth.client_certificate.chain",
    "auth.client_certificate.key",
    "auth.trusted_roots",
];

/// What was typed, without credentials.
#[derive(Debug, Default)]
pub(super) struct TypedAuth {
    kind: String,
    /// The names of the headers, each on its line.
    headers: String,
    username: String,
    token_url: String,
    client_id: String,
    scope: String,
    audience: String,
    chain: String,
    roots: String,
    /// Whether the client proves itself to the token server in the form.
    posts: bool,
}

/// The fields. Written into a template as `{{ auth }}`.
#[derive(Debug, Template)]
#[template(path = "endpoint_auth_fields.html")]
pub(super) struct AuthFields {
    kinds: Vec<Kind>,
    kind_problem: Option<String>,
    username: Field,
    password: Field,
    token: Field,
    token_url: Field,
    client_id: Field,
    client_secret: Field,
    scope: Field,
    audience: Field,
    posts: bool,
    headers: Field,
    chain: Field,
    key: Field,
    roots: Field,
    is_usual: bool,
}

/// It escapes what it holds by itself.
impl HtmlSafe for AuthFields {}

#[derive(Debug)]
struct Kind {
    value: &'static str,
    label: &'static str,
    meaning: &'static str,
    is_chosen: bool,
}

impl TypedAuth {
    pub(super) fn read(form: &Form) -> Self {
        let names = header_lines(form).filter_map(|line| line.split_once(':'));
        let names: Vec<_> = names.map(|(name, _)| format!("{}: ", name.trim())).collect();
        Self {
            kind: form.text("auth.kind").to_owned(),
            headers: names.join("\n"),
            username: plain(form, "auth.basic.username"),
            token_url: plain(form, "auth.oauth2.token_url"),
            client_id: plain(form, "auth.oauth2.client_id"),
            scope: plain(form, "auth.oauth2.scope"),
            audience: plain(form, "auth.oauth2.audience"),
            chain: without_keys(&plain(form, "auth.client_certificate.chain")),
            roots: without_keys(&plain(form, "auth.trusted_roots")),
            posts: form.text("auth.oauth2.client_auth") == "post",
        }
    }

    /// What stands, as far as it is ever shown.
    pub(super) fn of(shown: &ShownAuth) -> Self {
        let names: Vec<_> = shown.headers.iter().map(|name| format!("{name}: ")).collect();
        Self {
            kind: shown.authorization.clone().unwrap_or_default(),
            headers: names.join("\n"),
            token_url: shown.token_url.clone().unwrap_or_default(),
            ..Self::default()
        }
    }

    pub(super) fn fields(&self, problems: &Problems) -> AuthFields {
        let kinds = KINDS.map(|(value, label, meaning)| {
            let is_known = KINDS.iter().any(|(known, ..)| *known == self.kind);
            let is_chosen = if is_known { value == self.kind } else { value == "none" };
            Kind { value, label, meaning, is_chosen }
        });
        let text = |name, label, value: &str| Field::text(name, label, value).judged(problems);
        let is_wrong = NAMES.iter().any(|name| problems.of(name).is_some());
        let kind_problem = problems.of("auth.kind").or(problems.of("auth.oauth2.client_auth"));
        let is_usual = !is_wrong
            && self.headers.is_empty()
            && ["", "none"].contains(&self.kind.as_str())
            && self.chain.is_empty()
            && self.roots.is_empty();
        AuthFields {
            kinds: kinds.into_iter().collect(),
            kind_problem: kind_problem.map(str::to_owned),
            username: text("auth.basic.username", "User name", &self.username),
            password: hidden("auth.basic.password", "Password", problems),
            token: hidden("auth.bearer.token", "Token", problems),
            token_url: Field::url("auth.oauth2.token_url", "Token server", &self.token_url)
                .hinted("The https address at which tokens are fetched.")
                .judged(problems),
            client_id: text("auth.oauth2.client_id", "Client id", &self.client_id),
            client_secret: hidden("auth.oauth2.client_secret", "Client secret", problems),
            scope: Field::text("auth.oauth2.scope", "Scope", &self.scope)
                .hinted("Scopes with spaces between them. Optional.")
                .judged(problems),
            audience: Field::text("auth.oauth2.audience", "Audience", &self.audience)
                .hinted("Where the token server wants one. Optional.")
                .judged(problems),
            posts: self.posts,
            headers: Field::area("auth.headers", "Headers", &self.headers)
                .hinted(
                    "One on each line, as in X-Api-Key: value. Sent with every request. Values are kept sealed and never \
                     shown: type them again when this form comes back.",
                )
                .judged(problems),
            chain: Field::area("auth.client_certificate.chain", "Client certificate", &self.chain)
                .hinted("PEM: the certificate, then those that lead to its authority.")
                .judged(problems),
            key: Field::area("auth.client_certificate.key", "Its private key", "")
                .hinted(
                    "PEM. Kept sealed and never shown: type it again when this form comes back.",
                )
                .judged(problems),
            roots: Field::area("auth.trusted_roots", "Own authorities", &self.roots)
                .hinted(
                    "PEM certificates of the authorities that the endpoint's certificate may come from, in place of the \
                     usual ones.",
                )
                .judged(problems),
            is_usual,
        }
    }
}

impl AuthFields {
    /// Whether it is as it is for those who do not care.
    pub(super) fn is_usual(&self) -> bool {
        self.is_usual
    }
}

fn hidden(name: &'static str, label: &'static str, problems: &Problems) -> Field {
    Field::password(name, label)
        .hinted("Kept sealed and never shown: type it again when this form comes back.")
        .judged(problems)
}

/// A field's text with the line ends that PEM has everywhere else.
fn plain(form: &Form, name: &str) -> String {
    form.text(name).trim().replace("\r\n", "\n")
}

/// PEM as it may come back: many keep a certificate and its key in one file, and put the whole of it in one field.
fn without_keys(pem: &str) -> String {
    let mut inside = false;
    let kept = pem.lines().filter(|line| {
        inside |= line.contains("PRIVATE KEY");
        let is_kept = !inside;
        inside &= !line.contains("-----END");
        is_kept
    });
    kept.collect::<Vec<_>>().join("\n")
}

fn header_lines(form: &Form) -> impl Iterator<Item = &str> {
    form.text("auth.headers").lines().map(str::trim).filter(|line| !line.is_empty())
}

/// What a form gives, judged as the API judges it; nothing given is nothing to prove.
pub(super) fn judge(
    form: &Form,
    policy: &dyn EndpointPolicy,
    problems: &mut Problems,
) -> Option<EndpointAuth> {
    let mut auth = Object::default();
    let mut headers = Object::default();
    let mut unread = false;
    for line in header_lines(form) {
        match line.split_once(':') {
            Some((name, value)) => headers.text(name.trim(), value.trim()),
            None => unread = true,
        }
    }
    if unread {
        problems.add(
            "auth.headers",
            "must have a name and a value on each line, as in `X-Api-Key: value`",
        );
    }
    auth.raw("headers", &headers.finish());
    match form.text("auth.kind") {
        "" | "none" => {}
        "basic" => {
            let mut basic = Object::default();
            basic.text("username", form.text("auth.basic.username").trim());
            basic.text("password", form.text("auth.basic.password"));
            auth.raw("basic", &basic.finish());
        }
        "bearer" => {
            let mut bearer = Object::default();
            bearer.text("token", form.text("auth.bearer.token").trim());
            auth.raw("bearer", &bearer.finish());
        }
        "oauth2" => auth.raw("oauth2", &oauth2(form)),
        _ => problems.add("auth.kind", "choose one"),
    }
    let [chain, key] = ["auth.client_certificate.chain", "auth.client_certificate.key"]
        .map(|name| plain(form, name));
    if !chain.is_empty() || !key.is_empty() {
        let mut certificate = Object::default();
        certificate.text("chain", &chain);
        certificate.text("key", &key);
        auth.raw("client_certificate", &certificate.finish());
    }
    auth.text_if_any("trusted_roots", &plain(form, "auth.trusted_roots"));
    let mut body = Object::default();
    body.raw("auth", &auth.finish());
    read(&body.finish(), problems, |fields| input::auth(fields, policy)).filter(|_| !unread)
}

fn oauth2(form: &Form) -> String {
    let field = |name: &str| form.text(&format!("auth.oauth2.{name}")).trim();
    let mut oauth2 = Object::default();
    for name in ["token_url", "client_id", "client_secret"] {
        oauth2.text(name, field(name));
    }
    for name in ["scope", "audience", "client_auth"] {
        oauth2.text_if_any(name, field(name));
    }
    oauth2.finish()
}

/// What was wrong with the whole of it, where it is not a field's matter.
pub(super) fn nothing_given(problems: &mut Problems) {
    problems.add(
        "auth.kind",
        "choose something to send; to send nothing beside the signature, use the button below",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I12: a private key that was put beside its certificate does not come back with it.
    #[test]
    fn i12_no_private_key_comes_back() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
        for kind in ["PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let key = format!("-----BEGIN {kind}-----\nhidden-marker\n-----END {kind}-----");
            let all = format!("{certificate}\n{key}\n{certificate}");
            assert_eq!(without_keys(&all), format!("{certificate}\n{certificate}"));
            let cut_short = key.split_once("\n-----END").unwrap().0;
            assert_eq!(without_keys(&format!("{certificate}\n{cut_short}")), certificate);
        }
        assert_eq!(without_keys("typed"), "typed");
        assert_eq!(without_keys(""), "");
    }
}
