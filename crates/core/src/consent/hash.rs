//! Hashes of decisions: the one anyone can recompute (P35), and the salted commitment of the ledger.

use std::borrow::Cow;

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::Timestamp;

/// What P35 hashes, in its order.
#[derive(Debug, Clone, Copy)]
pub struct HashedFields<'a> {
    /// `userReference`.
    pub reference: &'a str,
    /// `userEmail`; null when absent.
    pub email: Option<&'a str>,
    /// `policyVersionId` as it is shown; null when absent.
    pub policy: Option<&'a str>,
    /// `consentGiven`.
    pub granted: bool,
    /// `timestamp`, in whole seconds.
    pub recorded_at: Timestamp,
    /// `ipAddress`; null when absent.
    pub ip_address: Option<&'a str>,
}

/// P35: `sha256:` and hex over the JSON text of the fields in their order, without spaces.
pub fn consent_hash(fields: &HashedFields<'_>) -> String {
    sha256_text(
        hashed_text(
            fields.reference,
            fields.email,
            fields.policy,
            fields.granted,
            &fields.recorded_at.to_seconds_text(),
            fields.ip_address,
        )
        .as_bytes(),
    )
}

fn hashed_text(
    reference: &str,
    email: Option<&str>,
    policy: Option<&str>,
    granted: bool,
    timestamp: &str,
    ip_address: Option<&str>,
) -> String {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Hashed<'a> {
        user_reference: &'a str,
        user_email: Option<&'a str>,
        policy_version_id: Option<&'a str>,
        consent_given: bool,
        timestamp: &'a str,
        ip_address: Option<&'a str>,
    }
    let hashed = Hashed {
        user_reference: reference,
        user_email: email,
        policy_version_id: policy,
        consent_given: granted,
        timestamp,
        ip_address,
    };
    serde_json::to_string(&hashed).unwrap_or_default()
}

/// The ledger's commitment to a decision: SHA-256 over salt and canonical bytes. Without the salt, which lies
/// under the subject's key, it says nothing about the person, so it may outlive their erasure.
pub fn commitment(salt: &[u8; 16], canonical: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(salt);
    context.update(canonical);
    sized(context.finish().as_ref())
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sized(digest(&SHA256, bytes).as_ref())
}

/// SHA-256 of bytes that come one after the other and are never all at hand.
#[derive(Clone)]
pub struct RunningSha256(Context);

impl Default for RunningSha256 {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl RunningSha256 {
    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash over all of them.
    pub fn finish(self) -> [u8; 32] {
        sized(self.0.finish().as_ref())
    }
}

/// A hash in the form of [`sha256_text`], where it is one written otherwise: without prefix, or in upper case. Anything
/// else stays as it is.
pub fn spelled_usually(hash: &str) -> Cow<'_, str> {
    let hex = hash.strip_prefix("sha256:").unwrap_or(hash);
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Cow::Owned(format!("sha256:{}", hex.to_ascii_lowercase()));
    }
    Cow::Borrowed(hash)
}

/// `sha256:` and hex of some bytes.
pub fn sha256_text(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&sha256(bytes)))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

fn sized(bytes: &[u8]) -> [u8; 32] {
    let mut sized = [0; 32];
    sized.copy_from_slice(bytes);
    sized
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P35 with vector V6.
    #[test]
    fn p35_the_hash_of_the_published_vector() {
        let text = hashed_text(
            "user_123",
            Some("user@example.com"),
            Some("pol_abc"),
            true,
            "2024-01-15T10:30:00Z",
            Some("192.168.1.1"),
        );
        assert_eq!(
            text,
            r#"{"userReference":"user_123","userEmail":"user@example.com","policyVersionId":"pol_abc","consentGiven":true,"timestamp":"2024-01-15T10:30:00Z","ipAddress":"192.168.1.1"}"#
        );
        assert_eq!(
            sha256_text(text.as_bytes()),
            "sha256:40e1b8e10c5e3feedd1bb9649b6f4a6174bf80118abe44687116ff236fe910bc"
        );
    }

    #[test]
    fn a_commitment_changes_with_its_salt() {
        assert_ne!(commitment(&[0; 16], b"decision"), commitment(&[1; 16], b"decision"));
    }
}
