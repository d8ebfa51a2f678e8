//! The requirements of Standard Webhooks that its dialect keeps.

use std::time::Duration;

use abide_core::Timestamp;
use abide_core::delivery::{Outcome, Run, decide};
use abide_core::endpoint::Source;
use abide_core::event::{Event, EventKind};
use abide_core::ids::{EventId, Id};
use abide_dialects::standard_webhooks::{StandardWebhooks, key_set};
use abide_dialects::{
    Answer, Content, Dialect, Received, Rejection, Rendered, SecretForm, SignedBy, Signing,
};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::golden::{body_of, cases, check, event_of};
use crate::support::{SECRET, answer, header, received, signing, signing_of, strategies};

/// The vector of the specification's own libraries: secret, id, seconds, body, signature.
const V1: (&str, &str, i64, &str, &str) = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    1_614_265_330,
    r#"{"test": 2432232314}"#,
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
);

/// A key pair as another sender publishes it (64 bytes, seed and public key), and what Node's own cryptography signs
/// with it: Ed25519 leaves no room for another signature.
const V1A: (&str, &str, i64, &str, &str) = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
    "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
    1_649_367_553,
    r#"{"email":"test@example.com","username":"test_user"}"#,
    "v1a,LFHB363YvoTm7xdMyZd/981dRSdVxW0u27ld7pRBYKa+E1Is4O8e+VFZlwtUB7muxeGaguMrB+8TDoJMHA5lCQ==",
);
/// Its public half, and its seed alone.
const V1A_PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const V1A_SEED: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";

