//! The ledger: what a decision makes, and that a refused one makes nothing.

use abide_core::consent::{
    ConsentPatch, LawfulBasis, MAX_CANDIDATES, NewDecision, PermissionState, SubjectInput, Validity,
};
use abide_core::event::{EventBody, EventKind};
use abide_core::ids::PolicyId;
use abide_core::json::JsonObject;
use abide_core::original::Reference;
use abide_core::policy::{NewPolicy, PolicyPatch, PolicyType};

use futures_util::future::join_all;

use super::world::{SKIP, World, at, grant, ok, refusal};
use crate::{Storage, StorageError};

fn denial(reference: &str, purpose: &str) -> NewDecision {
    NewDecision { state: PermissionState::Denied, ..grant(reference, purpose) }
}

/// I1, P38, P37, P15: each operation leaves its decision, its event, a delivery of it and its audit entry.
pub async fn each_operation_leaves_all_its_parts(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let consents = store.consents();
    let made = world.record(grant("ada", "marketing"), at(1)).await;
    let patch = ConsentPatch {
        metadata: Some(JsonObject::parse(r#"{"source":"form"}"#)),
        ..ConsentPatch::default()
    };
    let changed = ok(consents.change(&world.by, made.id.id, patch, at(2)).await);
    let withdrawn = ok(consents.withdraw(&world.by, made.id.id, None, at(3)).await);
    let batch = vec![grant("bob", "marketing"), grant("ada", "marketing"), grant("eve", "news")];
    let batch = ok(consents.record_batch(&world.by, batch, at(4)).await);
    assert_eq!(
        world.kinds().await,
        [
            EventKind::ConsentCreated,
            EventKind::ConsentUpdated,
            EventKind::ConsentWithdrawn,
            EventKind::ConsentBatchCreated,
            EventKind::ConsentUpdated,
        ]
    );
    let all = world.everything().await;
    assert_eq!(all.decisions.len(), 6);
    assert_eq!(all.deliveries.len(), 5, "each event has its delivery");
    let deeds: Vec<_> = all.audit.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        deeds[2..],
        [
            "purpose.create",
            "consent.record",
            "consent.change",
            "consent.withdraw",
            "purpose.create",
            "consent.record_batch"
        ]
    );
    assert_eq!((made.version, changed.version, withdrawn.version), (1, 2, 3));
    assert_eq!(changed.metadata, JsonObject::parse(r#"{"source":"form"}"#));
    assert_eq!((withdrawn.granted(), withdrawn.withdrawn_at), (false, Some(at(3))));
    assert_eq!(batch.consents[1].version, 4);
    assert_eq!(batch.consents[1].withdrawn_at, None, "granted again");
}

/// I1: of decisions that come together each is recorded whole, or refused alone.
pub async fn i1_decisions_that_come_together_are_each_their_own(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    world.record(grant("known", "marketing"), at(1)).await;
    let with_email = |reference: &str, email: &str| {
        let mut new = grant(reference, "news");
        new.subject.email = Some(email.to_owned());
        new
    };
    let unknown = Reference::Own(PolicyId::from_key(7));
    let calls = (0..70).map(|n| match n % 7 {
        0 => grant("ada", "marketing"),
        1 => denial("known", "marketing"),
        2 => with_email(&format!("new-{n}"), "one@example.org"),
        3 => NewDecision { policy: Some(unknown.clone()), ..grant("refused", "marketing") },
        4 => with_email("known", &format!("{n}@example.org")),
        5 => NewDecision {
            validity: Validity { from: None, until: Some(at(1_000_000)) },
            ..grant("for a time", "marketing")
        },
        _ => grant("known", &format!("purpose {n}")),
    });
    let made = join_all(calls.map(|new| store.consents().record(&world.by, new, at(2)))).await;
    let of = |kind: usize| made.iter().skip(kind).step_by(7);
    let versions = |kind| {
        let mut versions: Vec<_> =
            of(kind).map(|made| made.as_ref().expect("recorded").version).collect();
        versions.sort_unstable();
        versions
    };
    assert_eq!(versions(0), (1..=10).collect::<Vec<_>>());
    assert_eq!(versions(1), (2..=11).collect::<Vec<_>>());
    assert_eq!(versions(2), [1; 10]);
    assert_eq!(versions(4), (1..=10).collect::<Vec<_>>());
    assert_eq!(versions(5), (1..=10).collect::<Vec<_>>());
    assert_eq!(versions(6), [1; 10]);
    assert!(of(3).all(|made| matches!(made, Err(StorageError::Refused(_)))));
    for made in made.iter().flatten() {
        let shown = ok(store.consents().get(world.organization, made.id.id).await);
        assert!(shown.expect("the record is there").version >= made.version);
    }
    let all = world.everything().await;
    assert_eq!(all.decisions.len(), 61);
    assert_eq!(all.deliveries.len(), all.events.len(), "each event has its delivery");
    let recorded = all.audit.iter().filter(|entry| entry.action == "consent.record").count();
    assert_eq!(recorded, 61);
    let created = world.kinds().await.into_iter().filter(|kind| *kind == EventKind::ConsentCreated);
    assert_eq!(created.count(), 24, "each record's first grant");
}

/// P35: an event shows the record as it was; a later decision changes neither it nor the earlier hash.
pub async fn what_was_told_stays_as_it_was(store: &dyn Storage) {
    let world = World::new(store).await;
    let new = NewDecision {
        subject: SubjectInput {
            reference: "ada".to_owned(),
            email: Some("ada@example.org".to_owned()),
        },
        metadata: JsonObject::parse(r#"{"ip_address":"192.0.2.7",  "a":1}"#),
        ..grant("ada", "marketing")
    };
    let made = world.record(new, at(1)).await;
    assert_eq!(made.ip_address.as_deref(), Some("192.0.2.7"));
    assert!(made.consent_hash.starts_with("sha256:"));
    let shown = ok(store.consents().get(world.organization, made.id.id).await);
    assert_eq!(shown.as_ref(), Some(&made));
    let after = ok(store.consents().withdraw(&world.by, made.id.id, None, at(5_000)).await);
    assert_ne!((after.decision, &after.consent_hash), (made.decision, &made.consent_hash));
    assert_eq!(
        (&after.id, after.created_at, &after.email),
        (&made.id, made.created_at, &made.email)
    );
    let first = world.event(world.events().await[0]).await.expect("the first event");
    assert_eq!(first.body, EventBody::Consent(made));
}

/// I1, P38: a refusal leaves no trace, and a batch is refused whole, naming the place.
pub async fn a_refused_call_leaves_nothing(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let policy = NewPolicy {
        policy_type: PolicyType::Custom,
        version: "1".to_owned(),
        title: "Terms".to_owned(),
        content: "text".to_owned(),
        effective_date: None,
    };
    let closed = ok(store.policies().create(&world.by, policy, at(0)).await).id;
    world
        .record(NewDecision { policy: Some(closed.id.into()), ..grant("bob", "news") }, at(0))
        .await;
    let patch = PolicyPatch { is_active: Some(false), ..PolicyPatch::default() };
    ok(store.policies().change(&world.by, closed.id, patch, at(0)).await);
    let before = world.everything().await;

    let consents = store.consents();
    let unknown = NewDecision { policy: Some(PolicyId::from_key(1).into()), ..grant("ada", "new") };
    refusal(consents.record(&world.by, unknown.clone(), at(1)).await);
    let on_closed = NewDecision { policy: Some(closed.id.into()), ..grant("ada", "new") };
    refusal(consents.record(&world.by, on_closed.clone(), at(1)).await);
    let future = NewDecision { obtained_at: Some(at(2)), ..grant("ada", "new") };
    refusal(consents.record(&world.by, future, at(1)).await);
    for (bad, field) in [
        (unknown, "consents[2].policy_id"),
        (on_closed, "consents[2].policy_id"),
        (grant(" ", "new"), "consents[2].subject_id"),
    ] {
        let batch = vec![grant("ada", "new"), grant("cy", "new"), bad, grant("di", "new")];
        let said = refusal(consents.record_batch(&world.by, batch, at(1)).await);
        assert!(said.contains(field), "{said}");
    }
    refusal(consents.record_batch(&world.by, Vec::new(), at(1)).await);
    refusal(consents.record_batch(&world.by, vec![grant("ada", "new"); 1_001], at(1)).await);
    assert_eq!(world.everything().await, before);
    // Nobody came to be either: the purpose and the person are new to the next call.
    refusal(store.subjects().erase(&world.by, "ada", at(1)).await);
    world.record(grant("ada", "new"), at(2)).await;
    assert_eq!(world.deeds().await[..2], ["consent.record", "purpose.create"]);
}

/// P37: withdrawing twice is no mistake and tells once.
pub async fn a_second_withdrawal_changes_nothing(store: &dyn Storage) {
    let world = World::new(store).await;
    let made = world.record(grant("ada", "marketing"), at(1)).await;
    let once = ok(store.consents().withdraw(&world.by, made.id.id, None, at(2)).await);
    let before = world.everything().await;
    let twice = ok(store.consents().withdraw(&world.by, made.id.id, None, at(3)).await);
    assert_eq!(twice, once);
    assert_eq!(world.everything().await, before);
}

/// P37: a withdrawal ends what was granted for a later time too, and tells once.
pub async fn a_withdrawal_ends_what_waits_for_its_time(store: &dyn Storage) {
    let world = World::new(store).await;
    let consents = store.consents();
    let from = Validity { from: Some(at(100)), until: None };
    let later = |name| NewDecision { validity: from, ..grant(name, "marketing") };
    world.record(denial("bob", "marketing"), at(1)).await;
    for made in [world.record(later("ada"), at(2)).await, world.record(later("bob"), at(2)).await] {
        assert!(!made.granted());
        let once = ok(consents.withdraw(&world.by, made.id.id, None, at(3)).await);
        assert_eq!(once.version, made.version + 1);
        let before = world.everything().await;
        assert_eq!(ok(consents.withdraw(&world.by, made.id.id, None, at(4)).await), once);
        assert_eq!(world.everything().await, before);
        ok(consents.advance_due(at(100), 10).await);
        let then = ok(consents.get(world.organization, made.id.id).await).expect("the record");
        assert_eq!(then.state, Some(PermissionState::Denied));
    }
}

/// P37: a change of particulars does not overtake an answer that waits for its time.
pub async fn particulars_leave_what_waits_for_its_time(store: &dyn Storage) {
    let world = World::new(store).await;
    let made = world.record(denial("ada", "marketing"), at(1)).await;
    let validity = Validity { from: Some(at(100)), until: None };
    world.record(NewDecision { validity, ..grant("ada", "marketing") }, at(2)).await;
    let email = Some(Some("ada@example.org".to_owned()));
    let patch = ConsentPatch { email: email.clone(), ..ConsentPatch::default() };
    let changed = ok(store.consents().change(&world.by, made.id.id, patch, at(3)).await);
    assert_eq!((changed.granted(), &changed.email), (false, &email.flatten()));
    ok(store.consents().advance_due(at(100), 10).await);
    let begun = ok(store.consents().get(world.organization, made.id.id).await).expect("the record");
    assert!(begun.granted());
}

/// P37: answers given for a time again and again cost no more each time. Those that may all come back into force are
/// bounded, which hinders neither a refusal nor a withdrawal.
pub async fn answers_for_a_time_are_bounded(store: &dyn Storage) {
    let world = World::new(store).await;
    let consents = store.consents();
    let for_a_time = |name, from: Option<i64>, until: i64| NewDecision {
        validity: Validity { from: from.map(at), until: Some(at(until)) },
        ..grant(name, "marketing")
    };
    let renewals = MAX_CANDIDATES as i64 + 50;
    for now in 0..renewals {
        let renewed = world.record(for_a_time("ada", None, 10_000 + now), at(now)).await;
        assert!(renewed.granted());
    }
    // Each shorter than the one before, so that each comes back once the next has ended.
    for now in 0..MAX_CANDIDATES as i64 {
        world.record(for_a_time("bob", None, 10_000 - now), at(now)).await;
    }
    // Written down from the newest to the oldest, as an import may: none of them can come into force.
    world.record(for_a_time("dan", None, 10_000), at(900)).await;
    for older in 0..MAX_CANDIDATES as i64 + 50 {
        let obtained_at = Some(at(800 - older));
        world.record(NewDecision { obtained_at, ..denial("dan", "marketing") }, at(900)).await;
    }
    assert!(world.record(for_a_time("dan", None, 9_000), at(901)).await.granted());
    let before = world.everything().await;
    let one_more = for_a_time("bob", None, 5_000);
    refusal(consents.record(&world.by, one_more.clone(), at(300)).await);
    let batch = vec![denial("eve", "marketing"), one_more.clone()];
    let refused = refusal(consents.record_batch(&world.by, batch, at(300)).await);
    assert!(refused.starts_with("`consents[1].valid_until`"), "{refused}");
    assert_eq!(world.everything().await, before);
    let denied = world.record(denial("bob", "marketing"), at(400)).await;
    assert!(!denied.granted());
    assert!(world.record(one_more, at(401)).await.granted());
    assert_eq!(ok(consents.advance_due(at(5_000), 10).await), 1);
    let ended = ok(consents.get(world.organization, denied.id.id).await).expect("bob's record");
    assert_eq!(ended.state, Some(PermissionState::Denied));
}

/// P37: a decision older than the one in force is kept and told to nobody.
pub async fn an_older_decision_recorded_late_changes_history_only(store: &dyn Storage) {
    let world = World::new(store).await;
    let held = world.record(grant("ada", "marketing"), at(100)).await;
    let late = NewDecision { obtained_at: Some(at(50)), ..denial("ada", "marketing") };
    let shown = world.record(late, at(200)).await;
    assert_eq!((shown.decision, shown.granted(), shown.version), (held.decision, true, 2));
    assert_eq!((world.decisions().await.len(), world.events().await.len()), (2, 1));
}

/// P37: a decision without a time of its own follows the one in force, though the clock was set back.
pub async fn a_clock_set_back_does_not_undo_a_withdrawal(store: &dyn Storage) {
    let world = World::new(store).await;
    let made = world.record(grant("ada", "marketing"), at(10_000)).await;
    let withdrawn = ok(store.consents().withdraw(&world.by, made.id.id, None, at(1_000)).await);
    assert!(!withdrawn.granted());
    let again = world.record(grant("ada", "marketing"), at(500)).await;
    assert!(again.granted());
    assert!(!world.record(denial("ada", "marketing"), at(100)).await.granted());
    // One that waits for its time, too.
    let validity = Validity { from: Some(at(20_000)), until: None };
    let later =
        world.record(NewDecision { validity, ..grant("bob", "marketing") }, at(10_000)).await;
    ok(store.consents().withdraw(&world.by, later.id.id, None, at(1_000)).await);
    ok(store.consents().advance_due(at(20_000), 10).await);
    let then = ok(store.consents().get(world.organization, later.id.id).await).expect("the record");
    assert_eq!(then.state, Some(PermissionState::Denied));
}

/// P37: a grant ends with its validity, and what was granted before it is in force again.
pub async fn time_alone_ends_and_begins_permissions(store: &dyn Storage) {
    let world = World::new(store).await;
    let consents = store.consents();
    let until = |millis| Validity { from: None, until: Some(at(millis)) };
    let short = world
        .record(NewDecision { validity: until(100), ..grant("ada", "marketing") }, at(1))
        .await;
    world.record(grant("bob", "marketing"), at(1)).await;
    world.record(NewDecision { validity: until(100), ..denial("bob", "marketing") }, at(2)).await;
    let from = Validity { from: Some(at(100)), until: None };
    let future =
        world.record(NewDecision { validity: from, ..grant("eve", "marketing") }, at(3)).await;
    assert_eq!(future.state, None);
    assert_eq!(ok(consents.advance_due(at(99), 10).await), 0);
    assert_eq!(ok(consents.advance_due(at(100), 2).await), 2, "paged");
    assert_eq!(ok(consents.advance_due(at(100), 10).await), 1);
    assert_eq!(ok(consents.advance_due(at(100), 10).await), 0, "each once");
    let mut kinds = world.kinds().await[3..].to_vec();
    kinds.sort();
    assert_eq!(
        kinds,
        [EventKind::ConsentCreated, EventKind::ConsentUpdated, EventKind::ConsentWithdrawn]
    );
    let ended = ok(consents.get(world.organization, short.id.id).await).expect("ada's record");
    assert_eq!((ended.state, ended.withdrawn_at), (None, Some(at(100))));
    let begun = ok(consents.get(world.organization, future.id.id).await).expect("eve's record");
    assert!(begun.granted());
}

/// P37: a change of particulars takes over the answer and the time it was given for.
pub async fn particulars_change_alone(store: &dyn Storage) {
    let world = World::new(store).await;
    let validity = Validity { from: Some(at(50)), until: Some(at(100)) };
    let made = world.record(NewDecision { validity, ..grant("ada", "marketing") }, at(1)).await;
    let email = Some(Some("ada@example.org".to_owned()));
    let patch = ConsentPatch { email, ..ConsentPatch::default() };
    let changed = ok(store.consents().change(&world.by, made.id.id, patch, at(2)).await);
    assert_eq!((changed.validity, changed.state), (validity, None));
    ok(store.consents().advance_due(at(50), 10).await);
    let begun = ok(store.consents().get(world.organization, made.id.id).await).expect("the record");
    assert!(begun.granted());
    refusal(store.consents().change(&world.by, made.id.id, ConsentPatch::default(), at(60)).await);
}

/// P37: other bases are recorded and told to nobody.
pub async fn other_bases_make_no_events(store: &dyn Storage) {
    let world = World::new(store).await;
    let claim = NewDecision {
        basis: LawfulBasis::Contract,
        state: PermissionState::Claimed,
        ..grant("ada", "billing")
    };
    let made = world.record(claim, at(1)).await;
    let again = ConsentPatch { granted: Some(true), ..ConsentPatch::default() };
    refusal(store.consents().change(&world.by, made.id.id, again, at(2)).await);
    assert_eq!((world.decisions().await.len(), world.events().await.len()), (1, 0));
}

/// P16: a batch too large for one event becomes several, with every consent in exactly one, in order.
pub async fn a_large_batch_is_split(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let note = format!(r#"{{"note":"{}"}}"#, "x".repeat(10_000));
    let batch: Vec<_> = (0..30)
        .map(|n| NewDecision {
            metadata: JsonObject::parse(&note),
            ..grant(&format!("person_{n}"), "marketing")
        })
        .collect();
    let recorded = ok(store.consents().record_batch(&world.by, batch, at(1)).await);
    let events = world.events().await;
    assert!(events.len() > 2, "{} events", events.len());
    let mut told = Vec::new();
    for event in events {
        assert_eq!(world.deliveries_of(event).await.len(), 1);
        match world.event(event).await.expect("a readable event").body {
            EventBody::Batch(view) => {
                assert_eq!(view.id, recorded.id);
                told.extend(view.consents);
            }
            other => panic!("no batch: {other:?}"),
        }
    }
    assert_eq!(told, recorded.consents);
}
