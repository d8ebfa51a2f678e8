//! How Abide proves itself to an endpoint beside its signature, and whom it trusts to be that endpoint.
//!
//! Everything here fails closed: what cannot be used stops a send, and nothing is sent without it instead.

mod check;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use check::{
    AuthProblem, MAX_AUTH_NAME, MAX_AUTH_SECRET, MAX_AUTH_TEXT, MAX_CERTIFICATE, MAX_FIXED_HEADERS,
    MAX_HEADER_NAME, MAX_HEADER_VALUE, MAX_TRUSTED_ROOTS, is_reserved_header,
};

/// What is sent or shown to an endpoint beside the signed request. Stored sealed as a whole (I12); what may be shown of
/// it is [`EndpointAuth::shown`].
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointAuth {
    /// Headers with fixed values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<FixedHeader>,
    /// What goes into the `Authorization` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Whom Abide shows itself as in the TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// PEM certificates of the authorities that this endpoint's certificate may come from, in place of the machine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_roots: Option<String>,
}

/// A header that is the same on every request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedHeader {
    /// Its name, in lower case.
    pub name: String,
    /// Its value: a credential as far as anybody knows.
    pub value: String,
}

/// The kinds of `Authorization` header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Authorization {
    /// RFC 7617.
    Basic {
        /// The user's name; holds no colon.
        username: String,
        /// The password.
        password: String,
    },
    /// RFC 6750, with a token that does not change by itself.
    Bearer {
        /// The token.
        token: String,
    },
    /// RFC 6749, section 4.4: a token that Abide fetches, and fetches anew when it ends or is refused.
    #[serde(rename = "oauth2")]
    OAuth2 {
        /// Where tokens are fetched; judged by the guard as every other URL (I10).
        token_url: String,
        /// Who asks.
        client_id: String,
        /// The proof.
        client_secret: String,
        /// The scopes asked for, separated by spaces.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        /// The audience asked for, where the token server wants one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<String>,
        /// How the client proves itself to the token server.
        #[serde(default)]
        client_auth: ClientAuth,
    },
}

/// How a client proves itself to a token server (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// `client_secret_basic`: in the `Authorization` header.
    #[default]
    Basic,
    /// `client_secret_post`: in the form.
    Post,
}

/// A certificate and its key, for mutual TLS.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// The certificate and those that lead to its authority, in PEM.
    pub chain: String,
    /// Its private key, in PEM.
    pub key: String,
}

/// What may be shown of an [`EndpointAuth`]: names and kinds, no credential.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShownAuth {
    /// The names of the fixed headers.
    #[serde(default)]
    pub headers: Vec<String>,
    /// `basic`, `bearer` or `oauth2`.
    #[serde(default)]
    pub authorization: Option<String>,
    /// The token URL of `oauth2`.
    #[serde(default)]
    pub token_url: Option<String>,
    /// Whether a client certificate is shown to the endpoint.
    #[serde(default)]
    pub client_certificate: bool,
    /// Whether only certain authorities are trusted.
    #[serde(default)]
    pub trusted_roots: bool,
}

impl EndpointAuth {
    /// Whether the signature is all there is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What may be shown of it.
    pub fn shown(&self) -> ShownAuth {
        let (authorization, token_url) = match &self.authorization {
            None => (None, None),
            Some(Authorization::Basic { .. }) => (Some("basic"), None),
            Some(Authorization::Bearer { .. }) => (Some("bearer"), None),
            Some(Authorization::OAuth2 { token_url, .. }) => (Some("oauth2"), Some(token_url)),
        };
        ShownAuth {
            headers: self.headers.iter().map(|header| header.name.clone()).collect(),
            authorization: authorization.map(str::to_owned),
            token_url: token_url.cloned(),
            client_certificate: self.client_certificate.is_some(),
            trusted_roots: self.trusted_roots.is_some(),
        }
    }
}

/// Names and kinds only (I12).
impl fmt::Debug for EndpointAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I12: what is shown and what a log could print of it holds no credential; what is stored comes back whole.
    #[test]
    fn i12_no_credential_is_shown() {
        let hidden = "hidden-marker".to_owned();
        for authorization in [
            Authorization::Basic { username: "u".to_owned(), password: hidden.clone() },
            Authorization::Bearer { token: hidden.clone() },
            Authorization::OAuth2 {
                token_url: "https://id.example/token".to_owned(),
                client_id: "c".to_owned(),
                client_secret: hidden.clone(),
                scope: Some("a b".to_owned()),
                audience: None,
                client_auth: ClientAuth::Post,
            },
        ] {
            let auth = EndpointAuth {
                headers: vec![FixedHeader { name: "x-key".to_owned(), value: hidden.clone() }],
                authorization: Some(authorization),
                client_certificate: Some(ClientCertificate {
                    chain: hidden.clone(),
                    key: hidden.clone(),
                }),
                trusted_roots: Some(hidden.clone()),
            };
            let shown = format!("{auth:?} {}", serde_json::to_string(&auth.shown()).unwrap());
            assert!(!shown.contains("marker"), "{shown}");
            assert!(shown.contains("x-key") && !auth.is_empty());
            let stored = serde_json::to_string(&auth).unwrap();
            assert!(serde_json::from_str::<EndpointAuth>(&stored).unwrap() == auth);
        }
        assert!(EndpointAuth::default().is_empty());
    }
}
