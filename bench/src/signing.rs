//! Signatures as ConsentProof writes them: every sender of the bench pays for one.

use aws_lc_rs::hmac;
use http::HeaderValue;

/// A key like an endpoint's.
pub(crate) fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, b"whsec_a secret of the usual length, more or less")
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `sha256=` and hex.
pub(crate) fn sign(key: &hmac::Key, body: &[u8]) -> HeaderValue {
    let mut text = b"sha256=".to_vec();
    for byte in hmac::sign(key, body).as_ref() {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"))
}
