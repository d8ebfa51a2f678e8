//! The TLS of one receiver: a certificate that Abide shows it, authorities that its own may come from.
//!
//! Read from PEM once, off the hot path, and refused whole where any of it cannot be used: nothing is ever sent without
//! what was asked for.

use std::fmt;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore};

use super::{Tls, client_config, provider, trusting};

/// The TLS that one receiver is reached by in place of everybody's. Clones are the same one; two that were made apart
/// never are, so that a connection made with one certificate is not used for another.
#[derive(Clone)]
pub struct OwnTls(Arc<ClientConfig>);

/// A certificate and its key, to be shown in handshakes.
pub struct Identity(CertifiedKey);

/// Authorities that are trusted, and no others.
pub struct Roots(Arc<dyn ServerCertVerifier>);

/// Why certificates cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateProblem {
    /// Which text is to blame.
    pub field: PemField,
    /// What is wrong and what is allowed, fit to stand behind the field's name; repeats nothing of it (I12).
    pub problem: &'static str,
}

/// The texts that certificates and keys are given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemField {
    /// A client certificate and those that lead to its authority.
    Chain,
    /// Its private key.
    Key,
    /// Trusted authorities.
    Roots,
}

impl Identity {
    /// Reads a certificate, those that lead to its authority, and its private key, and proves that they belong together.
    pub fn from_pem(chain: &str, key: &str) -> Result<Identity, CertificateProblem> {
        let chain = certificates(chain)
            .ok_or(PemField::Chain.problem("must be certificates in PEM, the endpoint's first"))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| PemField::Key.problem("must be one private key in PEM, not encrypted"))?;
        let key = provider().key_provider.load_private_key(key).map_err(|_| {
            PemField::Key.problem("is of a kind that cannot sign: RSA, ECDSA and Ed25519 keys can")
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Identity(certified))
            }
            Err(_) => Err(PemField::Key.problem("is not the key of the first certificate")),
        }
    }
}

impl Roots {
    /// Reads authorities.
    pub fn from_pem(text: &str) -> Result<Roots, CertificateProblem> {
        let unusable = PemField::Roots.problem("must be certificates of authorities in PEM");
        let mut store = RootCertStore::empty();
        for certificate in certificates(text).ok_or(unusable)? {
            store.add(certificate).map_err(|_| unusable)?;
        }
        trusting(store, provider()).map(Roots).map_err(|_| unusable)
    }
}

impl OwnTls {
    /// A TLS with this identity, trusting these; where either is left out it is as everybody's. `None`: everybody's
    /// trusts nobody.
    pub(in crate::outbound) fn of(
        everybodys: Option<&Tls>,
        identity: Option<Identity>,
        roots: Option<Roots>,
    ) -> Option<OwnTls> {
        let verifier = match roots {
            Some(Roots(verifier)) => verifier,
            None => Arc::clone(&everybodys?.verifier),
        };
        let identity = identity.map(|Identity(certified)| {
            Arc::new(SingleCertAndKey::from(certified)) as Arc<dyn ResolvesClientCert>
        });
        client_config(provider(), verifier, identity, OWN_SESSIONS)
            .ok()
            .map(|config| OwnTls(Arc::new(config)))
    }

    pub(in crate::outbound) fn connector(&self) -> tokio_rustls::TlsConnector {
        Arc::clone(&self.0).into()
    }
}

/// Sessions kept for a shorter second handshake, of one receiver.
const OWN_SESSIONS: usize = 4;

/// The certificates of a text: `None` where there is none, or one that cannot be read.
fn certificates(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let all = read.ok().filter(|all| !all.is_empty())?;
    all.iter().all(|one| ParsedCertificate::try_from(one).is_ok()).then_some(all)
}

impl PemField {
    fn problem(self, problem: &'static str) -> CertificateProblem {
        CertificateProblem { field: self, problem }
    }
}

impl PartialEq for OwnTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OwnTls {}

/// Nothing of it (I12).
impl fmt::Debug for OwnTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnTls")
    }
}