/// A message as it arrives, of whichever sender.
fn message(id: &str, seconds: i64, body: &str, signatures: &str) -> Received {
    let headers = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.to_owned()),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Received { headers, body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// What a receiver with that secret says of a message whose body is no event of ours: believed, if only the body is
/// at fault.
fn believed(request: &Received, secret: &str, now: Timestamp) -> bool {
    match StandardWebhooks.verify(request, secret, now) {
        Ok(_) | Err(Rejection::Malformed("the body is no JSON object with a `type`")) => true,
        Err(_) => false,
    }
}

fn data_of(case: &str) -> Value {
    let body: Value = serde_json::from_str(&body_of(case)).expect("a golden is JSON");
    body["data"].clone()
}

fn secrets<const N: usize>(texts: [&str; N]) -> [Zeroizing<String>; N] {
    texts.map(|text| Zeroizing::new(text.to_owned()))
}

/// Signs a body as a delivery of the event that `signing` gives.
fn signed(body: &[u8], live: &[Zeroizing<String>]) -> abide_dialects::WireRequest {
    let rendered = Rendered { body: Bytes::copy_from_slice(body) };
    StandardWebhooks.sign(&rendered, &Signing { secrets: live, ..signing(SECRET) })
}

/// SW-1: the three headers, and the time is that of this attempt in whole seconds.
#[test]
fn sw1_the_headers() {
    check("standard_webhooks/created");
    let event = event_of("standard_webhooks/created");
    let rendered = StandardWebhooks.render(&Content::Event(&event));
    for (at, seconds) in [(1_705_314_901_500, "1705314901"), (1_705_400_000_999, "1705400000")] {
        let signing = Signing { at: Timestamp::from_millis(at), ..signing_of(&event, SECRET) };
        let request = StandardWebhooks.sign(&rendered, &signing);
        assert_eq!(header(&request, "content-type"), "application/json");
        assert_eq!(header(&request, "webhook-id"), event.id.to_string());
        assert_eq!(header(&request, "webhook-timestamp"), seconds);
        assert!(header(&request, "webhook-signature").starts_with("v1,"));
    }
}

/// SW-3, SW-5, SW-8: the vectors of others are accepted, in any place of the list, and with one character changed not.
#[test]
fn sw5_signatures_of_other_implementations() {
    for (secret, id, seconds, body, signature) in [V1, V1A] {
        let good = message(id, seconds, body, signature);
        assert!(believed(&good, secret, at(seconds)));
        let list = format!("v1,bm90aGluZw== v2,YWJj {signature} v1a,bm90aGluZw==");
        assert!(believed(&message(id, seconds, body, &list), secret, at(seconds)));
        for wrong in [
            message(&format!("{id}x"), seconds, body, signature),
            message(id, seconds + 1, body, signature),
            message(id, seconds, &body.replace('t', "u"), signature),
            message(id, seconds, body, &signature.replace(',', " ")),
            message(id, seconds, body, &signature[3..]),
            message(id, seconds, body, &signature.replacen("v1", "v3", 1)),
            message(id, seconds, body, ""),
        ] {
            let refused = StandardWebhooks.verify(&wrong, secret, at(seconds));
            assert_eq!(refused, Err(Rejection::WrongSignature), "{wrong:?}");
        }
        let (version, _) = signature.split_once(',').expect("version and signature");
        let other = if version == "v1" { "v1a" } else { "v1" };
        let exchanged = signature.replacen(version, other, 1);
        assert!(!believed(&message(id, seconds, body, &exchanged), secret, at(seconds)));
    }
    let (_, id, seconds, body, signature) = V1A;
    for key in [V1A_PUBLIC, V1A_SEED] {
        assert!(believed(&message(id, seconds, body, signature), key, at(seconds)));
    }
}

/// SW-3, SW-5: what this dialect signs is what the vectors hold for the same id, time and body. Its own ids are others,
/// so the signature is compared with one that a receiver's own arithmetic gives.
#[test]
fn sw3_the_signature_is_over_id_time_and_body() {
    let rendered = Rendered { body: Bytes::from_static(b"{\"n\":1}") };
    let both = secrets([V1.0, V1A.0]);
    let request = StandardWebhooks.sign(&rendered, &Signing { secrets: &both, ..signing(SECRET) });
    let content = [
        header(&request, "webhook-id").as_bytes(),
        b".",
        header(&request, "webhook-timestamp").as_bytes(),
        b".{\"n\":1}",
    ]
    .concat();
    let secret = [
        0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a, 0xab, 0x4f, 0x08, 0xd4, 0x3c, 0x3f, 0x08,
        0x2c, 0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0,
    ];
    let shared = crate::consentproof::hmac_sha256_hex(&secret, &content);
    let (first, second) =
        header(&request, "webhook-signature").split_once(' ').expect("two entries");
    let decoded = BASE64.decode(&first[3..]).unwrap();
    assert_eq!(abide_core::consent::hash::hex(&decoded), shared);
    let signature = BASE64.decode(&second[4..]).unwrap();
    let public = BASE64.decode(&V1A_PUBLIC[5..]).unwrap();
    let key = UnparsedPublicKey::new(&ED25519, public);
    assert!(key.verify(&content, &signature).is_ok());
}

/// SW-4: an id or a time with a full stop in it is refused, however it is signed: it could be read as another message.
#[test]
fn sw4_no_full_stop_in_id_or_time() {
    let ours = header(&signed(b"{}", &secrets([SECRET])), "webhook-id").to_owned();
    assert!(!ours.contains('.') && EventId::parse(&ours).is_ok(), "{ours}");
    let request = received(&signed(br#"{"type":"a"}"#, &secrets([SECRET])));
    let (id, time) =
        (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
    let now = signing(SECRET).at;
    assert!(StandardWebhooks.verify(&request, SECRET, now).is_ok());
    // The same signed bytes, cut elsewhere.
    for (id, time, body) in [
        (format!("{id}.{time}"), "7".to_owned(), r#"{"type":"a"}"#.to_owned()),
        (id.to_owned(), format!("{time}."), r#"{"type":"a"}"#.to_owned()),
    ] {
        let content = format!("{id}.{time}.{body}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &decoded_secret());
        let tag = hmac::sign(&key, content.as_bytes());
        let signature = BASE64.encode(tag.as_ref());
        let mut cut = message(&id, 0, &body, &format!("v1,{signature}"));
        cut.headers[1].1.clone_from(&time);
        let refused = StandardWebhooks.verify(&cut, SECRET, now);
        assert!(matches!(refused, Err(Rejection::Malformed(_))), "{id} {time}: {refused:?}");
    }
}

fn decoded_secret() -> Vec<u8> {
    BASE64.decode(&SECRET[6..]).expect("base64")
}

/// SW-6: while a secret is being replaced the old and the new one sign, the newest first, a key pair beside a shared
/// secret too.
#[test]
fn sw6_every_live_secret_signs() {
    assert_eq!(StandardWebhooks.signed_by(), SignedBy::EveryLive);
    let live = secrets([V1A.0, SECRET, V1.0]);
    let request = signed(br#"{"type":"a"}"#, &live);
    let versions: Vec<_> = header(&request, "webhook-signature")
        .split(' ')
        .map(|entry| entry.split_once(',').expect("version and signature").0)
        .collect();
    assert_eq!(versions, ["v1a", "v1", "v1"]);
    let request = received(&request);
    let now = signing(SECRET).at;
    for held in [V1A.0, V1A_PUBLIC, SECRET, V1.0] {
        assert!(StandardWebhooks.verify(&request, held, now).is_ok(), "{held}");
    }
}

/// SW-7: secrets as they are made.
#[test]
fn sw7_new_secrets() {
    assert_eq!(StandardWebhooks.secret_forms(), [SecretForm::Shared, SecretForm::KeyPair]);
    let random: [u8; 32] = std::array::from_fn(|place| place as u8);
    let shared = StandardWebhooks.new_secret(SecretForm::Shared, &random);
    assert_eq!(shared, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    assert_eq!(StandardWebhooks.public_key(&shared), None);
    let private = StandardWebhooks.new_secret(SecretForm::KeyPair, &random);
    assert_eq!(private, "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    for private in [V1A.0, V1A_SEED] {
        assert_eq!(StandardWebhooks.public_key(private).as_deref(), Some(V1A_PUBLIC));
    }
}

/// SW-7: secrets brought along: 24 to 64 bytes in either alphabet, padded or not; a key pair as seed or whole.
#[test]
fn sw7_supplied_secrets() {
    let of_length = |length: usize| {
        let bytes = vec![0xfb; length];
        format!("whsec_{}", BASE64.encode(bytes))
    };
    let url_safe = |text: &str| text.replace('+', "-").replace('/', "_");
    let bare = |text: &str| text.trim_end_matches('=').to_owned();
    for good in [V1.0, V1A.0, V1A_SEED, SECRET, &of_length(24), &of_length(64)] {
        let (prefix, text) = good.split_once('_').expect("a prefix");
        for text in [text.to_owned(), bare(text), url_safe(text), bare(&url_safe(text))] {
            let spelled = format!("{prefix}_{text}");
            assert_eq!(StandardWebhooks.check_secret(&spelled), Ok(()), "{spelled}");
            let of = |secret: &str| signed(b"{}", &secrets([secret]));
            assert_eq!(of(&spelled), of(good), "{spelled} is another secret");
        }
    }
    let mixed = "whsec_+_".to_owned() + &"A".repeat(38);
    let alien = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvw==";
    for bad in [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ",
        "whsec_M\u{e9}KQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        &of_length(23),
        &of_length(65),
        &mixed,
        "whsk_",
        "whsk_AAECAw==",
        alien,
        V1A_PUBLIC,
    ] {
        let problem = StandardWebhooks.check_secret(bad).expect_err(bad);
        assert!(problem.starts_with("must "), "{problem}");
        assert_eq!(StandardWebhooks.public_key(bad), None, "{bad}");
        let (_, id, seconds, body, signature) = V1A;
        let held = believed(&message(id, seconds, body, signature), bad, at(seconds));
        assert_eq!(held, bad == V1A_PUBLIC, "{bad}");
    }
}

/// SW-7: a receiver may hold a secret, a public key or a private one, and hears at once of one that can verify nothing.
#[test]
fn sw7_what_receivers_hold() {
    for good in [V1.0, V1A.0, V1A_SEED, V1A_PUBLIC, V1A_PUBLIC.trim_end_matches('=')] {
        assert_eq!(StandardWebhooks.check_held(good), Ok(()), "{good}");
    }
    for bad in ["", "secret", "whpk_", "whpk_AAECAw==", &format!("{V1A_PUBLIC}AAAA"), "whsec_AAEC"]
    {
        assert!(StandardWebhooks.check_held(bad).is_err(), "{bad}");
    }
}

/// SW-8: a signature's time may lie five minutes off, either way, and no more.
#[test]
fn sw8_the_age_of_a_signature_is_bounded() {
    let request = received(&signed(br#"{"type":"a"}"#, &secrets([SECRET])));
    let signed_at = signing(SECRET).at.as_seconds();
    for (off, expected) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
        let judged = StandardWebhooks.verify(&request, SECRET, at(signed_at + off));
        assert_eq!(judged.as_ref().err(), (!expected).then_some(&Rejection::Stale), "{off}");
    }
}

/// SW-8: a time that is no whole number of seconds is refused, though it is signed.
#[test]
fn sw4_a_time_is_a_whole_number() {
    let (secret, id, _, body, _) = V1;
    for time in ["", "+1614265330", "-1", "1614265330.5", "soon", "99999999999999999999"] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(&secret[6..]).unwrap());
        let tag = hmac::sign(&key, format!("{id}.{time}.{body}").as_bytes());
        let signature = BASE64.encode(tag.as_ref());
        let mut request = message(id, 0, body, &format!("v1,{signature}"));
        time.clone_into(&mut request.headers[1].1);
        let refused = StandardWebhooks.verify(&request, secret, at(1_614_265_330));
        assert!(matches!(refused, Err(Rejection::Malformed(_))), "{time}: {refused:?}");
    }
}

/// SW-1: each header must be there, and the refusal names the one that is not.
#[test]
fn sw1_missing_headers_are_named() {
    let whole = received(&signed(br#"{"type":"a"}"#, &secrets([SECRET])));
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut request = whole.clone();
        request.headers.retain(|(known, _)| known != name);
        let refused = StandardWebhooks.verify(&request, SECRET, signing(SECRET).at);
        assert_eq!(refused, Err(Rejection::MissingHeader(name)));
    }
}

/// SW-9: the public keys of an endpoint's key pairs, in the form of RFC 8037, and nothing of shared secrets.
#[test]
fn sw9_public_keys() {
    let live = secrets([SECRET, V1A.0, V1.0]);
    let shown = serde_json::to_value(key_set(&live)).expect("plain JSON");
    // The thumbprint by Python's hashlib over the canonical members.
    assert_eq!(
        shown,
        json!({"keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": "rEltOPXl-8jZfn0NbO5yMzHDi5e-WdjzkrFUUcp6oIE",
            "x": "1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4",
            "whpk": V1A_PUBLIC,
        }]})
    );
    assert_eq!(key_set(&secrets([SECRET])).keys, []);
}

/// SW-10: `type`, `timestamp` and `data`, in that order; the time is the event's, and types are words and full stops.
#[test]
fn sw10_the_envelope() {
    for case in cases(&StandardWebhooks) {
        let (body, event) = (body_of(&case), event_of(&case));
        let start = format!(
            r#"{{"type":"{}","timestamp":"{}","data":{{"#,
            event.kind.as_str(),
            event.created_at.to_millis_text(),
        );
        assert!(body.starts_with(&start), "{case}: {body}");
        let read: Value = serde_json::from_str(&body).expect("a golden is JSON");
        assert_eq!(read.as_object().expect("an object").len(), 3, "{case}");
    }
    for kind in EventKind::ALL {
        let words: Vec<_> = kind.as_str().split('.').collect();
        let word = |word: &&str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        assert!(words.len() > 1 && words.iter().all(word), "{}", kind.as_str());
        assert!(StandardWebhooks.applies(kind));
    }
}

/// SW-10: a consent in Abide's own words; what is absent is null, and metadata is what the caller wrote.
#[test]
fn sw10_the_data_of_a_consent() {
    let data = data_of("standard_webhooks/created");
    assert_eq!(data["subject"]["reference"], "user_123");
    assert_eq!(data["state"], "GRANTED");
    assert_eq!(data["recorded_at"], "2024-01-15T10:35:00.123Z");
    assert_eq!(data["withdrawn_at"], Value::Null);
    let data = data_of("standard_webhooks/no_email_no_policy");
    for absent in ["email", "policy", "valid_from", "valid_until", "withdrawn_at"] {
        assert_eq!(data[absent], Value::Null, "{absent}");
        assert!(data.as_object().expect("an object").contains_key(absent), "{absent}");
    }
    let data = data_of("standard_webhooks/expired");
    assert_eq!(data["state"], Value::Null, "no decision is in force");
    assert_eq!(data["valid_until"], "2024-02-01T08:00:00.456Z");
    assert_eq!(data["withdrawn_at"], "2024-02-01T08:00:00.456Z");
    let body = body_of("standard_webhooks/unicode_and_escapes");
    let metadata =
        r#""metadata":{ "z": 1.50, "a": "\u00e9\/é", "big": 12345678901234567890123 , "z": 2 }"#;
    assert!(body.contains(metadata), "{body}");
    let ip = body_of("standard_webhooks/no_email_no_policy");
    assert!(!ip.contains("ip_address"), "{ip}");
}

/// SW-10: a policy is told by its hash, never by its text.
#[test]
fn sw10_the_data_of_a_policy() {
    for case in ["policy_created", "policy_updated", "policy_deleted"] {
        let data = data_of(&format!("standard_webhooks/{case}"));
        assert!(data["content_hash"].as_str().expect("a text").starts_with("sha256:"));
        assert!(!data.as_object().expect("an object").contains_key("content"), "{case}");
        assert_eq!(data["deleted_at"].is_null(), case != "policy_deleted");
    }
}

/// SW-12: eight attempts over more than a day, never closer together than before, and chance only lengthens.
#[test]
fn sw12_the_schedule() {
    let schedule = StandardWebhooks.schedule();
    let outcome = StandardWebhooks.classify(&answer(500));
    let dues = |draw: u16| {
        let mut at = Timestamp::from_millis(0);
        let mut delays = Vec::new();
        for attempts in 1.. {
            let decided = decide(outcome, Run::First, attempts, &schedule, at, draw);
            let Some(due) = decided.due_at else { break };
            delays.push(due.millis_since(at) / 1000);
            at = due;
        }
        delays
    };
    let plain = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
    assert_eq!(dues(0), plain);
    assert_eq!(dues(u16::MAX), plain.map(|delay| delay * 12 / 10));
    assert!(plain.iter().sum::<i64>() > 24 * 3600 && plain.is_sorted());
}

/// SW-13: only 2xx delivers, 410 ends the endpoint, all else is tried again, and `Retry-After` is heard within bounds.
#[test]
fn sw13_answers() {
    for status in 100..=599 {
        let wish = Answer { retry_after: Some(7_200), ..answer(status) };
        let expected = match status {
            200..=299 => Outcome::Delivered,
            410 => Outcome::Gone,
            _ => Outcome::Retry { retry_after: Some(7_200) },
        };
        assert_eq!(StandardWebhooks.classify(&wish), expected, "{status}");
    }
    let ended = Timestamp::from_millis(0);
    let schedule = StandardWebhooks.schedule();
    let due = |wish| {
        let outcome = StandardWebhooks.classify(&Answer { retry_after: wish, ..answer(429) });
        decide(outcome, Run::First, 1, &schedule, ended, 0).due_at.map(Timestamp::as_seconds)
    };
    assert_eq!(due(Some(7_200)), Some(7_200));
    assert_eq!(due(Some(1)), Some(5), "a wish does not shorten");
    assert_eq!(due(Some(u32::MAX)), Some(24 * 3600), "a wish is bounded");
}

/// SW-14: fifteen seconds, unless the endpoint's owner says otherwise.
#[test]
fn sw14_the_deadline() {
    assert_eq!(StandardWebhooks.deadline(), Duration::from_secs(15));
    let thirty = Duration::from_secs(abide_core::endpoint::MAX_DEADLINE.into());
    assert_eq!(thirty, Duration::from_secs(30));
}

/// A stopped endpoint misses nothing: what comes is queued, and what waits is held.
/// SW-18: an endpoint that failed for five days is stopped; the longest pause of its schedule is far shorter.
#[test]
fn sw_18_long_failing_ends() {
    let stops_after = StandardWebhooks.stops_after().unwrap();
    assert_eq!(stops_after, Duration::from_hours(5 * 24));
    let schedule = StandardWebhooks.schedule();
    let longest = schedule.delays.iter().max().copied().unwrap();
    let longest = i64::from(longest) * 10 * i64::from(100 + schedule.jitter_percent);
    assert!(longest < abide_core::endpoint::failing::LONGEST_SILENCE_MILLIS);
    assert_eq!(
        abide_dialects::consentproof::ConsentProof.stops_after(),
        None,
        "P11 knows of no such stop"
    );
}

#[test]
fn all_waits_for_a_stopped_endpoint() {
    let rules = StandardWebhooks.rules();
    assert!(rules.queue_while_stopped && rules.hold_waiting);
}

proptest! {
    /// SW-2: the id is the event's on every attempt and for every endpoint; the bytes stay, time and signature move.
    #[test]
    fn sw2_one_id_per_event(
        event in strategies::event(), later in strategies::instant(), token: [u8; 16], endpoint: i64,
    ) {
        prop_assert_eq!(StandardWebhooks.rules().source, Source::Snapshot);
        let attempt = |event: &Event, change: Signing<'static>| {
            StandardWebhooks.sign(&StandardWebhooks.render(&Content::Event(event)), &change)
        };
        let usual = signing_of(&event, SECRET);
        let one = attempt(&event, usual);
        let endpoint = Id::from_key(endpoint & i64::MAX);
        let other = attempt(&event, Signing { at: later, token, endpoint, ..usual });
        prop_assert_eq!(header(&one, "webhook-id"), event.id.to_string());
        prop_assert_eq!(header(&one, "webhook-id"), header(&other, "webhook-id"));
        prop_assert_eq!(&one.body, &other.body);
        prop_assert_eq!(header(&other, "webhook-timestamp"), later.as_seconds().to_string());
        let read = StandardWebhooks.verify(&received(&other), SECRET, later).expect("just signed");
        prop_assert_eq!(read.event_type, event.kind.as_str());
    }

    /// I6, SW-3: the signature is over the bytes that are sent, whatever they are, in both versions.
    #[test]
    fn i6_the_bytes_sent_are_the_bytes_signed(body: Vec<u8>, place: prop::sample::Index, bit in 0u8..8) {
        let live = secrets([SECRET, V1A.0]);
        let request = received(&signed(&body, &live));
        prop_assert_eq!(&request.body[..], &body[..]);
        let now = signing(SECRET).at;
        for held in [SECRET, V1A_PUBLIC] {
            prop_assert!(believed(&request, held, now));
            if !body.is_empty() {
                let mut changed = body.clone();
                changed[place.index(body.len())] ^= 1 << bit;
                let changed = Received { body: changed.into(), ..request.clone() };
                let refused = StandardWebhooks.verify(&changed, held, now);
                prop_assert_eq!(refused, Err(Rejection::WrongSignature));
            }
        }
    }
}
