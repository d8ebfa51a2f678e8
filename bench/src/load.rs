//! The loader: cheap enough to share the machine with what it measures.
//!
//! In a closed loop each connection sends its next request once the one before is answered, and all wait while more
//! than a window of events has not arrived at the sink: so accepting cannot outrun delivering, and what is measured
//! is a steady state. With a rate, requests leave by the clock instead.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use clap::Args;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use crate::control;
use crate::figures::{Delays, now_nanos};
use crate::http::{Messages, status};
use crate::signing;
use crate::sink::STAMP;

#[derive(Args)]
pub(crate) struct Options {
    /// Whom to call
    #[arg(long)]
    to: SocketAddr,
    /// Whom every other connection calls instead
    #[arg(long)]
    and_to: Option<SocketAddr>,
    /// Which path
    #[arg(long, default_value = "/v1/consent")]
    path: String,
    /// Connections kept open
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Requests a second; 0 is a closed loop
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Subjects that come again and again
    #[arg(long, default_value_t = 10_000)]
    known: u64,
    /// How many in a hundred decisions are about somebody new
    #[arg(long, default_value_t = 0)]
    new_percent: u64,
    /// Decisions per call; 0 is the call for one
    #[arg(long, default_value_t = 0)]
    batch: u64,
    /// File with a bearer token a line; calls take them in turn
    #[arg(long)]
    tokens: Option<PathBuf>,
    /// Sign each body
    #[arg(long)]
    sign: bool,
    /// The sink to keep pace with
    #[arg(long)]
    sink: Option<SocketAddr>,
    /// Deliveries per call
    #[arg(long, default_value_t = 1)]
    fan_out: u64,
    /// Calls that may be under way to the sink
    #[arg(long, default_value_t = 1_000)]
    window: u64,
    /// Stop after so many calls; 0 is never
    #[arg(long, default_value_t = 0)]
    calls: u64,
}

/// What the loader has done.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Calls answered 2xx since the start.
    pub(crate) accepted: u64,
    /// The same, of tokens on even lines.
    pub(crate) accepted_even: u64,
    /// Calls answered otherwise.
    pub(crate) refused: u64,
    /// Calls under way.
    pub(crate) open: u64,
    /// From sending to the answer, since the last reset.
    pub(crate) delays: Delays,
}

