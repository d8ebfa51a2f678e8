//! Receivers to copy, with an endpoint's values in their places.

use abide_dialects::receivers;
use askama::Template;
use askama::filters::HtmlSafe;

/// What a program listens on where the endpoint's URL does not say: the usual one of the programs themselves.
const USUAL_PORT: u16 = 9090;
/// Stands in the programs where a secret goes that is not shown any more.
const PLACEHOLDER: &str = "PASTE-THE-SECRET-HERE";

/// The receivers of a dialect. Written into a template as `{{ receivers }}`.
#[derive(Debug, Template)]
#[template(path = "endpoint_receivers.html")]
pub(super) struct Receivers {
    programs: Vec<Program>,
    port: u16,
    /// Where the endpoint sends, when that is not this machine and so something has to lead here from there.
    elsewhere: Option<String>,
    has_secret: bool,
}

/// It escapes what it holds by itself.
impl HtmlSafe for Receivers {}

struct Program {
    language: &'static str,
    file: &'static str,
    command: &'static str,
    source: String,
    is_first: bool,
}

/// I12: a secret can be in the source.
impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.file)
    }
}

impl Receivers {
    /// With what verifies the endpoint's webhooks, where it is shown on this page; else with a placeholder.
    pub(super) fn of(dialect: &str, url: &str, verifies: Option<&str>) -> Self {
        let here = ["localhost", "127.0.0.1", "[::1]"];
        let uri = url.parse::<http::Uri>().ok();
        let uri = uri.as_ref();
        let is_here = uri.and_then(http::Uri::host).is_some_and(|host| here.contains(&host));
        let port = uri.and_then(http::Uri::port_u16).filter(|_| is_here).unwrap_or(USUAL_PORT);
        let programs = receivers(dialect).iter().enumerate().map(|(place, receiver)| Program {
            language: receiver.language,
            file: receiver.file,
            command: receiver.command,
            source: receiver.filled_in(verifies.unwrap_or(PLACEHOLDER), port),
            is_first: place == 0,
        });
        Self {
            programs: programs.collect(),
            port,
            elsewhere: (!is_here).then(|| url.to_owned()),
            has_secret: verifies.is_some(),
        }
    }
}
