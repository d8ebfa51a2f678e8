//! Lists of consents, and whether one is in force.

use abide_core::consent::verdict::HashFinding;
use abide_core::consent::{ConsentPatch, ConsentView, NewDecision, PermissionState, Validity};
use abide_core::ids::PolicyId;
use abide_core::policy::{NewPolicy, PolicyType};

use super::world::{World, at, grant, ok};
use crate::consent_search::{ConsentAnswer, ConsentFilter, ConsentQuestion, Rest};
use crate::{PageWanted, Storage};

fn denial(reference: &str, purpose: &str) -> NewDecision {
    NewDecision { state: PermissionState::Denied, ..grant(reference, purpose) }
}

const ALL: PageWanted = PageWanted { page: 1, limit: 100 };

/// What a filter lets through, as `reference purpose`, on one page with an exact total.
async fn through(world: &World<'_>, filter: ConsentFilter) -> Vec<String> {
    let found = ok(world.store.consents().list(world.organization, filter, ALL).await);
    assert_eq!((found.page.total, found.rest), (found.page.items.len() as u64, Rest::Nothing));
    let name = |one: &ConsentView| format!("{} {}", one.reference, one.purpose);
    found.page.items.iter().map(name).collect()
}

fn about(reference: &str, purpose: &str) -> ConsentQuestion {
    ConsentQuestion {
        reference: reference.to_owned(),
        purpose: Some(purpose.to_owned()),
        policy: None,
        hash: None,
    }
}

async fn answer(world: &World<'_>, question: ConsentQuestion, now: i64) -> Option<ConsentAnswer> {
    ok(world.store.consents().verify(world.organization, question, at(now)).await)
}

async fn policy(world: &World<'_>, version: &str) -> PolicyId {
    let new = NewPolicy {
        policy_type: PolicyType::Custom,
        version: version.to_owned(),
        title: "Terms".to_owned(),
        content: "text".to_owned(),
        effective_date: None,
    };
    ok(world.store.policies().create(&world.by, new, at(0)).await).id.id
}

/// P32, P34: a record stands where it was decided last, once, and pages have an end.
pub async fn those_decided_last_come_first(store: &dyn Storage) {
    let world = World::new(store).await;
    let consents = store.consents();
    assert_eq!(through(&world, ConsentFilter::default()).await, [""; 0]);
    let mut made = Vec::new();
    for (now, name) in ["ada", "bob", "cy", "di", "eve"].into_iter().enumerate() {
        made.push(world.record(grant(name, "news"), at(now as i64)).await);
    }
    ok(consents.withdraw(&world.by, made[1].id.id, None, at(10)).await);
    world.record(denial("bob", "news"), at(11)).await;
    let page = async |page, limit| {
        let wanted = PageWanted { page, limit };
        let found = consents.list(world.organization, ConsentFilter::default(), wanted);
        let found = ok(found.await);
        assert_eq!((found.page.total, found.rest), (5, Rest::Nothing));
        found.page.items
    };
    let names = |items: Vec<ConsentView>| -> Vec<String> {
        items.into_iter().map(|one| one.reference).collect()
    };
    assert_eq!(names(page(1, 2).await), ["bob", "eve"]);
    assert_eq!(names(page(2, 2).await), ["di", "cy"]);
    assert_eq!(names(page(3, 2).await), ["ada"]);
    assert_eq!(names(page(4, 2).await), [""; 0]);
    assert_eq!(names(page(u32::MAX, 100).await), [""; 0]);
    let shown = page(1, 1).await.remove(0);
    let read = ok(consents.get(world.organization, made[1].id.id).await);
    assert_eq!(Some(shown), read, "a list shows what reading one shows");
}

