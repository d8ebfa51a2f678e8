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

impl Address {
    /// Out of `postgres://user:password@host:port/database?...`. A server's certificate is always verified, name and
    /// issuer, where TLS is used; it is required for every host but a loopback address or a socket, unless the URL says
    /// `sslmode=disable`. `sslrootcert` names a PEM file with issuers to trust in place of the system's.
    pub(crate) fn parse(url: &str) -> Result<Self, BadAddress> {
        let (front, options) = url.split_once('?').unwrap_or((url, ""));
        let mut kept = Vec::new();
        let (mut mode, mut roots) = (None, None);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", wanted)) => mode = Some(wanted.to_owned()),
                Some(("sslrootcert", path)) => roots = Some(PathBuf::from(path)),
                _ => kept.push(option),
            }
        }
        let mut text = front.to_owned();
        if !kept.is_empty() {
            text = format!("{front}?{}", kept.join("&"));
        }
        let mut config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            BadAddress::Url(why.unwrap_or_else(|| error.to_string()))
        })?;
        let is_near = |host: &Host| match host {
            Host::Tcp(name) => ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&name.as_str()),
            Host::Unix(_) => true,
        };
        let near = config.get_hosts().iter().all(is_near);
        config.ssl_mode(match mode.as_deref() {
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
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        Ok(Self { config, tls: MakeRustlsConnect::new(tls(roots)?) })
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
