//! Endpoints whose access tokens Abide fetches: when, how often, and what happens when there is none to be had.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use abide_core::delivery::DeliveryState;
use abide_core::endpoint::{Authorization, ClientAuth, EndpointAuth, FixedHeader};
use abide_core::shell::Clock;
use abide_engine::Options;
use abide_engine::outbound::Resolve;
use abide_storage::Storage;
use abide_storage::deliveries::Ending;
use abide_storage::history::DeliveryView;
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::credentials::{proof, values};
use crate::receiver::{Act, Receiver, answer, raw, repeat};
use crate::test_dialects::{COURTEOUS, HASTY, SNAPSHOT};
use crate::world::{World, requests, text};

const CLIENT_SECRET: &str = "hidden-marker &=+%";

fn from(token_url: String) -> EndpointAuth {
    proof(Authorization::OAuth2 {
        token_url,
        client_id: "the client".to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        scope: Some("events:write a".to_owned()),
        audience: None,
        client_auth: ClientAuth::Basic,
    })
}

fn from_server(server: &Receiver) -> EndpointAuth {
    from(format!("http://{}/token?tenant=7", server.addr()))
}

fn url(receiver: &Receiver) -> String {
    format!("http://{}/", receiver.addr())
}

/// Grants that token once, for so many seconds.
fn grants(token: &str, seconds: u32) -> Vec<Act> {
    let body = format!(
        r#"{{"access_token":"{token}","token_type":"bearer","expires_in":{seconds},"scope":"a"}}"#
    );
    vec![Act::Read, answer("200 OK", &body)]
}

fn well(times: usize) -> Vec<Act> {
    repeat(times, &[Act::Read, answer("200 OK", "")])
}

/// What each request proved itself by.
fn shown(receiver: &Receiver) -> Vec<String> {
    let all = receiver.requests();
    all.iter().flat_map(|seen| values(seen, "authorization")).map(str::to_owned).collect()
}

async fn delivered(world: &World, count: usize) {
    world
        .until("delivered", |all| {
            all.len() == count && all.iter().all(|one| one.state == DeliveryState::Delivered)
        })
        .await;
}

/// I10, I12: one fetch serves many deliveries at once, as RFC 6749 wants it asked; another follows when the token ends.
#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_many_deliveries_until_it_ends() {
    let world = World::new().await;
    world.clock.stand_still();
    let server = Receiver::start(vec![grants("first", 600), grants("second", 600)]).await;
    let receiver = Receiver::start(vec![well(1000)]).await;
    world.endpoint_proving(&SNAPSHOT, url(&receiver), from_server(&server)).await;
    for n in 0..20 {
        world.record(&format!("person {n}"), "marketing").await;
    }
    delivered(&world, 20).await;
    assert_eq!(shown(&receiver), vec!["Bearer first"; 20]);
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].head.starts_with("POST /token?tenant=7 HTTP/1.1\r\n"));
    assert_eq!(text(&asked[0]), "grant_type=client_credentials&scope=events%3Awrite+a");
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
        // the+client:hidden-marker+%26%3D%2B%25
        ("authorization", "Basic dGhlK2NsaWVudDpoaWRkZW4tbWFya2VyKyUyNiUzRCUyQiUyNQ=="),
    ] {
        assert_eq!(values(&asked[0], name), [value]);
    }
    world.advance(Duration::from_secs(569));
    world.record("before its end", "marketing").await;
    delivered(&world, 21).await;
    world.advance(Duration::from_secs(1));
    world.record("after its end", "marketing").await;
    delivered(&world, 22).await;
    assert_eq!(shown(&receiver)[20..], ["Bearer first", "Bearer second"]);
    assert_eq!(server.requests().len(), 2);
}