/// P34: by purpose, answer, policy, person and time, alone and together.
pub async fn each_filter_lets_its_own_through(store: &dyn Storage) {
    let world = World::new(store).await;
    let (one, two) = (policy(&world, "1").await, policy(&world, "2").await);
    let under = |policy, new: NewDecision| NewDecision { policy: Some(policy), ..new };
    world.record(under(one.into(), grant("ada", "news")), at(1_000)).await;
    world.record(under(two.into(), grant("ada", "mail")), at(2_000)).await;
    world.record(denial("bob", "news"), at(3_000)).await;
    // In force is the earlier one, under the first policy.
    world.record(under(one.into(), grant("bob", "mail")), at(4_000)).await;
    let older =
        NewDecision { obtained_at: Some(at(1)), ..under(two.into(), denial("bob", "mail")) };
    world.record(older, at(5_000)).await;
    let later = Validity { from: Some(at(9_000_000)), until: None };
    world.record(NewDecision { validity: later, ..grant("cy", "mail") }, at(6_000)).await;

    let any = ConsentFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let news = ConsentFilter { purpose: text("news"), ..any() };
    let granted = ConsentFilter { granted: Some(true), ..any() };
    let not_granted = ConsentFilter { granted: Some(false), ..any() };
    let under_one = ConsentFilter { policy: Some(one.into()), ..any() };
    let bobs = ConsentFilter { reference: text("bob"), ..any() };
    let since = ConsentFilter { from: Some(at(3_000)), ..any() };
    let before = ConsentFilter { to: Some(at(3_000)), ..any() };
    for (filter, expected) in [
        (news.clone(), &["bob news", "ada news"][..]),
        (ConsentFilter { purpose: text("New"), ..any() }, &[]),
        (granted.clone(), &["bob mail", "ada mail", "ada news"]),
        (not_granted.clone(), &["cy mail", "bob news"]),
        (under_one.clone(), &["bob mail", "ada news"]),
        (ConsentFilter { policy: Some(two.into()), ..any() }, &["ada mail"]),
        (bobs.clone(), &["bob mail", "bob news"]),
        (ConsentFilter { granted: Some(true), ..bobs.clone() }, &["bob mail"]),
        (ConsentFilter { purpose: text("news"), ..bobs.clone() }, &["bob news"]),
        (ConsentFilter { policy: Some(one.into()), ..bobs.clone() }, &["bob mail"]),
        (ConsentFilter { policy: Some(two.into()), ..bobs.clone() }, &[]),
        (ConsentFilter { to: Some(at(5_000)), ..bobs.clone() }, &["bob news"]),
        (ConsentFilter { from: Some(at(5_001)), ..bobs }, &[]),
        (ConsentFilter { reference: text("nobody"), ..any() }, &[]),
        (ConsentFilter { granted: Some(true), ..news.clone() }, &["ada news"]),
        (since.clone(), &["cy mail", "bob mail", "bob news"]),
        (before.clone(), &["ada mail", "ada news"]),
        (ConsentFilter { from: Some(at(2_000)), ..before.clone() }, &["ada mail"]),
        (ConsentFilter { from: Some(at(6_001)), ..any() }, &[]),
        (ConsentFilter { to: Some(at(1_000)), ..any() }, &[]),
        (ConsentFilter { granted: Some(false), ..since }, &["cy mail", "bob news"]),
    ] {
        assert_eq!(through(&world, filter.clone()).await, expected, "{filter:?}");
    }
}

/// I13: what another organization has is neither listed, counted nor answered.
pub async fn i13_lists_and_answers_keep_to_their_organization(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    for now in 0..3 {
        theirs.record(grant("ada", &format!("purpose{now}")), at(now)).await;
        ours.record(grant("bob", &format!("purpose{now}")), at(now)).await;
    }
    let expected = ["bob purpose2", "bob purpose1", "bob purpose0"];
    assert_eq!(through(&ours, ConsentFilter::default()).await, expected);
    let adas = ConsentFilter { reference: Some("ada".to_owned()), ..ConsentFilter::default() };
    assert_eq!(through(&ours, adas.clone()).await, [""; 0]);
    assert_eq!(through(&theirs, adas).await.len(), 3);
    assert_eq!(answer(&ours, about("ada", "purpose0"), 9).await, None);
    assert!(answer(&theirs, about("ada", "purpose0"), 9).await.is_some());
    let policy = policy(&theirs, "1").await;
    theirs.record(NewDecision { policy: Some(policy.into()), ..grant("ada", "x") }, at(5)).await;
    let under = ConsentFilter { policy: Some(policy.into()), ..ConsentFilter::default() };
    assert_eq!(through(&ours, under).await, [""; 0]);
}

