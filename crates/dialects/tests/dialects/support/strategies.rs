//! Events by chance: wider than what the API takes, so that no rendering rests on a check made elsewhere.

use abide_core::Timestamp;
use abide_core::consent::decision::METADATA_LIMIT;
use abide_core::consent::{ConsentView, LawfulBasis, PermissionState, Validity};
use abide_core::event::{BatchView, Event, EventBody, EventKind, RENDER_VERSION};
use abide_core::ids::{Id, Kind};
use abide_core::json::JsonObject;
use abide_core::original::{OriginalId, PublicId};
use abide_core::policy::{Policy, PolicyType};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// An event of any kind.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    select(EventKind::ALL.as_slice()).prop_flat_map(event_of)
}

/// An event of that kind, with the body that such events have.
pub(crate) fn event_of(kind: EventKind) -> impl Strategy<Value = Event> {
    (id(), id(), instant(), body_of(kind)).prop_map(move |(id, organization, created_at, body)| {
        let subject = match &body {
            EventBody::Consent(consent) => Some(consent.subject),
            EventBody::Batch(_) | EventBody::Policy(_) => None,
        };
        Event { id, organization, kind, created_at, subject, render_version: RENDER_VERSION, body }
    })
}

fn body_of(kind: EventKind) -> BoxedStrategy<EventBody> {
    match kind {
        EventKind::ConsentCreated | EventKind::ConsentUpdated => {
            consent().prop_map(EventBody::Consent).boxed()
        }
        EventKind::ConsentWithdrawn => (consent(), instant())
            .prop_map(|(consent, at)| {
                EventBody::Consent(ConsentView {
                    state: consent.state.filter(|state| *state != PermissionState::Granted),
                    withdrawn_at: Some(at),
                    ..consent
                })
            })
            .boxed(),
        EventKind::ConsentBatchCreated => (id(), vec(consent(), 1..6))
            .prop_map(|(id, consents)| EventBody::Batch(BatchView { id, consents }))
            .boxed(),
        EventKind::PolicyCreated | EventKind::PolicyUpdated => {
            policy().prop_map(EventBody::Policy).boxed()
        }
        EventKind::PolicyDeleted => (policy(), instant())
            .prop_map(|(policy, at)| {
                EventBody::Policy(Policy { deleted_at: Some(at), is_active: false, ..policy })
            })
            .boxed(),
    }
}

/// Half of them brought along, under the ids that they had.
fn named<K: Kind>() -> impl Strategy<Value = PublicId<K>> {
    let original =
        "[!-~]{1,100}".prop_filter_map("no original id", |text| OriginalId::parse(&text));
    (id(), option::of(original)).prop_map(|(id, original)| PublicId { id, original })
}

/// A consent record that is not withdrawn.
pub(crate) fn consent() -> impl Strategy<Value = ConsentView> {
    let ids = (named(), id(), id(), option::of(named()));
    let texts = (text(), option::of(text()), text(), option::of(text()));
    let times = (instant(), instant(), instant());
    let state = option::of(select(PermissionState::ALL.as_slice()));
    (ids, texts, times, state, option::of(metadata())).prop_map(
        |(
            (id, decision, subject, policy),
            (reference, email, purpose, ip_address),
            (obtained_at, recorded_at, created_at),
            state,
            metadata,
        )| ConsentView {
            id,
            version: 1,
            decision,
            subject,
            reference,
            email,
            purpose,
            policy,
            basis: LawfulBasis::Consent,
            state,
            consent_hash: format!("sha256:{:064x}", recorded_at.as_millis()),
            metadata,
            ip_address,
            obtained_at,
            recorded_at,
            validity: Validity::default(),
            created_at,
            withdrawn_at: None,
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let types = PolicyType::ALL.map(|(policy_type, _)| policy_type);
    let texts = (text(), text(), option::of(text()));
    let times = (instant(), instant(), instant());
    (named(), select(types.to_vec()), texts, times, any::<bool>()).prop_map(
        |(id, policy_type, (version, title, content), (effective_date, created, updated), on)| {
            Policy {
                id,
                policy_type,
                version,
                title,
                content,
                content_hash: format!("sha256:{:064x}", updated.as_millis()),
                effective_date,
                is_active: on,
                created_at: created,
                updated_at: updated,
                deleted_at: None,
            }
        },
    )
}

/// Any id.
pub(crate) fn id<K: Kind>() -> impl Strategy<Value = Id<K>> {
    (0..=i64::MAX).prop_map(Id::from_key)
}

/// Any instant that can be written.
pub(crate) fn instant() -> impl Strategy<Value = Timestamp> {
    (0i64..=253_402_207_200_000).prop_map(Timestamp::from_millis)
}

/// Texts with everything that JSON escapes, and with what is many bytes long.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}",
        any::<String>(),
        vec(
            select(vec!['\0', '\u{1f}', '\u{7f}', '"', '\\', '\n', '/', 'é', '\u{2028}', '😀']),
            0..64
        )
        .prop_map(|chars| chars.into_iter().collect()),
    ]
}

/// Objects as callers write them: any spacing, any order, escapes of their own choice, up to the limit in size.
pub(crate) fn metadata() -> impl Strategy<Value = JsonObject> {
    let written = vec((text(), text()), 0..4).prop_map(|pairs| {
        let pairs: serde_json::Map<_, _> =
            pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
        serde_json::to_string_pretty(&pairs).expect("texts serialise")
    });
    let large = (0..METADATA_LIMIT - 64).prop_map(|size| {
        let escapes = r"\u0001".repeat(size / 6);
        format!(r#"{{"b": "{escapes}", "a" : [1.50, 1e2, null, {{}}]}}"#)
    });
    prop_oneof![4 => written, 1 => large]
        .prop_map(|text| JsonObject::parse(&text).expect("a well-formed object"))
}
