//! From a decision to the stored outcome, over everything that a receiver can do.

use std::any::Any;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use abide_core::delivery::{DeliveryState, Reason};
use abide_core::shell::Clock;
use abide_dialects::Dialect;
use abide_dialects::consentproof::ConsentProof;
use abide_engine::outbound::{Guard, TlsRoots};
use abide_storage::deliveries::Ending;
use abide_storage::history::DeliveryView;
use tokio::net::TcpSocket;

use crate::receiver::{Act, Identity, Receiver, answer, raw};
use crate::test_dialects::COURTEOUS;
use crate::world::World;

/// A line of the table.
struct Row {
    name: &'static str,
    receiver: Kind,
    /// What is stored of the one attempt.
    attempt: Attempt<'static>,
    /// Where its delivery stands then: in ConsentProof, and in a dialect that does as the receiver wishes.
    follows: [After; 2],
}

/// What an endpoint's URL leads to. Each gets a receiver of its own per dialect.
enum Kind {
    /// Plain HTTP.
    Http(Vec<Act>),
    /// TLS that proves the right name.
    Https(Vec<Act>),
    /// TLS that nobody vouches for.
    Stranger,
    /// An https URL and this on the bare connection.
    NoTls(Vec<Act>),
    /// Nobody listens.
    Nobody,
}

/// An attempt as stored.
#[derive(Debug, PartialEq)]
struct Attempt<'a> {
    ending: Ending,
    status: Option<u16>,
    error: Option<&'a str>,
    answer: Option<Vec<u8>>,
}

/// A delivery as stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum After {
    /// The receiver has it.
    Delivered,
    /// Ended or held, for that reason.
    Rests(DeliveryState, Reason),
    /// Due again so many seconds after the attempt.
    DueIn(i64),
}

use After::{Delivered, DueIn, Rests};

/// In both dialects.
const TOLD: [After; 2] = [Delivered, Delivered];
const AGAIN: [After; 2] = [DueIn(60), DueIn(60)];
/// The longest wish that is heard, in seconds.
const DAY: i64 = 24 * 3600;
/// Nothing to do, refused, and gone, as only the second dialect reads them.
const SKIPPED: After = Rests(DeliveryState::Skipped, Reason::NothingToDo);
const REFUSED: After = Rests(DeliveryState::Failed, Reason::Refused);
const GONE: After = Rests(DeliveryState::Held, Reason::EndpointGone);

/// The table. `inside` is where nobody may be sent.
fn table(inside: SocketAddr) -> Vec<Row> {
    let row = |name, receiver, attempt, follows| Row { name, receiver, attempt, follows };
    let reads = |then: &[Act]| Kind::Http([&[Act::Read], then].concat());
    let says = |status: &str, body: &str| reads(&[answer(status, body)]);
    let head = |head: &str| raw(&format!("HTTP/1.1 {head}\r\n\r\n"));
    let redirect = head(&format!("302 Found\r\nlocation: http://{inside}/\r\ncontent-length: 0"));
    let moved = head(&format!("308 Moved\r\nlocation: http://{inside}/\r\ncontent-length: 0"));
    let busy = |seconds| head(&format!("429 Slow\r\nretry-after: {seconds}\r\ncontent-length: 0"));
    let half_head = raw("HTTP/1.1 200 OK\r\nx: ");
    let half_body = head("200 OK\r\ncontent-length: 1000000");
    let large = "z".repeat(5 << 20);
    let endless = [head("500 Oops\r\nconnection: close"), Act::Flood(vec![b'z'; 4096])];
    let drip = Act::Drip(b'a', Duration::from_millis(100));
    let first_kib = &large[..1024];
    let hello = raw("\x16\x03\x03");
    vec![
        // An answer is whatever its status says.
        row("200", says("200 OK", "fine"), well(200), TOLD),
        row("200 over TLS", Kind::Https(vec![Act::Read, answer("200 OK", "")]), well(200), TOLD),
        row("204", reads(&[head("204 No Content")]), well(204), [Delivered, SKIPPED]),
        row("400", says("400 Bad", "no"), badly(400, "no"), [DueIn(60), REFUSED]),
        row("404", says("404 Lost", "where"), badly(404, "where"), AGAIN),
        row("410", says("410 Gone", "bye"), badly(410, "bye"), [DueIn(60), GONE]),
        row("500", says("500 Oops", "why"), badly(500, "why"), AGAIN),
        // A redirect is an answer too, and nobody goes there.
        row("302 into a private place", reads(&[redirect]), badly(302, ""), AGAIN),
        row("308 into a private place", reads(&[moved]), badly(308, ""), AGAIN),
        // A wish lengthens the wait and never shortens it.
        row("429 for long", reads(&[busy(120)]), badly(429, ""), [DueIn(60), DueIn(120)]),
        row("429 for a moment", reads(&[busy(7)]), badly(429, ""), AGAIN),
        row("429 for ever", reads(&[busy(u32::MAX)]), badly(429, ""), [DueIn(60), DueIn(DAY)]),
        // Whatever its length, an answer is cut, and none is kept of a good one.
        row("500 with 5 MB", says("500 Oops", &large), badly(500, first_kib), AGAIN),
        row("500 without end", reads(&endless), badly(500, first_kib), AGAIN),
        row("200 with 5 MB", says("200 OK", &large), well(200), TOLD),
        // It may have arrived: nobody knows.
        row("no HTTP", reads(&[raw("SSH-2.0-x\r\n"), Act::Hang]), unknown("invalid_http"), AGAIN),
        row("hangs", reads(&[Act::Hang]), unknown("timeout"), AGAIN),
        row("hangs in its head", reads(&[half_head.clone(), Act::Hang]), unknown("timeout"), AGAIN),
        row("hangs in its body", reads(&[half_body.clone(), Act::Hang]), unknown("timeout"), AGAIN),
        row("drips its head", reads(&[half_head, drip.clone()]), unknown("timeout"), AGAIN),
        row("drips its body", reads(&[half_body.clone(), drip]), unknown("timeout"), AGAIN),
        row("resets", reads(&[Act::Reset]), unknown("reset"), AGAIN),
        row("resets in its body", reads(&[half_body, Act::Reset]), unknown("reset"), AGAIN),
        row("closes", reads(&[]), unknown("reset"), AGAIN),
        // It cannot have arrived.
        row("nobody listens", Kind::Nobody, unsent("connect_refused"), AGAIN),
        row("a stranger", Kind::Stranger, unsent("tls"), AGAIN),
        row("no TLS", Kind::NoTls(vec![raw("hello\r\n"), Act::Hang]), unsent("tls"), AGAIN),
        row("a silent handshake", Kind::NoTls(vec![Act::Hang]), unsent("timeout"), AGAIN),
        row("half a handshake", Kind::NoTls(vec![hello, Act::Hang]), unsent("timeout"), AGAIN),
    ]
}