/// The other way in which a client proves itself, and two endpoints with the same: each has a token of its own.
#[tokio::test(flavor = "multi_thread")]
async fn i12_endpoints_share_no_token() {
    let world = World::new().await;
    let server = Receiver::start(vec![grants("one", 600), grants("two", 600)]).await;
    let auth = proof(Authorization::OAuth2 {
        token_url: url(&server),
        client_id: "the client".to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        scope: None,
        audience: Some("https://api.example".to_owned()),
        client_auth: ClientAuth::Post,
    });
    let receivers = [Receiver::start(vec![well(10)]).await, Receiver::start(vec![well(10)]).await];
    for receiver in &receivers {
        world.endpoint_proving(&SNAPSHOT, url(receiver), auth.clone()).await;
    }
    world.record("ada", "marketing").await;
    world.record("bea", "marketing").await;
    delivered(&world, 4).await;
    let mut all: Vec<_> = receivers.iter().map(shown).collect();
    all.sort();
    assert_eq!(all, [["Bearer one", "Bearer one"], ["Bearer two", "Bearer two"]]);
    for asked in server.requests() {
        assert_eq!(
            text(&asked),
            "grant_type=client_credentials&audience=https%3A%2F%2Fapi.example&client_id=the+client&\
             client_secret=hidden-marker+%26%3D%2B%25"
        );
        assert_eq!(values(&asked, "authorization"), [""; 0]);
    }
}

/// A token that the receiver refuses is dropped: the same attempt goes out once more with another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_fetched_anew_within_the_attempt() {
    let world = World::new().await;
    let server = Receiver::start(vec![grants("revoked", 600), grants("good", 600)]).await;
    let no = answer("401 Unauthorized", "");
    let script = vec![Act::Read, no, Act::Read, answer("200 OK", ""), Act::Read];
    let receiver = Receiver::start(vec![[script, vec![answer("200 OK", "")]].concat()]).await;
    world.endpoint_proving(&SNAPSHOT, url(&receiver), from_server(&server)).await;
    world.record("ada", "marketing").await;
    delivered(&world, 1).await;
    world.record("bea", "marketing").await;
    delivered(&world, 2).await;
    assert_eq!(shown(&receiver), ["Bearer revoked", "Bearer good", "Bearer good"]);
    let all = world.deliveries().await;
    assert_eq!((all[0].attempts.len(), all[0].attempts[0].status), (1, Some(200)));
    let seen = receiver.requests();
    assert_eq!(text(&seen[0]), text(&seen[1]));
    assert_eq!(values(&seen[0], "x-signature"), values(&seen[1], "x-signature"));
    assert_eq!(receiver.connections(), 1);
}

/// A receiver that refuses every token costs one sending more for each attempt, and the attempt has failed; so has one
/// whose refused token has no successor.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_every_token_fails_the_attempt() {
    let world = World::new().await;
    let server = Receiver::start(vec![grants("t1", 600), grants("t2", 600), vec![Act::Read]]).await;
    let no = answer("401 Unauthorized", "who are you");
    let receiver = Receiver::start(vec![repeat(10, &[Act::Read, no])]).await;
    world.endpoint_proving(&SNAPSHOT, url(&receiver), from_server(&server)).await;
    world.record("ada", "marketing").await;
    let all = world.until("tried", |all| all[0].attempts.len() == 1).await;
    let attempt = &all[0].attempts[0];
    assert_eq!((attempt.ending, attempt.status), (Some(Ending::Answered), Some(401)));
    assert_eq!(attempt.answer.as_deref(), Some(&b"who are you"[..]));
    assert!(all[0].due_at.is_some());
    assert_eq!(shown(&receiver), ["Bearer t1", "Bearer t2"]);
    // Both are gone, and there is no other.
    world.advance(Duration::from_mins(2));
    let ended =
        |all: &[DeliveryView]| all[0].attempts.get(1).is_some_and(|one| one.ending.is_some());
    let all = world.until("tried again", ended).await;
    assert_eq!(all[0].attempts[1].error.as_deref(), Some("oauth_token"));
    assert_eq!(receiver.requests().len(), 2);

    let server = Receiver::start(vec![grants("t1", 600), vec![Act::Read]]).await;
    let no = answer("401 Unauthorized", "");
    let receiver = Receiver::start(vec![repeat(10, &[Act::Read, no])]).await;
    let id = world.endpoint_proving(&SNAPSHOT, url(&receiver), from_server(&server)).await;
    world.record("bea", "marketing").await;
    let all = world
        .until("tried", |all| all.iter().any(|one| one.endpoint == id && one.attempts.len() == 1))
        .await;
    let one = all.iter().find(|one| one.endpoint == id).unwrap();
    assert_eq!(one.attempts[0].status, Some(401), "it was sent, and that is what is told");
    assert_eq!(shown(&receiver), ["Bearer t1"]);
}

