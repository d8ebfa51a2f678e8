//! Two stores on one database, as two nodes have them: what both do at once, each on its own threads and by its own clock.
//!
//! A case gets two stores that were opened on the same fresh database, with other chance each.

use std::collections::{BTreeMap, HashSet};

use abide_core::access::Scope;
use abide_core::consent::{NewDecision, PermissionState};
use abide_core::delivery::{DeliveryState, Outcome, Run};
use abide_core::endpoint::{DeliveryRules, Source};
use abide_core::ids::{DeliveryId, LeaseId};
use abide_core::job::JobKind;
use abide_core::rate::RateLimit;
use abide_core::shell::Chance;
use abide_core::{Refusal, Timestamp};

use super::idempotency::once;
use super::jobs;
use super::world::{Dice, HOLD, RETRY, SKIP, World, at, finished, grant, ok};
use crate::accounts::{NewKey, NewOrganization};
use crate::deliveries::{GiveBack, GivenBack, Opened, Report, Sent};
use crate::feeds::FeedWanted;
use crate::history::DeliveryView;
use crate::leases::Chores;
use crate::sealing::SecretHash;
use crate::{Storage, StorageError, StorageResult};

const LANE: DeliveryRules = DeliveryRules { source: Source::Lane, ..HOLD };

/// How far the second node's clock is ahead, in milliseconds: more than Abide allows, so that less is safe.
const AHEAD: i64 = 5_000;

impl World<'_> {
    /// The same organization at another node.
    fn at_node<'b>(&self, store: &'b dyn Storage) -> World<'b> {
        World { store, organization: self.organization, by: self.by }
    }
}

/// A pair's results, whichever came first: the one that was carried out and the other.
#[track_caller]
fn one_of<T, E>(pair: (Result<T, E>, Result<T, E>)) -> (T, E) {
    match pair {
        (Ok(done), Err(other)) | (Err(other), Ok(done)) => (done, other),
        (Ok(_), Ok(_)) => panic!("both were carried out"),
        (Err(_), Err(_)) => panic!("neither was carried out"),
    }
}

fn answered(state: PermissionState, reference: &str) -> NewDecision {
    NewDecision { state, ..grant(reference, "news") }
}

fn begun(uri: &str, number: u8) -> NewOrganization {
    let key = NewKey {
        name: format!("key {number}"),
        scopes: vec![Scope::Admin],
        secret: SecretHash([number; 32]),
        rate_limit: RateLimit::DEFAULT,
        expires_at: None,
    };
    NewOrganization { uri: uri.to_owned(), name: None, key }
}

/// I1: what both nodes meet for the first time at once is made once, and both are answered rightly.
pub async fn i1_the_same_new_things_are_made_once(one: &dyn Storage, two: &dyn Storage) {
    let here = World::new(one).await;
    let there = here.at_node(two);
    for round in 0..12_u8 {
        let (now, later) = (at(i64::from(round)), at(i64::from(round) + AHEAD));
        let (person, purpose) = (format!("person-{round}"), format!("purpose-{round}"));
        // A person, a purpose and a record.
        let (first, second) = tokio::join!(
            here.record(grant(&person, &purpose), now),
            there.record(grant(&person, &purpose), later),
        );
        assert_eq!((first.subject, first.id.id), (second.subject, second.id.id));
        let versions = HashSet::from([first.version, second.version]);
        assert_eq!(versions, HashSet::from([1, 2]), "one came after the other");
        // A purpose by name.
        let name = format!("named-{round}");
        let (_, refused) = one_of(tokio::join!(
            one.purposes().create(&here.by, &name, now),
            two.purposes().create(&there.by, &name, later),
        ));
        assert!(matches!(refused, StorageError::Refused(_)), "{refused}");
        // An organization.
        let uri = format!("organization-{round}");
        let (_, refused) = one_of(tokio::join!(
            one.accounts().create_organization(&uri, now),
            two.accounts().create_organization(&uri, later),
        ));
        assert!(matches!(refused, StorageError::Refused(_)), "{refused}");
        // An organization with its first key.
        let uri = format!("begun-{round}");
        let (begun, refused) = one_of(tokio::join!(
            one.accounts().begin_organization(begun(&uri, round), now),
            two.accounts().begin_organization(begun(&uri, round + 100), later),
        ));
        assert!(matches!(refused, StorageError::Refused(Refusal::Conflict(_))), "{refused}");
        let (organization, key) = begun;
        let keys = ok(two.accounts().keys(organization.id).await);
        let keys: Vec<_> = keys.iter().map(|key| (key.id, key.secret.0)).collect();
        assert_eq!(keys, [(key.id, key.secret.0)], "whoever founded it has the one key there is");
        // A call that is sent to both.
        let by = once(&here.by, round, round);
        let both = format!("once-{round}");
        let (_, again) = one_of(tokio::join!(
            one.consents().record(&by, grant(&both, "news"), now),
            two.consents().record(&by, grant(&both, "news"), later),
        ));
        match again {
            StorageError::Replayed(kept) => assert_eq!(kept.body, both.as_bytes()),
            other => panic!("not replayed: {other}"),
        }
    }
    let decisions = here.decisions().await.len();
    assert_eq!(decisions, 12 * 3);
    assert_eq!(there.decisions().await.len(), decisions);
}

