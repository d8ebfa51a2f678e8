//! Secrets of Standard Webhooks, what they sign, and how a signature is judged.
//!
//! The specification leaves open which base64 is meant. Either alphabet is read, with or without padding; the standard
//! one with padding is written.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::SecretForm;

/// Stands before a shared secret.
pub(super) const SHARED_PREFIX: &str = "whsec_";
/// Stands before a private key.
pub(super) const PRIVATE_PREFIX: &str = "whsk_";
/// Stands before a public key.
pub(super) const PUBLIC_PREFIX: &str = "whpk_";

/// Length of an Ed25519 seed and of a public key, in bytes.
const KEY_LENGTH: usize = 32;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// Standard base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64 of either alphabet, not of both at once; bits that mean nothing must be zero.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).ok()
}

/// A new secret, of 32 random bytes: the secret itself, or the seed of a key pair.
pub(super) fn new(form: SecretForm, random: &[u8; 32]) -> String {
    let prefix = match form {
        SecretForm::Shared => SHARED_PREFIX,
        SecretForm::KeyPair => PRIVATE_PREFIX,
    };
    format!("{prefix}{}", base64(random))
}

/// What is signed: the three joined by full stops (SW-3).
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) body: &'a [u8],
}

impl Message<'_> {
    fn parts(&self) -> [&[u8]; 5] {
        [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", self.body]
    }
}

/// A secret that signs.
pub(super) enum Signer {
    Shared(Zeroizing<Vec<u8>>),
    KeyPair(Ed25519KeyPair),
}

impl Signer {
    /// Reads a secret of either form; the error says what is allowed.
    pub(super) fn read(secret: &str) -> Result<Self, &'static str> {
        if let Some(text) = secret.strip_prefix(SHARED_PREFIX) {
            shared(text).map(Self::Shared).ok_or("must be `whsec_` and base64 of 24 to 64 bytes")
        } else if let Some(text) = secret.strip_prefix(PRIVATE_PREFIX) {
            private(text).map(Self::KeyPair)
        } else if secret.starts_with(PUBLIC_PREFIX) {
            Err(
                "must not be a public key: only the secret `whsec_...` or the private key `whsk_...` signs",
            )
        } else {
            Err(
                "must be `whsec_` and base64 of 24 to 64 bytes, or `whsk_` and base64 of an Ed25519 key",
            )
        }
    }

    /// An entry of the signature header (SW-5).
    pub(super) fn sign(&self, message: &Message<'_>) -> String {
        match self {
            Self::Shared(secret) => {
                let mut context = hmac::Context::with_key(&hmac_key(secret));
                message.parts().into_iter().for_each(|part| context.update(part));
                format!("v1,{}", base64(context.sign().as_ref()))
            }
            Self::KeyPair(pair) => {
                format!("v1a,{}", base64(pair.sign(&message.parts().concat()).as_ref()))
            }
        }
    }

    /// The public half of a key pair.
    pub(super) fn public_key(&self) -> Option<&[u8]> {
        match self {
            Self::Shared(_) => None,
            Self::KeyPair(pair) => Some(pair.public_key().as_ref()),
        }
    }
}

/// What a receiver holds.
pub(super) enum Verifier {
    Shared(Zeroizing<Vec<u8>>),
    Public(Vec<u8>),
}

impl Verifier {
    /// Reads a secret, a public key or a private one; `None` where it is none of them.
    pub(super) fn read(secret: &str) -> Option<Self> {
        if let Some(text) = secret.strip_prefix(PUBLIC_PREFIX) {
            let key = from_base64(text)?;
            return (key.len() == KEY_LENGTH).then_some(Self::Public(key));
        }
        match Signer::read(secret).ok()? {
            Signer::Shared(secret) => Some(Self::Shared(secret)),
            Signer::KeyPair(pair) => Some(Self::Public(pair.public_key().as_ref().to_vec())),
        }
    }

    /// Whether one entry of the signature header is this secret's; entries of versions it does not know are not.
    pub(super) fn accepts(&self, message: &Message<'_>, entry: &str) -> bool {
        let Some((version, signature)) = entry.split_once(',') else { return false };
        let Some(signature) = from_base64(signature) else { return false };
        let signed = message.parts().concat();
        match (self, version) {
            // Compares in constant time.
            (Self::Shared(secret), "v1") => {
                hmac::verify(&hmac_key(secret), &signed, &signature).is_ok()
            }
            (Self::Public(key), "v1a") => {
                UnparsedPublicKey::new(&ED25519, key).verify(&signed, &signature).is_ok()
            }
            _ => false,
        }
    }
}

fn shared(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let secret = Zeroizing::new(from_base64(text)?);
    (24..=64).contains(&secret.len()).then_some(secret)
}

fn hmac_key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret)
}

/// A seed, or a seed and the public key that belongs to it, as other senders write.
fn private(text: &str) -> Result<Ed25519KeyPair, &'static str> {
    let allowed = "must be `whsk_` and base64 of an Ed25519 key: its 32-byte seed, or 64 bytes of seed and public key";
    let key = Zeroizing::new(from_base64(text).ok_or(allowed)?);
    match key.split_at_checked(KEY_LENGTH) {
        Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| allowed),
        Some((seed, public)) if public.len() == KEY_LENGTH => {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
                .map_err(|_| "must be a seed and the public key that belongs to it: these do not")
        }
        Some(_) | None => Err(allowed),
    }
}