/// Sends every name into a private network.
#[derive(Debug)]
struct Inside(SocketAddr);

#[async_trait]
impl Resolve for Inside {
    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.0])
    }
}

/// I8, I9, I10: whatever a token server does, the attempt ends in time and unsent, nobody is led elsewhere, and the
/// delivery is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn i10_without_a_token_nothing_is_sent() {
    let inside = Receiver::start(vec![grants("stolen", 600)]).await;
    let world = World::made_of(World::store(), |parts| {
        parts.resolver = Arc::new(Inside(inside.addr()));
    })
    .await;
    let reads = |then: &[Act]| vec![[&[Act::Read], then].concat()];
    let says = |status: &str, body: &str| reads(&[answer(status, body)]);
    let redirect = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\nlocation: http://{}/\r\n", inside.addr());
        reads(&[raw(&format!("{head}content-length: 0\r\n\r\n"))])
    };
    let large = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "z".repeat(5 << 20));
    let endless = raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    let scripts = [
        says("400 Bad", r#"{"error":"invalid_client"}"#),
        says("503 Down", ""),
        redirect("302 Found"),
        redirect("307 Moved"),
        says("200 OK", "garbage"),
        says("200 OK", r#"{"access_token":"x","token_type":"mac"}"#),
        says("200 OK", &large),
        reads(&[endless, Act::Flood(vec![b'z'; 4096])]),
        reads(&[Act::Reset]),
        reads(&[Act::Hang]),
        vec![vec![Act::Hang]],
        reads(&[raw("HTTP/1.1 200 OK\r\nx: "), Act::Drip(b'a', Duration::from_millis(50))]),
    ];
    let receiver = Receiver::start(vec![well(1)]).await;
    let mut servers = Vec::new();
    for script in scripts {
        let server = Receiver::start(script).await;
        world.endpoint_proving(&HASTY, url(&receiver), from_server(&server)).await;
        servers.push(server);
    }
    // A public name that leads to this machine.
    let hidden = from(format!("https://id.example:{}/", inside.addr().port()));
    world.endpoint_proving(&HASTY, url(&receiver), hidden).await;
    world.record("ada", "marketing").await;
    let all = world
        .until("tried", |all| {
            all.len() == servers.len() + 1 && all.iter().all(|one| one.attempts.len() == 1)
        })
        .await;
    for one in &all {
        let attempt = &one.attempts[0];
        assert_eq!(attempt.error.as_deref(), Some("oauth_token"));
        assert_eq!((attempt.ending, attempt.status), (Some(Ending::NotSent), None));
        assert!(one.due_at.is_some());
    }
    assert_eq!((receiver.connections(), inside.connections()), (0, 0));
}

/// I3: a token server that was down costs an attempt and no more.
#[tokio::test(flavor = "multi_thread")]
async fn i3_the_next_attempt_fetches_anew() {
    let world = World::new().await;
    let down = vec![Act::Read, answer("503 Down", "")];
    let server = Receiver::start(vec![down, grants("up", 600)]).await;
    let receiver = Receiver::start(vec![well(1)]).await;
    world.endpoint_proving(&COURTEOUS, url(&receiver), from_server(&server)).await;
    world.record("ada", "marketing").await;
    world.until("tried", |all| all[0].attempts.len() == 1).await;
    world.advance(Duration::from_mins(2));
    delivered(&world, 1).await;
    assert_eq!(shown(&receiver), ["Bearer up"]);
}

/// I8: token servers that hang keep no other endpoint's deliveries waiting.
#[tokio::test(flavor = "multi_thread")]
async fn i8_hanging_token_servers_delay_no_other_endpoint() {
    const EACH: usize = 10;
    const DECISIONS: usize = 20;
    let options = Options { healthy_permits: EACH * 2 + 4, ..Options::default() };
    let world = World::with(options).await;
    let server = Receiver::start(vec![vec![Act::Read, Act::Hang]]).await;
    let never = Receiver::start(vec![well(1)]).await;
    let healthy = Receiver::start(vec![well(1000)]).await;
    for _ in 0..EACH {
        world.endpoint_proving(&SNAPSHOT, url(&never), from_server(&server)).await;
        world.endpoint(&SNAPSHOT, &healthy).await;
    }
    for n in 0..DECISIONS {
        world.record(&format!("person {n}"), "marketing").await;
    }
    assert_eq!(requests(&healthy, EACH * DECISIONS).await.len(), EACH * DECISIONS);
    assert_eq!(never.connections(), 0);
}

/// I2, I4: a stop that comes while a token is fetched is heeded: nothing is sent, and the delivery is held.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_stop_during_a_fetch_is_heeded() {
    let world = World::new().await;
    let body = r#"{"access_token":"late","token_type":"Bearer"}"#;
    // The last spaces take two seconds, and end it.
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 20);
    let slow = vec![Act::Read, raw(&head), Act::Drip(b' ', Duration::from_millis(100))];
    let server = Receiver::start(vec![slow]).await;
    let receiver = Receiver::start(vec![well(10)]).await;
    let endpoint = world.endpoint_proving(&SNAPSHOT, url(&receiver), from_server(&server)).await;
    world.record("ada", "marketing").await;
    requests(&server, 1).await;
    world.set_active(endpoint, false).await;
    world.until("held", |all| all[0].state == DeliveryState::Held).await;
    assert_eq!(receiver.connections(), 0);
    world.set_active(endpoint, true).await;
    delivered(&world, 1).await;
    assert_eq!(shown(&receiver), ["Bearer late"]);
}