/// I1, I7: decisions about one person come one after the other, wherever they are taken and whatever the clocks say: each
/// has its version, and the last of them is in force.
pub async fn i1_decisions_about_a_person_follow_each_other(one: &dyn Storage, two: &dyn Storage) {
    const EACH: i64 = 25;
    let here = World::new(one).await;
    let there = here.at_node(two);
    here.endpoint(LANE).await;
    let answers = [PermissionState::Granted, PermissionState::Denied];
    let mut by_version = BTreeMap::new();
    for round in 0..EACH {
        let pick = |shift: i64| answered(answers[usize::from((round + shift) % 4 > 1)], "ada");
        let (first, second) = tokio::join!(
            here.record(pick(0), at(round)),
            there.record(pick(1), at(round + AHEAD)),
        );
        for (view, state) in [(first, pick(0).state), (second, pick(1).state)] {
            assert_eq!(by_version.insert(view.version, state), None, "a version was given twice");
        }
    }
    let versions: Vec<u32> = by_version.keys().copied().collect();
    assert_eq!(versions, (1..=EACH as u32 * 2).collect::<Vec<_>>());
    // One after the other now: who comes later is heard.
    for (node, clock, state) in [
        (&there, AHEAD, PermissionState::Granted),
        (&here, 0, PermissionState::Denied),
        (&there, AHEAD, PermissionState::Granted),
        (&here, 0, PermissionState::Denied),
        (&here, 0, PermissionState::Granted),
    ] {
        let view = node.record(answered(state, "ada"), at(EACH + clock)).await;
        assert_eq!(view.state, Some(state), "the last word is in force");
    }
    let everything = here.everything().await;
    assert_eq!(everything.decisions.len() as i64, EACH * 2 + 5);
    assert_eq!(there.everything().await, everything, "both see the same");
    // The lane says the last state: all but the newest delivery is covered by it, and that one is sent.
    let lease = here.lease(at(0)).await;
    let claimed = here.claim(lease, at(2 * AHEAD)).await;
    let newest = everything.deliveries.iter().rfind(|row| claimed.contains(&row.id));
    let newest = newest.expect("something waits for the receiver");
    here.attempt(newest.id, lease, Outcome::Delivered, at(2 * AHEAD)).await;
    // A change taken where the clock is behind is told all the same.
    let told = here.record(answered(PermissionState::Denied, "ada"), at(EACH + 1)).await;
    assert_eq!(told.state, Some(PermissionState::Denied));
    let claimed = here.claim(lease, at(2 * AHEAD)).await;
    assert_eq!(claimed.len(), 1, "the change waits for the receiver");
    here.send(claimed[0], lease, at(2 * AHEAD)).await;
}

/// Everything that a reader finds behind its place, in pages of the smallest size.
async fn read_on(world: &World<'_>, after: &mut u64, seen: &mut Vec<u64>) {
    loop {
        let wanted = FeedWanted { after: *after, limit: 7 };
        let page = ok(world.store.feeds().decisions_after(world.organization, wanted).await);
        seen.extend(*after + 1..=page.next);
        assert_eq!(page.next - *after, page.entries.len() as u64, "numbers have no gaps");
        *after = page.next;
        if !page.has_more {
            return;
        }
    }
}

