//! A receiver inside the test: verifies, notes what it got, and can hold its answers back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use abide_core::Timestamp;
use abide_dialects::{Dialect as _, Received, consentproof::ConsentProof};
use bytes::Bytes;
use serde_json::Value;

use crate::program::PATIENCE;

pub(crate) const SECRET: &str = "whsec_of-the-tests-alone";

/// A listening receiver; lives as long as the test's process.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    gate: Arc<Gate>,
}

/// A webhook that arrived and verified.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    /// `data.id`: the consent's.
    pub(crate) object: String,
    /// `X-Webhook-ID`.
    pub(crate) webhook: String,
}

/// Answers wait while it is shut.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, arrivals) = mpsc::channel();
        let gate = Arc::new(Gate::default());
        let keeper = Arc::clone(&gate);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, gate) = (sender.clone(), Arc::clone(&keeper));
                thread::spawn(move || serve(stream, &sender, &gate));
            }
        });
        Self { address, arrivals, gate }
    }

    /// No answers from now on.
    pub(crate) fn shut(&self) {
        *self.gate.shut.lock().unwrap() = true;
    }

    /// Answers what waits, and what comes.
    pub(crate) fn open(&self) {
        *self.gate.shut.lock().unwrap() = false;
        self.gate.opened.notify_all();
    }

    /// The next webhook.
    pub(crate) fn next(&self) -> Arrival {
        self.arrivals.recv_timeout(PATIENCE).expect("no webhook comes")
    }

    /// What has arrived and was not asked for yet.
    pub(crate) fn so_far(&self) -> Vec<Arrival> {
        self.arrivals.try_iter().collect()
    }
}

/// Reads requests until the other side closes.
fn serve(stream: TcpStream, sender: &mpsc::Sender<Arrival>, gate: &Gate) {
    let mut answers = stream.try_clone().unwrap();
    let mut requests = BufReader::new(stream);
    while let Some(received) = read(&mut requests) {
        let verified = ConsentProof.verify(&received, SECRET, Timestamp::from_millis(0));
        let verified = verified.expect("a webhook does not verify");
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let arrival = Arrival {
            event_id: verified.event_id,
            event_type: verified.event_type,
            object: body["data"]["id"].as_str().unwrap_or_default().to_owned(),
            webhook: received.header("x-webhook-id").unwrap_or_default().to_owned(),
        };
        if sender.send(arrival).is_err() {
            return;
        }
        let shut = gate.shut.lock().unwrap();
        drop(gate.opened.wait_while(shut, |shut| *shut).unwrap());
        if answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn read(requests: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let headers: Vec<(String, String)> = head
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    // Cut off by a crash: never arrived.
    requests.read_exact(&mut body).ok()?;
    Some(Received { headers, body: Bytes::from(body) })
}

/// Collects what arrives until it is enough.
pub(crate) fn collect_until(
    receiver: &Receiver,
    seen: &mut Vec<Arrival>,
    enough: impl Fn(&[Arrival]) -> bool,
) {
    while !enough(seen) {
        match receiver.arrivals.recv_timeout(PATIENCE) {
            Ok(arrival) => seen.push(arrival),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => panic!("the receiver is gone"),
        }
    }
}
