//! Bring-along.

use abide_core::Timestamp;
use abide_core::consent::{NewDecision, PermissionState, Validity};
use abide_core::endpoint::{EndpointAuth, EndpointState, EventFilter, Overrides};
use abide_core::event::{Event, EventBody, EventKind};
use abide_core::ids::{ConsentId, EndpointId, Id, Policy, PolicyId};
use abide_core::original::{OriginalId, Reference};
use abide_core::policy::{NewPolicy, PolicyType};

use super::world::{Engine, SKIP, World, at, grant, ok, refusal};
use crate::consent_search::ConsentQuestion;
use crate::endpoints::NewEndpoint;
use crate::imports::{
    Brought, Earnest, HashCheck, Imported, ImportedConsent, ImportedEndpoint, ImportedPolicy,
    Misfit, OriginalOf, Outcome, Telling,
};
use crate::sealing::Secret;
use crate::{Room as _, Storage};

/// When the imports of these cases happen, long after what they bring.
pub(super) const NOW: i64 = 1_000_000;

pub(super) fn original(text: &str) -> OriginalId {
    OriginalId::parse(text).expect("an original id")
}

pub(super) fn named(text: &str) -> Reference<Policy> {
    Reference::Original(original(text))
}

pub(super) fn endpoint(id: &str) -> ImportedEndpoint {
    ImportedEndpoint {
        original: original(id),
        new: NewEndpoint {
            dialect: "consentproof".to_owned(),
            url: "https://example.com/hook".to_owned(),
            events: EventFilter::All,
            description: None,
            secret: Secret::from("a-secret-that-they-hold".to_owned()),
            rules: SKIP,
            auth: EndpointAuth::default(),
            overrides: Overrides::default(),
        },
        is_active: true,
        created_at: Some(at(5)),
    }
}

pub(super) fn policy(id: &str, version: &str) -> ImportedPolicy {
    ImportedPolicy {
        original: Some(original(id)),
        new: NewPolicy {
            policy_type: PolicyType::PrivacyPolicy,
            version: version.to_owned(),
            title: "Privacy".to_owned(),
            content: "What we keep.".to_owned(),
            effective_date: None,
        },
        content_hash: None,
        is_active: true,
        created_at: Some(at(7)),
    }
}

pub(super) fn consent(id: &str, reference: &str, recorded_at: i64) -> ImportedConsent {
    ImportedConsent {
        original: Some(original(id)),
        new: grant(reference, "marketing"),
        consent_hash: None,
        recorded_at: at(recorded_at),
        withdrawn_at: None,
    }
}

pub(super) fn denial(id: &str, reference: &str, recorded_at: i64) -> ImportedConsent {
    let said = consent(id, reference, recorded_at);
    let new = NewDecision { state: PermissionState::Denied, ..said.new };
    ImportedConsent { new, ..said }
}

pub(super) type Done = Result<Vec<Brought>, Vec<Misfit>>;

pub(super) async fn import(world: &World<'_>, lines: Vec<Imported>, telling: Telling) -> Done {
    let (store, now) = (world.store, at(NOW));
    ok(store.imports().import(&world.by, lines, telling, Earnest::Real, now).await)
}

pub(super) async fn brought(
    world: &World<'_>,
    lines: Vec<Imported>,
    telling: Telling,
) -> Vec<Brought> {
    import(world, lines, telling).await.expect("every line fits")
}

/// The misfits of lines that must not be taken, as `line field: problem`.
pub(super) async fn misfits(world: &World<'_>, lines: Vec<Imported>) -> Vec<String> {
    let misfits = import(world, lines, Telling::Nothing).await.expect_err("a line does not fit");
    misfits.into_iter().map(|misfit| format!("{} {}", misfit.line, misfit.refusal)).collect()
}

pub(super) fn outcomes(brought: &[Brought]) -> Vec<Outcome> {
    brought.iter().map(|one| one.outcome).collect()
}

pub(super) fn id<K: abide_core::ids::Kind>(one: &Brought) -> Id<K> {
    Id::parse(one.id.as_deref().expect("an id")).expect("an id of Abide's")
}

pub(super) async fn told(world: &World<'_>) -> Vec<Event> {
    let mut told = Vec::new();
    for event in world.events().await {
        told.push(world.event(event).await.expect("an event"));
    }
    told
}

fn some_of_each() -> Vec<Imported> {
    let shown = |said: ImportedConsent| ImportedConsent {
        new: NewDecision { policy: Some(named("pol_7")), ..said.new },
        ..said
    };
    vec![
        Imported::Endpoint(endpoint("whk_5")),
        Imported::Policy(policy("pol_7", "1.0")),
        Imported::Consent(shown(consent("con_xyz789", "ada", 1_000))),
        Imported::Consent(shown(denial("con_xyz789", "ada", 2_000))),
        Imported::Consent(consent("con_2", "bob", 3_000)),
    ]
}