/// I11, P34: who was erased is gone from lists, totals and answers; who comes back begins anew.
pub async fn the_erased_are_in_no_list_and_no_answer(store: &dyn Storage) {
    let world = World::new(store).await;
    for (now, name) in ["ada", "bob", "ada", "cy"].into_iter().enumerate() {
        world.record(grant(name, &format!("purpose{now}")), at(now as i64)).await;
    }
    ok(store.subjects().erase(&world.by, "ada", at(10)).await);
    let left = ["cy purpose3", "bob purpose1"];
    assert_eq!(through(&world, ConsentFilter::default()).await, left);
    let adas = ConsentFilter { reference: Some("ada".to_owned()), ..ConsentFilter::default() };
    assert_eq!(through(&world, adas.clone()).await, [""; 0]);
    assert_eq!(answer(&world, about("ada", "purpose0"), 11).await, None);
    world.record(denial("ada", "purpose0"), at(12)).await;
    assert_eq!(through(&world, adas).await, ["ada purpose0"]);
}

/// P34: a record is judged at the asked instant, told or not; without a purpose the policy finds it.
pub async fn what_is_relied_on_stands_now(store: &dyn Storage) {
    let world = World::new(store).await;
    let (one, two) = (policy(&world, "1").await, policy(&world, "2").await);
    let validity = Validity { from: Some(at(100)), until: Some(at(200)) };
    let new = NewDecision { validity, policy: Some(one.into()), ..grant("ada", "news") };
    world.record(new, at(1)).await;
    let before = world.everything().await;
    for (now, granted) in [(50, false), (100, true), (199, true), (200, false)] {
        let found = answer(&world, about("ada", "news"), now).await.expect("the record");
        assert_eq!(found.consent.granted(), granted, "at {now}");
    }
    assert_eq!(world.everything().await, before, "asking changes nothing");
    assert_eq!(answer(&world, about("ada", "mail"), 100).await, None);
    assert_eq!(answer(&world, about("bob", "news"), 100).await, None);

    let elsewhere = ConsentQuestion { policy: Some(two.into()), ..about("ada", "news") };
    let found = answer(&world, elsewhere, 100).await.expect("the record of that purpose");
    assert_eq!(found.consent.policy, Some(one.into()));
    let under =
        |policy| ConsentQuestion { purpose: None, policy: Some(policy), ..about("ada", "") };
    world.record(NewDecision { policy: Some(one.into()), ..denial("ada", "mail") }, at(2)).await;
    let found = answer(&world, under(one.into()), 100).await.expect("a record");
    assert_eq!((found.consent.purpose.as_str(), found.hash), ("news", None), "the one that grants");
    let found = answer(&world, under(one.into()), 300).await.expect("a record");
    assert_eq!(found.consent.purpose, "mail", "the one decided last");
    assert_eq!(answer(&world, under(two.into()), 100).await, None);
}

/// P34, P35: a hash is of the decision shown, of another one of that record, or of none.
pub async fn a_hash_is_held_against_what_was_recorded(store: &dyn Storage) {
    let world = World::new(store).await;
    let first = world.record(grant("ada", "news"), at(1_000)).await;
    let other = world.record(grant("ada", "mail"), at(5_000)).await;
    let email = Some(Some("ada@example.org".to_owned()));
    let patch = ConsentPatch { email, ..ConsentPatch::default() };
    let second = ok(store.consents().change(&world.by, first.id.id, patch, at(9_000)).await);
    assert_ne!(first.consent_hash, second.consent_hash);
    for (hash, expected) in [
        (second.consent_hash, HashFinding::Current),
        (first.consent_hash, HashFinding::Other),
        (other.consent_hash, HashFinding::Unknown),
        (format!("sha256:{}", "0".repeat(64)), HashFinding::Unknown),
    ] {
        let question = ConsentQuestion { hash: Some(hash), ..about("ada", "news") };
        let found = answer(&world, question, 9_000).await.expect("the record");
        assert_eq!(found.hash, Some(expected));
    }
}
