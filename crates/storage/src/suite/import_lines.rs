//! Bring-along, line by line: what each may say, and what becomes of it.

use abide_core::consent::hash::{HashedFields, consent_hash};
use abide_core::consent::verdict::HashFinding;
use abide_core::consent::{LawfulBasis, NewDecision, PermissionState, Validity};
use abide_core::endpoint::EndpointState;
use abide_core::event::EventKind;
use abide_core::ids::{Endpoint, EndpointId, Policy};
use abide_core::json::JsonObject;
use abide_core::original::Reference;

use super::imports::{
    NOW, brought, consent, denial, endpoint, id, misfits, named, original, outcomes, policy,
};
use super::world::{World, at, grant, ok, refusal};
use crate::Storage;
use crate::accounts::OrganizationPatch;
use crate::consent_search::ConsentQuestion;
use crate::imports::{
    Brought, Earnest, Imported, ImportedConsent, ImportedEndpoint, ImportedPolicy, Outcome, Telling,
};
use crate::sealing::Secret;

/// Nothing that a dry run made is taken for something that is there: no endpoint, no purpose, no count.
pub async fn what_was_tried_is_forgotten(store: &dyn Storage) {
    let world = World::new(store).await;
    let lines =
        vec![Imported::Endpoint(endpoint("whk_5")), Imported::Consent(consent("con_1", "ada", 1))];
    let imports = store.imports();
    let tried = imports.import(&world.by, lines, Telling::Events, Earnest::DryRun, at(NOW)).await;
    ok(tried).expect("every line fits");
    let made = world.record(grant("ada", "marketing"), at(NOW)).await;
    assert_eq!(made.version, 1);
    assert_eq!(world.newest_deliveries().await, [], "no endpoint is there");
    let purposes = ok(store.purposes().list_after(world.organization, None, 10).await);
    assert_eq!(purposes.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["marketing"]);
}

