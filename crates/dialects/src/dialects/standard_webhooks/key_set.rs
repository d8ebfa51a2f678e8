//! What anybody may know of an endpoint's key pairs, in the form that libraries read: a JSON Web Key Set (RFC 7517,
//! Ed25519 by RFC 8037), with the form that Standard Webhooks' receivers take beside it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use zeroize::Zeroizing;

use super::secret::{PUBLIC_PREFIX, Signer, base64};

/// The public keys of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySet {
    /// One for each live key pair, in the order of the secrets.
    pub keys: Vec<PublicKey>,
}

/// One public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicKey {
    kty: &'static str,
    crv: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
    /// The key's thumbprint (RFC 7638): the same key has the same id wherever it is shown.
    pub kid: String,
    /// The key's 32 bytes in base64url without padding.
    pub x: String,
    /// The key as receivers of Standard Webhooks take it: `whpk_` and base64.
    pub whpk: String,
}

/// The public keys that verify what these secrets sign; shared secrets have none, and nothing of them is told.
pub fn key_set(secrets: &[Zeroizing<String>]) -> KeySet {
    let signers = secrets.iter().filter_map(|secret| Signer::read(secret).ok());
    KeySet { keys: signers.filter_map(|signer| signer.public_key().map(PublicKey::of)).collect() }
}

impl PublicKey {
    fn of(key: &[u8]) -> Self {
        let x = BASE64_URL_SAFE_NO_PAD.encode(key);
        // The members that make the key, in the order of their names, without spaces.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let thumbprint = digest(&SHA256, canonical.as_bytes());
        Self {
            kty: "OKP",
            crv: "Ed25519",
            purpose: "sig",
            alg: "EdDSA",
            kid: BASE64_URL_SAFE_NO_PAD.encode(thumbprint.as_ref()),
            whpk: format!("{PUBLIC_PREFIX}{}", base64(key)),
            x,
        }
    }
}