/// A feed's reader sees everything once, in the order of its numbers, while both nodes write: no number is there before all
/// below it.
pub async fn feeds_are_read_while_both_write(one: &dyn Storage, two: &dyn Storage) {
    const EACH: i64 = 60;
    let here = World::new(one).await;
    let there = here.at_node(two);
    let write = async |world: &World<'_>, clock: i64| {
        for number in 0..EACH {
            world
                .record(grant(&format!("{clock}-{}", number % 17), "news"), at(number + clock))
                .await;
        }
    };
    let is_done = std::cell::Cell::new(0);
    let read = async |world: &World<'_>| {
        let (mut after, mut seen) = (0, Vec::new());
        while is_done.get() < 4 {
            read_on(world, &mut after, &mut seen).await;
        }
        read_on(world, &mut after, &mut seen).await;
        seen
    };
    let writing = async |world: &World<'_>, clock: i64| {
        write(world, clock).await;
        is_done.set(is_done.get() + 1);
    };
    let (mine, theirs, (), (), (), ()) = tokio::join!(
        read(&here),
        read(&there),
        writing(&here, 0),
        writing(&there, AHEAD),
        writing(&here, 1),
        writing(&there, AHEAD + 1),
    );
    let all: Vec<u64> = (1..=4 * EACH as u64).collect();
    assert_eq!((&mine, &theirs), (&all, &all), "all of them, once, in order");
    assert_eq!(here.events().await.len(), here.decisions().await.len());
}

/// I3: after the answer to a pause nothing is queued for the endpoint, wherever it is recorded; what was queued before is
/// cancelled; and what comes after its return is sent, though its node's clock be behind.
pub async fn a_pause_holds_at_every_node(one: &dyn Storage, two: &dyn Storage) {
    let here = World::new(one).await;
    let there = here.at_node(two);
    let endpoint = here.endpoint(SKIP).await;
    let record = async |world: &World<'_>, name: String, now: Timestamp| {
        let view = world.record(grant(&name, "news"), now).await;
        let events = world.events().await;
        for event in events.iter().rev() {
            let told = world.event(*event).await.expect("a readable event");
            if told.subject == Some(view.subject) {
                return world.deliveries_of(*event).await;
            }
        }
        panic!("no event of the decision")
    };
    for round in 0..8_i64 {
        // Each node pauses in its turn, and the clocks stand either way.
        let (pauser, recorder) = if round % 2 == 0 { (&here, &there) } else { (&there, &here) };
        let (pausing, recording) = if round % 2 == 0 { (0, AHEAD) } else { (AHEAD, 0) };
        let base = round * 100;
        let before = record(recorder, format!("before-{round}"), at(base + recording)).await;
        assert_eq!(before.len(), 1);
        let (during, _) = tokio::join!(
            record(recorder, format!("during-{round}"), at(base + 1 + recording)),
            pauser.set_active(endpoint, false, at(base + 1 + pausing)),
        );
        for row in before.iter().chain(&during) {
            let now = here.look_at(row).await.state;
            assert_eq!(now, DeliveryState::Cancelled, "queued before the pause, round {round}");
        }
        let during_pause =
            record(recorder, format!("paused-{round}"), at(base + 2 + recording)).await;
        assert_eq!(during_pause, [], "queued after the pause, round {round}");
        pauser.set_active(endpoint, true, at(base + 3 + pausing)).await;
        for (world, clock) in [(recorder, recording), (pauser, pausing)] {
            let name = format!("after-{round}-{clock}");
            let after = record(world, name, at(base + 4 + clock)).await;
            assert_eq!(after.len(), 1);
            World::expect_state(&after[0], DeliveryState::Pending);
            for row in &before {
                let now = here.look_at(row).await.state;
                assert_eq!(now, DeliveryState::Cancelled, "came back, round {round}");
            }
        }
    }
}

/// Two deliveries that failed, and the lease under which they were sent.
async fn two_failed(world: &World<'_>) -> (LeaseId, [DeliveryView; 2]) {
    let lease = world.lease(at(0)).await;
    let failed = [world.delivery("ada", at(0)).await, world.delivery("bob", at(0)).await];
    assert_eq!(world.claim(lease, at(1)).await.len(), 2);
    for row in &failed {
        world.attempt(row.id, lease, Outcome::Failed, at(1)).await;
    }
    (lease, failed)
}