/// A line is what is here already where it says the same, in every part: a correction is refused by its field, and is not
/// passed over as if it were known.
pub async fn the_same_id_and_time_is_not_yet_the_same(store: &dyn Storage) {
    let world = World::new(store).await;
    let hashed = |new: NewDecision| ImportedConsent {
        new,
        consent_hash: Some("theirs:0123".to_owned()),
        ..consent("con_1", "ada", 1_000)
    };
    let metadata = |text| JsonObject::parse(text).expect("an object");
    let first = || NewDecision {
        metadata: Some(metadata(r#"{"source":"web","n":1}"#)),
        ..grant("ada", "marketing")
    };
    brought(&world, vec![Imported::Consent(hashed(first()))], Telling::Nothing).await;
    brought(&world, vec![Imported::Policy(policy("pol_7", "1"))], Telling::Nothing).await;
    let spaced =
        NewDecision { metadata: Some(metadata(r#"{ "n": 1, "source": "web" }"#)), ..first() };
    for same in [first(), spaced] {
        let same = brought(&world, vec![Imported::Consent(hashed(same))], Telling::Nothing).await;
        assert_eq!(outcomes(&same), [Outcome::Unchanged]);
    }
    let with_email = |new: NewDecision| {
        let mut new = new;
        new.subject.email = Some("ada@example.com".to_owned());
        new
    };
    let validity = |from, until| Validity { from, until };
    for (other, field) in [
        (NewDecision { state: PermissionState::Denied, ..first() }, "granted"),
        (
            NewDecision {
                basis: LawfulBasis::Contract,
                state: PermissionState::Claimed,
                ..first()
            },
            "lawful_basis",
        ),
        (NewDecision { policy: Some(named("pol_7")), ..first() }, "policy_id"),
        (NewDecision { metadata: None, ..first() }, "metadata"),
        (NewDecision { metadata: Some(metadata("{}")), ..first() }, "metadata"),
        (NewDecision { ip_address: Some("192.0.2.1".to_owned()), ..first() }, "ip_address"),
        (NewDecision { obtained_at: Some(at(999)), ..first() }, "obtained_at"),
        (NewDecision { validity: validity(Some(at(5)), None), ..first() }, "valid_from"),
        (NewDecision { validity: validity(None, Some(at(NOW))), ..first() }, "valid_until"),
        (with_email(first()), "subject_email"),
    ] {
        let told = misfits(&world, vec![Imported::Consent(hashed(other))]).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("0 `{field}`")), "{} is not {field}", told[0]);
        assert!(!told[0].contains("example") && !told[0].contains("192."), "{told:?}");
    }
    let too_long =
        ImportedConsent { consent_hash: Some("x".repeat(201)), ..consent("con_2", "bob", 1_000) };
    let told = misfits(&world, vec![Imported::Consent(too_long)]).await;
    assert!(told[0].starts_with("0 `consent_hash`"), "{told:?}");
    // Within one call too.
    let lines =
        [consent("con_3", "cy", 1_000), denial("con_3", "cy", 2_000), denial("con_3", "cy", 2_000)];
    let lines = lines.into_iter().map(Imported::Consent).collect();
    let lines = brought(&world, lines, Telling::Nothing).await;
    assert_eq!(outcomes(&lines), [Outcome::Created, Outcome::Appended, Outcome::Unchanged]);
}

/// P37: when consent was withdrawn is kept as it was told, through further denials and until consent is given again.
pub async fn a_withdrawal_keeps_its_time(store: &dyn Storage) {
    let world = World::new(store).await;
    let withdrawn =
        ImportedConsent { withdrawn_at: Some(at(1_500)), ..denial("con_1", "ada", 2_000) };
    let mut shown = Vec::new();
    for line in [
        consent("con_1", "ada", 1_000),
        withdrawn,
        denial("con_1", "ada", 3_000),
        consent("con_1", "ada", 4_000),
    ] {
        let line = brought(&world, vec![Imported::Consent(line)], Telling::Nothing).await;
        let found = ok(store.consents().get(world.organization, id(&line[0])).await);
        shown.push(found.expect("a record").withdrawn_at);
    }
    assert_eq!(shown, [None, Some(at(1_500)), Some(at(1_500)), None]);
    let granted =
        ImportedConsent { withdrawn_at: Some(at(4_500)), ..consent("con_1", "ada", 5_000) };
    let told = misfits(&world, vec![Imported::Consent(granted)]).await;
    assert!(told[0].starts_with("0 `withdrawn_at`"), "{told:?}");
}

/// P37: a grant that came in silence before its time begins as a change of a record that was known elsewhere.
pub async fn what_begins_later_is_told_as_a_change(store: &dyn Storage) {
    let world = World::new(store).await;
    let said = consent("con_1", "ada", 1_000);
    let validity = Validity { from: Some(at(NOW + 10)), until: None };
    let new = NewDecision { validity, ..said.new };
    let lines = vec![Imported::Consent(ImportedConsent { new, ..said })];
    brought(&world, lines, Telling::Nothing).await;
    assert_eq!(ok(store.consents().advance_due(at(NOW + 10), 10).await), 1);
    assert_eq!(world.kinds().await, [EventKind::ConsentUpdated]);
}

/// An endpoint is paused where it was; another secret or dialect is refused; and once deleted its id is free.
pub async fn an_endpoint_comes_as_it_was(store: &dyn Storage) {
    let world = World::new(store).await;
    let paused = || ImportedEndpoint { is_active: false, ..endpoint("whk_5") };
    let bring = async |line: ImportedEndpoint| {
        brought(&world, vec![Imported::Endpoint(line)], Telling::Nothing).await.remove(0)
    };
    let first: Brought = bring(paused()).await;
    let webhook: EndpointId = id::<Endpoint>(&first);
    let found = ok(store.endpoints().get(world.organization, webhook).await).expect("it");
    assert_eq!(found.state, EndpointState::Paused);

    let mut signed = paused();
    signed.new.secret = Secret::from("another-secret-of-theirs".to_owned());
    let mut spoken = paused();
    "standard_webhooks".clone_into(&mut spoken.new.dialect);
    for (line, expected) in [(signed, "0 `secret`"), (spoken, "0 `dialect`")] {
        let told = misfits(&world, vec![Imported::Endpoint(line)]).await;
        assert!(told[0].starts_with(expected), "{told:?}");
        assert!(!told[0].contains("of-theirs") && !told[0].contains("that-they-hold"), "{told:?}");
    }

    ok(store.endpoints().delete(&world.by, webhook, at(NOW + 1)).await);
    let again = bring(paused()).await;
    assert_eq!(again.outcome, Outcome::Created);
    assert_ne!(again.id, first.id);
}

/// P37: an endpoint hears of the lines that follow its own, and of none before.
pub async fn an_endpoint_hears_of_what_follows_it(store: &dyn Storage) {
    let world = World::new(store).await;
    let lines = vec![
        Imported::Consent(consent("con_1", "ada", 1_000)),
        Imported::Endpoint(endpoint("whk_5")),
        Imported::Consent(consent("con_2", "bob", 1_000)),
    ];
    brought(&world, lines, Telling::Events).await;
    let mut heard = Vec::new();
    for event in world.events().await {
        heard.push(world.deliveries_of(event).await.len());
    }
    assert_eq!(heard, [0, 1]);
}

/// A policy that was closed is closed: what was recorded under it comes along, and nothing new names it. The hash of what
/// names an open one is over the id that it is shown under, also when it is made again (P35).
pub async fn a_policy_comes_as_it_was(store: &dyn Storage) {
    let world = World::new(store).await;
    let closed = ImportedPolicy { is_active: false, ..policy("pol_1", "1.0") };
    let under = |said: ImportedConsent, policy: &str| ImportedConsent {
        new: NewDecision { policy: Some(named(policy)), ..said.new },
        ..said
    };
    let lines = vec![
        Imported::Policy(closed),
        Imported::Policy(policy("pol_2", "2.0")),
        Imported::Consent(under(consent("con_1", "ada", 1_000), "pol_1")),
    ];
    brought(&world, lines, Telling::Nothing).await;
    let record = |policy| NewDecision { policy: Some(named(policy)), ..grant("bob", "marketing") };
    let told = refusal(store.consents().record(&world.by, record("pol_1"), at(NOW)).await);
    assert!(told.contains("`policy_id`"), "{told}");

    world.record(record("pol_2"), at(NOW)).await;
    let hash = consent_hash(&HashedFields {
        reference: "bob",
        email: None,
        policy: Some("pol_2"),
        granted: true,
        recorded_at: at(NOW),
        ip_address: None,
    });
    let question = ConsentQuestion {
        reference: "bob".to_owned(),
        purpose: Some("marketing".to_owned()),
        policy: Some(named("pol_2")),
        hash: Some(hash),
    };
    let answer = ok(store.consents().verify(world.organization, question, at(NOW)).await);
    assert_eq!(answer.expect("a record").hash, Some(HashFinding::Current));
}

/// I13: a line names policies of its own organization alone, by whichever id.
pub async fn i13_a_line_names_no_others_policy(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let lines = vec![Imported::Policy(policy("pol_1", "1.0"))];
    let made = brought(&theirs, lines, Telling::Nothing).await;
    for named in [Reference::Own(id::<Policy>(&made[0])), Reference::Original(original("pol_1"))] {
        let said = consent("con_1", "ada", 1_000);
        let new = NewDecision { policy: Some(named), ..said.new };
        let told = misfits(&ours, vec![Imported::Consent(ImportedConsent { new, ..said })]).await;
        assert!(told[0].starts_with("0 `policy_id`"), "{told:?}");
    }
}

/// What an organization wants of decisions it wants of lines; and one that is being deleted takes none.
pub async fn what_the_organization_forbids_is_refused(store: &dyn Storage) {
    let world = World::new(store).await;
    let patch = OrganizationPatch { strict_purposes: Some(true), ..OrganizationPatch::default() };
    ok(store.accounts().change_organization(&world.by, patch, at(1)).await);
    let told = misfits(&world, vec![Imported::Consent(consent("con_1", "ada", 1_000))]).await;
    assert!(told[0].starts_with("0 `consent_type`"), "{told:?}");
    ok(store.purposes().create(&world.by, "marketing", at(2)).await);
    ok(store.deletions().ask(&world.by, "default", 1, at(3)).await);
    let before = world.everything().await;
    for earnest in [Earnest::Real, Earnest::DryRun] {
        let lines = vec![Imported::Consent(consent("con_1", "ada", 1_000))];
        let imports = store.imports();
        refusal(imports.import(&world.by, lines, Telling::Nothing, earnest, at(NOW)).await);
    }
    assert_eq!(world.everything().await, before);
}

/// A record that was born here has one id, which receivers were told: no line gives it another.
pub async fn what_was_born_here_keeps_its_id(store: &dyn Storage) {
    let world = World::new(store).await;
    world.record(grant("ada", "marketing"), at(1_000)).await;
    let told = misfits(&world, vec![Imported::Consent(consent("con_1", "ada", 2_000))]).await;
    assert!(told[0].starts_with("0 `id`"), "{told:?}");
    let nameless = ImportedConsent { original: None, ..denial("con_1", "ada", 2_000) };
    let line = brought(&world, vec![Imported::Consent(nameless)], Telling::Nothing).await;
    assert_eq!(outcomes(&line), [Outcome::Appended]);
}
