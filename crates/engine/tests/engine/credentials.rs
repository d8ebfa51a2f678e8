//! What goes with every request to an endpoint beside its signature.

use abide_core::delivery::DeliveryState;
use abide_core::endpoint::{
    Authorization, ClientAuth, ClientCertificate, EndpointAuth, FixedHeader,
};
use abide_storage::deliveries::Ending;

use crate::receiver::{Act, Identity, Receiver, Seen, answer, repeat};
use crate::test_dialects::SNAPSHOT;
use crate::world::{World, requests};

pub(crate) fn proof(authorization: Authorization) -> EndpointAuth {
    EndpointAuth { authorization: Some(authorization), ..EndpointAuth::default() }
}

pub(crate) fn bearer(token: &str) -> EndpointAuth {
    proof(Authorization::Bearer { token: token.to_owned() })
}

/// The values of a header, in order.
pub(crate) fn values<'a>(seen: &'a Seen, name: &str) -> Vec<&'a str> {
    let lines = seen.head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

fn well(times: usize) -> Vec<Act> {
    repeat(times, &[Act::Read, answer("200 OK", "")])
}

/// I12: each kind of credential arrives as it was given, once, with the signature and nothing else of Abide's lost.
#[tokio::test(flavor = "multi_thread")]
async fn i12_each_credential_arrives_as_it_was_given() {
    let header = |name, value: &str| FixedHeader::new(name, value);
    let fixed = EndpointAuth {
        headers: vec![
            header("X-API-Key", "key 1"),
            header("Cookie", "a=1; b=2"),
            header("User-Agent", "Theirs/2"),
            header("Authorization", "Custom abc"),
        ],
        ..EndpointAuth::default()
    };
    let named = |username: &str, password: &str| {
        let (username, password) = (username.to_owned(), password.to_owned());
        proof(Authorization::Basic { username, password })
    };
    let mut both = bearer("tok.en|1");
    both.headers = vec![header("x-tenant", "7")];
    let ours = concat!("Abide/", env!("CARGO_PKG_VERSION"));
    let table: [(EndpointAuth, Vec<(&str, &str)>); 5] = [
        (
            fixed,
            vec![
                ("x-api-key", "key 1"),
                ("cookie", "a=1; b=2"),
                ("user-agent", "Theirs/2"),
                ("authorization", "Custom abc"),
            ],
        ),
        // The examples of RFC 7617, sections 2 and 2.1.
        (
            named("Aladdin", "open sesame"),
            vec![("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), ("user-agent", ours)],
        ),
        (named("test", "123£"), vec![("authorization", "Basic dGVzdDoxMjPCow==")]),
        (bearer("tok.en|1"), vec![("authorization", "Bearer tok.en|1"), ("user-agent", ours)]),
        (both, vec![("authorization", "Bearer tok.en|1"), ("x-tenant", "7")]),
    ];
    let world = World::new().await;
    let mut expected = Vec::new();
    for (auth, headers) in table {
        let receiver = Receiver::start(vec![well(1)]).await;
        let url = format!("http://{}/", receiver.addr());
        world.endpoint_proving(&SNAPSHOT, url, auth).await;
        expected.push((receiver, headers));
    }
    world.record("ada", "marketing").await;
    world
        .until("delivered", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
        .await;
    for (receiver, headers) in expected {
        let seen = requests(&receiver, 1).await;
        assert_eq!(values(&seen[0], "x-signature").len(), 1);
        for (name, value) in headers {
            assert_eq!(values(&seen[0], name), [value], "{name}");
        }
    }
}

/// I12: from a change on the new credential is sent and the old one is not, over the same connection.
#[tokio::test(flavor = "multi_thread")]
async fn i12_a_change_of_credentials_takes_effect() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![well(10)]).await;
    let url = format!("http://{}/", receiver.addr());
    let endpoint = world.endpoint_proving(&SNAPSHOT, url, bearer("old")).await;
    world.record("ada", "marketing").await;
    requests(&receiver, 1).await;
    let mut told = 1;
    for (auth, expected) in [(bearer("new"), vec!["Bearer new"]), (EndpointAuth::default(), vec![])]
    {
        world.change_auth(endpoint, auth).await;
        // The change is seen soon, not at once.
        let deadline = tokio::time::Instant::now() + crate::world::PATIENT;
        loop {
            world.record(&format!("person {told}"), "marketing").await;
            told += 1;
            let seen = requests(&receiver, told).await;
            if values(&seen[told - 1], "authorization") == expected {
                break;
            }
            assert!(told < 10 && tokio::time::Instant::now() < deadline, "{expected:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    assert_eq!(receiver.connections(), 1);
}

/// I12: what cannot be used is not left out: nothing is sent without it, and the attempt says why.
#[tokio::test(flavor = "multi_thread")]
async fn i12_what_cannot_be_used_stops_the_send() {
    let (right, other) = (Identity::of("client.test"), Identity::of("client.test"));
    let shown = |chain: String, key: String| EndpointAuth {
        client_certificate: Some(ClientCertificate { chain, key }),
        ..EndpointAuth::default()
    };
    let header = |name| EndpointAuth {
        headers: vec![FixedHeader::new(name, "x")],
        ..EndpointAuth::default()
    };
    let tokens = |token_url: &str| {
        proof(Authorization::OAuth2 {
            token_url: token_url.to_owned(),
            client_id: "id".to_owned(),
            client_secret: "secret".to_owned(),
            scope: None,
            audience: None,
            client_auth: ClientAuth::Basic,
        })
    };
    let roots = |text: &str| EndpointAuth {
        trusted_roots: Some(text.to_owned()),
        ..EndpointAuth::default()
    };
    let world = World::made_of(World::store(), |parts| {
        parts.guard.allow = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let receiver = Receiver::start(vec![well(1)]).await;
    let broken = right.chain().replace('M', "N");
    let table = [
        ("http", header("content-type")),
        ("http", header("webhook-id")),
        ("http", bearer("two words")),
        ("http", tokens("http://10.0.0.1/token")),
        ("http", tokens("https://10.0.0.1/token")),
        ("https", shown(right.chain(), other.key())),
        ("https", shown(right.key(), right.key())),
        ("https", shown(broken.clone(), right.key())),
        ("https", roots(&right.key())),
        ("https", roots(&broken)),
        // Over plain http no certificate is shown and none is looked at.
        ("http", shown(right.chain(), right.key())),
        ("http", roots(&right.chain())),
    ];
    let count = table.len();
    for (scheme, auth) in table {
        let url = format!("{scheme}://{}/", receiver.addr());
        world.endpoint_proving(&SNAPSHOT, url, auth).await;
    }
    world.record("ada", "marketing").await;
    let all = world
        .until("tried", |all| all.len() == count && all.iter().all(|one| one.attempts.len() == 1))
        .await;
    for one in all {
        let attempt = &one.attempts[0];
        assert_eq!(attempt.error.as_deref(), Some("auth_unusable"), "{one:?}");
        assert_eq!((attempt.ending, attempt.status), (Some(Ending::NotSent), None));
        assert_eq!((one.state, one.due_at.is_some()), (DeliveryState::Pending, true));
    }
    assert_eq!(receiver.connections(), 0);
}
