//! The requirements of ConsentProof's contract that its dialect keeps.

mod receiver;

use std::time::Duration;

use abide_core::Timestamp;
use abide_core::delivery::{Outcome, Run, decide};
use abide_core::endpoint::Source;
use abide_core::event::{EventBody, EventKind};
use abide_core::ids::{EndpointId, EventId};
use abide_core::policy::Policy;
use abide_dialects::consentproof::{ConsentObject, ConsentProof, PolicyObject};
use abide_dialects::{Answer, Content, Dialect, Rejection, Rendered, SecretForm, Signing};
use bytes::Bytes;
use proptest::prelude::*;

use crate::golden::{body_of, check, event_of};
use crate::support::{SECRET, answer, header, received, signing, strategies};
use receiver::{Answered, consentproof_receiver};

pub(crate) use receiver::hmac_sha256_hex;

/// The published vector V3: secret, body and signature.
const V3_SECRET: &str = "whsec_00112233445566778899aabbccddeeff";
const V3_BODY: &str = concat!(
    r#"{"id":"evt_xyz789","type":"consent.created","created_at":"2024-01-15T10:35:00Z","data":{"#,
    r#""id":"con_abc123","subject_id":"user_123","subject_email":"user@example.com","#,
    r#""policy_id":"pol_def456","consent_type":"marketing","granted":true,"#,
    r#""consent_hash":"sha256:a1b2c3d4e5f6","metadata":{"ip_address":"192.168.1.1","#,
    r#""source":"signup_form"},"recorded_at":"2024-01-15T10:35:00Z"}}"#
);
const V3_SIGNATURE: &str = "50d89a4866a1b89c3da630f193671e0904a05863ae8c8eafdd253bbd39f2ed32";

/// The keys of an object in a golden, in the order of the text.
fn keys(object: &str) -> Vec<String> {
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Keys;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, _)) = map.next_entry::<_, serde::de::IgnoredAny>()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_map(Visit)
        }
    }
    serde_json::from_str::<Keys>(object).expect("an object").0
}

