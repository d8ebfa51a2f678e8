//! TLS as every outbound call uses it: 1.2 or 1.3, always verified, HTTP/1.1 only.
//!
//! One [`Tls`] serves every receiver; [`OwnTls`] is that of one which asks for a client certificate or comes from an
//! authority of its own.

mod own;

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

pub use own::{CertificateProblem, Identity, OwnTls, PemField, Roots};

/// Whose signature makes a receiver's certificate good.
#[derive(Debug, Clone, Default)]
pub enum TlsRoots {
    /// The machine's own trust store.
    #[default]
    Platform,
    /// The machine's own trust store. Where it has none this is told in the log, and nothing is sent to https
    /// receivers: for development.
    PlatformIfAny,
    /// The machine's trust store and these: an operator's internal authority.
    PlatformAnd(Vec<CertificateDer<'static>>),
    /// These alone.
    Only(Vec<CertificateDer<'static>>),
}

/// What every receiver is reached by that has no TLS of its own.
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    verifier: Arc<dyn ServerCertVerifier>,
}

/// `None`: there is nobody to trust, and [`TlsRoots::PlatformIfAny`] says to go on without.
pub(super) fn of(roots: TlsRoots) -> Result<Option<Tls>, rustls::Error> {
    let may_lack = matches!(roots, TlsRoots::PlatformIfAny);
    match Tls::by(roots) {
        Ok(tls) => Ok(Some(tls)),
        Err(why) if may_lack => {
            tracing::warn!(
                %why,
                "no root certificates to trust receivers by: nothing is sent to https; install them (the package \
                 `ca-certificates` on Debian)"
            );
            Ok(None)
        }
        Err(why) => Err(why),
    }
}

impl Tls {
    fn by(roots: TlsRoots) -> Result<Tls, rustls::Error> {
        let provider = provider();
        let verifier = verifier(roots, &provider)?;
        let config = client_config(provider, Arc::clone(&verifier), None, SESSIONS)?;
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), verifier })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn client_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Arc<dyn ResolvesClientCert>>,
    sessions: usize,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous() // rustls' word for "not its own default"; every verifier here is complete
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(sessions);
    Ok(config)
}

/// What is wrong with a receiver's TLS, in words that repeat nothing it sent.
pub(super) fn fault(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another name"
            }
            CertificateError::UnknownIssuer => "the certificate's issuer is not trusted",
            CertificateError::Revoked => "the certificate is revoked",
            _ => "the certificate is not acceptable",
        },
        rustls::Error::PeerIncompatible(_) => "no TLS version or cipher in common",
        rustls::Error::AlertReceived(_) => "the receiver refused the handshake",
        _ => "the TLS exchange failed",
    }
}

/// Receivers whose sessions are kept for a shorter second handshake.
const SESSIONS: usize = 1024;

fn verifier(
    roots: TlsRoots,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    let provider = Arc::clone(provider);
    match roots {
        TlsRoots::Platform | TlsRoots::PlatformIfAny => Ok(Arc::new(Verifier::new(provider)?)),
        TlsRoots::PlatformAnd(extra) => {
            Ok(Arc::new(Verifier::new_with_extra_roots(extra, provider)?))
        }
        TlsRoots::Only(certificates) => {
            let mut store = RootCertStore::empty();
            for certificate in certificates {
                store.add(certificate)?;
            }
            trusting(store, provider)
        }
    }
}

/// A verifier that trusts what is in the store, and nothing else.
fn trusting(
    store: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
    Ok(built.map_err(|why| rustls::Error::General(why.to_string()))?)
}