/// Everything logged in this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// I12: no token and no secret stands in the log, nor in what the store shows of endpoint and attempts, also where
/// the token server says it all again.
#[tokio::test(flavor = "multi_thread")]
async fn i12_no_secret_is_logged_or_shown() {
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(|| Log);
    let _ = log.try_init();
    let world = World::new().await;
    let no = answer("401 Unauthorized", "");
    let denied = r#"{"error":"hidden-marker","error_description":"hidden-marker"}"#;
    let denies = vec![Act::Read, answer("400 Bad", denied)];
    let server = Receiver::start(vec![grants("hidden-marker", 600), denies]).await;
    let receiver = Receiver::start(vec![repeat(10, &[Act::Read, no])]).await;
    let id = world.endpoint_proving(&SNAPSHOT, url(&receiver), from_server(&server)).await;
    let unusable = EndpointAuth {
        headers: vec![FixedHeader::new("x-key", "hidden-marker\n")],
        ..EndpointAuth::default()
    };
    world.endpoint_proving(&SNAPSHOT, url(&receiver), unusable).await;
    world.record("ada", "marketing").await;
    let all = world
        .until("tried", |all| all.len() == 2 && all.iter().all(|one| one.attempts.len() == 1))
        .await;
    let endpoints = world.store.endpoints();
    let view = endpoints.get(world.by.organization, id).await.unwrap();
    let row = endpoints.sending(id, world.clock.now()).await.unwrap();
    let log = String::from_utf8(LOG.lock().clone()).unwrap();
    for told in ["the token server answered 400", "class=\"auth_unusable\"", "auth.headers.x-key"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    let shown = format!("{all:?} {view:?} {row:?} {log}");
    assert!(!shown.contains("hidden-marker"), "{shown}");
}
