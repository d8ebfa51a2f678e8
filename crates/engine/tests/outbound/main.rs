//! The way out, against tables of addresses and against receivers that misbehave on purpose.

#![expect(clippy::unwrap_used, reason = "what a test sets up is meant to work")]

mod answers;
mod blobs;
mod failures;
mod guard;
mod names;
mod policy;
mod reuse;
mod targets;
mod tls;

#[path = "../support/receiver.rs"]
mod receiver;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use abide_engine::outbound::{
    Answered, ByteBudget, Connection, Courier, Guard, Resolve, Target, TlsRoots, UserAgent,
    WireRequest,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use receiver::{Identity, Receiver};

const BUDGET: u32 = 1 << 20;

/// Long enough that a loaded machine never reaches it, for sends that are expected to end by themselves.
const PATIENT: Duration = Duration::from_mins(1);

/// Short, for sends whose receiver never ends them.
const BRIEF: Duration = Duration::from_secs(1);

fn dev_guard() -> Guard {
    Guard { dev_loopback_http: true, ..Guard::default() }
}

fn loopback_listed() -> Guard {
    Guard { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Guard::default() }
}

/// A courier for plain http to loopback. It trusts one certificate nobody has.
fn dev_courier() -> Courier {
    courier(dev_guard(), FakeDns::default(), &Identity::of("nobody.test"))
}

fn courier(guard: Guard, dns: FakeDns, trusted: &Identity) -> Courier {
    let roots = TlsRoots::Only(vec![trusted.certificate()]);
    Courier::new(guard, Arc::new(dns), roots, ByteBudget::new(BUDGET)).unwrap()
}

fn http_target(receiver: &Receiver, path: &str) -> Target {
    Target::parse(&format!("http://{}{path}", receiver.addr()), &dev_guard()).unwrap()
}

fn post(body: &str) -> WireRequest {
    WireRequest {
        headers: Vec::new(),
        body: Bytes::copy_from_slice(body.as_bytes()).into(),
        user_agent: UserAgent::Abide,
    }
}

/// One send over a connection of its own.
async fn send_once(courier: &Courier, target: &Target, deadline: Duration) -> Answered {
    let mut slot: Option<Connection> = None;
    spawnable(courier.send(&mut slot, target, post("hello"), deadline)).await
}

/// Endpoint tasks move between threads, and their sends with them.
fn spawnable<F: Future + Send>(send: F) -> F {
    send
}

/// Answers each look-up with the next prepared list; any look-up beyond them fails the test.
#[derive(Debug, Default)]
struct FakeDns(Mutex<VecDeque<Vec<SocketAddr>>>);

impl FakeDns {
    fn answering(lists: &[&[SocketAddr]]) -> FakeDns {
        FakeDns(Mutex::new(lists.iter().map(|list| list.to_vec()).collect()))
    }
}

#[async_trait]
impl Resolve for FakeDns {
    async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.lock().pop_front().unwrap_or_else(|| panic!("one look-up too many, for {host}")))
    }
}
