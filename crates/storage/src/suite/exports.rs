//! What an export reads.

use abide_core::consent::{NewDecision, PermissionState, SubjectInput};
use abide_core::json::JsonObject;
use abide_core::policy::{NewPolicy, PolicyType};

use super::world::{World, at, grant, ok};
use crate::Storage;
use crate::exports::{ExportedConsent, ExportedDecision, Span};

async fn decisions(world: &World<'_>, through: u64, limit: u32) -> Vec<ExportedDecision> {
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let span = Span { after, through, limit };
        let page = ok(world.store.exports().decisions(world.organization, span).await);
        assert!(page.entries.len() <= limit as usize);
        after = page.next;
        all.extend(page.entries);
        if !page.has_more {
            return all;
        }
    }
}

async fn consents(world: &World<'_>, through: u64, limit: u32) -> Vec<ExportedConsent> {
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let span = Span { after, through, limit };
        let page = ok(world.store.exports().consents(world.organization, span).await);
        after = page.next;
        all.extend(page.entries);
        if !page.has_more {
            return all;
        }
    }
}

/// An export has every decision with what was said, and every record as it stands, each once; an erased person's decisions
/// say nothing but their commitment. It ends where it began to end, whatever is recorded meanwhile.
pub async fn an_export_tells_all_that_was_said(store: &dyn Storage) {
    let world = World::new(store).await;
    let metadata = JsonObject::parse(r#"{"a": [1,  2]}"#);
    let told = NewDecision {
        subject: SubjectInput {
            reference: "ada".to_owned(),
            email: Some("ada@example.com".to_owned()),
        },
        metadata: metadata.clone(),
        ip_address: Some("192.0.2.1".to_owned()),
        ..grant("ada", "news")
    };
    let record = world.record(told, at(1)).await;
    world.record(grant("bob", "news"), at(2)).await;
    ok(store.consents().withdraw(&world.by, record.id.id, None, at(3)).await);
    ok(store.subjects().erase(&world.by, "bob", at(4)).await);
    let begun = ok(store.exports().begin(&world.by, at(5)).await);
    assert_eq!((begun.last_decision, begun.organization.id), (3, world.organization));
    assert_eq!(world.deeds().await[0], "organization.export");
    world.record(grant("cleo", "mail"), at(6)).await;

    for limit in [1, 2, 100] {
        let found = decisions(&world, begun.last_decision, limit).await;
        let numbers: Vec<_> = found.iter().map(|one| one.log_index).collect();
        assert_eq!(numbers, [1, 2, 3]);
        let [first, erased, withdrawal] = &found[..] else { unreachable!() };
        let said = first.said.as_ref().expect("it was said");
        assert_eq!(said.email.as_deref(), Some("ada@example.com"));
        assert_eq!((&said.metadata, said.ip_address.as_deref()), (&metadata, Some("192.0.2.1")));
        assert_eq!(said.consent_hash, record.consent_hash);
        assert_eq!(first.told.reference.as_deref(), Some("ada"));
        assert_eq!((&erased.told.reference, &erased.said), (&None, &None));
        assert_ne!(erased.told.commitment, [0; 32]);
        assert_eq!(withdrawal.told.consent, record.id.id);

        let standing = consents(&world, begun.last_decision, limit).await;
        assert_eq!(standing.len(), 2, "one per person, though one decided twice");
        assert_eq!((standing[0].id, standing[0].version), (record.id.id, 2));
        assert_eq!(standing[0].withdrawn_at, Some(at(3)));
        assert_eq!(standing[0].latest, withdrawal.told.id);
        assert_eq!(standing[0].state, Some(PermissionState::Denied));
        assert_eq!(standing[1].subject, erased.told.subject);
    }
    let empty = Span { after: 0, through: 0, limit: 9 };
    let page = ok(store.exports().decisions(world.organization, empty).await);
    assert!(page.entries.is_empty() && !page.has_more);
}

/// I13: an export has the organization's own and nobody else's; policies have their text, deleted ones included.
pub async fn i13_exports_are_apart(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let new = |version: &str| NewPolicy {
        policy_type: PolicyType::Custom,
        version: version.to_owned(),
        title: "Terms".to_owned(),
        content: format!("the text of {version}"),
        effective_date: None,
    };
    let first = ok(store.policies().create(&ours.by, new("1"), at(1)).await);
    ok(store.policies().create(&theirs.by, new("theirs"), at(1)).await);
    let second = ok(store.policies().create(&ours.by, new("2"), at(2)).await);
    ok(store.policies().delete(&ours.by, first.id.id, at(3)).await);
    theirs.record(grant("ada", "news"), at(4)).await;

    let exports = store.exports();
    let all = ok(exports.policies(ours.organization, None, 9).await);
    assert_eq!(
        all.iter().map(|policy| policy.id.id).collect::<Vec<_>>(),
        [first.id.id, second.id.id]
    );
    assert_eq!(all[0].content.as_deref(), Some("the text of 1"));
    assert_eq!(all[0].deleted_at, Some(at(3)));
    let page = ok(exports.policies(ours.organization, None, 1).await);
    assert_eq!(page.len(), 1);
    let rest = ok(exports.policies(ours.organization, Some(first.id.id), 9).await);
    assert_eq!(rest, all[1..]);

    assert!(decisions(&ours, u64::from(u32::MAX), 9).await.is_empty());
    assert!(consents(&ours, u64::from(u32::MAX), 9).await.is_empty());
    assert_eq!(decisions(&theirs, u64::from(u32::MAX), 9).await.len(), 1);
    let before = theirs.everything().await;
    ok(exports.begin(&ours.by, at(5)).await);
    assert_eq!(theirs.everything().await, before);
}