/// Asks for another run of the first by hand, and of the second by a job.
async fn ask_again(world: &World<'_>, [by_hand, _]: &[DeliveryView; 2], now: Timestamp) {
    ok(world.store.history().retry(&world.by, by_hand.id, Run::Single, now).await);
    let job = jobs::create(world, jobs::wish(JobKind::RetryFailed, None), now).await;
    assert_eq!(jobs::finish(world, job.id, now).await.progress.done, 1);
}

/// What is asked for after a stop is sent, though the node that is asked has its clock behind.
pub async fn what_is_asked_for_outlives_an_earlier_stop(one: &dyn Storage, two: &dyn Storage) {
    let here = World::new(one).await;
    let there = here.at_node(two);
    let endpoint = here.endpoint(SKIP).await;
    let (lease, [by_hand, by_job]) = two_failed(&here).await;
    let stop = async |now: Timestamp| {
        there.set_active(endpoint, false, now).await;
        there.set_active(endpoint, true, now.plus_millis(1)).await;
    };
    stop(at(AHEAD)).await;
    ok(one.history().retry(&here.by, by_hand.id, Run::Single, at(2)).await);
    assert_eq!(here.claim(lease, at(AHEAD)).await, [by_hand.id]);
    here.attempt(by_hand.id, lease, Outcome::Delivered, at(3)).await;
    stop(at(2 * AHEAD)).await;
    let job = jobs::create(&here, jobs::wish(JobKind::RetryFailed, None), at(4)).await;
    assert_eq!(jobs::finish(&here, job.id, at(4)).await.progress.done, 1);
    assert_eq!(here.claim(lease, at(2 * AHEAD)).await, [by_job.id]);
}

/// A stop cancels what was asked for before, though the node that stops has its clock behind.
pub async fn a_stop_ends_what_was_asked_for_before(one: &dyn Storage, two: &dyn Storage) {
    let here = World::new(one).await;
    let there = here.at_node(two);
    let endpoint = here.endpoint(SKIP).await;
    let (lease, failed) = two_failed(&here).await;
    ask_again(&there, &failed, at(AHEAD)).await;
    here.set_active(endpoint, false, at(2)).await;
    here.set_active(endpoint, true, at(3)).await;
    for row in &failed {
        World::expect_state(&here.look_at(row).await, DeliveryState::Cancelled);
    }
    assert_eq!(here.claim(lease, at(2 * AHEAD)).await, []);
}

/// I5: two nodes that claim at once get nothing twice and leave nothing.
pub async fn i5_nothing_is_claimed_twice(one: &dyn Storage, two: &dyn Storage) {
    let here = World::new(one).await;
    let there = here.at_node(two);
    here.endpoint(SKIP).await;
    let batch = |round: usize| (0..40).map(|n| grant(&format!("{round}-{n}"), "news")).collect();
    for round in 0..5 {
        for new in Vec::from_iter::<Vec<NewDecision>>(batch(round)) {
            here.record(new, at(0)).await;
        }
    }
    let (mine, theirs) = (here.lease(at(1)).await, there.lease(at(1)).await);
    let claim = async |world: &World<'_>, lease: LeaseId| {
        let mut claimed: Vec<DeliveryId> = Vec::new();
        loop {
            let page = ok(world.store.deliveries().claim_due(lease, &[], 9, at(2)).await);
            if page.claimed.is_empty() && !page.more {
                return claimed;
            }
            claimed.extend(page.claimed.iter().map(|row| row.id));
        }
    };
    let (first, second, third, fourth) = tokio::join!(
        claim(&here, mine),
        claim(&there, theirs),
        claim(&here, mine),
        claim(&there, theirs),
    );
    let all: Vec<DeliveryId> = [first, second, third, fourth].concat();
    let apart: HashSet<_> = all.iter().collect();
    assert_eq!(apart.len(), all.len(), "claimed twice");
    let rest = claim(&here, mine).await.len();
    assert_eq!(all.len() + rest, 200, "left behind");
    assert_eq!(rest, 0, "stepped over by both");
}

