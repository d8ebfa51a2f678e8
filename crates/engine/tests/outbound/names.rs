//! Names that resolve to more than they should, or to something else each time.

use std::net::SocketAddr;
use std::time::Duration;

use abide_engine::outbound::{Arrival, Courier, Guard, SendError, Target};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::receiver::{Act, Identity, Receiver, answer};
use super::{BRIEF, FakeDns, PATIENT, courier, loopback_listed, post, send_once};

const NAME: &str = "hooks.test";

fn named(port: u16, guard: &Guard) -> Target {
    Target::parse(&format!("https://{NAME}:{port}/hook"), guard).unwrap()
}

fn listed_courier(identity: &Identity, lists: &[&[SocketAddr]]) -> Courier {
    courier(loopback_listed(), FakeDns::answering(lists), identity)
}

/// I10: one private address among public ones refuses the whole name, and nobody is connected.
#[tokio::test]
async fn a_name_with_one_refused_address_is_refused_whole() {
    let identity = Identity::of(NAME);
    let receiver = Receiver::start(vec![vec![Act::Hang]]).await;
    // Loopback is listed here and stands for the public face; it comes first, so it would be dialled first.
    let public = receiver.addr();
    let private: SocketAddr = "10.0.0.1:443".parse().unwrap();
    for list in [[public, private], [private, public]] {
        let courier = listed_courier(&identity, &[&list]);
        let sent = send_once(&courier, &named(public.port(), courier.guard()), PATIENT).await;
        let why = sent.result.unwrap_err();
        assert_eq!(why.class().as_str(), "forbidden_address", "{why}");
    }
    assert_eq!(receiver.connections(), 0);
}

/// I10: a name of a private address is refused however public it looks.
#[tokio::test]
async fn a_name_of_this_machine_is_refused_without_a_list() {
    let receiver = Receiver::start(vec![vec![Act::Hang]]).await;
    let dns = FakeDns::answering(&[&[receiver.addr()]]);
    let courier = courier(Guard::default(), dns, &Identity::of(NAME));
    let target = named(receiver.addr().port(), courier.guard());
    let sent = send_once(&courier, &target, PATIENT).await;
    assert!(matches!(sent.result, Err(SendError::ForbiddenAddress(_))), "{:?}", sent.result);
    assert_eq!(receiver.connections(), 0);
}

/// I10: the address that was checked is the one connected to (a second look-up would panic the resolver), and when
/// the name turns private for the next connection, that one is refused.
#[tokio::test]
async fn a_name_that_changes_is_judged_anew_and_never_between_check_and_connect() {
    let identity = Identity::of(NAME);
    let once = vec![Act::Read, answer("204 No Content", "")];
    let receiver = Receiver::start_tls(&identity, vec![once]).await;
    let rebound: SocketAddr = "169.254.169.254:443".parse().unwrap();
    let courier = listed_courier(&identity, &[&[receiver.addr()], &[rebound]]);
    let target = named(receiver.addr().port(), courier.guard());

    let first = send_once(&courier, &target, PATIENT).await;
    assert_eq!(first.result.unwrap().status, 204);
    let second = send_once(&courier, &target, PATIENT).await;
    assert!(matches!(second.result, Err(SendError::ForbiddenAddress(_))), "{:?}", second.result);
    assert_eq!(receiver.connections(), 1);
}

/// The next address is tried when one refuses the connection.
#[tokio::test]
async fn addresses_are_tried_in_order() {
    let identity = Identity::of(NAME);
    let ok = vec![Act::Read, answer("200 OK", "ok")];
    let receiver = Receiver::start_tls(&identity, vec![ok]).await;
    let closed = vacant().await;
    let courier = listed_courier(&identity, &[&[closed, receiver.addr()]]);
    let target = named(receiver.addr().port(), courier.guard());
    assert_eq!(send_once(&courier, &target, PATIENT).await.result.unwrap().status, 200);
}

/// I8: an address that swallows packets costs the attempt its deadline, and leaves time for the next address.
#[tokio::test]
async fn an_address_that_swallows_packets_does_not_take_all_the_time() {
    let identity = Identity::of(NAME);
    let ok = vec![Act::Read, answer("200 OK", "ok")];
    let receiver = Receiver::start_tls(&identity, vec![ok]).await;
    let swallower = Swallower::start().await;
    let courier =
        listed_courier(&identity, &[&[swallower.addr], &[swallower.addr, receiver.addr()]]);
    let target = named(receiver.addr().port(), courier.guard());
    let alone = send_once(&courier, &target, BRIEF).await;
    assert_eq!(alone.result.unwrap_err(), SendError::Timeout(Arrival::NotArrived));
    let followed = send_once(&courier, &target, Duration::from_secs(8)).await;
    assert_eq!(followed.result.unwrap().status, 200);
}

#[tokio::test]
async fn no_address_is_a_dns_failure_and_no_listener_a_refused_connection() {
    let identity = Identity::of(NAME);
    let closed = vacant().await;
    let courier = listed_courier(&identity, &[&[], &[closed]]);
    let target = named(closed.port(), courier.guard());
    for expected in [SendError::Dns, SendError::ConnectRefused] {
        let mut slot = None;
        let sent = courier.send(&mut slot, &target, post(""), PATIENT).await;
        assert_eq!(sent.result.unwrap_err(), expected);
        assert!(slot.is_none());
    }
}

/// An address where nobody listens any more.
async fn vacant() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A listener whose queue of unaccepted connections is full: the next one gets no reply.
struct Swallower {
    addr: SocketAddr,
    _held: (TcpListener, Vec<TcpStream>),
}

impl Swallower {
    async fn start() -> Swallower {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connected) = timeout(BRIEF, TcpSocket::new_v4().unwrap().connect(addr)).await {
            queued.push(connected.unwrap());
        }
        Swallower { addr, _held: (listener, queued) }
    }
}
