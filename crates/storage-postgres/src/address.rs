//! Where the server is, and how connections to it are made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What drives a connection.
pub(crate) type Driven =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A database server, and the database on it.
#[derive(Clone)]
pub(crate) struct Address {
    config: Config,
    tls: MakeRustlsConnect,
    pooler: Pooler,
    /// The server itself, where a pooler stands before it.
    direct: Option<Config>,
    /// What the server is to go by in each transaction, as `name = value`.
    settings: Vec<String>,
    /// How long whoever asks there waits for an answer; for ever where nothing is said.
    patience: Option<Duration>,
}

/// How long things may take at the connections of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long a transaction may be silent, whose node stands still.
    pub(crate) silence: Duration,
    /// How long a transaction may take altogether, where the server knows such a bound: from version 17 on.
    pub(crate) transaction: Option<Duration>,
    /// How long the node waits for an answer, where that may not take long. The server gives up a little earlier, so that nothing
    /// goes on there that nobody waits for; where it stands still itself, that is all there is.
    pub(crate) answer: Option<Duration>,
}

/// What stands between us and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooler {
    /// Nothing, or something that keeps a connection to one server from beginning to end.
    None,
    /// A pooler that may give each transaction another server: nothing outlives a transaction there, neither a prepared
    /// statement nor a lock.
    Transaction,
}

/// Why a URL names no server.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    /// It is none, or has an option that is not known. The text is the reader's, without the URL.
    #[error("the database URL cannot be read: {0}")]
    Url(String),
    /// The file with certificates cannot be used.
    #[error("`sslrootcert` {}: {why}", .path.display())]
    Certificates {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server's machine may be silent before its connections count as lost.
const SILENCE: Duration = Duration::from_secs(10);

impl Address {
    /// Out of `postgres://user:password@host:port/database?...`. A server's certificate is always verified, name and
    /// issuer, where TLS is used; it is required for every host but a loopback address or a socket, unless the URL says
    /// `sslmode=disable`. `sslrootcert` names a PEM file with issuers to trust in place of the system's.
    /// `pooler=transaction` says that what answers there is a pooler such as PgBouncer in that mode, and `direct=HOST:PORT`
    /// where the server itself is, to listen there.
    pub(crate) fn parse(url: &str) -> Result<Self, BadAddress> {
        let (front, options) = url.split_once('?').unwrap_or((url, ""));
        let mut kept = Vec::new();
        let (mut mode, mut roots, mut pooler, mut direct) = (None, None, Pooler::None, None);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", wanted)) => mode = Some(wanted.to_owned()),
                Some(("sslrootcert", path)) => roots = Some(PathBuf::from(path)),
                Some(("direct", place)) => direct = Some(place),
                Some(("pooler", "transaction")) => pooler = Pooler::Transaction,
                Some(("pooler", other)) => {
                    let why =
                        format!("`pooler={other}` is not known; the one there is: `transaction`");
                    return Err(BadAddress::Url(why));
                }
                _ => kept.push(option),
            }
        }
        let mode = mode.as_deref();
        let config = settled(front, &kept, mode)?;
        let direct =
            direct.map(|place| settled(&at_place(front, place), &kept, mode)).transpose()?;
        let tls = MakeRustlsConnect::new(tls(roots)?);
        Ok(Self { config, tls, pooler, direct, settings: Vec::new(), patience: None })
    }

    /// The same, within bounds: nobody waits for ever for a server that stands still, and the server itself ends what a node
    /// began that stands still, or whose machine is gone, so that what it holds keeps the others waiting no longer.
    pub(crate) fn within(mut self, bounds: Bounds) -> Self {
        self.patience = bounds.answer;
        let server_gives_up = bounds.answer.map(|answer| answer * 5 / 6);
        let settings = [
            ("idle_in_transaction_session_timeout", Some(bounds.silence)),
            // Of one that takes in no answers the server sees nothing else.
            ("tcp_user_timeout", Some(bounds.silence)),
            ("statement_timeout", server_gives_up),
            ("transaction_timeout", bounds.transaction),
        ];
        let settings = settings.iter().filter_map(|(name, bound)| {
            bound.map(|bound| format!("{name} = {}", bound.as_millis()))
        });
        self.settings = settings.collect();
        self
    }

    /// How long whoever asks there waits for an answer.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// Words that settle a connection, once it is made. They are no part of the greeting, in which a pooler takes no wish.
    pub(crate) fn for_connection(&self) -> String {
        match self.pooler {
            Pooler::None => self.set("SET"),
            Pooler::Transaction => String::new(),
        }
    }

    /// Words that follow each `BEGIN`: the server that answers there may be another one each time.
    pub(crate) fn for_transaction(&self) -> String {
        match self.pooler {
            Pooler::None => String::new(),
            Pooler::Transaction => self.set("SET LOCAL"),
        }
    }

    fn set(&self, how: &str) -> String {
        let words = self.settings.iter().map(|setting| format!("{how} {setting}; "));
        words.collect()
    }

    /// A connection to listen on, still to be driven; `None` where all there is gives it up after each transaction.
    pub(crate) async fn connect_to_listen(
        &self,
    ) -> Option<Result<(Client, Driven), tokio_postgres::Error>> {
        match (&self.direct, self.pooler) {
            (Some(direct), _) => Some(direct.connect(self.tls.clone()).await),
            (None, Pooler::None) => Some(self.connect_bare().await),
            (None, Pooler::Transaction) => None,
        }
    }

    /// The server itself; `None` where a pooler stands before it and nobody says where that is.
    pub(crate) fn of_the_server(&self) -> Option<Self> {
        match (&self.direct, self.pooler) {
            (Some(direct), _) => {
                let config = direct.clone();
                let (tls, settings, patience) =
                    (self.tls.clone(), self.settings.clone(), self.patience);
                Some(Self { config, pooler: Pooler::None, direct: None, tls, settings, patience })
            }
            (None, Pooler::None) => Some(self.clone()),
            (None, Pooler::Transaction) => None,
        }
    }

    /// A connection that is still to be driven.
    pub(crate) async fn connect_bare(&self) -> Result<(Client, Driven), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// A connection, driven by the runtime that this runs in.
    pub(crate) async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.connect_bare().await?;
        tokio::spawn(async move {
            // Whoever uses the client hears of its end.
            let _ = connection.await;
        });
        Ok(client)
    }

    /// Whether nothing is said but over TLS, to a server that has proven itself.
    pub(crate) fn demands_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    /// Whether what is said does not leave this machine.
    pub(crate) fn is_near(&self) -> bool {
        is_near(&self.config)
    }

    /// What stands between us and the server.
    pub(crate) fn pooler(&self) -> Pooler {
        self.pooler
    }

    /// As it may be shown: without user and password.
    pub(crate) fn shown(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        format!("{host}:{port}/{}", self.config.get_dbname().unwrap_or_default())
    }
}

