//! The network: what webhooks may reach, whom they trust, whether names are answered, and where the server listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use reqwest::Url;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::Check;
use crate::config::Serving;
use crate::{outgoing, wiring};

/// Nobody has it (RFC 6761): a working resolver says so, a broken one says nothing.
const NOBODYS_NAME: &str = "abide-doctor.invalid";
const PATIENCE: Duration = Duration::from_secs(5);

/// What the operator opened.
pub(super) fn guard(serving: &Serving) -> Vec<Check> {
    let mut checks = Vec::new();
    let wide = serving.allow_network.iter().find(|net| net.prefix_len() == 0);
    let nets: Vec<String> = serving.allow_network.iter().map(ToString::to_string).collect();
    checks.push(match (wide, nets.is_empty()) {
        (Some(net), _) => Check::problem(
            "guard",
            format!("{net} is allowed, so webhooks may reach this machine's own network"),
            "list with --allow-network only the networks where receivers are",
        ),
        (None, true) => Check::ok("guard", "webhooks go to public addresses only"),
        (None, false) => Check::ok("guard", format!("also open: {}", nets.join(", "))),
    });
    if serving.dev {
        checks.push(Check::warning(
            "mode",
            "development: webhooks may go to plain http on this machine",
            "leave out --dev where the data is real",
        ));
    }
    checks
}

/// Root certificates.
pub(super) fn roots(serving: &Serving) -> Check {
    match wiring::has_roots() {
        Ok(()) => Check::ok("roots", "root certificates are there"),
        Err(problem) if serving.dev => {
            Check::warning("roots", problem, "without them nothing is sent to https")
        }
        Err(problem) => Check::problem("roots", problem, "the server does not start without them"),
    }
}

/// Whether the system's resolver answers at all. That a name does not exist is an answer.
pub(super) async fn resolver() -> Check {
    let name = "resolver";
    let todo = "look at /etc/resolv.conf and at the way to the name servers; webhooks need them";
    let began = Instant::now();
    let look = tokio::task::spawn_blocking(look_up);
    let asked = tokio::time::timeout(PATIENCE, look).await;
    let took = began.elapsed().as_millis();
    match asked {
        Ok(Ok(Answer::NoSuchName)) => Check::ok(name, format!("answers in {took} ms")),
        Ok(Ok(Answer::Address)) => Check::warning(
            name,
            "it gives an address for a name that nobody has",
            "a name server that makes answers up sends webhooks with mistyped hosts astray",
        ),
        Ok(Ok(Answer::Nobody) | Err(_)) => Check::warning(name, "no name server answers", todo),
        Err(_) => Check::warning(name, format!("no answer within {} s", PATIENCE.as_secs()), todo),
    }
}

enum Answer {
    NoSuchName,
    Address,
    Nobody,
}

/// The system tells "no such name" from "nobody to ask" by its words alone.
#[expect(
    clippy::disallowed_methods,
    reason = "asks whether names are answered; nothing is dialled"
)]
fn look_up() -> Answer {
    match (NOBODYS_NAME, 443).to_socket_addrs() {
        Ok(_) => Answer::Address,
        Err(error) => {
            let text = error.to_string();
            // glibc's words, and musl's.
            let is_nobody = text.contains("Temporary failure") || text.contains("Try again");
            if is_nobody { Answer::Nobody } else { Answer::NoSuchName }
        }
    }
}

#[derive(Deserialize)]
struct Readiness {
    #[serde(default)]
    reasons: Vec<String>,
}

/// Whether the server answers where it should, or could listen there.
pub(super) async fn listening(serving: &Serving, url: Option<Url>, served: bool) -> Check {
    let name = "listening";
    let named = url.is_some();
    if !served && !named {
        return match TcpListener::bind(serving.listen).await {
            Ok(_) => Check::ok(name, format!("{} is free for a server", serving.listen)),
            Err(error) => Check::problem(
                name,
                format!("{} cannot be listened on: {error}", serving.listen),
                "choose another with --listen, or end what listens there",
            ),
        };
    }
    let url = match url {
        Some(url) => url,
        None => match Url::parse(&format!("http://{}", reachable(serving.listen))) {
            Ok(url) => url,
            Err(error) => return Check::problem(name, error.to_string(), "say --url"),
        },
    };
    match ask(&url).await {
        Ok((true, _)) => Check::ok(name, format!("{url} answers and is ready")),
        Ok((false, reasons)) => Check::problem(
            name,
            format!("{url} answers and is not ready: {}", reasons.join("; ")),
            "the server's log says more",
        ),
        Err(why) if named => {
            Check::problem(name, format!("{url}: {why}"), "is it the server's address?")
        }
        Err(why) => Check::warning(
            name,
            format!("a server runs, and {url} does not answer: {why}"),
            "say with --url where it answers",
        ),
    }
}

async fn ask(url: &Url) -> Result<(bool, Vec<String>), String> {
    let client = outgoing::client(url, PATIENCE).map_err(|error| error.to_string())?;
    let readyz = url.join("/readyz").map_err(|error| error.to_string())?;
    let answer = client.get(readyz).send().await.map_err(|error| outgoing::why(&error))?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(|error| outgoing::why(&error))?;
    let readiness = serde_json::from_slice::<Readiness>(&body);
    match (status, readiness) {
        (200, Ok(_)) => Ok((true, Vec::new())),
        (503, Ok(Readiness { reasons })) => Ok((false, reasons)),
        _ => Err(format!("it answers {status}, and not as Abide does")),
    }
}

/// Every address at once is none to call: then this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port())
    } else {
        listen
    }
}