struct Load {
    options: Options,
    tokens: Vec<String>,
    key: hmac::Key,
    run: String,
    started: AtomicU64,
    accepted: AtomicU64,
    accepted_even: AtomicU64,
    refused: AtomicU64,
    /// Calls that may begin.
    allowed: Semaphore,
    stopped: AtomicBool,
    micros: Mutex<Vec<u32>>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let tokens = match &options.tokens {
        Some(file) => std::fs::read_to_string(file)?.lines().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    let load = Arc::new(Load {
        tokens,
        key: signing::key(),
        run: format!("{:x}", now_nanos()),
        started: AtomicU64::new(0),
        accepted: AtomicU64::new(0),
        accepted_even: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        allowed: Semaphore::new(options.window as usize),
        stopped: AtomicBool::new(false),
        micros: Mutex::default(),
        options,
    });
    let asked = Arc::clone(&load);
    control::answer(move |word| {
        match word {
            "reset" => asked.micros.lock().clear(),
            "stop" => asked.stopped.store(true, Ordering::Relaxed),
            _ => {}
        }
        serde_json::json!(asked.done())
    });
    if let Some(sink) = load.options.sink {
        tokio::spawn(keep_pace(Arc::clone(&load), connect(sink).await?));
    }
    let began = Instant::now();
    let mut connections = Vec::new();
    for number in 0..load.options.connections {
        let other = load.options.and_to.filter(|_| !number.is_multiple_of(2));
        let stream = connect(other.unwrap_or(load.options.to)).await?;
        connections.push(tokio::spawn(drive(Arc::clone(&load), stream, number, began)));
    }
    for connection in connections {
        connection.await?.context("a connection of the loader broke")?;
    }
    if load.options.calls > 0 {
        control::say(&serde_json::json!(load.done()));
    }
    // The control thread ends the process.
    std::future::pending().await
}

#[expect(clippy::disallowed_methods, reason = "the loader calls what it measures, not a webhook")]
async fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("cannot reach {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads off the sink how many calls may have begun.
async fn keep_pace(load: Arc<Load>, mut stream: TcpStream) -> anyhow::Result<()> {
    let mut messages = Messages::new();
    let (mut first, mut given) = (None, 0);
    loop {
        stream.write_all(b"GET /count HTTP/1.1\r\n\r\n").await?;
        let Some((_, body)) = messages.next(&mut stream).await? else { return Ok(()) };
        let count: u64 = str::from_utf8(body)?.parse()?;
        let arrived = count - *first.get_or_insert(count);
        let done = arrived / load.options.fan_out;
        load.allowed.add_permits((done - given) as usize);
        given = done;
        sleep(Duration::from_millis(1)).await;
    }
}

async fn drive(
    load: Arc<Load>,
    mut stream: TcpStream,
    number: u64,
    began: Instant,
) -> anyhow::Result<()> {
    let options = &load.options;
    let mut messages = Messages::new();
    let (mut body, mut request) = (String::new(), String::new());
    for turn in 0.. {
        let place = turn * options.connections + number;
        if let Some(at) = (place * 1_000_000_000).checked_div(options.rate) {
            sleep_until(began + Duration::from_nanos(at)).await;
        }
        if load.stopped.load(Ordering::Relaxed) {
            break;
        }
        let call = load.started.fetch_add(1, Ordering::Relaxed);
        if options.calls > 0 && call >= options.calls {
            break;
        }
        if options.sink.is_some() {
            load.allowed.acquire().await?.forget();
        }
        let sent = now_nanos();
        load.write(call, sent, &mut body, &mut request)?;
        stream.write_all(request.as_bytes()).await?;
        let (head, _) = messages.next(&mut stream).await?.context("it closed the connection")?;
        if (200..300).contains(&status(head)) {
            load.accepted.fetch_add(1, Ordering::Relaxed);
            if call.is_multiple_of(2) {
                load.accepted_even.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            load.refused.fetch_add(1, Ordering::Relaxed);
        }
        if options.rate > 0 {
            load.micros.lock().push((now_nanos().saturating_sub(sent) / 1_000) as u32);
        }
    }
    Ok(())
}

impl Load {
    fn write(
        &self,
        call: u64,
        sent: u64,
        body: &mut String,
        request: &mut String,
    ) -> std::fmt::Result {
        let Options { to, path, batch, .. } = &self.options;
        body.clear();
        if *batch == 0 {
            self.write_decision(call, sent, body)?;
        } else {
            body.push_str("{\"consents\":[");
            for at in 0..*batch {
                if at > 0 {
                    body.push(',');
                }
                self.write_decision(call * batch + at, sent, body)?;
            }
            body.push_str("]}");
        }
        request.clear();
        write!(
            request,
            "POST {path} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\n"
        )?;
        if !self.tokens.is_empty() {
            let token = &self.tokens[call as usize % self.tokens.len()];
            write!(request, "authorization: Bearer {token}\r\n")?;
        }
        if self.options.sign {
            let signature = signing::sign(&self.key, body.as_bytes());
            write!(request, "x-signature: {}\r\n", signature.to_str().unwrap_or_default())?;
        }
        write!(request, "content-length: {}\r\n\r\n{body}", body.len())
    }

    /// About 600 bytes. What is said changes each time round, so that each decision is an event.
    fn write_decision(&self, decision: u64, sent: u64, body: &mut String) -> std::fmt::Result {
        let Options { known, new_percent, .. } = &self.options;
        let round = decision / known.max(&1);
        let is_new = decision % 100 < *new_percent;
        let (group, person) = if is_new {
            (self.run.as_str(), decision)
        } else {
            ("known", decision % known.max(&1))
        };
        write!(
            body,
            "{{\"subject_id\":\"bench-{group}-{person:08}\",\
             \"subject_email\":\"bench-{group}-{person:08}@example.com\",\"consent_type\":\"marketing\",\
             \"granted\":{},\"ip_address\":\"198.51.100.17\",\"metadata\":{{{STAMP}{sent:019}\",{PADDING}}}}}",
            is_new || round.is_multiple_of(2),
        )
    }

    fn done(&self) -> Done {
        let accepted = self.accepted.load(Ordering::Relaxed);
        let refused = self.refused.load(Ordering::Relaxed);
        Done {
            accepted,
            accepted_even: self.accepted_even.load(Ordering::Relaxed),
            refused,
            open: self.started.load(Ordering::Relaxed).saturating_sub(accepted + refused),
            delays: Delays::of(&mut self.micros.lock().clone()),
        }
    }
}

/// What a site would note beside a decision.
const PADDING: &str = "\"source\":\"signup_form\",\"page\":\"https://shop.example.com/checkout/address?step=2\",\
    \"form_version\":\"2026-03-14\",\"language\":\"en-GB\",\"browser\":\"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
    Gecko/20100101 Firefox/140.0\",\"wording\":\"Yes, write to me about offers at most once a week; I can end this at \
    any time by the link in each letter.\",\"campaign\":\"autumn\"";
