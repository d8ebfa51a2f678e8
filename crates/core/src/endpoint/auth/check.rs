//! What an [`EndpointAuth`] may hold, as far as its text says: names, characters, lengths. Whether its URL may be called
//! and its certificates can be used is for the engine to judge, which asks here first.

use super::{Authorization, ClientCertificate, EndpointAuth, FixedHeader};

/// The most fixed headers of an endpoint.
pub const MAX_FIXED_HEADERS: usize = 20;
/// The longest name of a fixed header, in characters.
pub const MAX_HEADER_NAME: usize = 100;
/// The longest value of a fixed header, and the longest token, in characters.
pub const MAX_HEADER_VALUE: usize = 4096;
/// The longest user name and client id, in characters.
pub const MAX_AUTH_NAME: usize = 255;
/// The longest password and client secret, in characters.
pub const MAX_AUTH_SECRET: usize = 1024;
/// The longest scope, audience and token URL, in characters.
pub const MAX_AUTH_TEXT: usize = 2048;
/// The longest certificate chain and the longest key, in bytes of PEM.
pub const MAX_CERTIFICATE: usize = 32 * 1024;
/// The longest list of trusted authorities, in bytes of PEM.
pub const MAX_TRUSTED_ROOTS: usize = 128 * 1024;

/// Something that an [`EndpointAuth`] must not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthProblem {
    /// Where: `auth.headers.x-key`, `auth.oauth2.token_url`, `auth.client_certificate.key`.
    pub field: String,
    /// What is wrong and what is allowed, fit to stand behind the field's name; repeats nothing that was given (I12).
    pub problem: String,
}

impl AuthProblem {
    /// A problem of a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Whether a header of that name is set by Abide itself, by HTTP's own workings or by some dialect, so that nobody else
/// may give it. A dialect that sets another one is made to add it here by a test over all of them.
pub fn is_reserved_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|one| name.starts_with(one))
}

/// Set from the target and the body, or about the connection alone (RFC 9110, section 7.6.1), or by dialects.
const RESERVED: [&str; 18] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-signature",
    "x-sombra-token",
    "x-timestamp",
    "x-webhook-id",
];

/// Every header of Standard Webhooks.
const RESERVED_PREFIXES: [&str; 1] = ["webhook-"];

impl FixedHeader {
    /// A header, its name in lower case as it is kept.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_ascii_lowercase(), value: value.into() }
    }
}

impl EndpointAuth {
    /// Everything in it that must not be, in the order of its fields.
    pub fn check(&self) -> Vec<AuthProblem> {
        let mut problems = Problems::default();
        self.check_headers(&mut problems);
        if let Some(authorization) = &self.authorization {
            check_authorization(authorization, &mut problems);
        }
        if let Some(ClientCertificate { chain, key }) = &self.client_certificate {
            problems.pem("auth.client_certificate.chain", chain, MAX_CERTIFICATE);
            problems.pem("auth.client_certificate.key", key, MAX_CERTIFICATE);
        }
        if let Some(roots) = &self.trusted_roots {
            problems.pem("auth.trusted_roots", roots, MAX_TRUSTED_ROOTS);
        }
        problems.0
    }

    fn check_headers(&self, problems: &mut Problems) {
        if self.headers.len() > MAX_FIXED_HEADERS {
            let most = format!("must hold at most {MAX_FIXED_HEADERS} headers");
            return problems.add("auth.headers", most);
        }
        if self.headers.iter().any(|header| !is_token(&header.name, MAX_HEADER_NAME)) {
            let allowed = format!(
                "must hold header names of 1 to {MAX_HEADER_NAME} letters, digits or any of !#$%&'*+-.^_`|~"
            );
            return problems.add("auth.headers", allowed);
        }
        for (place, header) in self.headers.iter().enumerate() {
            let field = format!("auth.headers.{}", header.name);
            match self.problem_of_name(&header.name, place) {
                Some(problem) => problems.add(field, problem),
                None => problems.plain(&field, &header.value, MAX_HEADER_VALUE),
            }
        }
    }