fn well(status: u16) -> Attempt<'static> {
    Attempt { ending: Ending::Answered, status: Some(status), error: None, answer: None }
}

fn badly(status: u16, kept: &str) -> Attempt<'static> {
    Attempt { answer: Some(kept.as_bytes().to_vec()), ..well(status) }
}

fn unknown(error: &'static str) -> Attempt<'static> {
    Attempt { ending: Ending::Unknown, status: None, error: Some(error), answer: None }
}

fn unsent(error: &'static str) -> Attempt<'static> {
    Attempt { ending: Ending::NotSent, ..unknown(error) }
}

/// I2, I9, I10, P22, P23, P27: one decision told to every kind of receiver in both dialects. Each delivery stands where
/// its dialect's contract says, due to the millisecond, with its one attempt told as it went.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_receiver_does_is_recorded_as_its_dialect_reads_it() {
    let (trusted, stranger) = (Identity::of("127.0.0.1"), Identity::of("127.0.0.1"));
    let world = World::made_of(World::store(), |parts| {
        // Loopback is open to both schemes, so that a redirect that is followed would arrive.
        parts.guard =
            Guard { allow: vec!["127.0.0.0/8".parse().unwrap()], dev_loopback_http: true };
        parts.roots = TlsRoots::Only(vec![trusted.certificate()]);
    })
    .await;
    world.clock.stand_still();
    let inside = Receiver::start(vec![vec![Act::Read, answer("200 OK", "secret")]]).await;
    let table = table(inside.addr());
    let dialects: [&dyn Dialect; 2] = [&ConsentProof, &COURTEOUS];
    let mut receivers = Vec::new();
    let mut expected = Vec::new();
    for row in &table {
        for (dialect, after) in dialects.into_iter().zip(row.follows) {
            let (url, receiver) = start(&row.receiver, &trusted, &stranger).await;
            receivers.push(receiver);
            let endpoint = world.endpoint_at(dialect, url).await;
            expected.push((endpoint, format!("{} in {}", row.name, dialect.name()), row, after));
        }
    }
    world.record("ada", "marketing").await;
    let all = world
        .until("recorded", |all| {
            all.len() == expected.len() && all.iter().all(|one| !one.attempts.is_empty())
        })
        .await;
    for (endpoint, name, row, after) in expected {
        let found = all.iter().find(|one| one.endpoint == endpoint).unwrap();
        assert_eq!(found.attempts.len(), 1, "{name}");
        let stored = &found.attempts[0];
        let attempt = Attempt {
            ending: stored.ending.unwrap(),
            status: stored.status,
            error: stored.error.as_deref(),
            answer: stored.answer.clone(),
        };
        assert_eq!((&attempt, stored.number, stored.late), (&row.attempt, 1, false), "{name}");
        assert_eq!(stored.started_at, world.clock.now(), "{name}");
        assert_eq!(after_of(found, stored.started_at.as_millis()), after, "{name}");
    }
    assert_eq!(inside.connections(), 0, "a redirect was followed");
}

/// The URL of a receiver of this kind, and what keeps it there.
async fn start(
    kind: &Kind,
    trusted: &Identity,
    stranger: &Identity,
) -> (String, Box<dyn Any + Send>) {
    let (scheme, receiver) = match kind {
        Kind::Http(acts) => ("http", Receiver::start(vec![acts.clone()]).await),
        Kind::NoTls(acts) => ("https", Receiver::start(vec![acts.clone()]).await),
        Kind::Https(acts) => ("https", Receiver::start_tls(trusted, vec![acts.clone()]).await),
        Kind::Stranger => ("https", Receiver::start_tls(stranger, vec![vec![Act::Read]]).await),
        Kind::Nobody => {
            // A port that is taken, so that no other receiver gets it, and not listened at.
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            return (format!("http://{}/", socket.local_addr().unwrap()), Box::new(socket));
        }
    };
    (format!("{scheme}://{}/", receiver.addr()), Box::new(receiver))
}

fn after_of(found: &DeliveryView, ended: i64) -> After {
    match (found.state, found.reason, found.due_at) {
        (DeliveryState::Delivered, None, None) => Delivered,
        (DeliveryState::Pending, None, Some(due)) => {
            let wait = due.as_millis() - ended;
            assert_eq!(wait % 1000, 0, "the clock stands still: {found:?}");
            DueIn(wait / 1000)
        }
        (state, Some(reason), None) => Rests(state, reason),
        _ => panic!("a row that promises something else: {found:?}"),
    }
}
