//! What holds for every dialect: over `all()`, with events by chance.

use std::collections::HashSet;

use abide_core::Timestamp;
use abide_core::delivery::Outcome;
use abide_dialects::{Dialect, Received, Rejection, SecretForm, SignedBy, Signing, all, by_name};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use zeroize::Zeroizing;

use crate::support::{SECRET, answer, received, render, signing_of, strategies};

/// Whether the dialect's contract calls an answer of that status delivered. Written out once more, by hand.
fn delivers(dialect: &dyn Dialect, status: u16) -> bool {
    match dialect.name() {
        "consentproof" | "standard_webhooks" => (200..300).contains(&status),
        name => panic!("say which statuses deliver in {name}"),
    }
}

#[test]
fn names_are_unique_and_found() {
    let mut seen = HashSet::new();
    for dialect in all() {
        assert!(seen.insert(dialect.name()), "{} twice", dialect.name());
        assert_eq!(by_name(dialect.name()).map(Dialect::name), Some(dialect.name()));
    }
    assert!(by_name("").is_none());
}

/// P22, P23: every status has an outcome, and only the contract's statuses deliver. No 3xx does in any contract.
#[test]
fn classify_is_total_and_delivers_only_what_the_contract_says() {
    for dialect in all() {
        for status in 100..=599 {
            let outcome = dialect.classify(&answer(status));
            let said = outcome == Outcome::Delivered;
            assert_eq!(said, delivers(*dialect, status), "{} {status}", dialect.name());
            assert!(!said || !(300..400).contains(&status), "{} {status}", dialect.name());
        }
    }
}

proptest! {
    /// I6, P18: what is signed is what is sent, and a receiver with the secret believes it.
    #[test]
    fn what_is_signed_verifies(event in strategies::event()) {
        for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
            let rendered = render(*dialect, &event);
            let signing = signing_of(&event, SECRET);
            let request = dialect.sign(&rendered, &signing);
            let verified = dialect.verify(&received(&request), SECRET, signing.at);
            let verified = verified.map_err(|problem| TestCaseError::fail(problem.to_string()))?;
            prop_assert_eq!(verified.event_id, event.id.to_string());
            prop_assert!(!verified.event_type.is_empty());
        }
    }

    /// P21: a retry renders the same bytes again.
    #[test]
    fn rendering_is_deterministic(event in strategies::event()) {
        for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
            prop_assert_eq!(render(*dialect, &event), render(*dialect, &event.clone()));
        }
    }

    /// I6, P18: one bit of the body changed on the way is noticed.
    #[test]
    fn a_changed_body_is_refused(event in strategies::event(), place: Index, bit in 0u8..8) {
        for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
            let signing = signing_of(&event, SECRET);
            let mut request = received(&dialect.sign(&render(*dialect, &event), &signing));
            let mut body = request.body.to_vec();
            let place = place.index(body.len());
            body[place] ^= 1 << bit;
            request.body = Bytes::from(body);
            let refused = dialect.verify(&request, SECRET, signing.at);
            prop_assert_eq!(refused, Err(Rejection::WrongSignature));
        }
    }

    /// P18: one character of the signature changed is noticed, be it only from lower to upper case.
    #[test]
    fn a_changed_signature_is_refused(event in strategies::event(), place: Index, bit in 0u8..7) {
        for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
            let signing = signing_of(&event, SECRET);
            let mut request = received(&dialect.sign(&render(*dialect, &event), &signing));
            let (_, value) = request
                .headers
                .iter_mut()
                .find(|(name, _)| name.contains("signature"))
                .expect("every dialect so far signs in a header");
            let mut bytes = value.clone().into_bytes();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            *value = String::from_utf8(bytes).expect("seven bits stay ASCII");
            prop_assert!(dialect.verify(&request, SECRET, signing.at).is_err());
        }
    }

    /// P18: another secret signs otherwise.
    #[test]
    fn a_wrong_secret_is_refused(event in strategies::event(), random: [u8; 32]) {
        for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
            let signing = signing_of(&event, SECRET);
            let request = received(&dialect.sign(&render(*dialect, &event), &signing));
            let other = dialect.new_secret(usual(*dialect), &random);
            let refused = dialect.verify(&request, &other, signing.at);
            prop_assert_eq!(refused, Err(Rejection::WrongSignature));
        }
    }

    /// SW-6: who holds a secret that signs believes the request: that of every live one, or the newest's alone. A key
    /// pair's public half serves as well.
    #[test]
    fn each_secret_that_signs_is_believed(
        event in strategies::event(), drawn in vec((any::<[u8; 32]>(), any::<Index>()), 1..4),
    ) {
        for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
            let forms = dialect.secret_forms();
            let made = drawn.iter().map(|(random, form)| {
                Zeroizing::new(dialect.new_secret(forms[form.index(forms.len())], random))
            });
            let secrets: Vec<_> = made.collect();
            let signing = Signing { secrets: &secrets, ..signing_of(&event, SECRET) };
            let request = received(&dialect.sign(&render(*dialect, &event), &signing));
            let signs = match dialect.signed_by() {
                SignedBy::Newest => 1,
                SignedBy::EveryLive => secrets.len(),
            };
            for (place, secret) in secrets.iter().enumerate() {
                let public = dialect.public_key(secret);
                for held in [Some(secret.as_str()), public.as_deref()].into_iter().flatten() {
                    let verified = dialect.verify(&request, held, signing.at);
                    let again = secrets[..signs].contains(secret);
                    prop_assert_eq!(verified.is_ok(), again, "{} {}", dialect.name(), place);
                }
            }
        }
    }

    /// What a dialect makes itself, it also takes; and the secret has all the bits it was drawn with.
    #[test]
    fn new_secrets_are_sound_and_differ(one: [u8; 32], place in 0usize..256) {
        let mut other = one;
        other[place / 8] ^= 1 << (place % 8);
        for dialect in all() {
            for form in dialect.secret_forms() {
                let secret = dialect.new_secret(*form, &one);
                prop_assert_eq!(dialect.check_secret(&secret), Ok(()));
                prop_assert_eq!(dialect.public_key(&secret).is_some(), *form == SecretForm::KeyPair);
                prop_assert_ne!(secret, dialect.new_secret(*form, &other));
            }
        }
    }

    /// No request, however broken, makes a receiver fall over, and none is believed.
    #[test]
    fn verify_is_total(body in vec(any::<u8>(), 0..64), values in vec(strategies::text(), 7)) {
        let names = [
            "x-signature",
            "x-timestamp",
            "x-webhook-id",
            "content-type",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        ];
        let headers = names.into_iter().map(str::to_owned).zip(values).collect();
        let request = Received { headers, body: Bytes::from(body) };
        for dialect in all() {
            let now = Timestamp::from_millis(0);
            prop_assert_eq!(dialect.verify(&request, SECRET, now), Err(Rejection::WrongSignature));
        }
    }
}

fn usual(dialect: &dyn Dialect) -> SecretForm {
    dialect.secret_forms()[0]
}
