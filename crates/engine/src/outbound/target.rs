//! Where a call goes: a URL read once, strictly, and then reused for every send.
//!
//! Parsed here and not by a WHATWG parser because that one repairs what it reads (dots, tabs, backslashes, number
//! forms of hosts). A receiver's URL must go out as it was given, and a doubtful one must be refused, not repaired.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::{HeaderValue, Uri, uri::PathAndQuery};
use rustls::pki_types::ServerName;

use super::{Forbidden, Guard, OwnTls};

/// The longest URL accepted.
pub const MAX_URL_LEN: usize = 2048;

/// A checked URL, cheap to clone.
#[derive(Clone)]
pub struct Target {
    origin: Arc<Origin>,
    uri: Uri,
}

/// Scheme, host, port and what proves both sides: what a connection belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) server_name: ServerName<'static>,
    pub(super) host_header: HeaderValue,
    /// `None`: everybody's.
    pub(super) tls: Option<OwnTls>,
}

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TLS, always verified.
    Https,
    /// Clear text; only to loopback, only in dev mode.
    Http,
}

/// Who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, in lower case.
    Name(String),
    /// A literal address.
    Ip(IpAddr),
}

/// Why a URL is refused; its `Display` is fit to show the person who typed it and repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetProblem {
    /// Longer than [`MAX_URL_LEN`].
    TooLong,
    /// Something other than ASCII: an international name must be given in its punycode form.
    NotAscii,
    /// A control character, a space or a backslash.
    BadCharacter,
    /// Not an `https://` URL.
    HttpsRequired,
    /// `user:password@`.
    Userinfo,
    /// `#...`, which is never sent.
    Fragment,
    /// No host.
    NoHost,
    /// Neither a DNS name nor an address.
    BadHost,
    /// A number that readers disagree on: `0x7f.1`, `2130706433`, `0177.0.0.1`, `127.1`.
    AmbiguousHost,
    /// Not a port from 1 to 65535.
    BadPort,
    /// A path or query that no request line can carry.
    BadPath,
    /// A literal address that may not be called.
    Forbidden(Forbidden),
}

impl Target {
    /// Reads a URL and refuses whatever could be understood in two ways. Names are judged later, by the
    /// addresses they resolve to.
    pub fn parse(url: &str, guard: &Guard) -> Result<Target, TargetProblem> {
        if url.len() > MAX_URL_LEN {
            return Err(TargetProblem::TooLong);
        }
        if !url.is_ascii() {
            return Err(TargetProblem::NotAscii);
        }
        if url.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
            return Err(TargetProblem::BadCharacter);
        }
        let (scheme, rest) = split_scheme(url)?;
        if rest.contains('#') {
            return Err(TargetProblem::Fragment);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(TargetProblem::Userinfo);
        }
        let (host, port) = split_port(authority)?;
        let host = read_host(host)?;
        let port = port.map(read_port).transpose()?;
        admit(guard, scheme, &host)?;
        Ok(Target {
            origin: Arc::new(Origin::new(scheme, host, port)?),
            uri: Uri::from(read_path(path)?),
        })
    }

    /// The same place, reached by a TLS of its own. Connections made without it do not lead here, nor the other way round.
    #[must_use]
    pub fn by(self, tls: OwnTls) -> Target {
        let origin = Origin { tls: Some(tls), ..(*self.origin).clone() };
        Target { origin: Arc::new(origin), ..self }
    }

    /// How the bytes travel.
    pub fn scheme(&self) -> Scheme {
        self.origin.scheme
    }

    /// Who is called.
    pub fn host(&self) -> &Host {
        &self.origin.host
    }

    /// The port, given or the scheme's own.
    pub fn port(&self) -> u16 {
        self.origin.port
    }

    /// What stands in the request line: path and query as they were given.
    pub fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", PathAndQuery::as_str)
    }

    pub(super) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl Origin {
    fn new(scheme: Scheme, host: Host, port: Option<u16>) -> Result<Origin, TargetProblem> {
        let default = match scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
        };
        let port = port.unwrap_or(default);
        let shown = if port == default { host.to_string() } else { format!("{host}:{port}") };
        let host_header = HeaderValue::try_from(shown).map_err(|_| TargetProblem::BadHost)?;
        let server_name = match &host {
            Host::Ip(addr) => ServerName::IpAddress((*addr).into()),
            Host::Name(name) => {
                ServerName::try_from(name.clone()).map_err(|_| TargetProblem::BadHost)?
            }
        };
        Ok(Origin { scheme, host, port, server_name, host_header, tls: None })
    }
}

