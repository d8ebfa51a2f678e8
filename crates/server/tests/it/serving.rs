//! The socket side, with a router of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use abide_server::{Drained, Limits, serve};
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
    /// Rung when `/wait` is entered.
    entered: Arc<Notify>,
    /// Lets `/wait` answer.
    release: Arc<Notify>,
}

async fn start(limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, leave) = (entered.clone(), release.clone());
    let wait = move || async move {
        inside.notify_one();
        leave.notified().await;
        "waited"
    };
    let router = Router::new().route("/", get(async || "hello")).route("/wait", get(wait));
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(serve(listener, router, limits, async {
        let _ = stopped.await;
    }));
    Served { address, stop, ended, entered, release }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Sends a request and reads until the body that the test's router gives.
fn ask(stream: &mut TcpStream, path: &str, until: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(until) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_serves_many_requests() {
    let served = start(Limits::default()).await;
    let address = served.address;
    tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        for _ in 0..3 {
            assert!(ask(&mut stream, "/", "hello").starts_with("HTTP/1.1 200 OK"));
        }
    })
    .await
    .unwrap();
    served.stop.send(()).unwrap();
    assert_eq!(served.ended.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_closed_and_makes_room() {
    let limits = Limits { connections: 1, head: Duration::from_millis(300), ..Limits::default() };
    let served = start(limits).await;
    let address = served.address;
    tokio::task::spawn_blocking(move || {
        let silent = connect(address);
        let began = Instant::now();
        let mut next = connect(address);
        ask(&mut next, "/", "hello");
        assert!(began.elapsed() >= Duration::from_millis(200), "two connections were open at once");
        let mut rest = Vec::new();
        (&silent).read_to_end(&mut rest).unwrap();
    })
    .await
    .unwrap();
}

/// I8: a caller that asks and takes nothing of the answers loses its connection, and makes room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_a_caller_who_takes_nothing_is_cut_off() {
    let write = Duration::from_millis(300);
    let served = start(Limits { connections: 1, write, ..Limits::default() }).await;
    let address = served.address;
    tokio::task::spawn_blocking(move || {
        let mut greedy = connect(address);
        greedy.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let asked = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
        // The answers fill the buffers on the way; then nothing is read from us any more, and then nothing is there.
        let cut = std::iter::repeat_with(|| greedy.write_all(asked.as_bytes()))
            .find_map(Result::err)
            .expect("an end");
        assert!(!matches!(cut.kind(), std::io::ErrorKind::WouldBlock), "cut off, not left waiting");
        ask(&mut connect(address), "/", "hello");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_requests_under_way_end() {
    let served = start(Limits::default()).await;
    let address = served.address;
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        let answer = ask(&mut stream, "/wait", "waited");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        (answer, rest)
    });
    served.entered.notified().await;
    served.stop.send(()).unwrap();
    served.release.notify_one();
    let (answer, rest) = asked.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(rest.is_empty(), "the connection was closed after its answer");
    assert_eq!(served.ended.await.unwrap(), Drained { cut: 0 });
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_ever() {
    let limits = Limits { drain: Duration::from_millis(200), ..Limits::default() };
    let served = start(limits).await;
    let address = served.address;
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        write!(stream, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        text
    });
    served.entered.notified().await;
    served.stop.send(()).unwrap();
    assert_eq!(served.ended.await.unwrap(), Drained { cut: 1 });
    assert!(asked.await.unwrap().is_empty());
}