/// What is brought along is there under its original ids, with its times, and is found by them.
pub async fn what_is_brought_keeps_its_ids_and_times(store: &dyn Storage) {
    let world = World::new(store).await;
    let lines = brought(&world, some_of_each(), Telling::Nothing).await;
    assert_eq!(
        outcomes(&lines),
        [Outcome::Created, Outcome::Created, Outcome::Created, Outcome::Appended, Outcome::Created]
    );
    assert_eq!(lines[2].id, lines[3].id);

    let of = [
        (OriginalOf::Endpoint, "whk_5", id::<abide_core::ids::Endpoint>(&lines[0]).key()),
        (OriginalOf::Policy, "pol_7", id::<Policy>(&lines[1]).key()),
        (OriginalOf::Consent, "con_xyz789", id::<abide_core::ids::Consent>(&lines[2]).key()),
    ];
    for (of, text, key) in of {
        let found = store.imports().own_key(world.organization, of, original(text)).await;
        assert_eq!(ok(found), Some(key), "{text}");
        let other = store.imports().own_key(world.organization, of, original("other")).await;
        assert_eq!(ok(other), None);
    }

    let webhook: EndpointId = id(&lines[0]);
    let webhook = ok(store.endpoints().get(world.organization, webhook).await).expect("it");
    assert_eq!(webhook.original, Some(original("whk_5")));
    assert_eq!((webhook.state, webhook.created_at), (EndpointState::Active, at(5)));
    let sending = ok(store.endpoints().sending(webhook.id, at(NOW)).await).expect("it");
    assert_eq!(sending.original, Some(original("whk_5")));
    assert_eq!(sending.secrets[0].secret.reveal(), "a-secret-that-they-hold");

    let text: PolicyId = id(&lines[1]);
    let text = ok(store.policies().get(world.organization, text).await).expect("it");
    assert_eq!((text.id.to_string().as_str(), text.created_at), ("pol_7", at(7)));

    let record: ConsentId = id(&lines[2]);
    let record = ok(store.consents().get(world.organization, record).await).expect("it");
    assert_eq!(record.id.to_string(), "con_xyz789");
    assert_eq!(record.policy.as_ref().expect("it").to_string(), "pol_7");
    assert_eq!((record.version, record.granted()), (2, false));
    assert_eq!((record.created_at, record.recorded_at), (at(1_000), at(2_000)));
    assert_eq!((record.obtained_at, record.withdrawn_at), (at(2_000), Some(at(2_000))));
    assert_eq!(told(&world).await, []);
    assert_eq!(world.deeds().await[0], "import.run");
}

/// The same lines again change nothing, and leave no trace.
pub async fn an_import_can_be_run_again(store: &dyn Storage) {
    let world = World::new(store).await;
    let first = brought(&world, some_of_each(), Telling::Events).await;
    let before = world.everything().await;
    let again = brought(&world, some_of_each(), Telling::Events).await;
    assert_eq!(outcomes(&again), [Outcome::Unchanged; 5]);
    let ids = |lines: &[Brought]| lines.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(world.everything().await, before);
}

/// One line that does not fit and nothing is taken: each is told with its field, and nothing remembers the others.
pub async fn all_lines_or_none(store: &dyn Storage) {
    let world = World::new(store).await;
    let before = world.everything().await;
    let of_no_policy = ImportedConsent {
        new: NewDecision { policy: Some(named("pol_none")), ..grant("cy", "marketing") },
        ..consent("con_3", "cy", 1)
    };
    let mut lines = some_of_each();
    lines.push(Imported::Consent(of_no_policy));
    lines.push(Imported::Consent(consent("con_4", "di", NOW + 1)));
    lines.push(Imported::Consent(consent(&ConsentId::from_key(1 << 40).to_string(), "eve", 1)));
    let told = misfits(&world, lines).await;
    assert_eq!(told.len(), 3, "{told:?}");
    for (misfit, expected) in told.iter().zip(["5 `policy_id`", "6 `recorded_at`", "7 `id`"]) {
        assert!(misfit.starts_with(expected), "{misfit} is not {expected}");
    }
    assert_eq!(world.everything().await, before);
    for (of, text) in [(OriginalOf::Endpoint, "whk_5"), (OriginalOf::Consent, "con_xyz789")] {
        let found = store.imports().own_key(world.organization, of, original(text)).await;
        assert_eq!(ok(found), None, "{text}");
    }
    // Not even its memory: the policy is not taken for one that is there, and no number of the feed is missing.
    let named = NewDecision { policy: Some(named("pol_7")), ..grant("ada", "marketing") };
    let told = refusal(store.consents().record(&world.by, named, at(NOW)).await);
    assert!(told.contains("names no policy of this organization; an id made here would"), "{told}");
    let other = NewDecision { policy: Some(self::named("terms-1")), ..grant("ada", "marketing") };
    let told = refusal(store.consents().record(&world.by, other, at(NOW)).await);
    assert!(told.contains("names no policy of this organization; ids made here begin"), "{told}");
    world.record(grant("ada", "marketing"), at(NOW)).await;
    assert_eq!(world.kinds().await, [EventKind::ConsentCreated]);
    let lines =
        brought(&world, vec![Imported::Consent(consent("con_2", "bob", 1))], Telling::Events);
    assert_eq!(outcomes(&lines.await), [Outcome::Created]);
    assert_eq!(world.decisions().await.len(), 2);
}