/// A step of the walk at one node. What is refused is refused; anything else must go well.
struct Walker<'a> {
    world: World<'a>,
    lease: LeaseId,
    dice: Dice,
    clock: i64,
}

impl Walker<'_> {
    fn draw(&self, below: usize) -> usize {
        let mut drawn = [0; 4];
        self.dice.fill(&mut drawn);
        u32::from_le_bytes(drawn) as usize % below
    }

    async fn steps(&self, count: usize) {
        for step in 0..count {
            self.step(at(step as i64 * 700 + self.clock)).await;
        }
    }

    async fn row(&self) -> Option<DeliveryView> {
        let rows = self.world.everything().await.deliveries;
        let pick = self.draw(rows.len().max(1));
        rows.into_iter().nth(pick)
    }

    async fn step(&self, now: Timestamp) {
        let (world, store) = (&self.world, self.world.store);
        let person = ["ada", "bob", "eve"][self.draw(3)];
        let purpose = ["news", "post"][self.draw(2)];
        match self.draw(10) {
            0..3 => {
                let states = [PermissionState::Granted, PermissionState::Denied];
                let new = NewDecision { state: states[self.draw(2)], ..grant(person, purpose) };
                unless_refused(store.consents().record(&world.by, new, now).await);
            }
            3 => {
                let batch = ["eve", "ada", "bob"].map(|person| grant(person, purpose)).to_vec();
                unless_refused(store.consents().record_batch(&world.by, batch, now).await);
            }
            4 => {
                let endpoints =
                    ok(store.endpoints().before(world.organization, None, None, 10).await);
                let endpoint = &endpoints[self.draw(endpoints.len())];
                world.set_active(endpoint.id, self.draw(2) == 0, now).await;
            }
            5 => {
                _ = world.claim(self.lease, now.plus_millis(100_000)).await;
                ok(store.deliveries().release_held(5, now).await);
            }
            6 | 7 => {
                let Some(row) = self.row().await else { return };
                let outcomes = [Outcome::Delivered, RETRY, Outcome::Failed];
                match world.open(row.id, self.lease, now).await {
                    Opened::Send(opening) => {
                        let outcome = outcomes[self.draw(3)];
                        world
                            .report(finished(row.id, self.lease, &opening, outcome, now), now)
                            .await;
                    }
                    Opened::Moved(_) => {}
                }
            }
            8 => {
                let Some(row) = self.row().await else { return };
                let run = [Run::Single, Run::Series][self.draw(2)];
                unless_refused(store.history().retry(&world.by, row.id, run, now).await);
                let back = GivenBack {
                    delivery: row.id,
                    lease: self.lease,
                    sent: [Sent::Nothing, Sent::Perhaps][self.draw(2)],
                    to: [GiveBack::Parked, GiveBack::Due(now), GiveBack::Stopped][self.draw(3)],
                };
                let report = Report { finished: Vec::new(), given_back: vec![back] };
                ok(store.deliveries().report(report, now).await);
            }
            _ if self.draw(4) == 0 => {
                unless_refused(store.subjects().erase(&world.by, person, now).await);
            }
            _ => {
                unless_refused(
                    store
                        .consents()
                        .record(
                            &world.by,
                            grant(&format!("{person}-{}", self.draw(50)), purpose),
                            now,
                        )
                        .await,
                );
            }
        }
    }
}

#[track_caller]
fn unless_refused<T>(result: StorageResult<T>) {
    match result {
        Ok(_) | Err(StorageError::Refused(_)) => {}
        Err(error) => panic!("the store answers: {error}"),
    }
}

