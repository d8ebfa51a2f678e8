//! Calls from the command line to HTTP servers that its user names: one's own application, a server of Abide.
//!
//! Off the hot path, so a whole client library serves. Webhooks never go this way; they go through the guard (I10).

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::config::Usage;

/// Whether what is sent may be read on the way.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PlainHttp {
    /// Allow plain http to other machines: everybody on the way can read keys and personal data
    #[arg(long, help_heading = "Server")]
    insecure_http: bool,
}

/// A client that follows no redirect: one would take credentials and bodies to where nobody sent them.
pub(crate) fn client(to: &Url, timeout: Duration) -> anyhow::Result<Client> {
    let client = Client::builder();
    // A proxy of the environment would be sent in clear what plain http promises to keep on this machine.
    let client = if to.scheme() == "http" { client.no_proxy() } else { client };
    client
        .redirect(Policy::none())
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(10)))
        .user_agent(concat!("abide/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot make an HTTP client")
}

impl PlainHttp {
    /// Judges a URL that somebody named; `what` is the flag, for the error.
    pub(crate) fn judge(self, what: &str, text: &str) -> Result<Url, Usage> {
        let wrong = |why: &str| Usage(format!("{what}: {why}"));
        let url =
            Url::parse(text).map_err(|_| wrong("it is no URL such as http://127.0.0.1:8420"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a URL must not hold a user name or password"));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("it names no host"))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.insecure_http || is_this_machine(host) => Ok(url),
            "http" => Err(wrong(
                "plain http to another machine can be read on the way: use https, or say --insecure-http",
            )),
            _ => Err(wrong("it must begin with https:// or http://")),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Why a call did not come to an answer, in words that repeat no URL.
pub(crate) fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    // The innermost cause says most, and none of them repeats what was sent.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause = cause.to_string();
    if !error.is_connect() {
        return cause;
    }
    // What rustls says of an answer in the clear.
    let in_clear = cause.contains("InvalidContentType");
    if in_clear { SPEAKS_NO_TLS.to_owned() } else { format!("cannot connect: {cause}") }
}

const SPEAKS_NO_TLS: &str =
    "what answers there speaks no TLS: is the URL one with http:// or of another port?";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_this_machine_only_unless_asked_for() {
        let (no, yes) = (PlainHttp { insecure_http: false }, PlainHttp { insecure_http: true });
        for url in
            ["http://127.0.0.1:1/x", "http://localhost", "http://[::1]:3", "https://a.example"]
        {
            assert!(no.judge("--url", url).is_ok(), "{url}");
        }
        for url in ["http://a.example", "http://10.0.0.1", "http://localhost.a.example"] {
            let problem = no.judge("--url", url).unwrap_err().0;
            assert!(
                problem.starts_with("--url: ") && problem.contains("--insecure-http"),
                "{problem}"
            );
            assert!(yes.judge("--url", url).is_ok(), "{url}");
        }
        for url in ["", "127.0.0.1:80", "ftp://a.example", "https://u:p@a.example", "unix:/x"] {
            let problem = yes.judge("--url", url).unwrap_err().0;
            assert!(!problem.contains("u:p"), "{problem}");
        }
    }
}