/// A dry run says what would be, and then nothing has happened.
pub async fn a_dry_run_leaves_nothing(store: &dyn Storage) {
    let world = World::new(store).await;
    let engine = world.engine(at(0)).await;
    let before = world.everything().await;
    let tried = store
        .imports()
        .import(&world.by, some_of_each(), Telling::Events, Earnest::DryRun, at(NOW))
        .await;
    let tried = ok(tried).expect("every line fits");
    assert_eq!(outcomes(&tried)[..2], [Outcome::Created, Outcome::Created]);
    assert_eq!(world.everything().await, before);
    assert_eq!(engine.taken().len(), 0, "nothing is sent");
    is_all_free(&engine);
    let lines = brought(&world, some_of_each(), Telling::Nothing).await;
    assert_eq!(lines[0].outcome, Outcome::Created);
}

/// The slots that were reserved for what was then undone are free again.
fn is_all_free(engine: &Engine) {
    let before = engine.freed();
    drop(engine.reserve(1, 1));
    assert_eq!(engine.freed(), before + 1);
}

/// What differs from what is here under the same id is told by field.
pub async fn an_original_id_names_one_thing(store: &dyn Storage) {
    let world = World::new(store).await;
    brought(&world, some_of_each(), Telling::Nothing).await;
    let mut moved = endpoint("whk_5");
    "https://example.com/other".clone_into(&mut moved.new.url);
    let mut text = policy("pol_7", "1.0");
    "Something else.".clone_into(&mut text.new.content);
    let hashed = |hash: &str, said| ImportedConsent { consent_hash: Some(hash.to_owned()), ..said };
    for (line, expected) in [
        (Imported::Endpoint(moved), "0 `url`"),
        (Imported::Policy(text), "0 `content_hash`"),
        (Imported::Policy(policy("pol_8", "1.0")), "0 `version`"),
        // The same person and purpose under another id; the same id for another person; too early.
        (Imported::Consent(consent("con_9", "bob", 4_000)), "0 `id`"),
        (Imported::Consent(consent("con_2", "cy", 4_000)), "0 `subject_id`"),
        (Imported::Consent(consent("con_2", "bob", 2_000)), "0 `recorded_at`"),
        (Imported::Consent(hashed("other", consent("con_2", "bob", 3_000))), "0 `consent_hash`"),
    ] {
        let told = misfits(&world, vec![line]).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(expected), "{} is not {expected}", told[0]);
    }
}

/// P35: a hash that comes along is kept as it came, whatever Abide would compute, and is what others are held against.
pub async fn p35_a_hash_is_kept_as_it_came(store: &dyn Storage) {
    let world = World::new(store).await;
    let lines = vec![
        Imported::Consent(consent("con_1", "ada", 1_000)),
        Imported::Consent(ImportedConsent {
            consent_hash: Some("theirs:0123".to_owned()),
            ..consent("con_2", "bob", 1_000)
        }),
    ];
    let lines = brought(&world, lines, Telling::Nothing).await;
    let checks = |lines: &[Brought]| lines.iter().map(|one| one.hash).collect::<Vec<_>>();
    assert_eq!(checks(&lines), [Some(HashCheck::Computed), Some(HashCheck::Differs)]);
    let get = async |one: &Brought| {
        ok(store.consents().get(world.organization, id(one)).await).expect("a record")
    };
    let computed = get(&lines[0]).await.consent_hash;
    assert_eq!(get(&lines[1]).await.consent_hash, "theirs:0123");

    // Elsewhere, with the hash that we computed.
    let theirs = World::named(store, "theirs").await;
    let same =
        ImportedConsent { consent_hash: Some(computed.clone()), ..consent("con_1", "ada", 1_000) };
    let same = brought(&theirs, vec![Imported::Consent(same)], Telling::Nothing).await;
    assert_eq!(checks(&same), [Some(HashCheck::Matches)]);

    for (reference, hash) in [("ada", computed.as_str()), ("bob", "theirs:0123")] {
        let question = ConsentQuestion {
            reference: reference.to_owned(),
            purpose: Some("marketing".to_owned()),
            policy: None,
            hash: Some(hash.to_owned()),
        };
        let answer = ok(store.consents().verify(world.organization, question, at(NOW)).await);
        let found = answer.expect("a record").hash;
        assert_eq!(found, Some(abide_core::consent::verdict::HashFinding::Current), "{reference}");
    }
}