fn split_scheme(url: &str) -> Result<(Scheme, &str), TargetProblem> {
    let (scheme, rest) = url.split_once("://").ok_or(TargetProblem::HttpsRequired)?;
    if scheme.eq_ignore_ascii_case("https") {
        Ok((Scheme::Https, rest))
    } else if scheme.eq_ignore_ascii_case("http") {
        Ok((Scheme::Http, rest))
    } else {
        Err(TargetProblem::HttpsRequired)
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), TargetProblem> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(TargetProblem::BadHost)? + 1;
        return match authority[end..].strip_prefix(':') {
            Some(port) => Ok((&authority[..end], Some(port))),
            None if end == authority.len() => Ok((authority, None)),
            None => Err(TargetProblem::BadHost),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn read_port(text: &str) -> Result<u16, TargetProblem> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain).ok_or(TargetProblem::BadPort)
}

fn read_host(text: &str) -> Result<Host, TargetProblem> {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let addr: Ipv6Addr = inner.parse().map_err(|_| TargetProblem::BadHost)?;
        return Ok(Host::Ip(addr.into()));
    }
    if text.is_empty() {
        return Err(TargetProblem::NoHost);
    }
    if ends_in_a_number(text) {
        // The standard parser takes four plain decimals and nothing else; resolvers take far more.
        let addr: Ipv4Addr = text.parse().map_err(|_| TargetProblem::AmbiguousHost)?;
        return Ok(Host::Ip(addr.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let well_formed = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= 253 && name.split('.').all(well_formed) {
        Ok(Host::Name(text.to_ascii_lowercase()))
    } else {
        Err(TargetProblem::BadHost)
    }
}

/// The WHATWG test for "this is meant as an IPv4 address".
fn ends_in_a_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn read_path(text: &str) -> Result<PathAndQuery, TargetProblem> {
    let rooted = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    let read = PathAndQuery::try_from(rooted.as_str()).map_err(|_| TargetProblem::BadPath)?;
    if read.as_str() == rooted { Ok(read) } else { Err(TargetProblem::BadPath) }
}

fn admit(guard: &Guard, scheme: Scheme, host: &Host) -> Result<(), TargetProblem> {
    match (scheme, host) {
        (Scheme::Http, _) if !guard.dev_loopback_http => Err(TargetProblem::HttpsRequired),
        (Scheme::Http, Host::Name(name)) if name == "localhost" => Ok(()),
        (Scheme::Http, Host::Ip(addr)) if addr.is_loopback() => Ok(()),
        (Scheme::Http, _) => Err(TargetProblem::HttpsRequired),
        (Scheme::Https, Host::Ip(addr)) => guard.check(*addr).map_err(TargetProblem::Forbidden),
        (Scheme::Https, Host::Name(_)) => Ok(()),
    }
}

/// Without path and query: senders put tokens there.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { scheme, host, port, .. } = &*self.origin;
        write!(f, "Target({scheme:?} {host}:{port})")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(addr)) => addr.fmt(f),
            Host::Ip(IpAddr::V6(addr)) => write!(f, "[{addr}]"),
        }
    }
}

impl fmt::Display for TargetProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetProblem::TooLong => "the URL is longer than 2048 characters",
            TargetProblem::NotAscii => {
                "the URL has characters outside ASCII; give an international name in its punycode form (xn--...) \
                 and percent-encode the rest"
            }
            TargetProblem::BadCharacter => "the URL has a space, control character or backslash",
            TargetProblem::HttpsRequired => "the URL must begin with https://",
            TargetProblem::Userinfo => "the URL must not carry a user name or password",
            TargetProblem::Fragment => "the URL must not have a fragment (#...)",
            TargetProblem::NoHost => "the URL has no host",
            TargetProblem::BadHost => "the URL's host is neither a DNS name nor an address",
            TargetProblem::AmbiguousHost => {
                "the URL's host is a number that is read in more than one way; write four decimals (192.0.2.1)"
            }
            TargetProblem::BadPort => "the URL's port is not a number from 1 to 65535",
            TargetProblem::BadPath => "the URL's path or query has a character that must be percent-encoded",
            TargetProblem::Forbidden(why) => return why.fmt(f),
        })
    }
}

impl std::error::Error for TargetProblem {}