    fn problem_of_name(&self, name: &str, place: usize) -> Option<&'static str> {
        if is_reserved_header(name) {
            return Some("is set by Abide itself and cannot be given");
        }
        if self.authorization.is_some() && name.eq_ignore_ascii_case("authorization") {
            return Some("is set already by `basic`, `bearer` or `oauth2`; leave one of them out");
        }
        let twice = self.headers[..place].iter().any(|one| one.name.eq_ignore_ascii_case(name));
        twice.then_some("is given twice")
    }
}

fn check_authorization(authorization: &Authorization, problems: &mut Problems) {
    match authorization {
        Authorization::Basic { username, password } => {
            if username.chars().count() > MAX_AUTH_NAME
                || username.contains(':')
                || username.chars().any(char::is_control)
            {
                let allowed = format!(
                    "must be at most {MAX_AUTH_NAME} characters without colon and control characters"
                );
                problems.add("auth.basic.username", allowed);
            }
            if password.chars().count() > MAX_AUTH_SECRET || password.chars().any(char::is_control)
            {
                let allowed = format!(
                    "must be at most {MAX_AUTH_SECRET} characters without control characters"
                );
                problems.add("auth.basic.password", allowed);
            }
            if username.is_empty() && password.is_empty() {
                problems.add("auth.basic.username", "must not be empty where the password is, too");
            }
        }
        Authorization::Bearer { token } => {
            let whole = (1..=MAX_HEADER_VALUE).contains(&token.len());
            if !whole || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                let allowed = format!(
                    "must be 1 to {MAX_HEADER_VALUE} visible ASCII characters without spaces"
                );
                problems.add("auth.bearer.token", allowed);
            }
        }
        Authorization::OAuth2 { token_url, client_id, client_secret, scope, audience, .. } => {
            if token_url.is_empty() {
                problems.add("auth.oauth2.token_url", "must be the https URL of a token server");
            }
            problems.plain("auth.oauth2.client_id", client_id, MAX_AUTH_NAME);
            problems.plain("auth.oauth2.client_secret", client_secret, MAX_AUTH_SECRET);
            if scope.as_deref().is_some_and(|scope| !is_scope(scope)) {
                let allowed = format!(
                    "must be scopes with one space between them, at most {MAX_AUTH_TEXT} visible ASCII characters \
                     without quotes and backslashes"
                );
                problems.add("auth.oauth2.scope", allowed);
            }
            if let Some(audience) = audience {
                problems.plain("auth.oauth2.audience", audience, MAX_AUTH_TEXT);
            }
        }
    }
}

/// What was found so far.
#[derive(Default)]
struct Problems(Vec<AuthProblem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(AuthProblem::new(field, problem));
    }

    fn plain(&mut self, field: &str, text: &str, longest: usize) {
        if !is_plain(text, longest) {
            let allowed = format!(
                "must be 1 to {longest} visible ASCII characters, with spaces only between them"
            );
            self.add(field, allowed);
        }
    }

    fn pem(&mut self, field: &str, text: &str, longest: usize) {
        if text.len() > longest || !text.contains("-----BEGIN ") {
            self.add(
                field,
                format!("must be PEM text (`-----BEGIN ...`) of at most {longest} bytes"),
            );
        }
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str, longest: usize) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=longest).contains(&text.len()) && text.bytes().all(letter)
}

/// Visible ASCII, and spaces inside.
fn is_plain(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim_matches(' ').len() == text.len()
}

/// RFC 6749, section 3.3.
fn is_scope(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    text.len() <= MAX_AUTH_TEXT
        && text.split(' ').all(|one| !one.is_empty() && one.bytes().all(letter))
}

#[cfg(test)]
mod tests {
    use super::super::ClientAuth;
    use super::*;

    fn headers(all: &[(&str, &str)]) -> EndpointAuth {
        let headers = all.iter().map(|(name, value)| FixedHeader::new(name, *value)).collect();
        EndpointAuth { headers, ..EndpointAuth::default() }
    }

    fn proof(authorization: Authorization) -> EndpointAuth {
        EndpointAuth { authorization: Some(authorization), ..EndpointAuth::default() }
    }

    fn basic(username: &str, password: &str) -> EndpointAuth {
        proof(Authorization::Basic { username: username.into(), password: password.into() })
    }

    fn bearer(token: &str) -> EndpointAuth {
        proof(Authorization::Bearer { token: token.into() })
    }