/// P37: with webhooks, what was created is told as a batch, other changes each by itself, under the original ids.
pub async fn p37_what_is_brought_is_told_where_that_is_wanted(store: &dyn Storage) {
    let world = World::new(store).await;
    brought(&world, some_of_each(), Telling::Events).await;
    let told = told(&world).await;
    let kinds: Vec<_> = told.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::PolicyCreated, EventKind::ConsentBatchCreated, EventKind::ConsentWithdrawn]
    );
    let EventBody::Policy(text) = &told[0].body else { panic!("{:?}", told[0].kind) };
    assert_eq!(text.id.to_string(), "pol_7");
    let EventBody::Batch(batch) = &told[1].body else { panic!("{:?}", told[1].kind) };
    let ids: Vec<_> = batch.consents.iter().map(|one| one.id.to_string()).collect();
    assert_eq!(ids, ["con_xyz789", "con_2"]);
    let EventBody::Consent(withdrawn) = &told[2].body else { panic!("{:?}", told[2].kind) };
    assert_eq!(withdrawn.id.to_string(), "con_xyz789");
    assert_eq!(withdrawn.withdrawn_at, Some(at(2_000)));
}

/// P37: what happens to a record after it came in silence is told as what it is, and still under its original ids.
pub async fn p37_life_goes_on_under_the_original_ids(store: &dyn Storage) {
    let world = World::new(store).await;
    world.endpoint(SKIP).await;
    let lines = brought(&world, some_of_each(), Telling::Nothing).await;
    assert_eq!(world.events().await, []);
    let [ada, bob] = [id(&lines[2]), id(&lines[4])];
    ok(store.consents().withdraw(&world.by, bob, None, at(NOW + 1)).await);
    let again = NewDecision { policy: Some(named("pol_7")), ..grant("ada", "marketing") };
    let again = world.record(again, at(NOW + 2)).await;
    assert_eq!((again.id.id, again.id.to_string().as_str()), (ada, "con_xyz789"));
    // A record that is born here, under a policy that came along: its hash is over the policy's original id.
    let born = NewDecision { policy: Some(named("pol_7")), ..grant("di", "marketing") };
    let born = world.record(born, at(NOW + 3)).await;
    assert_eq!(born.policy.as_ref().expect("it").to_string(), "pol_7");
    let hashed =
        abide_core::consent::hash::consent_hash(&abide_core::consent::hash::HashedFields {
            reference: "di",
            email: None,
            policy: Some("pol_7"),
            granted: true,
            recorded_at: at(NOW + 3),
            ip_address: None,
        });
    assert_eq!(born.consent_hash, hashed);
    let told = told(&world).await;
    let kinds: Vec<_> = told.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::ConsentWithdrawn, EventKind::ConsentUpdated, EventKind::ConsentCreated]
    );
    for (event, name) in told.iter().zip(["con_2", "con_xyz789", &born.id.to_string()]) {
        let EventBody::Consent(shown) = &event.body else { panic!("{:?}", event.kind) };
        assert_eq!(shown.id.to_string(), name);
    }
}

/// A grant whose time is over is not in force, and nobody is told of its end, which lies before its coming.
pub async fn what_is_over_is_not_told(store: &dyn Storage) {
    let world = World::new(store).await;
    let over = |until: i64| Validity { from: None, until: Some(at(until)) };
    let dated = |said: ImportedConsent, validity| ImportedConsent {
        new: NewDecision { validity, ..said.new },
        ..said
    };
    let lines = vec![
        Imported::Consent(dated(consent("con_1", "ada", 1_000), over(5_000))),
        Imported::Consent(dated(consent("con_2", "bob", 1_000), over(NOW + 10))),
    ];
    let lines = brought(&world, lines, Telling::Nothing).await;
    let get = async |one: &Brought| {
        ok(store.consents().get(world.organization, id(one)).await).expect("a record")
    };
    let (ended, running) = (get(&lines[0]).await, get(&lines[1]).await);
    assert_eq!((ended.state, ended.withdrawn_at), (None, Some(at(5_000))));
    assert!(running.granted());
    let advance = async |now: Timestamp| ok(store.consents().advance_due(now, 10).await);
    assert_eq!(advance(at(NOW + 1)).await, 0);
    assert_eq!(advance(at(NOW + 10)).await, 1);
    assert_eq!(world.kinds().await, [EventKind::ConsentWithdrawn], "of the one that ended here");
}