/// The text of `data` in a golden's body.
fn data_of(case: &str) -> String {
    let body = body_of(case);
    let (_, data) = body.split_once(r#","data":"#).expect("a body has data");
    data.strip_suffix('}').expect("data comes last").to_owned()
}

const CONSENT_KEYS: [&str; 9] = [
    "id",
    "subject_id",
    "subject_email",
    "policy_id",
    "consent_type",
    "granted",
    "consent_hash",
    "metadata",
    "recorded_at",
];
const POLICY_KEYS: [&str; 8] = [
    "id",
    "policy_type",
    "version",
    "title",
    "content_hash",
    "effective_date",
    "is_active",
    "created_at",
];

/// P3: ids of webhooks begin `whk_`; times are whole seconds with `Z`, whatever the milliseconds.
#[test]
fn p3_ids_and_times_as_the_contract_spells_them() {
    check("consentproof/created");
    let body = body_of("consentproof/created");
    assert!(body.contains(r#""created_at":"2024-01-15T10:35:00Z""#), "{body}");
    assert!(body.contains(r#""recorded_at":"2024-01-15T10:35:00Z""#), "{body}");
    let request = ConsentProof.sign(&Rendered { body: Bytes::new() }, &signing(SECRET));
    assert!(header(&request, "x-webhook-id").starts_with("whk_"));
}

/// P4: a generated secret is `whsec_` and the hex of 32 random bytes.
#[test]
fn p4_generated_secrets() {
    let secret =
        ConsentProof.new_secret(SecretForm::Shared, &std::array::from_fn(|place| place as u8));
    assert_eq!(secret, SECRET);
    assert_eq!(secret.len(), "whsec_".len() + 64);
}

/// P4: a secret brought along is taken as given, without a prefix, from 16 characters on.
#[test]
fn p4_supplied_secrets() {
    for good in ["0123456789abcdef", "whsec_0123456789", "!\"#$%&'()*+,-./~", &"x".repeat(256)] {
        assert_eq!(ConsentProof.check_secret(good), Ok(()), "{good}");
    }
    let long = "x".repeat(257);
    for bad in [
        "",
        "0123456789abcde",
        "0123456789abcde f",
        "0123456789abcdef\n",
        "0123456789abcdéf",
        &long,
    ] {
        assert!(ConsentProof.check_secret(bad).is_err(), "{bad:?}");
    }
    let rendered = Rendered { body: Bytes::from_static(b"{}") };
    let bare = ConsentProof.sign(&rendered, &signing("0123456789abcdef"));
    let prefixed = ConsentProof.sign(&rendered, &signing("whsec_0123456789abcdef"));
    assert_ne!(header(&bare, "x-signature"), header(&prefixed, "x-signature"));
}

/// The rule that the store follows for inactive webhooks: nothing is queued, and what waits is cancelled.
#[test]
fn nothing_waits_for_an_inactive_webhook() {
    let rules = ConsentProof.rules();
    assert!(!rules.queue_while_stopped && !rules.hold_waiting);
}

/// P12: the body is `{id, type, created_at, data}` in that order, sent as `application/json`.
#[test]
fn p12_the_envelope() {
    for case in crate::golden::cases(&ConsentProof) {
        assert_eq!(keys(&body_of(&case)), ["id", "type", "created_at", "data"], "{case}");
    }
    let request = ConsentProof.sign(&Rendered { body: Bytes::new() }, &signing(SECRET));
    assert_eq!(header(&request, "content-type"), "application/json");
}

/// P14: with the values of the published example in place of ours, the body is the example, byte for byte.
#[test]
fn p14_the_body_is_the_published_one() {
    let mut body = body_of("consentproof/created");
    let hash = format!("sha256:{}", "0123456789abcdef".repeat(4));
    for (prefix, published) in [("evt", "xyz789"), ("con", "abc123"), ("pol", "def456")] {
        let start = body.find(&format!(r#""{prefix}_"#)).expect("an id of that kind") + 5;
        body.replace_range(start..start + 26, published);
    }
    assert!(body.contains(&hash), "{body}");
    assert_eq!(body.replace(&hash, "sha256:a1b2c3d4e5f6"), V3_BODY);
    assert_eq!(V3_BODY.len(), 370);
}

/// P14: what is not known is null, and metadata is an object all the same.
#[test]
fn p14_absent_values() {
    check("consentproof/no_email_no_policy");
    let data = data_of("consentproof/no_email_no_policy");
    assert_eq!(keys(&data), CONSENT_KEYS);
    assert!(data.contains(r#""subject_email":null,"policy_id":null,"#), "{data}");
    assert!(data.contains(r#""metadata":{},"#), "{data}");
}

/// P14: metadata is what the caller wrote, down to its spaces, digits and escapes; nothing is added to it.
#[test]
fn p14_metadata_goes_out_as_it_came_in() {
    check("consentproof/unicode_and_escapes");
    let data = data_of("consentproof/unicode_and_escapes");
    let metadata =
        r#""metadata":{ "z": 1.50, "a": "\u00e9\/é", "big": 12345678901234567890123 , "z": 2 }"#;
    assert!(data.contains(metadata), "{data}");
    let reference = r#""subject_id":"Zoë \"Z\" \\ \u0001\n\t/ 日本 😀\u001f""#;
    assert!(data.contains(reference), "{data}");
}

/// P15: updated and withdrawn events carry the same object; a withdrawal also says when.
#[test]
fn p15_updated_and_withdrawn() {
    check("consentproof/updated");
    check("consentproof/withdrawn");
    let updated = data_of("consentproof/updated");
    assert_eq!(keys(&updated), CONSENT_KEYS);
    assert!(updated.contains(r#""granted":true"#), "{updated}");
    let withdrawn = data_of("consentproof/withdrawn");
    assert_eq!(keys(&withdrawn), [&CONSENT_KEYS[..], &["withdrawn_at"]].concat());
    assert!(withdrawn.contains(r#""granted":false"#), "{withdrawn}");
    assert!(withdrawn.ends_with(r#""withdrawn_at":"2024-02-01T08:00:00Z"}"#), "{withdrawn}");
}

/// P15: a batch is one event with its id, its count and the same objects.
#[test]
fn p15_batch() {
    check("consentproof/batch");
    let data = data_of("consentproof/batch");
    assert_eq!(keys(&data), ["batch_id", "count", "consents"]);
    let batch: serde_json::Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!(batch["count"], 2);
    let consents = batch["consents"].as_array().expect("a list");
    assert_eq!(consents.len(), 2);
    assert!(batch["batch_id"].as_str().is_some_and(|id| id.starts_with("bat_")));
    let (_, first) = data.split_once("\"consents\":[").expect("a list");
    let end = first.find("},{").expect("two objects") + 1;
    assert_eq!(keys(&first[..end]), CONSENT_KEYS);
}

/// P15: the events of policies, without the text; a deleted one says when.
#[test]
fn p15_policies() {
    for case in ["policy_created", "policy_updated", "policy_deleted"] {
        check(&format!("consentproof/{case}"));
    }
    assert_eq!(keys(&data_of("consentproof/policy_created")), POLICY_KEYS);
    assert_eq!(keys(&data_of("consentproof/policy_updated")), POLICY_KEYS);
    let deleted = data_of("consentproof/policy_deleted");
    assert_eq!(keys(&deleted), [&POLICY_KEYS[..], &["deleted_at"]].concat());
}

/// P14, P15: the API answers with the objects of the events; of a policy it also shows the text and the last change.
#[test]
fn p14_the_api_shows_the_same_objects() {
    let created = event_of("consentproof/created");
    let EventBody::Consent(consent) = &created.body else { panic!("of a consent") };
    let answered = serde_json::to_string(&ConsentObject::from(consent)).expect("JSON");
    assert_eq!(answered, data_of("consentproof/created"));

    let created = event_of("consentproof/policy_created");
    let EventBody::Policy(policy) = &created.body else { panic!("of a policy") };
    let answered = serde_json::to_string(&PolicyObject::read(policy)).expect("JSON");
    let mut expected = POLICY_KEYS.to_vec();
    expected.insert(4, "content");
    expected.push("updated_at");
    assert_eq!(keys(&answered), expected);
    let listed = Policy { content: None, ..policy.clone() };
    let answered = serde_json::to_string(&PolicyObject::read(&listed)).expect("JSON");
    assert!(!answered.contains("\"content\""), "{answered}");
}

/// P17: the contract's headers, each once, and no other.
#[test]
fn p17_the_headers() {
    let request = ConsentProof.sign(&Rendered { body: Bytes::new() }, &signing(SECRET));
    let names: Vec<_> = request.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["content-type", "x-signature", "x-timestamp", "x-webhook-id"]);
}

/// P18: vector V3: the key is the secret as shown, its prefix included.
#[test]
fn p18_the_published_signature() {
    let rendered = Rendered { body: Bytes::from_static(V3_BODY.as_bytes()) };
    let request = ConsentProof.sign(&rendered, &signing(V3_SECRET));
    assert_eq!(header(&request, "x-signature"), V3_SIGNATURE);
    let stripped = V3_SECRET.strip_prefix("whsec_").expect("a prefix");
    let wrong = ConsentProof.sign(&rendered, &signing(stripped));
    assert!(header(&wrong, "x-signature").starts_with("9a253537"));
}

/// P18: no other spelling of the right signature is taken, and none at all is said to be missing.
#[test]
fn p18_one_spelling_only() {
    let rendered = Rendered { body: Bytes::from_static(V3_BODY.as_bytes()) };
    let request = received(&ConsentProof.sign(&rendered, &signing(V3_SECRET)));
    let now = Timestamp::from_millis(0);
    let with = |signature: &str| {
        let mut request = request.clone();
        request.headers.retain(|(name, _)| name != "x-signature");
        request.headers.push(("x-signature".to_owned(), signature.to_owned()));
        ConsentProof.verify(&request, V3_SECRET, now)
    };
    let verified = with(V3_SIGNATURE).expect("the right one");
    assert_eq!((&*verified.event_id, &*verified.event_type), ("evt_xyz789", "consent.created"));
    for wrong in [
        String::new(),
        V3_SIGNATURE.to_uppercase(),
        format!("sha256={V3_SIGNATURE}"),
        format!("{V3_SIGNATURE}00"),
        V3_SIGNATURE[..62].to_owned(),
    ] {
        assert_eq!(with(&wrong), Err(Rejection::WrongSignature), "{wrong}");
    }
    let mut unsigned = request.clone();
    unsigned.headers.retain(|(name, _)| name != "x-signature");
    let refused = ConsentProof.verify(&unsigned, V3_SECRET, now);
    assert_eq!(refused, Err(Rejection::MissingHeader("x-signature")));
}

/// P12: what is signed but no event is refused as malformed.
#[test]
fn p12_a_signed_body_must_be_an_event() {
    for body in ["", "{}", "[]", r#"{"id":"evt_1"}"#, r#"{"id":1,"type":"consent.created"}"#] {
        let rendered = Rendered { body: Bytes::copy_from_slice(body.as_bytes()) };
        let request = received(&ConsentProof.sign(&rendered, &signing(SECRET)));
        let refused = ConsentProof.verify(&request, SECRET, Timestamp::from_millis(0));
        assert!(matches!(refused, Err(Rejection::Malformed(_))), "{body}: {refused:?}");
    }
}

/// P19: `x-timestamp` is the time of sending in Unix seconds, and no part of what is signed.
#[test]
fn p19_the_timestamp() {
    let rendered = Rendered { body: Bytes::from_static(V3_BODY.as_bytes()) };
    let request = ConsentProof.sign(&rendered, &signing(SECRET));
    assert_eq!(header(&request, "x-timestamp"), "1705314901");
    let mut moved = received(&request);
    moved.headers.retain(|(name, _)| name != "x-timestamp");
    moved.headers.push(("x-timestamp".to_owned(), "0".to_owned()));
    assert!(ConsentProof.verify(&moved, SECRET, Timestamp::from_millis(i64::MAX)).is_ok());
}

/// P22: any 2xx is success, and what the answer says besides is ignored.
#[test]
fn p22_any_2xx_is_success() {
    for status in [200, 201, 202, 204, 299] {
        let body = Bytes::from_static(br#"{"error":"no"}"#);
        let answer = Answer { status, retry_after: Some(60), body };
        assert_eq!(ConsentProof.classify(&answer), Outcome::Delivered, "{status}");
    }
}

/// P23: everything else is tried again on the contract's own schedule; 410 and Retry-After have no meaning in it.
#[test]
fn p23_everything_else_is_tried_again() {
    for status in (100..=199).chain(300..=599) {
        let answer = Answer { retry_after: Some(7_200), ..answer(status) };
        let outcome = ConsentProof.classify(&answer);
        assert_eq!(outcome, Outcome::Retry { retry_after: None }, "{status}");
    }
}

/// P23: five attempts, at 0, 1, 6, 36 and 156 minutes where each takes no time, then failed; no chance in it.
#[test]
fn p23_five_attempts() {
    let schedule = ConsentProof.schedule();
    let outcome = ConsentProof.classify(&answer(500));
    for draw in [0, u16::MAX] {
        let mut at = Timestamp::from_millis(0);
        let mut minutes = vec![0];
        for attempts in 1.. {
            let decided = decide(outcome, Run::First, attempts, &schedule, at, draw);
            let Some(due) = decided.due_at else { break };
            minutes.push(due.as_millis() / 60_000);
            at = due;
        }
        assert_eq!(minutes, [0, 1, 6, 36, 156]);
    }
}

/// P27: ten seconds, and a redirect is not success.
#[test]
fn p27_the_deadline() {
    assert_eq!(ConsentProof.deadline(), Duration::from_secs(10));
    for status in [301, 302, 303, 307, 308] {
        assert_ne!(ConsentProof.classify(&answer(status)), Outcome::Delivered, "{status}");
    }
}

/// P12: every kind of event is told, under the names of the contract.
#[test]
fn p12_every_kind_is_told() {
    let names = [
        ("created", "consent.created"),
        ("updated", "consent.updated"),
        ("withdrawn", "consent.withdrawn"),
        ("batch", "consent.batch_created"),
        ("policy_created", "policy.created"),
        ("policy_updated", "policy.updated"),
        ("policy_deleted", "policy.deleted"),
    ];
    for (case, name) in names {
        let body = body_of(&format!("consentproof/{case}"));
        assert!(body.contains(&format!(r#","type":"{name}","#)), "{body}");
    }
    assert!(EventKind::ALL.into_iter().all(|kind| ConsentProof.applies(kind)));
}

proptest! {
    /// P12, P18: the receiver that ConsentProof publishes takes every event we send, and reads its type.
    #[test]
    fn p18_the_published_receiver_takes_every_event(event in strategies::event()) {
        let request = ConsentProof.sign(&ConsentProof.render(&Content::Event(&event)), &signing(SECRET));
        let answered = consentproof_receiver(&request, SECRET);
        let kind = event.kind.as_str().to_owned();
        prop_assert_eq!(answered, Answered::Handled { event_type: kind });
    }

    /// P18: that receiver and ours judge alike, be the signature right, wrong, cut or in upper case.
    #[test]
    fn p18_the_published_receiver_refuses_as_ours_does(
        signature in prop_oneof![
            Just(V3_SIGNATURE.to_owned()),
            Just(V3_SIGNATURE.to_uppercase()),
            "[0-9a-f]{64}",
            "[0-9a-f]{0,70}",
            any::<String>(),
        ],
    ) {
        let rendered = Rendered { body: Bytes::from_static(V3_BODY.as_bytes()) };
        let mut request = ConsentProof.sign(&rendered, &signing(V3_SECRET));
        request.headers.retain(|(name, _)| *name != "x-signature");
        request.headers.push(("x-signature", signature));
        let theirs = consentproof_receiver(&request, V3_SECRET);
        let ours = ConsentProof.verify(&received(&request), V3_SECRET, Timestamp::from_millis(0));
        prop_assert_eq!(ours.is_ok(), matches!(theirs, Answered::Handled { .. }));
    }

    /// P13, P20: the event's id is the same for every webhook and on every attempt; `x-webhook-id` is the webhook's.
    #[test]
    fn p13_one_id_per_event(
        event in strategies::event(), one in strategies::id(), other in strategies::id(),
    ) {
        let rendered = ConsentProof.render(&Content::Event(&event));
        for endpoint in [one, other] {
            let request = ConsentProof.sign(&rendered, &Signing { endpoint, ..signing(SECRET) });
            let shown = EndpointId::parse(header(&request, "x-webhook-id"));
            prop_assert_eq!(shown, Ok(endpoint));
            let verified = ConsentProof.verify(&received(&request), SECRET, event.created_at);
            let verified = verified.expect("signed with the same secret");
            prop_assert_eq!(EventId::parse(&verified.event_id), Ok(event.id));
            prop_assert_eq!(verified.event_type, event.kind.as_str());
        }
    }

    /// P21: body and signature stay over all attempts; only `x-timestamp` moves.
    #[test]
    fn p21_only_the_timestamp_changes(
        event in strategies::event(), later in strategies::instant(), token: [u8; 16],
    ) {
        prop_assert_eq!(ConsentProof.rules().source, Source::Snapshot);
        let first = ConsentProof.sign(&ConsentProof.render(&Content::Event(&event)), &signing(SECRET));
        let again = Signing { at: later, token, ..signing(SECRET) };
        let again = ConsentProof.sign(&ConsentProof.render(&Content::Event(&event)), &again);
        prop_assert_eq!(&first.body, &again.body);
        for (one, other) in first.headers.iter().zip(&again.headers) {
            prop_assert!(one == other || one.0 == "x-timestamp", "{} moved", one.0);
        }
        prop_assert_eq!(header(&again, "x-timestamp"), (later.as_millis() / 1000).to_string());
    }

    /// I6, P18: the signature is over the bytes that are sent, whatever they are.
    #[test]
    fn i6_the_bytes_sent_are_the_bytes_signed(body: Vec<u8>, secret in "[!-~]{16,256}") {
        let rendered = Rendered { body: Bytes::from(body) };
        let request = ConsentProof.sign(&rendered, &signing(&secret));
        prop_assert_eq!(&request.body, &rendered.body);
        let expected = hmac_sha256_hex(secret.as_bytes(), &request.body);
        prop_assert_eq!(header(&request, "x-signature"), expected);
    }
}