/// The same URL with another host and port.
fn at_place(front: &str, place: &str) -> String {
    let (scheme, rest) = front.split_once("://").unwrap_or(("postgres", front));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let user = authority.rfind('@').map_or("", |at| &authority[..=at]);
    format!("{scheme}://{user}{place}/{path}")
}

fn is_near(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&name.as_str()),
        Host::Unix(_) => true,
    })
}

/// How to connect, by a URL and its options; `mode` is its `sslmode`.
fn settled(front: &str, options: &[&str], mode: Option<&str>) -> Result<Config, BadAddress> {
    let mut text = front.to_owned();
    if !options.is_empty() {
        text = format!("{front}?{}", options.join("&"));
    }
    let mut config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
        let why = std::error::Error::source(&error).map(ToString::to_string);
        BadAddress::Url(why.unwrap_or_else(|| error.to_string()))
    })?;
    if config.get_hosts().is_empty() {
        return Err(BadAddress::Url("it names no host".to_owned()));
    }
    if !config.get_hostaddrs().is_empty() {
        let why = "`hostaddr` is not read: name the host whose certificate is to be verified";
        return Err(BadAddress::Url(why.to_owned()));
    }
    let near = is_near(&config);
    config.ssl_mode(match mode {
        Some("disable") => SslMode::Disable,
        Some("prefer" | "allow") if near => SslMode::Prefer,
        Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
        None if near => SslMode::Prefer,
        None => SslMode::Require,
        Some(other) => {
            let why = format!(
                "`sslmode={other}` is not one of disable, require, verify-full (which both verify), \
                 or prefer for a loopback host"
            );
            return Err(BadAddress::Url(why));
        }
    });
    config.application_name("abide");
    // A server whose machine is gone says nothing more; nobody waits for the hours that systems have for that.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    if !options.iter().any(|option| option.starts_with("keepalives")) {
        config.keepalives_idle(SILENCE / 2);
        config.keepalives_interval(SILENCE / 4);
        config.keepalives_retries(2);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    Ok(config)
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.shown()).finish()
    }
}

fn tls(roots: Option<PathBuf>) -> Result<ClientConfig, BadAddress> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let wrong = |path: PathBuf, why: String| BadAddress::Certificates { path, why };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadAddress::Url(error.to_string()))?;
    let Some(path) = roots else {
        let builder =
            builder.with_platform_verifier().map_err(|error| BadAddress::Url(error.to_string()))?;
        return Ok(builder.with_no_client_auth());
    };
    let mut store = rustls::RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(&path)
        .map_err(|error| wrong(path.clone(), error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| wrong(path.clone(), error.to_string()))?;
        store.add(certificate).map_err(|error| wrong(path.clone(), error.to_string()))?;
    }
    if store.is_empty() {
        return Err(wrong(path, "holds no certificate".to_owned()));
    }
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_behind_a_pooler_is_the_same_database() {
        for (url, direct) in [
            ("postgres://me:p%40ss@pool:6432/abide", "postgres://me:p%40ss@db:5432/abide"),
            ("postgres://pool/abide", "postgres://db:5432/abide"),
            ("postgres://me@pool", "postgres://me@db:5432/"),
        ] {
            assert_eq!(at_place(url, "db:5432"), direct);
        }
        let address = Address::parse(
            "postgres://me@127.0.0.1/abide?pooler=transaction&direct=db.example:5433",
        );
        let direct = address.unwrap().direct.unwrap();
        assert_eq!(direct.get_hosts(), [Host::Tcp("db.example".to_owned())]);
        assert_eq!((direct.get_ports(), direct.get_dbname()), (&[5433][..], Some("abide")));
        assert_eq!(direct.get_ssl_mode(), SslMode::Require, "it is on another machine");
    }
}