/// I13: an original id is an organization's own, and so is what it names.
pub async fn i13_original_ids_are_an_organizations_own(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let first = brought(&ours, some_of_each(), Telling::Nothing).await;
    let second = brought(&theirs, some_of_each(), Telling::Nothing).await;
    for (one, other) in first.iter().zip(&second) {
        assert_eq!(one.outcome, other.outcome);
        assert_ne!(one.id, other.id);
    }
    let strangers = World::named(store, "strangers").await;
    for (of, text) in [(OriginalOf::Policy, "pol_7"), (OriginalOf::Consent, "con_2")] {
        let found = store.imports().own_key(strangers.organization, of, original(text)).await;
        assert_eq!(ok(found), None, "{text}");
    }
    let named = NewDecision { policy: Some(named("pol_7")), ..grant("ada", "marketing") };
    refusal(store.consents().record(&strangers.by, named, at(NOW)).await);
}

/// I11: with a person goes the original id of their record, which may say something about them.
pub async fn i11_an_erased_persons_original_ids_are_gone(store: &dyn Storage) {
    let world = World::new(store).await;
    let lines = brought(&world, some_of_each(), Telling::Nothing).await;
    ok(store.subjects().erase(&world.by, "ada", at(NOW + 1)).await);
    let of = OriginalOf::Consent;
    let find =
        async |text| ok(store.imports().own_key(world.organization, of, original(text)).await);
    assert_eq!(find("con_xyz789").await, None);
    assert_eq!(find("con_2").await, Some(id::<abide_core::ids::Consent>(&lines[4]).key()));
    let gone = ok(store.consents().get(world.organization, id(&lines[2])).await);
    assert_eq!(gone, None);
}

/// I11: an import brings nobody back who was erased here since; what was recorded later, anew, comes.
pub async fn i11_an_erased_person_is_not_brought_back(store: &dyn Storage) {
    let (world, others) = (World::new(store).await, World::named(store, "others").await);
    brought(&world, some_of_each(), Telling::Nothing).await;
    ok(store.subjects().erase(&world.by, "ada", at(NOW - 10)).await);
    let before = world.everything().await;
    let again = brought(&world, some_of_each(), Telling::Events).await;
    let expected = [
        Outcome::Unchanged,
        Outcome::Unchanged,
        Outcome::LeftOut,
        Outcome::LeftOut,
        Outcome::Unchanged,
    ];
    assert_eq!(outcomes(&again), expected);
    assert_eq!((&again[2].id, again[2].hash), (&None, None));
    assert_eq!(world.everything().await, before);
    // Who came back by themselves is there again, and what they said before stays away.
    let anew = vec![Imported::Consent(consent("con_new", "ada", NOW - 5))];
    assert_eq!(outcomes(&brought(&world, anew, Telling::Nothing).await), [Outcome::Created]);
    let older = vec![Imported::Consent(consent("con_old", "ada", NOW - 10))];
    assert_eq!(outcomes(&brought(&world, older, Telling::Nothing).await), [Outcome::LeftOut]);
    // Nor whoever is erased again in a restored store.
    let bob = world.record(grant("bob-again", "news"), at(NOW)).await;
    let erasure = crate::erasures::Erasure {
        entry: abide_core::ids::AuditEntryId::from_key(i64::MAX >> 1),
        organization: world.organization,
        gone: crate::erasures::Gone::Person(bob.subject),
        at: at(NOW + 1),
    };
    ok(store.erasures().repeat(vec![erasure], at(NOW + 2)).await);
    let back = vec![Imported::Consent(consent("con_bob", "bob-again", NOW))];
    assert_eq!(outcomes(&brought(&world, back, Telling::Nothing).await), [Outcome::LeftOut]);
    // Elsewhere nobody was erased.
    let elsewhere = vec![Imported::Consent(consent("con_1", "ada", 1_000))];
    assert_eq!(outcomes(&brought(&others, elsewhere, Telling::Nothing).await), [Outcome::Created]);
}
