//! What an endpoint may be given.

use abide_core::endpoint::auth::is_reserved_header;
use abide_core::endpoint::{Authorization, ClientAuth, ClientCertificate, EndpointAuth};
use abide_engine::outbound::is_courier_header;
use abide_engine::{check_auth, check_url};
use http::HeaderName;

use crate::receiver::Identity;
use crate::{dev_guard, loopback_listed};

fn tokens(token_url: &str) -> EndpointAuth {
    EndpointAuth {
        authorization: Some(Authorization::OAuth2 {
            token_url: token_url.to_owned(),
            client_id: "id".to_owned(),
            client_secret: "hidden-marker".to_owned(),
            scope: None,
            audience: None,
            client_auth: ClientAuth::Basic,
        }),
        ..EndpointAuth::default()
    }
}

fn shown(chain: &str, key: &str) -> EndpointAuth {
    let (chain, key) = (chain.to_owned(), key.to_owned());
    EndpointAuth {
        client_certificate: Some(ClientCertificate { chain, key }),
        ..EndpointAuth::default()
    }
}

fn trusted(roots: &str) -> EndpointAuth {
    EndpointAuth { trusted_roots: Some(roots.to_owned()), ..EndpointAuth::default() }
}

/// I10, I12: certificates, keys and token URLs that could not be used are refused by the name of their field, and
/// nothing of them is repeated.
#[test]
fn i12_what_could_not_be_used_is_refused_by_field() {
    let (one, other) = (Identity::of("client.test"), Identity::of("client.test"));
    let (chain, key) = (one.chain(), one.key());
    let broken = chain.replace('M', "N");
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let two = format!("a note\n{chain}\nanother\n{}", other.chain());
    let long = format!("https://id.example/{}", "x".repeat(3_000));
    let (url, of_chain, of_key, roots) = (
        "auth.oauth2.token_url",
        "auth.client_certificate.chain",
        "auth.client_certificate.key",
        "auth.trusted_roots",
    );
    let cases: [(EndpointAuth, &[&str]); 23] = [
        (EndpointAuth::default(), &[]),
        (tokens("https://id.example/token"), &[]),
        (tokens("https://8.8.8.8/token"), &[]),
        (tokens("http://id.example/token"), &[url]),
        (tokens("https://10.0.0.1/token"), &[url]),
        (tokens("https://[::ffff:10.0.0.1]/token"), &[url]),
        (tokens("https://hidden-marker@id.example/token"), &[url]),
        (tokens(&long), &[url]),
        (tokens(""), &[url]),
        (shown(&chain, &key), &[]),
        (shown(&two, &key), &[]),
        (shown(&Identity::expired("client.test").chain(), &key), &[of_key]),
        (shown(&chain, &other.key()), &[of_key]),
        (shown(&chain, &chain), &[of_key]),
        (shown(&chain, &encrypted), &[of_key]),
        (shown(&key, &key), &[of_chain]),
        (shown(&broken, &key), &[of_chain]),
        (shown("hidden-marker", "hidden-marker"), &[of_chain, of_key]),
        (trusted(&two), &[]),
        (trusted(&key), &[roots]),
        (trusted(&broken), &[roots]),
        (trusted(&format!("{chain}{broken}")), &[roots]),
        (trusted(""), &[roots]),
    ];
    for (auth, expected) in cases {
        let problems = check_auth(&auth, &abide_engine::outbound::Guard::default());
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, expected, "{auth:?}");
        let said = format!("{problems:?}");
        assert!(!said.contains("marker") && !said.contains("MII"), "{said}");
    }
}

/// I10: token URLs are judged by the same guard as endpoints' own, with what an operator allows.
#[test]
fn i10_token_urls_are_judged_as_endpoints_urls_are() {
    for url in ["https://127.0.0.1/", "http://127.0.0.1/", "https://a.example/", "ftp://a.example/"]
    {
        for guard in [dev_guard(), loopback_listed()] {
            let problems = check_auth(&tokens(url), &guard);
            let judged = check_url(url, &guard).err();
            assert_eq!(problems.into_iter().next().map(|one| one.problem), judged, "{url}");
        }
    }
}

/// Nobody may give a header that the courier sets.
#[test]
fn headers_of_the_courier_are_reserved() {
    let names =
        ["host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te"];
    for name in names.into_iter().chain(["trailer"]) {
        assert!(is_courier_header(&HeaderName::from_static(name)) && is_reserved_header(name));
    }
    for name in ["x-api-key", "cookie", "user-agent", "authorization", "accept"] {
        assert!(!is_courier_header(&HeaderName::from_static(name)) && !is_reserved_header(name));
    }
}