    fn oauth2(fields: [&str; 5]) -> EndpointAuth {
        let [token_url, client_id, client_secret, scope, audience] = fields.map(str::to_owned);
        proof(Authorization::OAuth2 {
            token_url,
            client_id,
            client_secret,
            scope: Some(scope),
            audience: Some(audience),
            client_auth: ClientAuth::Basic,
        })
    }

    fn certificates(chain: &str, key: &str, roots: &str) -> EndpointAuth {
        EndpointAuth {
            client_certificate: Some(ClientCertificate { chain: chain.into(), key: key.into() }),
            trusted_roots: Some(roots.into()),
            ..EndpointAuth::default()
        }
    }

    fn fields(auth: &EndpointAuth) -> Vec<String> {
        auth.check().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn what_may_be_held_is_taken() {
        let pem = "-----BEGIN CERTIFICATE-----";
        let long = "v".repeat(MAX_HEADER_VALUE);
        for auth in [
            EndpointAuth::default(),
            headers(&[("X-API-Key", "k"), ("cookie", "a=1; b=2"), ("User-Agent", "theirs/1")]),
            headers(&[("Authorization", "Custom abc"), ("x-long", &long)]),
            basic("ada", "pässword with: colon"),
            basic("token", ""),
            basic("", "key"),
            bearer("1|abc.DEF-_~+/=="),
            oauth2([
                "https://id.example/t",
                "id",
                "secret",
                "a:read b:write",
                "https://api.example",
            ]),
            certificates(pem, "-----BEGIN PRIVATE KEY-----", pem),
        ] {
            assert_eq!(auth.check(), [], "{auth:?}");
        }
    }

    /// I12: what may not be held is refused by the name of its field, without repeating what it holds.
    #[test]
    fn i12_what_may_not_be_held_is_refused_by_field_alone() {
        let twenty_one = vec![("x", "y"); MAX_FIXED_HEADERS + 1];
        let long = "v".repeat(MAX_HEADER_VALUE + 1);
        let long_pem = format!("-----BEGIN {long_key}", long_key = "K".repeat(MAX_TRUSTED_ROOTS));
        let mut doubled = bearer("t");
        doubled.headers = vec![FixedHeader::new("Authorization", "Custom abc")];
        let header = |name: &str| format!("auth.headers.{name}");
        let whole = || vec!["auth.headers".to_owned()];
        for (auth, expected) in [
            (headers(&[("x", "y"), ("", "y"), ("a b", "y")]), whole()),
            (headers(&[("naïve", "y"), ("a:b", "y")]), whole()),
            (headers(&twenty_one), whole()),
            (
                headers(&[("Host", "y"), ("Webhook-Id", "y"), ("x-signature", "y")]),
                ["host", "webhook-id", "x-signature"].map(header).to_vec(),
            ),
            (
                headers(&[("content-type", "y"), ("TE", "y")]),
                vec![header("content-type"), header("te")],
            ),
            (headers(&[("x-a", "y"), ("X-A", "z")]), vec![header("x-a")]),
            (doubled, vec![header("authorization")]),
            (headers(&[("x", "marker\r\nx-b: c")]), vec![header("x")]),
            (headers(&[("x", "")]), vec![header("x")]),
            (headers(&[("x", " marker")]), vec![header("x")]),
            (headers(&[("x", &long)]), vec![header("x")]),
            (
                basic("marker:b", "c\0"),
                vec!["auth.basic.username".to_owned(), "auth.basic.password".to_owned()],
            ),
            (basic("", ""), vec!["auth.basic.username".to_owned()]),
            (bearer(""), vec!["auth.bearer.token".to_owned()]),
            (bearer("marker x"), vec!["auth.bearer.token".to_owned()]),
            (
                oauth2(["", "", "marker\n", "a  b", "ü"]),
                ["token_url", "client_id", "client_secret", "scope", "audience"]
                    .map(|part| format!("auth.oauth2.{part}"))
                    .to_vec(),
            ),
            (
                certificates("marker", "", &long_pem),
                ["client_certificate.chain", "client_certificate.key", "trusted_roots"]
                    .map(|part| format!("auth.{part}"))
                    .to_vec(),
            ),
        ] {
            assert_eq!(fields(&auth), expected, "{auth:?}");
            assert!(!format!("{:?}", auth.check()).contains("marker"), "{auth:?}");
        }
    }
}
