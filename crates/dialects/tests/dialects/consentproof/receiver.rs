//! The receiver that ConsentProof publishes in its documentation, line for line, with what Express and Node add to it.

use abide_core::consent::hash::{hex, sha256};
use abide_dialects::WireRequest;

/// What that receiver does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answered {
    /// 200, after its `switch (event.type)`.
    Handled {
        /// What it switched on.
        event_type: String,
    },
    /// 401: `Invalid signature`.
    InvalidSignature,
    /// 413: above the raw parser's limit.
    TooLarge,
    /// 500: an exception, such as `timingSafeEqual`'s on buffers of different length.
    Threw,
}

/// `app.post('/webhooks/consentproof', express.raw({ type: 'application/json' }), …)`.
pub(crate) fn consentproof_receiver(request: &WireRequest, webhook_secret: &str) -> Answered {
    let header = |name: &str| {
        request.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    };
    // express.raw: another type leaves `req.body` an empty object, of which `toString` makes "[object Object]".
    let raw = header("content-type") == Some("application/json");
    if raw && request.body.len() > 100 * 1024 {
        return Answered::TooLarge;
    }
    // const signature = req.headers['x-signature'];  (Buffer.from(undefined) throws)
    let Some(signature) = header("x-signature") else { return Answered::Threw };
    // const payload = req.body.toString();
    let payload =
        if raw { String::from_utf8_lossy(&request.body) } else { "[object Object]".into() };

    match verify_webhook_signature(&payload, signature, webhook_secret) {
        None => return Answered::Threw,
        Some(false) => return Answered::InvalidSignature,
        Some(true) => {}
    }
    // const event = JSON.parse(payload);
    let Ok(event) = serde_json::from_str::<serde_json::Value>(&payload) else {
        return Answered::Threw;
    };
    // switch (event.type)
    match event["type"].as_str() {
        Some(event_type) => Answered::Handled { event_type: event_type.to_owned() },
        None => Answered::Threw,
    }
}

/// `verifyWebhookSignature`; `None` where it throws.
fn verify_webhook_signature(payload: &str, signature: &str, secret: &str) -> Option<bool> {
    let expected_signature = hmac_sha256_hex(secret.as_bytes(), payload.as_bytes());
    let (one, other) = (signature.as_bytes(), expected_signature.as_bytes());
    (one.len() == other.len()).then(|| one == other)
}

/// HMAC-SHA256 as RFC 2104 writes it, from nothing but SHA-256, so that the test leans on no code it tests.
pub(crate) fn hmac_sha256_hex(key: &[u8], message: &[u8]) -> String {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&sha256(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36)[..], message].concat());
    hex(&sha256(&[&block.map(|byte| byte ^ 0x5c)[..], &inner[..]].concat()))
}
