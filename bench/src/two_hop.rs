//! The limit that Abide is held against: its own HTTP server and client layers with nothing between them but a
//! bounded queue per endpoint. Nothing is parsed, checked or stored.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use abide_engine::outbound::{
    ByteBudget, Connection, Courier, Guard, SystemResolver, Target, TlsRoots, UserAgent,
    WireRequest,
};
use abide_server::Limits;
use anyhow::{Context as _, anyhow};
use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{control, signing};

#[derive(Args)]
pub(crate) struct Options {
    /// Where to send
    #[arg(long)]
    sink: SocketAddr,
    /// To how many endpoints
    #[arg(long, default_value_t = 1)]
    fan_out: usize,
}

/// Requests that may wait or be under way: as many as Abide keeps in memory for one endpoint.
const WAITING: usize = 8_192;
/// Open attempts per endpoint, as in the engine.
const PER_ENDPOINT: usize = 32;
/// As long as Abide gives a receiver.
const DEADLINE: Duration = Duration::from_secs(10);

struct Hops {
    courier: Courier,
    endpoints: Vec<Endpoint>,
    room: Arc<Semaphore>,
    key: hmac::Key,
}

struct Endpoint {
    target: Target,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<(Bytes, Arc<OwnedSemaphorePermit>)>,
    idle: Vec<Connection>,
    workers: usize,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let guard = Guard { dev_loopback_http: true, ..Guard::default() };
    let endpoint = |number| {
        let target = Target::parse(&format!("http://{}/{number}", options.sink), &guard);
        target.map(|target| Endpoint { target, line: Mutex::default() })
    };
    let endpoints: Result<Vec<_>, _> = (0..options.fan_out).map(endpoint).collect();
    let endpoints = endpoints.map_err(|problem| anyhow!("{problem}"))?;
    let budget = ByteBudget::new(64 << 20);
    let courier =
        Courier::new(guard, Arc::new(SystemResolver::default()), TlsRoots::Platform, budget)
            .context("no certificates to trust")?;
    let hops = Arc::new(Hops {
        courier,
        endpoints,
        room: Arc::new(Semaphore::new(WAITING)),
        key: signing::key(),
    });
    let router = Router::new().route("/v1/consent", post(accept)).with_state(hops);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    control::say(&serde_json::to_value(listener.local_addr()?)?);
    control::answer(|_| serde_json::Value::Null);
    abide_server::serve(listener, router, Limits::default(), std::future::pending()).await;
    Ok(())
}

async fn accept(State(hops): State<Arc<Hops>>, request: Request) -> StatusCode {
    // As Abide reads a body: what comes in one piece is kept as it is.
    let Some(Ok(body)) = request.into_body().frame().await.map(|frame| frame.map(Frame::into_data))
    else {
        return StatusCode::BAD_REQUEST;
    };
    let Ok(body) = body else { return StatusCode::BAD_REQUEST };
    let Ok(room) = Arc::clone(&hops.room).acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let room = Arc::new(room);
    for number in 0..hops.endpoints.len() {
        let mut line = hops.endpoints[number].line.lock();
        line.waiting.push_back((body.clone(), Arc::clone(&room)));
        if line.workers < PER_ENDPOINT {
            line.workers += 1;
            let connection = line.idle.pop();
            drop(line);
            tokio::spawn(work(Arc::clone(&hops), number, connection));
        }
    }
    StatusCode::CREATED
}

/// Sends what waits, and lays its connection aside for the next worker.
async fn work(hops: Arc<Hops>, number: usize, mut connection: Option<Connection>) {
    let endpoint = &hops.endpoints[number];
    loop {
        let next = {
            let mut line = endpoint.line.lock();
            let next = line.waiting.pop_front();
            if next.is_none() {
                line.workers -= 1;
                line.idle.extend(connection.take());
            }
            next
        };
        let Some((body, room)) = next else { return };
        let request = WireRequest {
            headers: vec![
                (header::CONTENT_TYPE, HeaderValue::from_static(JSON)),
                (SIGNATURE, signing::sign(&hops.key, &body)),
            ],
            body: body.into(),
            user_agent: UserAgent::Abide,
        };
        let _ = hops.courier.send(&mut connection, &endpoint.target, request, DEADLINE).await;
        drop(room);
    }
}

const JSON: &str = "application/json";
const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