/// I1, I2, I3, I5: whatever two nodes do at once, four calls at a time, the feeds have no gaps, each row keeps its state's
/// promise, records have as many decisions as their versions say, and no delivery is left that nobody would find.
pub async fn whatever_two_nodes_do_the_invariants_hold(
    one: &dyn Storage,
    two: &dyn Storage,
    seed: u64,
    steps: usize,
) {
    let here = World::named(one, &format!("walk-{seed}")).await;
    for rules in [SKIP, HOLD, LANE] {
        here.endpoint(rules).await;
    }
    let walker = async |store, number: u64, clock| {
        let world = here.at_node(store);
        let lease = world.lease(at(0)).await;
        Walker { world, lease, dice: Dice::seeded(seed * 8 + number), clock }
    };
    let (a, b, c, d) = (
        walker(one, 0, 0).await,
        walker(two, 1, 900).await,
        walker(one, 2, 0).await,
        walker(two, 3, 900).await,
    );
    tokio::join!(a.steps(steps), b.steps(steps), c.steps(steps), d.steps(steps));
    let all = here.everything().await;
    assert_eq!(there_too(&here, two).await, all, "both see the same, seed {seed}");
    let mut versions = BTreeMap::<_, u32>::new();
    let mut after = 0;
    let mut told = 0;
    loop {
        let wanted = FeedWanted { after, limit: 100 };
        let page = ok(one.feeds().decisions_after(here.organization, wanted).await);
        told += page.entries.len();
        for decision in &page.entries {
            *versions.entry(decision.consent).or_default() += 1;
        }
        after = page.next;
        if !page.has_more {
            break;
        }
    }
    assert_eq!(told, all.decisions.len());
    for (consent, decisions) in versions {
        if let Some(view) = ok(one.consents().get(here.organization, consent).await) {
            assert_eq!(view.version, decisions, "{consent}, seed {seed}");
        }
    }
    // Nothing is lost: whoever takes up what the leases held finds every row that is not final.
    for walker in [&a, &b, &c, &d] {
        super::deliveries::lose_all(&walker.world, walker.lease, 100).await;
    }
    let endpoints = ok(one.endpoints().before(here.organization, None, None, 10).await);
    for endpoint in &endpoints {
        here.set_active(endpoint.id, true, at(900_000)).await;
    }
    while ok(one.deliveries().release_held(100, at(900_000)).await) > 0 {}
    let lease = here.lease(at(900_000)).await;
    while !here.claim(lease, at(90_000_000)).await.is_empty() {}
    for endpoint in &endpoints {
        ok(one.deliveries().claim_parked(lease, endpoint.id, 1_000, at(900_000)).await);
    }
    for row in here.everything().await.deliveries {
        let is_found = row.state.is_final() || row.state == DeliveryState::Claimed;
        assert!(is_found, "nobody finds {row:?}, seed {seed}");
    }
}

async fn there_too(here: &World<'_>, two: &dyn Storage) -> super::world::Everything {
    here.at_node(two).everything().await
}

/// I5: one node does the chores, and nobody else while it does; what another would do of them is refused. Once it has taken its
/// leave the next one does.
pub async fn chores_are_done_by_one(one: &dyn Storage, two: &dyn Storage) {
    let here = World::new(one).await;
    let there = here.at_node(two);
    let chores = async |store: &dyn Storage| ok(store.leases().chores(at(0)).await);
    assert_eq!((chores(one).await, chores(two).await), (Chores::Ours, Chores::Anothers));
    here.record(grant("ada", "news"), at(0)).await;
    let works = async |store: &dyn Storage| {
        [
            store.consents().advance_due(at(1), 10).await.map(drop),
            store.counts().fold(0, 10, at(1)).await.map(drop),
            store.idempotency().forget_calls(at(1), 10).await.map(drop),
        ]
    };
    here.endpoint(SKIP).await;
    for refused in works(two).await {
        assert!(matches!(refused, Err(StorageError::Refused(_))), "{refused:?}");
    }
    let [(), (), ()] = works(one).await.map(ok);
    // All else goes on at both.
    there.record(grant("bob", "news"), at(2)).await;
    let lease = there.lease(at(2)).await;
    assert!(!there.claim(lease, at(2)).await.is_empty());
    for store in [one, two] {
        ok(store.leases().heartbeat(at(3)).await);
        let shown = ok(store.nodes().nodes(at(3)).await);
        let doing: Vec<_> =
            shown.iter().filter(|node| node.does_chores).map(|n| n.number).collect();
        assert_eq!((shown.len(), doing.as_slice()), (2, &[0][..]));
    }
    one.close();
    assert_eq!(chores(two).await, Chores::Ours);
    let [(), (), ()] = works(two).await.map(ok);
    let shown = ok(two.nodes().nodes(at(4)).await);
    assert_eq!(shown.len(), 1);
    assert!(shown[0].does_chores);
}
